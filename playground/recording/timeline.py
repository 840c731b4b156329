"""The timeline: a pure fold of events into traces, pods, state and queues. No I/O, no clock.

Events reach a recording in the order they became known, which is nearly but not always the order in
which they happened: the admin API's word on an invocation may be older than what its pod said
meanwhile. So a status counts only if it was asked for after the latest event of an attempt.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from playground.recording.events import Event
from playground.recording.trace import FIRST_AWAKEABLE, Attempt, Effect, Entry, Mark, Pod, RowKey, Trace

# Entries whose result arrives later, as a completion. All others are done when they are sent.
_COMPLETABLE = {
    "Call",
    "Run",
    "Sleep",
    "GetLazyState",
    "GetLazyStateKeys",
    "GetPromise",
    "PeekPromise",
    "CompletePromise",
    "AttachInvocation",
    "GetInvocationOutput",
}


@dataclass(slots=True)
class Queue:
    """A key's lock: the invocation that holds it, and those that wait, in order."""

    holder: str = ""
    waiting: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Revision:
    """A deployed revision: its Restate deployment, its source file, and what it offers."""

    name: str
    service: str
    deployment: str
    services: list[dict[str, Any]]
    source: str = ""


class Timeline:
    """What a recording adds up to.

    Attributes:
        invocations: traces by invocation id, in the order they were first seen.
        pods: pods by name, in the order they started.
        revisions: deployed revisions by name, in order.
        states: state of each object read so far: (service, key) -> {name: value as text}.
        queues: queue of each object read so far: (service, key) -> Queue.
        effects: what reached the outside world, in order.
        server: phase of the Restate server: starting, ready, restarting.
        changes: what each event touched, in order, so that a view can ask what is new since a position:
            ("trace", invocation), ("attempt", invocation, number), ("entry", invocation, row) (the entry
            or any mark of it), ("pod", name), ("effect", position in effects), ("state", service, key),
            ("queue", service, key), ("revision", name).
        began_at: time of the first event.
        latest_at: the latest time any event has.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.invocations: dict[str, Trace] = {}
        self.pods: dict[str, Pod] = {}
        self.revisions: dict[str, Revision] = {}
        self.states: dict[tuple[str, str], dict[str, str]] = {}
        self.queues: dict[tuple[str, str], Queue] = {}
        self.effects: list[Effect] = []
        self.changes: list[tuple[Any, ...]] = []
        self.server = "starting"
        self.server_restarts = 0
        self.began_at: float | None = None
        self.latest_at = 0.0
        self._open: dict[tuple[str, int], Attempt] = {}
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Fold one more event in. Kinds it does not know change nothing but the times."""
        if self.began_at is None:
            self.began_at = event.at
        self.latest_at = max(self.latest_at, event.at)
        scope, _, what = event.kind.partition(".")
        data = event.data
        if scope in ("attempt", "entry") and event.kind != "attempt.started":
            attempt = self._open.get((data.get("pod", ""), data.get("attempt", 0)))
            if attempt is not None and (fold := _ATTEMPT_FOLDS.get(event.kind)):
                fold(self, attempt, event.at, data)
                self._touch("attempt", attempt.trace.id, attempt.number)
        elif scope == "pod":
            self._pod(what, event.at, data)
        elif fold_other := _OTHER_FOLDS.get(event.kind):
            fold_other(self, event.at, data)

    def _touch(self, *what: Any) -> None:
        if not self.changes or self.changes[-1] != what:
            self.changes.append(what)

    def pod_ordinal(self, name: str) -> int:
        """A pod's ordinal within its service; 0 if the recording does not know it."""
        pod = self.pods.get(name)
        return pod.ordinal if pod else 0

    def children(self, trace: Trace) -> list[Trace]:
        """The invocations this one has called, in order."""
        return [self.invocations[e.callee] for e in trace.entries if e.callee in self.invocations]

    # -- pods -----------------------------------------------------------------------------------

    def _pod(self, what: str, at: float, data: Mapping[str, Any]) -> None:
        name = data.get("pod", "")
        pod = self.pods.get(name)
        if pod is None:
            if what != "starting":
                return
            service = data.get("service", "")
            ordinal = 1 + sum(other.service == service for other in self.pods.values())
            pod = self.pods[name] = Pod(name, service, data.get("revision", ""), ordinal, started_at=at)
        self._touch("pod", name)
        if what == "ready":
            pod.phase, pod.ready_at = "ready", at
        elif what == "stopping":
            pod.phase = "stopping"
        elif what == "gone":
            pod.phase, pod.gone_at = data.get("how", "stopped"), at
            for number in list(pod.open):
                attempt = self._open[name, number]
                if attempt.outcome == "running":
                    attempt.outcome = pod.phase if pod.phase in ("killed", "crashed") else "stopped"  # type: ignore[assignment]
                self._close(attempt, at, name, number)
                self._touch("attempt", attempt.trace.id, attempt.number)
        elif what == "log":
            pod.logs.append(data.get("text", ""))

    def _set_status(self, trace: Trace, status: str, at: float) -> None:
        if not trace.done:
            trace.status, trace.status_at = status, max(at, trace.status_at)
            self._touch("trace", trace.id)

    def _row(self, trace: Trace, row: RowKey, kind: str) -> Entry:
        entry = trace.rows.get(row)
        if entry is None:
            entry = trace.rows[row] = Entry(row, kind)
            trace.entries.append(entry)
        self._touch("entry", trace.id, row)
        return entry

    # -- attempts -------------------------------------------------------------------------------

    def _trace(self, invocation: str) -> Trace:
        return self.invocations.setdefault(invocation, Trace(invocation))

    def _started(self, at: float, data: Mapping[str, Any]) -> None:
        trace = self._trace(data.get("invocation", ""))
        trace.target = data.get("target", trace.target)
        trace.raw_id = data.get("id", trace.raw_id)
        pod, number = data.get("pod", ""), data.get("attempt", 0)
        attempt = Attempt(trace, len(trace.attempts) + 1, pod, at, data.get("known", 0))
        if trace.attempts and trace.attempts[-1].outcome == "completed":
            # Its end was said but never stored: the pod or the server died in between.
            last = self.pods.get(trace.attempts[-1].pod)
            gone = last.phase if last else ""
            trace.attempts[-1].outcome = "killed" if gone == "killed" else "disconnected"
        trace.attempts.append(attempt)
        self._open[pod, number] = attempt
        if pod in self.pods:
            self.pods[pod].open.add(number)
        trace.status, trace.status_at = "running", at
        self._touch("trace", trace.id)
        self._touch("attempt", trace.id, attempt.number)

    def _close(self, attempt: Attempt, at: float, pod: str, number: int) -> None:
        attempt.ended_at = at
        self._open.pop((pod, number), None)
        if pod in self.pods:
            self.pods[pod].open.discard(number)
        for row, mark in attempt.marks.items():
            if mark.how == "executed" and mark.until is None and attempt.trace.rows[row].type == "Run":
                mark.how = "cut off"
                self._touch("entry", attempt.trace.id, row)
        if attempt.outcome in ("killed", "crashed", "stopped", "disconnected"):
            self._set_status(attempt.trace, "backing-off", at)

    def _closed(self, attempt: Attempt, at: float, data: Mapping[str, Any]) -> None:
        if attempt.outcome == "running":
            attempt.outcome = "disconnected"
        elif attempt.outcome == "completed":
            self._set_status(attempt.trace, "completed", at)
        self._close(attempt, at, data["pod"], data["attempt"])

    def _suspended(self, attempt: Attempt, at: float, data: Mapping[str, Any]) -> None:
        attempt.outcome = "suspended"
        attempt.waits_for = [("entry", index) for index in data.get("entries", ())]
        for signal in data.get("signals", ()):
            if not isinstance(signal, int) or signal >= FIRST_AWAKEABLE:
                row: RowKey = ("signal", signal)
                attempt.waits_for.append(row)
                self._row(attempt.trace, row, _signal_type(signal))
                attempt.marks.setdefault(row, Mark("awaited", at))
        self._set_status(attempt.trace, "suspended", at)

    def _failed(self, attempt: Attempt, at: float, data: Mapping[str, Any]) -> None:
        attempt.outcome = "failed"
        attempt.failure = (data.get("code", 0), data.get("message", ""))
        attempt.stacktrace = data.get("stacktrace", "")
        mark = attempt.marks.get(("entry", data.get("entry", -1)))
        entry = attempt.trace.rows.get(("entry", data.get("entry", -1)))
        if mark and entry and entry.type == "Run" and mark.how == "executed" and mark.until is None:
            mark.how = "failed"
            self._touch("entry", attempt.trace.id, entry.row)
        attempt.trace.last_failure = attempt.failure[1]
        self._set_status(attempt.trace, "backing-off", at)

    def _ended(self, attempt: Attempt, _at: float, _data: Mapping[str, Any]) -> None:
        attempt.outcome = "completed"

    # -- entries --------------------------------------------------------------------------------

    def _replayed(self, attempt: Attempt, at: float, data: Mapping[str, Any]) -> None:
        trace = attempt.trace
        attempt.seen_entries += 1
        if data.get("signal") is not None and "entry" not in data:
            entry = self._row(trace, ("signal", data["signal"]), _signal_type(data["signal"]))
            attempt.marks[entry.row] = Mark("replayed", at, at)
            _result(entry, data)
        elif _is_completion(data):
            self._replayed_completion(attempt, at, data)
        else:
            entry = self._row(trace, ("entry", data.get("entry", -1)), data.get("type", "?"))
            _fill(entry, data)
            # The first attempt is given its Input: that is the request arriving, not a replay.
            first = entry.type == "Input" and attempt.number == 1 and attempt.known_entries == 1
            done = None if entry.type in _COMPLETABLE else at
            attempt.marks[entry.row] = Mark("executed" if first else "replayed", at, done)
        if attempt.seen_entries == attempt.known_entries:
            # The replay is over. A run without a stored result is executed again, from here on.
            for row, mark in attempt.marks.items():
                if mark.how == "replayed" and mark.until is None and trace.rows[row].type == "Run":
                    mark.how, mark.at = "executed", at
                    self._touch("entry", trace.id, row)

    def _replayed_completion(self, attempt: Attempt, at: float, data: Mapping[str, Any]) -> None:
        entry = self._complete(attempt, at, data)
        if entry is None or entry.type != "Run":
            return
        # An earlier attempt handed this result over and died before it heard that it was stored.
        for earlier in attempt.trace.attempts[:-1]:
            mark = earlier.marks.get(entry.row)
            if mark and mark.how == "cut off" and mark.proposed_at is not None:
                mark.how, mark.until = "executed", mark.proposed_at

    def _executed(self, attempt: Attempt, at: float, data: Mapping[str, Any]) -> None:
        entry = self._row(attempt.trace, ("entry", data.get("entry", -1)), data.get("type", "?"))
        _fill(entry, data)
        attempt.marks[entry.row] = Mark("executed", at, None if entry.type in _COMPLETABLE else at)
        if entry.type == "Output":
            attempt.trace.value, attempt.trace.failure = entry.value, entry.failure

    def _proposed(self, attempt: Attempt, at: float, data: Mapping[str, Any]) -> None:
        mark = attempt.marks.get(("entry", data.get("entry", -1)))
        entry = attempt.trace.rows.get(("entry", data.get("entry", -1)))
        if mark and entry:
            mark.how, mark.proposed_at = "executed", at
            _result(entry, data)
            self._touch("entry", attempt.trace.id, entry.row)

    def _completed(self, attempt: Attempt, at: float, data: Mapping[str, Any]) -> None:
        if data.get("signal") is not None:
            entry = self._row(attempt.trace, ("signal", data["signal"]), _signal_type(data["signal"]))
            attempt.marks[entry.row] = Mark("executed", at, at)
            _result(entry, data)
        else:
            self._complete(attempt, at, data)

    def _complete(self, attempt: Attempt, at: float, data: Mapping[str, Any]) -> Entry | None:
        row: RowKey = ("entry", data.get("entry", -1))
        entry, mark = attempt.trace.rows.get(row), attempt.marks.get(row)
        if entry is None or mark is None:
            return None
        self._touch("entry", attempt.trace.id, row)
        if callee := data.get("callee"):
            entry.callee = callee
            child = self._trace(callee)
            child.parent, child.target = attempt.trace.id, child.target or entry.target
            self._touch("trace", callee)
            if entry.type == "OneWayCall":
                mark.until = at
            return entry
        if data.get("type") != "ProposeRunCompletionAck":
            _result(entry, data)
        mark.until = at
        return entry

    # -- what clients and the admin API say ---------------------------------------------------------

    def _sent(self, at: float, data: Mapping[str, Any]) -> None:
        trace = self._trace(data.get("invocation", ""))
        trace.target = trace.target or data.get("target", "")
        trace.sent_at, trace.body = at, data.get("body")
        self._touch("trace", trace.id)

    def _status(self, at: float, data: Mapping[str, Any]) -> None:
        trace = self._trace(data.get("invocation", ""))
        trace.target = trace.target or data.get("target", "")
        trace.parent = data.get("parent") or trace.parent
        trace.last_failure = data.get("failure") or trace.last_failure
        self._touch("trace", trace.id)
        if at < trace.status_at or trace.done:
            return
        trace.status, trace.status_at = data.get("status", trace.status), at
        if trace.done and data.get("completion_failure"):
            trace.failure = trace.failure or (0, data["completion_failure"])

    def _result(self, at: float, data: Mapping[str, Any]) -> None:
        trace = self._trace(data.get("invocation", ""))
        trace.value, failure = data.get("value", trace.value), data.get("failure")
        trace.failure = (failure[0], failure[1]) if failure else None
        trace.status, trace.status_at = "completed", max(at, trace.status_at)
        self._touch("trace", trace.id)

    def _journal(self, _at: float, data: Mapping[str, Any]) -> None:
        self._trace(data.get("invocation", "")).journal = list(data.get("entries", ()))

    def _state(self, _at: float, data: Mapping[str, Any]) -> None:
        service, key = data.get("service", ""), data.get("key", "")
        self.states[service, key] = dict(data.get("values", {}))
        self._touch("state", service, key)

    def _queue(self, _at: float, data: Mapping[str, Any]) -> None:
        service, key = data.get("service", ""), data.get("key", "")
        self.queues[service, key] = Queue(data.get("holder", ""), list(data.get("waiting", ())))
        self._touch("queue", service, key)

    def _deployed(self, _at: float, data: Mapping[str, Any]) -> None:
        name = data.get("revision", "")
        self.revisions[name] = Revision(
            name, data.get("service", ""), data.get("deployment", ""), data.get("services", []), data.get("source", "")
        )
        self._touch("revision", name)

    def _effect(self, at: float, data: Mapping[str, Any]) -> None:
        pod, number = data.get("pod", ""), data.get("attempt", 0)
        attempt = self._open.get((pod, number))
        invocation, row = "", None
        if attempt is not None:
            invocation = attempt.trace.id
            for candidate, mark in reversed(attempt.marks.items()):
                running = mark.how == "executed" and mark.until is None and mark.proposed_at is None
                if running and attempt.trace.rows[candidate].type == "Run":
                    row = candidate
                    break
        self.effects.append(
            Effect(
                number=data.get("number", len(self.effects) + 1),
                kind=data.get("effect", ""),
                at=at,
                key=data.get("key", ""),
                repeated=bool(data.get("repeated")),
                body=data.get("body", ""),
                pod=pod,
                attempt=number,
                invocation=invocation,
                row=row,
            )
        )
        self._touch("effect", len(self.effects) - 1)

    def _server(self, phase: str) -> None:
        if phase == "ready" and self.server == "restarting":
            self.server_restarts += 1
        self.server = "restarting" if phase == "gone" else phase


