"""Live widgets: how a view in the page follows a recording.

A widget's state in the page is a *picture*: plain values and tables of items keyed by id (see `messages`). It is at a
position in `timeline.changes`. When the recording grows, only the items those changes touched are sent,
as a *delta*: a picture of what is new, None for what is gone. Items are sent whole, so a delta that
begins at or before the page's position can always be applied, even twice. If one begins after it, the
page has missed something (it was reloaded, a second view was opened) and says which position it has. Only
the latest changes are kept: a page that is further behind gets the whole picture, marked as such.

Two facts of Jupyter shape this:

* The kernel's main thread may be busy for minutes, and what the page says waits for as long, while what
  any thread sends to the page arrives at once. So deltas are sent from a thread of our own, at most ten
  per second, and until the page has first said what it has, each of them begins where the displayed
  state ended: whatever got lost before the view was there comes again.
* Nobody tells the kernel that a cell was cleared except the page. A view says so as it goes; with the
  last one the widget stops listening to the recording, and begins again when a view asks. The recording
  and the thread know a widget only weakly, and the thread ends when there is nothing left to send.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Collection, Mapping
from typing import Any, Generic, Protocol, TypeVar

import anywidget

from playground.errors import PlaygroundError
from playground.recording import Recording, Timeline
from playground.recording.changes import Change
from playground.views.asked import deeds, read
from playground.views.messages import (
    Act,
    Answer,
    Closed,
    Delta,
    Have,
    Here,
    Picture,
    Refusal,
    Snapshot,
    Tables,
    Update,
    Values,
)

Changed = TypeVar("Changed")
"""The tables of a delta."""

INTERVAL = 0.1
"""Seconds between two deltas: ten per second at most."""
GATHER = 0.015
"""Seconds until the first of them: a step's end and the next one's beginning come a moment apart."""
LINGER = 2.0
"""Seconds the sending thread waits for more before it ends."""


class Sends(Protocol):
    """What has something to send."""

    def flush(self) -> None:
        """Send it."""


class Sender:
    """One thread that sends the deltas of all widgets; it is there only while there are any."""

    def __init__(self) -> None:
        self._waiting: set[weakref.ref[Sends]] = set()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def wake(self, widget: weakref.ref[Sends]) -> None:
        """Let a widget send what is new, soon. From any thread; does nothing slow."""
        if widget in self._waiting:
            return
        with self._wake:
            self._waiting.add(widget)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="playground-views", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # the interpreter is ending: nobody looks any more
                    self._thread = None
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._waiting:
                    self._wake.wait(LINGER)
                if not self._waiting:
                    self._thread = None
                    return
            time.sleep(GATHER)
            with self._wake:
                now, self._waiting = self._waiting, set()
            for reference in now:
                if widget := reference():
                    widget.flush()
                del widget  # or the last one would be kept alive while this thread waits
            time.sleep(INTERVAL - GATHER)


_sender = Sender()


class LiveWidget(anywidget.AnyWidget, Generic[Values, Tables, Changed]):
    """A widget that shows a recording and follows it.

    A subclass says what the picture is (`picture`), what a change does to it (`delta`) and what a click
    does (methods that are marked with `answers`). Its `_esm` calls `connect(model)` from `live.js`.

    Args:
        recording: what it shows; one with no engine behind it just never grows.
    """

    def __init__(self, recording: Recording, **traits: Any) -> None:
        self.recording = recording
        self._gate = threading.RLock()  # one message at a time, or positions would arrive out of order
        self._known = 0  # the position the page certainly has
        self._clean = 0  # up to here nothing else concerns the page
        self._heard = False  # whether the page has said what it has
        self._views: set[str] = set()
        self._stop: Callable[[], None] | None = None
        super().__init__(**traits)
        self.on_msg(LiveWidget._receive)
        self._listen()

    # -- for subclasses -----------------------------------------------------------------------------

    def picture(self, timeline: Timeline) -> Picture[Values, Tables]:
        """All there is to show. Called with the recording's lock held."""
        raise NotImplementedError

    def delta(self, timeline: Timeline, changes: Collection[Change]) -> Delta[Values, Changed] | None:
        """What these changes (each once, in order) do to the picture; None if nothing.

        Called with the recording's lock held.
        """
        raise NotImplementedError

    def act(self, name: str, data: Mapping[str, object]) -> object:
        """Do what the page asks for and return something JSON can say.

        Called on a thread of the kernel's, one at a time or not; with subshells also while a cell runs. An
        error's text is shown in the page.
        """
        if deed := deeds(type(self)).get(name):
            return deed.do(self, data=data)
        raise PlaygroundError(
            f"This view does not know how to {name}.", "The page is of another version.", "Run the cell again."
        )

    # -- towards the page ---------------------------------------------------------------------------

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """The widget's state as the page gets it at display and at a reload: with the picture of this moment."""
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        if key is None:
            with self._gate, self.recording.lock:
                timeline = self.recording.timeline
                at = len(timeline.changes)
                picture = self.picture(timeline)
                snapshot: Snapshot[Values, Tables] = {
                    "at": at,
                    "now": time.time(),
                    "values": picture["values"],
                    "tables": picture["tables"],
                }
                state["snapshot"] = snapshot
                if not self._heard:
                    self._known = self._clean = at
        return state

    def flush(self) -> None:
        """Send what the page does not have. From any thread."""
        with self._gate:
            if self._stop is None:
                return
            whole: Picture[Values, Tables] | None = None
            delta: Delta[Values, Changed] | None = None
            with self.recording.lock:
                timeline = self.recording.timeline
                changes, to = timeline.changes.since(self._clean), len(timeline.changes)
                if changes is None:  # the page is too far behind: everything anew
                    whole = self.picture(timeline)
                elif changes:
                    delta = self.delta(timeline, dict.fromkeys(changes).keys())
            if whole is not None:
                anew: Update[Picture[Values, Tables]]
                anew = {"type": "delta", "from": 0, "to": to, "now": time.time(), "data": whole, "whole": True}
                self.send(anew)
            elif delta is not None:
                told: Update[Delta[Values, Changed]]
                told = {"type": "delta", "from": self._known, "to": to, "now": time.time(), "data": delta}
                self.send(told)
            else:
                self._clean = to
                return
            if self._heard:
                self._known = self._clean = to

    def _listen(self) -> None:
        if self._stop is not None:
            return
        me: weakref.ref[Sends] = weakref.ref(self)
        stop = self.recording.listen(lambda: _sender.wake(me))
        self._stop = weakref.finalize(self, stop)

    def _pause(self) -> None:
        if self._stop is not None:
            self._stop()
            self._stop = None

    def close(self) -> None:
        """Take the widget off the page and out of the kernel."""
        with self._gate:
            self._pause()
        super().close()

    # -- from the page ------------------------------------------------------------------------------

    def _receive(self, content: Mapping[str, object], _buffers: object) -> None:
        match content.get("type"):
            case "have":
                have = read(Have, content)
                with self._gate:
                    self._views.add(have["view"])
                    self._heard = True
                    self._known = have["at"]
                    self._clean = min(self._clean, self._known)
                    self._listen()
                here: Here = {"type": "here"}
                self.send(here)
                self.flush()
            case "closed":
                with self._gate:
                    self._views.discard(read(Closed, content)["view"])
                    if not self._views:
                        self._pause()
            case "act":
                self.send(self._answer(read(Act, content)))

    def _answer(self, asked: Act) -> Answer | Refusal:
        try:
            return {"type": "answer", "id": asked["id"], "value": self.act(asked["name"], asked["data"])}
        except PlaygroundError as error:
            said = str(error)
        except Exception as error:  # whatever it is, the person who clicked must see it
            said = f"{type(error).__name__}: {error}"
        return {"type": "answer", "id": asked["id"], "error": said}
