"""Live widgets: how a view in the page follows a recording.

A widget's state in the page is a *picture*: plain values and tables of items keyed by id. It is at a
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
from collections.abc import Callable, Collection
from typing import Any

import anywidget

from playground.errors import PlaygroundError
from playground.recording import Recording, Timeline

Picture = dict[str, Any]
"""`{"values": {name: value}, "tables": {name: {id: item}}}`, all of it JSON. In a delta either may be left out."""
Change = tuple[Any, ...]

INTERVAL = 0.1
"""Seconds between two deltas: ten per second at most."""
GATHER = 0.015
"""Seconds until the first of them: a step's end and the next one's beginning come a moment apart."""
LINGER = 2.0
"""Seconds the sending thread waits for more before it ends."""


def apply(picture: Picture, delta: Picture) -> None:
    """Bring a picture up to date, as `live.js` does in the page."""
    picture.setdefault("values", {}).update(delta.get("values", {}))
    tables = picture.setdefault("tables", {})
    for name, items in delta.get("tables", {}).items():
        table = tables.setdefault(name, {})
        for key, item in items.items():
            if item is None:
                table.pop(key, None)
            else:
                table[key] = item


class Sender:
    """One thread that sends the deltas of all widgets; it is there only while there are any."""

    def __init__(self) -> None:
        self._waiting: set[weakref.ref[LiveWidget]] = set()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def wake(self, widget: weakref.ref[LiveWidget]) -> None:
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


class LiveWidget(anywidget.AnyWidget):
    """A widget that shows a recording and follows it.

    A subclass says what the picture is (`picture`), what a change does to it (`delta`) and what a click
    does (`act`). Its `_esm` calls `connect(model)` from `live.js`.

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

    def picture(self, timeline: Timeline) -> Picture:
        """All there is to show. Called with the recording's lock held."""
        raise NotImplementedError

    def delta(self, timeline: Timeline, changes: Collection[Change]) -> Picture | None:
        """What these changes (each once, in order) do to the picture; None if nothing.

        By default the whole picture again. Called with the recording's lock held.
        """
        return self.picture(timeline)

    def act(self, name: str, data: dict[str, Any]) -> Any:
        """Do what the page asks for and return something JSON can say.

        Called on a thread of the kernel's, one at a time or not; with subshells also while a cell runs. An
        error's text is shown in the page.
        """
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
                state["snapshot"] = {"at": at, "now": time.time(), **self.picture(timeline)}
                if not self._heard:
                    self._known = self._clean = at
        return state

    def flush(self) -> None:
        """Send what the page does not have. From any thread."""
        with self._gate:
            if self._stop is None:
                return
            with self.recording.lock:
                timeline = self.recording.timeline
                changes, to = timeline.changes.since(self._clean), len(timeline.changes)
                if changes is None:  # the page is too far behind: everything anew
                    data: Picture | None = self.picture(timeline)
                else:
                    data = self.delta(timeline, dict.fromkeys(changes).keys()) if changes else None
            if data is not None:
                whole = {"whole": True} if changes is None else {}
                told = {"from": 0 if whole else self._known, "to": to, "now": time.time(), "data": data, **whole}
                self.send({"type": "delta", **told})
            if data is None:
                self._clean = to
            elif self._heard:
                self._known = self._clean = to

    def _listen(self) -> None:
        if self._stop is not None:
            return
        me = weakref.ref(self)
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

    def _receive(self, content: Any, _buffers: Any) -> None:
        kind = content.get("type")
        if kind == "have":
            with self._gate:
                self._views.add(content["view"])
                self._heard = True
                self._known = content["at"]
                self._clean = min(self._clean, self._known)
                self._listen()
            self.send({"type": "here"})
            self.flush()
        elif kind == "closed":
            with self._gate:
                self._views.discard(content["view"])
                if not self._views:
                    self._pause()
        elif kind == "act":
            self.send({"type": "answer", "id": content["id"], **self._answer(content)})

    def _answer(self, content: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"value": self.act(content["name"], content.get("data") or {})}
        except PlaygroundError as error:
            return {"error": str(error)}
        except Exception as error:  # whatever it is, the person who clicked must see it
            return {"error": f"{type(error).__name__}: {error}"}
