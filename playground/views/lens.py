"""The replay lens as a notebook shows it: one object, three forms in one bundle (see `bundle`).

Its text is the table of entries and attempts, which is the same in every run that did the same: nbval compares
it, a screen reader reads it, a terminal prints it.
"""

from __future__ import annotations

from collections.abc import Collection
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypedDict

from playground.errors import RecordingError
from playground.recording import Recording, Timeline
from playground.recording.changes import Change
from playground.views import model, page, picture, text
from playground.views.actions import Actions
from playground.views.asked import answers
from playground.views.assets import css, esm
from playground.views.bundle import Bundle, mimebundle
from playground.views.details import Details, details, whole_value
from playground.views.live import LiveWidget
from playground.views.messages import OfPod
from playground.views.model import LensChanged, LensDelta, LensPicture, LensTables, LensValues

MOST_SHOWN = 5_000_000
"""Characters of one value that are sent to the page when somebody asks for all of it."""


class OfEntry(TypedDict):
    """Which entry, by the model's id."""

    entry: str


class OfValue(OfEntry):
    """Which of an entry's values."""

    side: Literal["in", "out"]


class WholeValue(TypedDict):
    """A whole value, or as much of it as a page is sent; `size` of all of it in bytes."""

    text: str
    size: int


class LensWidget(LiveWidget[LensValues, LensTables, LensChanged]):
    """The lens in a page.

    Args:
        recording: what is shown.
        invocation: the invocation's id.
        actions: what kills pods and reads whole values; without one, the lens only shows.
    """

    _esm = esm("lens-widget.js")
    _css = css("live.css", "lens.css")

    def __init__(self, recording: Recording, invocation: str, actions: Actions | None = None) -> None:
        self._invocation, self._actions = invocation, actions
        super().__init__(recording)

    def picture(self, timeline: Timeline) -> LensPicture:
        """The invocation and those it has called."""
        found = model.picture(timeline, self._invocation)
        found["values"]["open"] = self._open
        return found

    def delta(self, timeline: Timeline, changes: Collection[Change]) -> LensDelta | None:
        """The items that changes touch."""
        found = model.delta(timeline, self._invocation, changes)
        if found:
            found["values"]["open"] = self._open
        return found

    @property
    def _open(self) -> bool:
        return self._actions is not None and not self._actions.closed

    @answers("kill pod")
    def kill_pod(self, asked: OfPod) -> str:
        """Kill a pod; gives its name.

        Raises:
            PlaygroundError: it cannot be done; says why.
        """
        if self._actions is None:
            raise _nothing("kill pod")
        return self._actions.kill_pod(asked["pod"]).name

    @answers("entry")
    def entry(self, asked: OfEntry) -> Details:
        """Give the details of an entry.

        Raises:
            RecordingError: there is no such entry.
        """
        invocation, _, row = asked["entry"].partition("/")
        if found := details(self.recording, invocation, row):
            return found
        raise _nothing("entry")

    @answers("value")
    def value(self, asked: OfValue) -> WholeValue:
        """Give the whole of one of an entry's values.

        Raises:
            PlaygroundError: nobody has it; says why.
        """
        if self._actions is None:
            raise _nothing("value")
        invocation, _, row = asked["entry"].partition("/")
        value = whole_value(self._actions, invocation, row, asked["side"])
        return {"text": value[:MOST_SHOWN], "size": len(value.encode("utf-8", "replace"))}


def _nothing(name: str) -> RecordingError:
    return RecordingError(
        f"There is nothing to {name} here.", "The recording holds no such thing.", "Run the cell again."
    )


class Lens:
    """The replay lens of one invocation: every attempt, every pod, on one time axis.

    As a cell's last value it is shown; it follows the invocation while a playground runs.

    Args:
        recording: what is shown: a playground's, or a loaded one.
        invocation: the invocation's id.
        actions: what runs it, if it does.

    Raises:
        RecordingError: the recording holds nothing about it.
    """

    def __init__(self, recording: Recording, invocation: str, actions: Actions | None = None) -> None:
        recording.invocation(invocation)
        self.recording, self.invocation = recording, invocation
        self._actions = actions
        self._widget: LensWidget | None = None

    @property
    def widget(self) -> LensWidget:
        """The widget, made when it is first asked for."""
        if self._widget is None:
            self._widget = LensWidget(self.recording, self.invocation, self._actions)
        return self._widget

    def png(self) -> bytes:
        """The picture of this moment."""
        with self.recording.lock:
            return picture.png(self.recording.timeline, self.invocation)

    def export(self, path: str | PathLike[str]) -> Path:
        """Write a page of its own with the lens and this run in it; returns the path.

        Raises:
            RecordingError: the file cannot be written.
        """
        return page.export(self.recording, self.invocation, path)

    def __repr__(self) -> str:
        with self.recording.lock:
            try:
                return text.invocation_table(self.recording.invocation(self.invocation), self.recording.timeline)
            except RecordingError as error:
                return str(error)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Bundle:
        if self.invocation not in self.recording.timeline.invocations:  # the recording has let go of it
            return {"text/plain": repr(self)}, {}
        return mimebundle(repr(self), self.png, lambda: self.widget)
