"""The kinds of events, one dataclass each: what happened, who says it, and what it tells.

`attempt` counts within one pod. `entry` is a command's index in the journal, Input being 0. A run's steps:
`entry.executed` when its function begins, `entry.proposed` when it has returned, `entry.completed` when
Restate has stored the result. docs/events.md is made from this module (see `table`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from playground.recording.checks import (
    Anything,
    Boundary,
    Count,
    FaultsOf,
    Flag,
    Hex,
    Indexes,
    Journal,
    MaybeCount,
    MaybeFailure,
    MaybeIndex,
    MaybeSignal,
    MaybeText,
    MaybeWhole,
    Seconds,
    Services,
    Signals,
    Text,
    Texts,
    Values,
)
from playground.recording.events import Event, event


@dataclass(frozen=True, slots=True)
class OfPod(Event):
    """What concerns one pod."""

    pod: Text


@dataclass(frozen=True, slots=True)
class OfAttempt(OfPod):
    """What concerns one attempt on a pod."""

    attempt: Count


@dataclass(frozen=True, slots=True)
class OfEntry(OfAttempt):
    """What concerns one entry, or one signal, of an attempt."""

    type: Text = "?"
    entry: MaybeIndex = None
    signal: MaybeSignal = None
    value: MaybeText = None
    size: MaybeCount = None
    failure: MaybeFailure = None


@dataclass(frozen=True, slots=True)
class Asked(OfEntry):
    """An entry that a handler asks for, or has asked for."""

    name: Text = ""
    target: Text = ""
    key: Text = ""
    until: MaybeCount = None
    awakeable: Text = ""
    keys: Texts = ()
    callee: Text = ""


# -- pods -----------------------------------------------------------------------------------------------


@event("pod.starting", by="backend")
class PodStarting(OfPod):
    """A pod is being started."""

    service: Text = ""
    revision: Text = ""


@event("pod.loaded", by="pod")
class PodLoaded(OfPod):
    """It has loaded its source, and offers these services: [{name, type, handlers: [{name, kind}]}]."""

    services: Services


@event("pod.refused", by="pod")
class PodRefused(OfPod):
    """Its source cannot be served."""

    reason: Text = ""
    text: Text = ""
    trace: Text = ""


@event("pod.ready", by="pod")
class PodReady(OfPod):
    """It accepts connections."""


@event("pod.draining", by="pod")
class PodDraining(OfPod):
    """It was sent SIGTERM, by whomever: it accepts no more connections, finishes what is open, and ends."""


@event("pod.stopping", by="backend")
class PodStopping(OfPod):
    """It is asked to stop."""

    service: Text = ""
    revision: Text = ""


@event("pod.gone", by="backend")
class PodGone(OfPod):
    """It is not there any more: stopped, killed, crashed, refused, or failed: it was not started for that reason."""

    how: Text
    exit: MaybeWhole = None
    reason: Text = ""
    service: Text = ""
    revision: Text = ""


@event("pod.ended", by="pod")
class PodEnded(OfPod):
    """Its process has ended, says the first process of a container; the backend makes `pod.gone` of it."""

    exit: MaybeWhole = None


@event("pod.log", by="backend")
class PodLog(OfPod):
    """It has printed a line."""

    text: Text = ""


# -- attempts, as the tap in the pod sees them ----------------------------------------------------------


@event("attempt.started", by="pod")
class AttemptStarted(OfAttempt):
    """Restate has given an invocation to the pod, with so many known entries to replay."""

    invocation: Text
    target: Text = ""
    known: Count = 0
    retries: Count = 0
    id: Hex = ""


@event("entry.replayed", by="pod")
class EntryReplayed(Asked):
    """An entry of the journal was given to the attempt."""


@event("entry.executed", by="pod")
class EntryExecuted(Asked):
    """The handler has asked for something new."""


@event("entry.asked", by="pod")
class EntryAsked(OfAttempt):
    """The handler asks for an entry, or an awakeable, in this line of the service's own code; in a replay, too."""

    entry: MaybeIndex = None
    signal: MaybeSignal = None
    file: Text = ""
    line: Count = 0


@event("entry.proposed", by="pod")
class EntryProposed(OfEntry):
    """The function of a run has returned, and its result is handed over."""


@event("entry.completed", by="pod")
class EntryCompleted(OfEntry):
    """The result of an entry has arrived, or the id of the invocation it has called."""

    callee: Text = ""
    keys: Texts = ()


@event("entry.stored", by="pod")
class EntryStored(OfAttempt):
    """Restate has acknowledged a command."""


@event("attempt.suspended", by="pod")
class AttemptSuspended(OfAttempt):
    """It gives the pod back until one of these has a result."""

    entries: Indexes = ()
    signals: Signals = ()


@event("attempt.awaiting", by="pod")
class AttemptAwaiting(OfAttempt):
    """It waits for one of these, and stays on the pod."""

    entries: Indexes = ()
    signals: Signals = ()


@event("attempt.failed", by="pod")
class AttemptFailed(OfAttempt):
    """It ends with an error that will be retried."""

    code: Count = 0
    message: Text = ""
    stacktrace: Text = ""
    entry: MaybeIndex = None
    name: Text = ""
    file: Text = ""
    line: Count = 0


@event("attempt.ended", by="pod")
class AttemptEnded(OfAttempt):
    """The handler is done."""


@event("attempt.closed", by="pod")
class AttemptClosed(OfAttempt):
    """Its stream is closed."""


@event("attempt.crashed", by="pod")
class AttemptCrashed(OfAttempt):
    """The gate ends the pod before this frame."""

    invocation: Text
    boundary: Boundary


