"""The timeline: a pure fold of events into traces, pods, state and queues. No I/O, no clock.

Events reach a recording in the order they became known, which is nearly but not always the order in
which they happened: the admin API's word on an invocation may be older than what its pod said
meanwhile. So a status counts only if it was asked for after the latest event of an attempt.
"""

from __future__ import annotations

import base64
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from playground.recording import attempts, kinds
from playground.recording.changes import Changes
from playground.recording.events import Event
from playground.recording.trace import TAKEN_BACK, Attempt, Effect, Entry, Pod, RowKey, Trace

NOT_KEPT = "(no longer kept)"
"""Stands for the body of an effect whose invocation was dropped."""


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
        effects: what reached the outside world, in order, repeated and refused requests included.
        forgotten: number of the latest effect that was cleared from the ledger.
        faults: how each kind of effect misbehaves in the outside world that was ever told to: kind -> {fault: value}.
        server: phase of the Restate server: starting, ready, gone.
        server_starts: how often it has become ready.
        attempts: every attempt by (pod, its number on it); `open` those that run.
        changes: what each event touched, in order, so that a view can ask what is new since a position:
            ("trace", invocation), ("attempt", invocation, number), ("entry", invocation, row) (the entry
            or any mark of it), ("pod", name), ("effect", position in effects), ("state", service, key),
            ("queue", service, key), ("revision", name).
        dropped: what a recording over its limit has let go of, by name (see `dropping`).
        cut_line: the line of its file in which a loaded recording is cut off; 0 if it is whole.
        refusals: how often somebody said what is no event, or not theirs to say; `refused` has the latest.
        unread: events whose fold failed, which is a fault of ours.
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
        self._latest_effect = -1
        self._unplaced: list[int] = []
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Fold one more event in. Kinds it does not know change nothing but the times."""
        if self.began_at is None:
            self.began_at = event.at
        self.latest_at = max(self.latest_at, event.at)
        try:
            self._fold(event)
        except Exception as error:  # a fault of ours may cost one event, never all that come after it
            self.unread.append(f"{event.kind}: {type(error).__name__}: {error}")

    def _fold(self, event: Event) -> None:
        kind = type(event)
        if isinstance(event, kinds.OfAttempt) and kind is not kinds.AttemptStarted:
            attempt = self.open.get((event.pod, event.attempt))
            if attempt is not None and (fold := attempts.FOLDS.get(kind)):
                fold(self, attempt, event)
                self.touch("attempt", attempt.trace.id, attempt.number)
                if self._unplaced:
                    self._place_effects(event.pod, event.attempt)
        elif fold_other := _OTHER_FOLDS.get(kind):
            fold_other(self, event)

    def drop(self, invocations: Collection[str], pods: Collection[str]) -> None:
        """Let go of invocations that have ended, and of pods that are gone. Their effects stay counted."""
        for invocation in invocations:
            del self.invocations[invocation]
            self.touch("trace", invocation)
        self.attempts = {where: each for where, each in self.attempts.items() if each.trace.id not in invocations}
        for effect in self.effects:
            if effect.invocation in invocations:
                effect.body = NOT_KEPT
        for pod in pods:
            del self.pods[pod]
            self.touch("pod", pod)

    def trace(self, invocation: str) -> Trace:
        """The trace of an invocation, made when it is first heard of."""
        if invocation not in self.invocations:
            self.invocations[invocation] = Trace(invocation)
            self.touch("trace", invocation)
        return self.invocations[invocation]

    def without_a_pod(self) -> dict[str, Pod]:
        """Of the revisions whose pod could not be started, and is tried for again: that pod, by service."""
        latest = {pod.service: pod for pod in self.pods.values()}
        deployed = {revision.service: revision.name for revision in self.revisions.values()}
        return {
            service: pod
            for service, pod in latest.items()
            if pod.phase == "failed" and deployed.get(service) == pod.revision
        }

    def touch(self, *what: Any) -> None:
        """Note in `changes` what an event touched: each time anew, or a view that has seen the last would miss this."""
        self.changes.append(what)

    def number_pod(self, name: str) -> int:
        """Give a pod that gets its first attempt the next ordinal of its service; 0 if it is not known."""
        pod = self.pods.get(name)
        if pod is not None and not pod.ordinal:
            pod.ordinal = 1 + max(other.ordinal for other in self.pods.values() if other.service == pod.service)
            self.touch("pod", name)
        return pod.ordinal if pod else 0

    def roles(self, root: str) -> dict[str, str]:
        """An invocation and all it has called, directly or not, callers first: invocation id -> role.

        A role is "0" for the root, "0.1" for the callee of its command 1, and so on: it is the same in
        every run that goes the same way.
        """
        found = {root: "0"} if root in self.invocations else {}
        for caller in (ahead := list(found)):
            for entry in self.invocations[caller].entries:
                if entry.callee in self.invocations and entry.callee not in found:
                    found[entry.callee] = f"{found[caller]}.{entry.row[1]}"
                    ahead.append(entry.callee)
        return found

    def family(self, root: str) -> list[Trace]:
        """An invocation and all it has called, directly or not, callers first."""
        return [self.invocations[invocation] for invocation in self.roles(root)]

    # -- pods -----------------------------------------------------------------------------------

    def _starting(self, event: kinds.PodStarting) -> None:
        if event.pod not in self.pods:
            self.pods[event.pod] = Pod(event.pod, event.service, event.revision, started_at=event.at)
        self.touch("pod", event.pod)

    def _pod(self, event: kinds.OfPod) -> None:
        pod = self.pods.get(event.pod)
        if pod is None:
            return
        self.touch("pod", pod.name)
        match event:
            case kinds.PodReady():
                pod.phase, pod.ready_at = "ready", event.at
            case kinds.PodStopping():
                pod.phase = "stopping"
            case kinds.PodLog():
                pod.printed(event.text)
            case kinds.PodGone():
                pod.phase, pod.gone_at, pod.reason = event.how, event.at, event.reason
                for number in list(pod.open):
                    attempt = self.open.get((pod.name, number))
                    if attempt is None:
                        continue
                    if attempt.outcome == "running":
                        attempt.outcome = attempts.OUTCOME_OF_A_POD.get(pod.phase, "stopped")
                    attempts.close(self, attempt, event.at, pod.name, number)
                    self.touch("attempt", attempt.trace.id, attempt.number)

    def set_status(self, trace: Trace, status: str, at: float) -> None:
        """Give an invocation a status, unless it is completed."""
        if not trace.done:
            trace.status, trace.status_at = status, max(at, trace.status_at)
            self.touch("trace", trace.id)

    def row(self, trace: Trace, row: RowKey, kind: str) -> Entry:
        """An invocation's row, made when it is first heard of."""
        entry = trace.rows.get(row)
        if entry is None:
            entry = trace.rows[row] = Entry(row, kind)
            trace.entries.append(entry)
        self.touch("entry", trace.id, row)
        return entry

    # -- what clients and the admin API say ---------------------------------------------------------

    def _sent(self, event: kinds.InvocationSent) -> None:
        trace = self.trace(event.invocation)
        trace.target = trace.target or event.target
        trace.sent_at, trace.body = event.at, event.body
        if event.delay and not trace.attempts:
            self.set_status(trace, "scheduled", event.at)
        self.touch("trace", trace.id)

    def _status(self, event: kinds.InvocationStatus) -> None:
        trace, at = self.trace(event.invocation), event.at
        trace.target = trace.target or event.target
        trace.parent = event.parent or trace.parent
        trace.last_failure = event.failure or trace.last_failure
        trace.deployment = event.deployment or trace.deployment
        self.touch("trace", trace.id)
        status = event.status or trace.status
        # A pod that has sent its result is done. Restate may yet refuse what it did, and try again.
        refused = trace.done and not trace.settled and status in TAKEN_BACK
        if at < trace.status_at or (trace.done and not refused):
            return
        trace.refused = trace.refused or refused
        trace.status, trace.status_at, trace.settled = status, at, status == "completed"
        if trace.done and event.completion_failure:
            trace.failure = trace.failure or (0, event.completion_failure)

    def _called(self, event: kinds.InvocationCalled) -> None:
        caller, callee = self.trace(event.caller), self.trace(event.invocation)
        callee.parent, callee.target = caller.id, callee.target or event.target
        entry = None if event.entry is None else caller.rows.get(("entry", event.entry))
        if entry is not None:
            entry.callee = callee.id
            self.touch("entry", caller.id, entry.row)
        self.touch("trace", callee.id)

    def _result(self, event: kinds.InvocationResult) -> None:
        trace = self.trace(event.invocation)
        trace.value = trace.value if event.value is None else event.value
        trace.failure = event.failure
        trace.status, trace.status_at, trace.settled = "completed", max(event.at, trace.status_at), True
        self.touch("trace", trace.id)

    def _awakeable(self, event: kinds.AwakeableCompleted) -> None:
        raw_id, signal = parse_awakeable(event.awakeable)
        for trace in self.invocations.values():
            if raw_id and trace.raw_id == raw_id:
                trace.clicked.setdefault(signal, event.at)
                self.touch("trace", trace.id)

    def _journal(self, event: kinds.JournalRead) -> None:
        self.trace(event.invocation).journal = list(event.entries)

    def _state(self, event: kinds.StateRead) -> None:
        self.states[event.service, event.key] = event.values
        self.touch("state", event.service, event.key)

    def _queue(self, event: kinds.QueueRead) -> None:
        self.queues[event.service, event.key] = Queue(event.holder, list(event.waiting))
        self.touch("queue", event.service, event.key)

    def _deployed(self, event: kinds.RevisionDeployed) -> None:
        name = event.revision
        self.revisions[name] = Revision(name, event.service, event.deployment, event.services, event.source)
        self.touch("revision", name)

    def _effect(self, event: kinds.OfEffect) -> None:
        if event.again and event.number <= self._latest_effect:
            return  # the ledger was started again and tells what it has
        self._latest_effect = max(self._latest_effect, event.number)
        effect = Effect(
            number=event.number,
            kind=event.effect,
            at=event.at,
            key=event.key,
            repeated=isinstance(event, kinds.EffectRepeated),
            refused=isinstance(event, kinds.EffectRefused),
            body=event.body,
            pod=event.pod,
            attempt=event.attempt,
            step=event.step,
        )
        self.effects.append(effect)
        self.touch("effect", len(self.effects) - 1)
        self._unplaced.append(len(self.effects) - 1)
        self._place_effects(effect.pod, effect.attempt)

    def _place_effects(self, pod: str, number: int) -> None:
        """Find the runs that caused effects. Ledger and pod are heard separately, in either order."""
        attempt = self.attempts.get((pod, number))
        if attempt is None:
            return
        for position in self._unplaced[:]:
            effect = self.effects[position]
            if (effect.pod, effect.attempt) != (pod, number):
                continue
            effect.invocation = attempt.trace.id
            effect.row = attempts.cause_of(attempt, effect)
            self.touch("effect", position)
            if effect.row is not None or effect.outside or attempt.ended_at is not None:
                self._unplaced.remove(position)

    def _cleared(self, event: kinds.LedgerCleared) -> None:
        self.forgotten = max(self.forgotten, event.last)
        self.touch("effect", -1)

    def _faults(self, event: kinds.LedgerFaults) -> None:
        self.faults[event.effect] = event.faults
        self.touch("faults", event.effect)

    def _not_taken(self, event: kinds.NotTaken) -> None:
        self.refusals += 1
        self.refused.append(f"{event.pod or event.by}: {event.why}: {event.original[:200]}")

    def _dropped(self, event: kinds.RecordingDropped) -> None:
        self.dropped.update({name: number for name, number in event.data.items() if isinstance(number, int)})

    def _cut(self, event: kinds.RecordingCut) -> None:
        self.cut_line = event.line

    def _server(self, event: Event) -> None:
        self.server = event.kind.removeprefix("server.")
        self.server_starts += isinstance(event, kinds.ServerReady)


