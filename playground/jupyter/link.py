"""`pg.ui`: the link to Restate's own UI, and how a notebook shows it."""

from __future__ import annotations

import html
from typing import Any

from playground.core.door import Door
from playground.core.extras import extra
from playground.jupyter import route

_LINK = """
export default { render({ model, el }) {
  const link = document.createElement("a");
  link.href = new URL(model.get("path"), document.baseURI).href; // or JupyterLab would take it for a file
  link.textContent = "Restate's UI";
  link.target = "_blank";
  link.rel = "noopener";
  el.append(link);
} };
"""


class Ui:
    """A link to Restate's own UI.

    Attributes:
        url: its path in Jupyter, or else a URL on this machine.
        through_jupyter: whether the link goes through Jupyter.
    """

    def __init__(self, url: str, *, through_jupyter: bool) -> None:
        self.url, self.through_jupyter = url, through_jupyter

    def __repr__(self) -> str:
        if self.through_jupyter:
            return f"Restate's UI: {self.url}, at the address of your Jupyter"
        return (
            f"Restate's UI: {self.url}\n"
            "It opens on this machine only. Jupyter leads there from anywhere, if it was started by `make lab`, or\n"
            "after: jupyter server extension enable --user playground.jupyter.extension"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        data = {"text/plain": repr(self)}
        if not self.through_jupyter:
            url = html.escape(self.url)
            return {**data, "text/html": f'<a href="{url}" target="_blank" rel="noopener">Restate\'s UI</a>'}
        with extra("lab"):
            import anywidget
            import traitlets

        class Link(anywidget.AnyWidget):
            _esm = _LINK
            path = traitlets.Unicode().tag(sync=True)

        shown = Link(path=self.url)._repr_mimebundle_()
        return {**(shown[0] if shown else {}), **data}


def route_through_jupyter(doors: dict[str, Door]) -> route.Route | None:
    """A route through the Jupyter that this kernel runs in; None if there is none."""
    base_and_notes = route.here()
    if base_and_notes is None:
        return None
    try:
        return route.Route(*base_and_notes, doors)
    except OSError:
        return None
