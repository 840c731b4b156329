"""A recording: events in the order they became known, and nothing else.

It only grows. Views and checks read the `timeline`, which is folded from the events when somebody
asks, each event once. Saved, it is a file of JSON lines whose first line names the schema, so the same
pictures can be drawn later with no server at all.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from playground.errors import RecordingError
from playground.recording.events import Event, saved
from playground.recording.timeline import Timeline
from playground.recording.trace import Trace

if TYPE_CHECKING:
    from playground.views.lens import Lens

SCHEMA = 1
"""Version of the saved form. It changes when a reader of the old form would misread the new one."""
_HEADER = "durable-playground recording"

Listener = Callable[[], None]


class Recording:
    """An append-only list of events. Safe to use from any thread.

    Attributes:
        lock: held while the timeline grows; hold it to read several things of one moment.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.lock = threading.RLock()
        self._events: list[Event] = list(events)
        self._timeline = Timeline()
        self._folded = 0
        self._listeners: list[Listener] = []

    def append(self, *events: Event) -> None:
        """Add events and tell the listeners, once."""
        self._events += events
        for listener in tuple(self._listeners):
            listener()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener()` after every append, on the appending thread; returns what stops that."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    @property
    def events(self) -> tuple[Event, ...]:
        """All events so far."""
        return tuple(self._events)

    def since(self, position: int) -> list[Event]:
        """The events from a position on (a position is a count of events already seen)."""
        return self._events[position:]

    def __len__(self) -> int:
        return len(self._events)

    @property
    def timeline(self) -> Timeline:
        """What the events so far add up to."""
        with self.lock:
            count = len(self._events)
            for event in self._events[self._folded : count]:
                self._timeline.add(event)
            self._folded = count
            return self._timeline

    @property
    def invocations(self) -> list[Trace]:
        """What is known of each invocation, in the order they were first seen."""
        with self.lock:
            return list(self.timeline.invocations.values())

    def invocation(self, invocation_id: str) -> Trace:
        """What is known of one invocation.

        Raises:
            RecordingError: the recording holds nothing about it.
        """
        trace = self.timeline.invocations.get(invocation_id)
        if trace is None:
            known = ", ".join(list(self.timeline.invocations)[-3:]) or "none"
            raise RecordingError(
                f"This recording holds no invocation {invocation_id}.",
                f"The latest it holds: {known}.",
                "recording.invocations lists them all.",
            )
        return trace

    def watch(self, invocation_id: str) -> Lens:
        """The replay lens of one invocation; shown as a cell's last value, it needs no server.

        Raises:
            RecordingError: the recording holds nothing about it.
        """
        from playground.views.lens import Lens  # widgets are loaded by those who show them

        return Lens(self, invocation_id)

    def export(self, invocation_id: str, path: str | PathLike[str]) -> Path:
        """Write one self-contained page with the lens of one invocation; returns the path.

        Raises:
            RecordingError: the recording holds nothing about it, or the file cannot be written.
        """
        return self.watch(invocation_id).export(path)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the recording as JSON lines; returns the path.

        Raises:
            RecordingError: the file cannot be written.
        """
        target = Path(path)
        header = json.dumps({"format": _HEADER, "schema": SCHEMA})
        try:
            target.write_text("\n".join([header, *(event.to_json() for event in self.events)]) + "\n", "utf-8")
        except OSError as error:
            raise RecordingError(
                f"The recording could not be saved as {target}.",
                f"{error.strerror}.",
                'Name a file in a folder that exists and is yours: recording.save("run.jsonl")',
            ) from error
        return target

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Recording:
        """Read a saved recording.

        Raises:
            RecordingError: there is no such file, it is no recording, or a newer playground wrote it.
        """
        source = Path(path)
        fix = 'A recording is made with pg.recording.save("run.jsonl").'
        try:
            lines = source.read_text("utf-8").removesuffix("\n").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise RecordingError(f"{source} could not be read as a recording.", f"{error}.", fix) from error
        try:
            header = json.loads(lines[0])
        except ValueError:
            header = None
        if not isinstance(header, dict) or header.get("format") != _HEADER:
            raise RecordingError(f"{source} is not a recording.", "Its first line does not say so.", fix)
        if not isinstance(header.get("schema"), int) or header["schema"] > SCHEMA:
            raise RecordingError(
                f"{source} was written by a newer playground.",
                f"Its schema is {header.get('schema')}; this one reads up to {SCHEMA}.",
                "git pull && make lab",
            )
        events = []
        for number, line in enumerate(lines[1:], 2):
            try:
                events.append(saved(json.loads(line)))
            except (ValueError, TypeError) as error:
                if number == len(lines):
                    break  # whoever wrote it was cut off in the middle of the last line
                raise RecordingError(f"{source} is damaged in line {number}.", f"{error}.", fix) from error
        return cls(events)