_OTHER_FOLDS: dict[type[Event], Callable[[Timeline, Any], None]] = {
    kinds.Malformed: Timeline._not_taken,
    kinds.Refused: Timeline._not_taken,
    kinds.RecordingDropped: Timeline._dropped,
    kinds.RecordingCut: Timeline._cut,
    kinds.PodStarting: Timeline._starting,
    kinds.PodReady: Timeline._pod,
    kinds.PodStopping: Timeline._pod,
    kinds.PodLog: Timeline._pod,
    kinds.PodGone: Timeline._pod,
    kinds.AttemptStarted: attempts.started,
    kinds.InvocationSent: Timeline._sent,
    kinds.InvocationStatus: Timeline._status,
    kinds.InvocationCalled: Timeline._called,
    kinds.InvocationResult: Timeline._result,
    kinds.AwakeableCompleted: Timeline._awakeable,
    kinds.JournalRead: Timeline._journal,
    kinds.StateRead: Timeline._state,
    kinds.QueueRead: Timeline._queue,
    kinds.RevisionDeployed: Timeline._deployed,
    kinds.EffectHappened: Timeline._effect,
    kinds.EffectRepeated: Timeline._effect,
    kinds.EffectRefused: Timeline._effect,
    kinds.LedgerCleared: Timeline._cleared,
    kinds.LedgerFaults: Timeline._faults,
    kinds.ServerStarting: Timeline._server,
    kinds.ServerReady: Timeline._server,
    kinds.ServerGone: Timeline._server,
}


def awakeable_id(raw_invocation_id: str, signal: int) -> str:
    """The id under which an awakeable is completed at the ingress, e.g. `sign_1…`.

    Args:
        raw_invocation_id: the invocation's id bytes, hexadecimal, as Start frames carry it.
        signal: the awakeable's signal number, 17 or more.
    """
    raw = bytes.fromhex(raw_invocation_id) + signal.to_bytes(4, "big")
    return "sign_1" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def parse_awakeable(text: str) -> tuple[str, int]:
    """The raw invocation id and the signal number in an awakeable's id; ("", 0) if it is none."""
    encoded = text.removeprefix("sign_1")
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return "", 0
    known = encoded != text and len(raw) > 4
    return (raw[:-4].hex(), int.from_bytes(raw[-4:], "big")) if known else ("", 0)
