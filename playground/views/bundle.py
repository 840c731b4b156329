"""What a view is in a notebook's file: widget, picture and text, in one bundle.

A live page shows the widget. What is saved holds a picture too, for GitHub and wherever else no kernel runs,
and the text, which is the same in every run that did the same. Outside of a notebook there is only text.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from typing import Any

import anywidget

from playground.views.picture import WIDTH

Bundle = tuple[dict[str, Any], dict[str, Any]]
"""Data and metadata by MIME type, as `_repr_mimebundle_` returns them."""


def mimebundle(text: str, png: Callable[[], bytes], widget: Callable[[], anywidget.AnyWidget]) -> Bundle:
    """The forms of a view that this surrounding can show.

    Args:
        text: the view as text.
        png: draws it, `picture.WIDTH` wide.
        widget: makes its widget.
    """
    bundle: dict[str, Any] = {"text/plain": text}
    if not in_a_notebook():
        return bundle, {}
    bundle["image/png"] = base64.b64encode(png()).decode()
    shown = widget()._repr_mimebundle_()
    if shown is not None:
        bundle = {**shown[0], **bundle}
    return bundle, {"image/png": {"width": WIDTH}}


def in_a_notebook() -> bool:
    """Whether somebody can show more than text: a Jupyter kernel runs this."""
    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    return hasattr(get_ipython(), "kernel")