@event("attempt.held", by="pod")
class AttemptHeld(OfAttempt):
    """The gate holds this frame until the server has been killed."""

    invocation: Text
    boundary: Boundary


@event("frame.unknown", by="pod")
class FrameUnknown(OfAttempt):
    """A frame has passed that the tap cannot read."""

    direction: Text = "?"
    type: Text = "?"
    size: MaybeCount = None


# -- the backend ----------------------------------------------------------------------------------------


@event("revision.deployed", by="backend")
class RevisionDeployed(Event):
    """Restate knows a new revision."""

    revision: Text
    service: Text = ""
    deployment: Text = ""
    services: Services = field(default_factory=list)
    source: Text = ""


@event("server.starting", by="backend")
class ServerStarting(Event):
    """The Restate server is being started."""


@event("server.ready", by="backend")
class ServerReady(Event):
    """It answers."""


@event("server.gone", by="backend")
class ServerGone(Event):
    """It has ended."""

    exit: MaybeWhole = None


# -- the outside world ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OfEffect(Event):
    """A request that reached the outside world."""

    number: Count
    effect: Text = ""
    key: Text = ""
    body: Text = ""
    pod: Text = ""
    attempt: Count = 0
    step: MaybeWhole = None
    again: Flag = False


@event("effect.happened", by="ledger")
class EffectHappened(OfEffect):
    """Something that cannot be taken back; `step`: the run's entry, or -1; `again`: told after a new start."""


@event("effect.repeated", by="ledger")
class EffectRepeated(OfEffect):
    """The key was known: it was answered as before, and nothing happened."""


@event("effect.refused", by="ledger")
class EffectRefused(OfEffect):
    """The outside world was out of order: nothing happened."""


@event("ledger.cleared", by="ledger")
class LedgerCleared(Event):
    """All entries up to the number `last` are forgotten."""

    last: Count = 0


@event("ledger.faults", by="ledger")
class LedgerFaults(Event):
    """How a kind misbehaves from now on: {fail, lose_answer, slow, down}."""

    effect: Text
    faults: FaultsOf = field(default_factory=dict)


@event("ledger.gone", by="backend")
class LedgerGone(Event):
    """Its process has ended; it is started again."""

    exit: MaybeWhole = None


@event("ledger.failed", by="backend")
class LedgerFailed(Event):
    """It could not be started again for that reason, and is tried for again."""

    reason: Text = ""


@event("plan.hold", by="ledger")
class PlanHold(Event):
    """A run of the crash atlas has come to where the server is to be killed."""

    run: Text


@event("plan.unknown", by="ledger")
class PlanUnknown(Event):
    """A pod of the crash atlas has asked for the plan of an invocation of which nobody has told whose callee it is."""

    invocation: Text


# -- who uses the playground, and Restate's admin API ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class OfInvocation(Event):
    """What concerns one invocation."""

    invocation: Text


@event("invocation.sent", by="client")
class InvocationSent(OfInvocation):
    """A request was sent, and accepted; `restarted`: the invocation it repeats."""

    target: Text = ""
    body: Anything = None
    delay: Seconds = 0.0
    restarted: Text = ""


@event("invocation.status", by="admin API")
class InvocationStatus(OfInvocation):
    """What Restate says of it; `failure` is the latest attempt's."""

    target: Text = ""
    status: Text = ""
    parent: Text = ""
    deployment: Text = ""
    retries: Anything = None
    failure: Text = ""
    starts_at: Anything = None
    completion_failure: Text = ""


@event("invocation.called", by="admin API")
class InvocationCalled(OfInvocation):
    """Who has called or sent it, and by which entry, where the caller's pod could not tell."""

    caller: Text
    entry: MaybeIndex = None
    target: Text = ""


@event("invocation.result", by="client")
class InvocationResult(OfInvocation):
    """It has ended, with a value or a failure."""

    value: MaybeText = None
    failure: MaybeFailure = None


@event("awakeable.completed", by="client")
class AwakeableCompleted(Event):
    """An awakeable was resolved with a value, or rejected with a reason."""

    awakeable: Text
    value: Anything = None
    reason: Anything = None


@event("journal.read", by="admin API")
class JournalRead(OfInvocation):
    """The journal as Restate has it: [{index, type, name, value, …}]."""

    entries: Journal = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OfKey(Event):
    """What concerns one key of a virtual object or workflow."""

    service: Text
    key: Text


@event("state.read", by="admin API")
class StateRead(OfKey):
    """A key's state: {name: value as text}."""

    values: Values = field(default_factory=dict)


@event("queue.read", by="admin API")
class QueueRead(OfKey):
    """Who holds a key's lock, and who waits for it."""

    holder: Text = ""
    waiting: Texts = ()


# -- the recording itself --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NotTaken(Event):
    """Something that was said, and changes nothing."""

    by: Text = ""
    pod: Text = ""
    why: Text = ""
    original: Text = ""


@event("event.malformed", by="anybody")
class Malformed(NotTaken):
    """Somebody said something that is no event, or a field of it is of a wrong type."""


@event("event.refused", by="anybody")
class Refused(NotTaken):
    """Somebody said what is not theirs to say."""


@event("recording.dropped", by="anybody")
class RecordingDropped(Event):
    """The recording had grown over its limit and has let go of the oldest: so many of these."""

    invocations: Count = 0
    pods: Count = 0
    lines: Count = 0
    readings: Count = 0
    unread: Count = 0
    events: Count = 0


@event("recording.cut", by="anybody")
class RecordingCut(Event):
    """The end of the file it was loaded from was cut off in the middle of a line."""

    line: Count = 0
