"""A recording: events in the order they became known, and nothing else.

It only grows, until it reaches its limit (see `dropping`). Views and checks read the `timeline`, which is
folded from the events on demand, each event once. A saved recording is a file of JSON lines, the first of which
names the schema. The same pictures can be drawn from it later, without any server.
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
"""Version of the file format. It changes when an older reader would misread a newer file."""
LIMIT = 256 * 1024 * 1024
"""Bytes that a recording may take by default: some 30,000 invocations."""
ROOM = 0.75
"""When something is dropped, so much is dropped that this share of the limit stays in use."""
AT_ONCE = 10_000
"""Events that are read from a file at a time."""
MOST_HEADER, MOST_LINE = 10_000, 64 * 1024 * 1024
"""Bytes that the first line of a file may have, and any other line."""
_HEADER = "durable-playground recording"
_FIX = 'A recording is made with pg.recording.save("run.jsonl").'

Listener = Callable[[], None]


class Recording:
    """An append-only list of events. Safe to use from any thread.

    Over its limit, it drops the oldest invocations that have ended (see `dropping`). Its `repr` and an event,
    `recording.dropped`, say what is missing.

    Args:
        events: the first ones.
        limit: roughly how many bytes of memory its events, and what is folded from them, may take.

    Attributes:
        lock: held while the timeline grows. Hold it to read several things as they are at one moment.
        limit: see above; may be changed at any time.
    """

    def __init__(self, events: Iterable[Event] = (), *, limit: int = LIMIT) -> None:
        self.lock = threading.RLock()
        self.limit = limit
        self._writing = threading.Lock()
        self._events: list[Event] = []
        self._positions = array("Q")  # of each kept event, among all there ever were
        self._count = 0
        self._weight = 0
        self._lighten_at = 0
        self._timeline = Fold()
        self._folded = 0
        self._listeners: list[Listener] = []
        self._secrets: list[str] = []
        self.append(*events)

    def conceal(self, secret: str) -> None:
        """From now on, replace this text by SECRET in every event: recordings are shown to others."""
        self._secrets.append(secret)

    def append(self, *events: Event) -> None:
        """Add events, then call each listener once."""
        with self._writing:
            for event in [event.without(self._secrets) for event in events] if self._secrets else events:
                self._events.append(event)
                self._positions.append(self._count)
                self._count += 1
                self._weight += weight(event)
        for listener in tuple(self._listeners):
            listener()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener()` after every append, on the appending thread. Returns a function that stops this."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    @property
    def events(self) -> tuple[Event, ...]:
        """All events so far, except those that were dropped."""
        return tuple(self._events)

    def since(self, position: int) -> list[Event]:
        """The events from a position on that are still kept. `len(recording)` is the next position."""
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
        """Drop the oldest until there is room again."""
        folded, aim = self._folded, int(self.limit * ROOM)
        kept, dropped, invocations, pods = lighten(self._events[:folded], self._timeline, self._weight - aim)
        with self._writing:
            self._positions = array("Q", [*map(self._positions.__getitem__, kept), *self._positions[folded:]])
            self._events = [*map(self._events.__getitem__, kept), *self._events[folded:]]
            self._weight = sum(map(weight, self._events))
        self._folded = len(kept)
        self._timeline.drop(invocations, pods)
        # What is left cannot be dropped yet. Look again once a good deal more has come in.
        self._lighten_at = int(max(self._weight, aim) / ROOM)
        if dropped:
            self.append(Event.now("recording.dropped", **dropped))
            self._timeline.add(self._events[-1])
            self._folded += 1

    @property
    def invocations(self) -> list[Trace]:
        """What is known of each invocation, in the order in which they were first seen."""
        with self.lock:
            return list(self.timeline.invocations.values())

    def invocation(self, invocation_id: str) -> Trace:
        """What is known of one invocation.

        Raises:
            RecordingError: the recording does not have it.
        """
        trace = self.timeline.invocations.get(invocation_id)
        if trace is None:
            known = ", ".join(list(self.timeline.invocations)[-3:]) or "none"
            gone = self.timeline.dropped["invocations"]
            dropped = f" It has dropped the oldest {gone:,} to stay under its limit." if gone else ""
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
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with part.open("w", encoding="utf-8") as file:
                file.write(json.dumps({"format": _HEADER, "schema": SCHEMA}) + "\n")
                file.writelines(event.to_json() + "\n" for event in self.events)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise RecordingError(
                f"The recording could not be saved as {target}.",
                f"{error.strerror}.",
                'Name a file in a folder that exists and is yours: recording.save("run.jsonl")',
            ) from error
        return target

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a saved recording.

        If its last line breaks off, because the writer did not get to finish, all the others are read, and `repr`
        says so.

        Raises:
            RecordingError: the file does not exist, is damaged, is not a recording, or was written by a newer
                playground.
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
                        _ = recording.timeline  # a recording that is too long drops something now
                        events.clear()
                recording.append(*events)
        except OSError as error:
            raise RecordingError(f"{source} could not be read as a recording.", f"{error}.", _FIX) from error
        return recording

    def __repr__(self) -> str:
        with self.lock:
            timeline = self.timeline
            lines = [
                f"A recording of {len(self._events):,} events: {len(timeline.invocations):,} invocations,"
                f" {len(timeline.pods):,} pods, {len(timeline.effects):,} requests to the outside world"
            ]
            if timeline.dropped:
                counts = ", ".join(f"{number:,} {name}" for name, number in timeline.dropped.items() if number)
                lines.append(f"Dropped to stay under {self.limit:,} bytes: {counts}")
            if timeline.cut_line:
                lines.append(f"Its file breaks off in line {timeline.cut_line}: whatever came after is missing")
            if timeline.refusals:
                lines.append(f"{timeline.refusals:,} events were rejected. The latest: {timeline.refused[-1]}")
            if timeline.unread:
                latest = timeline.unread[-1]
                lines.append(f"{len(timeline.unread):,} events could not be understood. The latest: {latest}")
        return "\n".join(lines)


def _read_header(source: Path, line: bytes) -> None:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("format") != _HEADER:
        raise RecordingError(f"{source} is not a recording.", "Its first line does not say that it is one.", _FIX)
    schema = header.get("schema")
    if type(schema) is not int or schema > SCHEMA:
        raise RecordingError(
            f"{source} was written by a newer playground.",
            f"Its schema is {schema!r}; this one reads up to {SCHEMA}.",
            "git pull && make lab",
        )


def _damaged(source: Path, line: int, why: str) -> RecordingError:
    return RecordingError(f"{source} is damaged in line {line}.", why, _FIX)
