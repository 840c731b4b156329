"""Recordings and atlases that show themselves in a notebook.

They are those of `playground.recording` and `playground.atlas`, with their looks added.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playground.atlas import atlas
from playground.core.extras import extra
from playground.recording import recording
from playground.views.text import atlas_table

if TYPE_CHECKING:
    from playground.views.atlas.widget import AtlasWidget
    from playground.views.bundle import Bundle
    from playground.views.lens import Lens


class Recording(recording.Recording):
    """An append-only list of events that can show its replay lens. Safe to use from any thread.

    `save` writes it to a file of JSON lines, and `Recording.load` reads one, for the same pictures without any server.
    """

    def watch(self, invocation_id: str) -> Lens:
        """The replay lens of one invocation. It shows itself as the last value of a cell, and needs no server.

        Raises:
            RecordingError: the recording does not have it.
        """
        with extra("lab"):
            from playground.views.lens import Lens

        return Lens(self, invocation_id)

    def export(self, invocation_id: str, path: str | PathLike[str]) -> Path:
        """Write a self-contained page with the lens of one invocation. Returns the path.

        Raises:
            RecordingError: the recording does not have it, or the file cannot be written.
        """
        return self.watch(invocation_id).export(path)


class Atlas(atlas.Atlas):
    """The outcomes of a sweep, in the order of the points: a table as text, a grid in a page.

    Attributes:
        request: the target that was invoked.
        target: where the accidents happened: "pod", "server" or "ledger".
        points: all points of the clean run.
        outcomes: one per run.
        recording: what happened in all runs, for the replay lens.
        basis: what it was compared with.
    """

    _widget: AtlasWidget | None = None

    @classmethod
    def of(cls, plain: atlas.Atlas) -> Atlas:
        """An atlas that shows itself."""
        return cls(plain.request, plain.target, plain.points, plain.outcomes, plain.recording, plain.basis)

    def __repr__(self) -> str:
        return atlas_table(self)

    @property
    def widget(self) -> AtlasWidget:
        """The grid in a page, created on first use."""
        if self._widget is None:
            with extra("lab"):
                from playground.views.atlas.widget import AtlasWidget

            self._widget = AtlasWidget(self)
        return self._widget

    def png(self) -> bytes:
        """The grid as a picture."""
        with extra("lab"):
            from playground.views.atlas import model, picture

        return picture.png(model.picture(self))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Bundle:
        with extra("lab"):
            from playground.views.bundle import mimebundle

        return mimebundle(repr(self), self.png, lambda: self.widget)
