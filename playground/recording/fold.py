"""The fold: it turns events into a timeline, taking each event once. Pure: no I/O, no clock.

Events reach a recording in the order in which they became known, which is not always the order in which they
happened: by the time the admin API's answer about an invocation is recorded, its pod may have reported something
newer. So a status only counts if it was asked for after the latest event of an attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, ClassVar

from playground.recording import attempts, kinds
from playground.recording.events import Event
from playground.recording.timeline import Queue, Revision, parse_awakeable
from playground.recording.trace import TAKEN_BACK, Effect, Pod
from playground.recording.writer import Writer

NOT_KEPT = "(no longer kept)"
"""Replaces the body of an effect whose invocation was dropped."""


class Fold(Writer):
    """A timeline that folds events into itself.

    Args:
        events: the first ones.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        super().__init__()
        self._latest_effect = -1
        self._unplaced: list[int] = []
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Fold in one more event. Kinds that it does not know only change the times."""
        if self.began_at is None:
            self.began_at = event.at
        self.latest_at = max(self.latest_at, event.at)
        try:
            self._fold(event)
        except Exception as error:  # a bug of ours may cost one event, but never the ones that follow
            self.unread.append(f"{event.kind}: {type(error).__name__}: {error}")

    def _fold(self, event: Event) -> None:
        kind = type(event)
        if isinstance(event, kinds.OfAttempt) and kind is not kinds.AttemptStarted:
            attempt = self.open.get((event.pod, event.attempt))
            if attempt is not None:
                attempt.events.append(event)
            if attempt is not None and (fold := attempts.FOLDS.get(kind)):
                fold(self, attempt, event)
                self.touch("attempt", attempt.trace.id, attempt.number)
                if self._unplaced:
                    self._place_effects(event.pod, event.attempt)
        elif fold_other := self._FOLDS.get(kind):
            fold_other(self, event)

    def drop(self, invocations: Collection[str], pods: Collection[str]) -> None:
        """Drop invocations that have ended and pods that are gone. Their effects still count."""
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
        # A pod that has sent its result is done. Restate may still refuse the result and try again.
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
            return  # the ledger was restarted, and reports everything it has
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
        """Find the runs that caused effects. Ledger and pod report separately, in either order."""
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

    _FOLDS: ClassVar[dict[type[Event], Callable[[Any, Any], None]]] = {
        kinds.Malformed: _not_taken,
        kinds.Refused: _not_taken,
        kinds.RecordingDropped: _dropped,
        kinds.RecordingCut: _cut,
        kinds.PodStarting: _starting,
        kinds.PodReady: _pod,
        kinds.PodStopping: _pod,
        kinds.PodLog: _pod,
        kinds.PodGone: _pod,
        kinds.AttemptStarted: attempts.started,
        kinds.InvocationSent: _sent,
        kinds.InvocationStatus: _status,
        kinds.InvocationCalled: _called,
        kinds.InvocationResult: _result,
        kinds.AwakeableCompleted: _awakeable,
        kinds.JournalRead: _journal,
        kinds.StateRead: _state,
        kinds.QueueRead: _queue,
        kinds.RevisionDeployed: _deployed,
        kinds.EffectHappened: _effect,
        kinds.EffectRepeated: _effect,
        kinds.EffectRefused: _effect,
        kinds.LedgerCleared: _cleared,
        kinds.LedgerFaults: _faults,
        kinds.ServerStarting: _server,
        kinds.ServerReady: _server,
        kinds.ServerGone: _server,
    }
