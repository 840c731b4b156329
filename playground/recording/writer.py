"""How the fold writes a timeline: it adds and changes things here, and every change is noted for the views."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from playground.recording.changes import Changes
from playground.recording.timeline import Queue, Revision, Timeline
from playground.recording.trace import Attempt, Effect, Entry, Pod, RowKey, Trace


class Writer(Timeline):
    """A timeline that can be written. Only the fold uses it as such; everyone else gets a `Timeline`."""

    def __init__(self) -> None:
        self.invocations: dict[str, Trace] = {}
        self.pods: dict[str, Pod] = {}
        self.revisions: dict[str, Revision] = {}
        self.states: dict[tuple[str, str], dict[str, str]] = {}
        self.queues: dict[tuple[str, str], Queue] = {}
        self.effects: list[Effect] = []
        self.forgotten = 0
        self.faults: dict[str, dict[str, Any]] = {}
        self.changes = Changes()
        self.server = "starting"
        self.server_starts = 0
        self.began_at: float | None = None
        self.latest_at = 0.0
        self.open: dict[tuple[str, int], Attempt] = {}
        self.attempts: dict[tuple[str, int], Attempt] = {}
        self.dropped: Counter[str] = Counter()
        self.cut_line = 0
        self.refused: deque[str] = deque(maxlen=10)
        self.refusals = 0
        self.unread: list[str] = []

    def trace(self, invocation: str) -> Trace:
        """The trace of an invocation, created on first use."""
        if invocation not in self.invocations:
            self.invocations[invocation] = Trace(invocation)
            self.touch("trace", invocation)
        return self.invocations[invocation]

    def touch(self, *what: Any) -> None:
        """Note in `changes` what an event touched, every time: a view may have seen the previous note already."""
        self.changes.append(what)

    def number_pod(self, name: str) -> int:
        """The ordinal of a pod, assigned when it gets its first attempt; 0 if the pod is unknown."""
        pod = self.pods.get(name)
        if pod is not None and not pod.ordinal:
            pod.ordinal = 1 + max(other.ordinal for other in self.pods.values() if other.service == pod.service)
            self.touch("pod", name)
        return pod.ordinal if pod else 0

    def set_status(self, trace: Trace, status: str, at: float) -> None:
        """Set an invocation's status, unless it is completed."""
        if not trace.done:
            trace.status, trace.status_at = status, max(at, trace.status_at)
            self.touch("trace", trace.id)

    def row(self, trace: Trace, row: RowKey, kind: str) -> Entry:
        """A row of an invocation, created on first use."""
        entry = trace.rows.get(row)
        if entry is None:
            entry = trace.rows[row] = Entry(row, kind, position=len(trace.entries))
            trace.entries.append(entry)
        self.touch("entry", trace.id, row)
        return entry
