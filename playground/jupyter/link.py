"""`pg.ui`: the link to Restate's own UI, and what it looks like in a notebook."""

from __future__ import annotations

import html
from typing import Any

from playground.core.door import Door
from playground.core.extras import extra
from playground.jupyter import passage

_LINK = """
export default { render({ model, el }) {
  const link = document.createElement("a");
  link.href = new URL(model.get("path"), document.baseURI).href; // or JupyterLab would take it for a file's
  link.textContent = "Restate's UI";
  link.target = "_blank";
  link.rel = "noopener";
  el.append(link);
} };
"""


class Ui:
    """A link to Restate's own UI.

    Attributes:
        url: through Jupyter its path there; else a URL of this machine.
        through_jupyter: whether Jupyter leads there.
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


def way_through_jupyter(doors: dict[str, Door]) -> passage.Passage | None:
    """A way through the Jupyter that this kernel runs in; None if there is none."""
    found = passage.here()
    if found is None:
        return None
    try:
        return passage.Passage(*found, doors)
    except OSError:
        return None
