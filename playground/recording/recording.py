"""A recording: events in the order they became known, and nothing else.

It only grows, until it reaches its limit (see `dropping`). Views and checks read the `timeline`, which is
folded from the events when somebody asks, each event once. Saved, it is a file of JSON lines whose first line
names the schema, so the same pictures can be drawn later with no server at all.
"""

from __future__ import annotations

import json
import os
import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import Self

from playground.errors import RecordingError
from playground.recording.dropping import lighten, weight
from playground.recording.events import Event, saved
from playground.recording.fold import Fold
from playground.recording.timeline import Timeline
from playground.recording.trace import Trace

SCHEMA = 1
"""Version of the saved form. It changes when a reader of the old form would misread the new one."""
LIMIT = 256 * 1024 * 1024
"""Bytes a recording may take, by default: some 30,000 invocations."""
ROOM = 0.75
"""The share of its limit that is left in use when something was dropped."""
AT_ONCE = 10_000
"""Events of a file that are read at a time."""
MOST_HEADER, MOST_LINE = 10_000, 64 * 1024 * 1024
"""Bytes of the first line, and of any other."""
_HEADER = "durable-playground recording"
_FIX = 'A recording is made with pg.recording.save("run.jsonl").'

Listener = Callable[[], None]


class Recording:
    """An append-only list of events. Safe to use from any thread.

    Over its limit it lets go of the oldest invocations that have ended, and says so (see `dropping`): its `repr`
    and an event, `recording.dropped`, tell what is missing.

    Args:
        events: those it begins with.
        limit: about how many bytes its events may take in memory, with what is folded from them.

    Attributes:
        lock: held while the timeline grows; hold it to read several things of one moment.
        limit: as above; may be changed at any time.
    """

    def __init__(self, events: Iterable[Event] = (), *, limit: int = LIMIT) -> None:
        self.lock = threading.RLock()
        self.limit = limit
        self._writing = threading.Lock()
        self._events: list[Event] = []
        self._positions = array("Q")  # where each event stands among all there ever were
        self._count = 0
        self._weight = 0
        self._lighten_at = 0
        self._timeline = Fold()
        self._folded = 0
        self._listeners: list[Listener] = []
        self._secrets: list[str] = []
        self.append(*events)

    def conceal(self, secret: str) -> None:
        """Write SECRET instead of this text in whatever is appended from now on: a recording is shown to others."""
        self._secrets.append(secret)

    def append(self, *events: Event) -> None:
        """Add events and tell the listeners, once."""
        with self._writing:
            for event in [event.without(self._secrets) for event in events] if self._secrets else events:
                self._events.append(event)
                self._positions.append(self._count)
                self._count += 1
                self._weight += weight(event)
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
        """All events so far that are kept."""
        return tuple(self._events)

    def since(self, position: int) -> list[Event]:
        """The events from a position on, as far as they are kept; `len` of a recording is the next position."""
        with self._writing:
            return self._events[bisect_left(self._positions, position) :]

    def __len__(self) -> int:
        return self._count

    @property
    def timeline(self) -> Timeline:
        """What the events so far add up to."""
        with self.lock:
            while self._folded < (count := len(self._events)):
                for event in self._events[self._folded : count]:
                    self._folded += 1
                    self._timeline.add(event)
            if self._weight > max(self.limit, self._lighten_at):
                self._lighten()
            return self._timeline

    def _lighten(self) -> None:
        """Let go of the oldest, until there is room again."""
        folded, aim = self._folded, int(self.limit * ROOM)
        kept, dropped, invocations, pods = lighten(self._events[:folded], self._timeline, self._weight - aim)
        with self._writing:
            self._positions = array("Q", [*map(self._positions.__getitem__, kept), *self._positions[folded:]])
            self._events = [*map(self._events.__getitem__, kept), *self._events[folded:]]
            self._weight = sum(map(weight, self._events))
        self._folded = len(kept)
        self._timeline.drop(invocations, pods)
        # What is left cannot go yet. It is looked at again when there is a good deal more.
        self._lighten_at = int(max(self._weight, aim) / ROOM)
        if dropped:
            self.append(Event.now("recording.dropped", **dropped))
            self._timeline.add(self._events[-1])
            self._folded += 1

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
            gone = self.timeline.dropped["invocations"]
            dropped = f" It has let go of the oldest {gone:,}, to stay under its limit." if gone else ""
            raise RecordingError(
                f"This recording holds no invocation {invocation_id}.",
                f"The latest it holds: {known}.{dropped}",
                "recording.invocations lists them all.",
            )
        return trace

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the recording as JSON lines; returns the path.

        Raises:
            RecordingError: the file cannot be written.
        """
        target = Path(path)
        beside = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with beside.open("w", encoding="utf-8") as file:
                file.write(json.dumps({"format": _HEADER, "schema": SCHEMA}) + "\n")
                file.writelines(event.to_json() + "\n" for event in self.events)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise RecordingError(
                f"The recording could not be saved as {target}.",
                f"{error.strerror}.",
                'Name a file in a folder that exists and is yours: recording.save("run.jsonl")',
            ) from error
        return target

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a saved recording.

        If the last line is cut off, because whoever wrote it was, the rest is read; `repr` says so.

        Raises:
            RecordingError: there is no such file, it is no recording, it is damaged, or a newer playground wrote it.
        """
        source = Path(path)
        recording = cls()
        try:
            with source.open("rb") as file:
                _read_header(source, file.readline(MOST_HEADER))
                events: list[Event] = []
                for number, line in enumerate(iter(lambda: file.readline(MOST_LINE), b""), 2):
                    if len(line) == MOST_LINE and not line.endswith(b"\n"):
                        raise _damaged(source, number, f"It has more than {MOST_LINE:,} bytes.")
                    try:
                        events.append(saved(json.loads(line)))
                    except (ValueError, RecursionError) as error:
                        if line.endswith(b"\n"):
                            raise _damaged(source, number, f"{error}.") from error
                        events.append(Event.now("recording.cut", line=number))
                    if len(events) >= AT_ONCE:
                        recording.append(*events)
                        _ = recording.timeline  # a recording that is too long stays under the limit
                        events.clear()
                recording.append(*events)
        except OSError as error:
            raise RecordingError(f"{source} could not be read as a recording.", f"{error}.", _FIX) from error
        return recording

    def __repr__(self) -> str:
        with self.lock:
            timeline = self.timeline
            said = [
                f"A recording of {len(self._events):,} events: {len(timeline.invocations):,} invocations,"
                f" {len(timeline.pods):,} pods, {len(timeline.effects):,} requests to the outside world"
            ]
            if timeline.dropped:
                counts = ", ".join(f"{number:,} {name}" for name, number in timeline.dropped.items() if number)
                said.append(f"Dropped, to stay under {self.limit:,} bytes: {counts}")
            if timeline.cut_line:
                said.append(f"Its file was cut off in line {timeline.cut_line}: what came after is not in it")
            if timeline.refusals:
                said.append(f"{timeline.refusals:,} events were not taken. The latest: {timeline.refused[-1]}")
            if timeline.unread:
                said.append(f"{len(timeline.unread):,} events could not be understood: {timeline.unread[-1]}")
        return "\n".join(said)


def _read_header(source: Path, line: bytes) -> None:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("format") != _HEADER:
        raise RecordingError(f"{source} is not a recording.", "Its first line does not say so.", _FIX)
    schema = header.get("schema")
    if type(schema) is not int or schema > SCHEMA:
        raise RecordingError(
            f"{source} was written by a newer playground.",
            f"Its schema is {schema!r}; this one reads up to {SCHEMA}.",
            "git pull && make lab",
        )


def _damaged(source: Path, line: int, why: str) -> RecordingError:
    return RecordingError(f"{source} is damaged in line {line}.", why, _FIX)