def _signal_type(signal: int | str) -> str:
    if isinstance(signal, str):
        return "Signal"
    return "Awakeable" if signal >= FIRST_AWAKEABLE else "Cancel"


def _is_completion(data: Mapping[str, Any]) -> bool:
    return str(data.get("type", "")).endswith((" completion", " invocation id"))


def _fill(entry: Entry, data: Mapping[str, Any]) -> None:
    entry.type = data.get("type", entry.type)
    entry.name, entry.target = data.get("name", entry.name), data.get("target", entry.target)
    entry.key = data.get("key", entry.key)
    if "value" in data:
        entry.value, entry.size = data["value"], data.get("size", 0)
    if failure := data.get("failure"):
        entry.failure = (failure[0], failure[1])
    if until := data.get("until"):
        entry.until = until / 1000


def _result(entry: Entry, data: Mapping[str, Any]) -> None:
    if "value" in data:
        entry.result, entry.result_size = data["value"], data.get("size", 0)
    if failure := data.get("failure"):
        entry.failure = (failure[0], failure[1])


_ATTEMPT_FOLDS: dict[str, Callable[[Timeline, Attempt, float, Mapping[str, Any]], None]] = {
    "attempt.suspended": Timeline._suspended,
    "attempt.failed": Timeline._failed,
    "attempt.ended": Timeline._ended,
    "attempt.closed": Timeline._closed,
    "entry.replayed": Timeline._replayed,
    "entry.executed": Timeline._executed,
    "entry.proposed": Timeline._proposed,
    "entry.completed": Timeline._completed,
}
_OTHER_FOLDS: dict[str, Callable[[Timeline, float, Mapping[str, Any]], None]] = {
    "attempt.started": Timeline._started,
    "invocation.sent": Timeline._sent,
    "invocation.status": Timeline._status,
    "invocation.result": Timeline._result,
    "journal.read": Timeline._journal,
    "state.read": Timeline._state,
    "queue.read": Timeline._queue,
    "revision.deployed": Timeline._deployed,
    "effect.happened": Timeline._effect,
    "server.starting": lambda timeline, _at, _data: timeline._server("starting"),
    "server.ready": lambda timeline, _at, _data: timeline._server("ready"),
    "server.gone": lambda timeline, _at, _data: timeline._server("gone"),
}


def awakeable_id(raw_invocation_id: str, signal: int) -> str:
    """The id under which an awakeable is completed at the ingress, e.g. `sign_1…`.

    Args:
        raw_invocation_id: the invocation's id bytes, hexadecimal, as Start frames carry it.
        signal: the awakeable's signal number, 17 or more.
    """
    raw = bytes.fromhex(raw_invocation_id) + signal.to_bytes(4, "big")
    return "sign_1" + base64.urlsafe_b64encode(raw).decode().rstrip("=")
