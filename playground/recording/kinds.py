"""The kinds of events, one dataclass each: what happened, who says so, and the fields that come with it.

`attempt` counts within one pod. `entry` is a command's index in the journal, where Input is 0. A `ctx.run` makes
three events: `entry.executed` when its function begins, `entry.proposed` when the function has returned, and
`entry.completed` when Restate has stored the result. docs/events.md is generated from this module (see `table`).
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
    """An event about one pod."""

    pod: Text


@dataclass(frozen=True, slots=True)
class OfAttempt(OfPod):
    """An event about one attempt on a pod."""

    attempt: Count


@dataclass(frozen=True, slots=True)
class OfEntry(OfAttempt):
    """An event about one entry, or one signal, of an attempt."""

    type: Text = "?"
    entry: MaybeIndex = None
    signal: MaybeSignal = None
    value: MaybeText = None
    size: MaybeCount = None
    failure: MaybeFailure = None


@dataclass(frozen=True, slots=True)
class Asked(OfEntry):
    """An entry that a handler asks for, or asked for earlier."""

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
    """The pod has loaded its source, and offers these services: [{name, type, handlers: [{name, kind}]}]."""

    services: Services


@event("pod.refused", by="pod")
class PodRefused(OfPod):
    """The pod's source cannot be served."""

    reason: Text = ""
    text: Text = ""
    trace: Text = ""


@event("pod.ready", by="pod")
class PodReady(OfPod):
    """The pod accepts connections."""


@event("pod.draining", by="pod")
class PodDraining(OfPod):
    """The pod received SIGTERM. It accepts no more connections, finishes its open attempts, and ends."""


@event("pod.stopping", by="backend")
class PodStopping(OfPod):
    """The pod is asked to stop."""

    service: Text = ""
    revision: Text = ""


@event("pod.gone", by="backend")
class PodGone(OfPod):
    """The pod no longer exists. `how`: stopped, killed, crashed, refused, or failed if it could not be started."""

    how: Text
    exit: MaybeWhole = None
    reason: Text = ""
    service: Text = ""
    revision: Text = ""


@event("pod.ended", by="pod")
class PodEnded(OfPod):
    """The pod's process has ended, says the container's first process. The backend turns this into `pod.gone`."""

    exit: MaybeWhole = None


@event("pod.log", by="backend")
class PodLog(OfPod):
    """The pod has printed a line."""

    text: Text = ""


# -- attempts, as the tap in the pod sees them ----------------------------------------------------------


@event("attempt.started", by="pod")
class AttemptStarted(OfAttempt):
    """Restate has given the pod an invocation, with `known` entries to replay."""

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
    """This line of the service's own code asked for an entry or an awakeable, in a replay or for the first time."""

    entry: MaybeIndex = None
    signal: MaybeSignal = None
    file: Text = ""
    line: Count = 0


@event("entry.proposed", by="pod")
class EntryProposed(OfEntry):
    """The function of a run has returned, and its result is sent to Restate."""


@event("entry.completed", by="pod")
class EntryCompleted(OfEntry):
    """The result of an entry has arrived, or the id of the invocation that it called."""

    callee: Text = ""
    keys: Texts = ()


@event("entry.stored", by="pod")
class EntryStored(OfAttempt):
    """Restate has acknowledged a command."""


@event("attempt.suspended", by="pod")
class AttemptSuspended(OfAttempt):
    """The attempt gives up its pod until one of these has a result."""

    entries: Indexes = ()
    signals: Signals = ()


@event("attempt.awaiting", by="pod")
class AttemptAwaiting(OfAttempt):
    """The attempt waits for one of these, and keeps its pod."""

    entries: Indexes = ()
    signals: Signals = ()


@event("attempt.failed", by="pod")
class AttemptFailed(OfAttempt):
    """The attempt ends with an error that Restate will retry."""

    code: Count = 0
    message: Text = ""
    stacktrace: Text = ""
    entry: MaybeIndex = None
    name: Text = ""
    file: Text = ""
    line: Count = 0
    asked: Text = ""


@event("attempt.ended", by="pod")
class AttemptEnded(OfAttempt):
    """The handler is done."""


@event("attempt.closed", by="pod")
class AttemptClosed(OfAttempt):
    """The attempt's stream is closed."""


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
    """The tap could not read a frame that passed."""

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
    """The server answers."""


@event("server.gone", by="backend")
class ServerGone(Event):
    """The server has ended."""

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
    """Something happened that cannot be undone. `step`: the run's entry, or -1. `again`: repeated after a restart."""


@event("effect.repeated", by="ledger")
class EffectRepeated(OfEffect):
    """The ledger knew the key. It answered as before, and nothing happened."""


@event("effect.refused", by="ledger")
class EffectRefused(OfEffect):
    """The outside world was down, and nothing happened."""


@event("ledger.cleared", by="ledger")
class LedgerCleared(Event):
    """All entries up to the number `last` are forgotten."""

    last: Count = 0


@event("ledger.faults", by="ledger")
class LedgerFaults(Event):
    """How a kind of effect misbehaves from now on: {fail, lose_answer, slow, down}."""

    effect: Text
    faults: FaultsOf = field(default_factory=dict)


@event("ledger.gone", by="backend")
class LedgerGone(Event):
    """The ledger's process has ended. It is being restarted."""

    exit: MaybeWhole = None


@event("ledger.failed", by="backend")
class LedgerFailed(Event):
    """The ledger could not be restarted, for this reason. The next try follows."""

    reason: Text = ""


@event("plan.hold", by="ledger")
class PlanHold(Event):
    """A run of the crash atlas has reached the point at which the server is to be killed."""

    run: Text


@event("plan.unknown", by="ledger")
class PlanUnknown(Event):
    """A pod of the crash atlas asked for the plan of an invocation whose caller is still unknown."""

    invocation: Text


# -- who uses the playground, and Restate's admin API ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class OfInvocation(Event):
    """An event about one invocation."""

    invocation: Text


@event("invocation.sent", by="client")
class InvocationSent(OfInvocation):
    """A request was sent and accepted. `restarted`: the invocation that it repeats."""

    target: Text = ""
    body: Anything = None
    delay: Seconds = 0.0
    restarted: Text = ""


@event("invocation.status", by="admin API")
class InvocationStatus(OfInvocation):
    """The invocation's status in Restate. `failure` is that of the latest attempt."""

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
    """Who called or sent the invocation, and with which entry, where the caller's pod could not say."""

    caller: Text
    entry: MaybeIndex = None
    target: Text = ""


@event("invocation.result", by="client")
class InvocationResult(OfInvocation):
    """The invocation has ended, with a value or a failure."""

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
    """The invocation's journal as Restate has it: [{index, type, name, value, …}]."""

    entries: Journal = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OfKey(Event):
    """An event about one key of a virtual object or workflow."""

    service: Text
    key: Text


@event("state.read", by="admin API")
class StateRead(OfKey):
    """The state of a key: {name: value as text}."""

    values: Values = field(default_factory=dict)


@event("queue.read", by="admin API")
class QueueRead(OfKey):
    """Who holds a key's lock, and who waits for it."""

    holder: Text = ""
    waiting: Texts = ()


# -- the recording itself --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NotTaken(Event):
    """Something that was said and changes nothing."""

    by: Text = ""
    pod: Text = ""
    why: Text = ""
    original: Text = ""


@event("event.malformed", by="anybody")
class Malformed(NotTaken):
    """Somebody said something that is not an event, or that has a field of the wrong type."""


@event("event.refused", by="anybody")
class Refused(NotTaken):
    """Somebody said something that only another may say."""


@event("recording.dropped", by="anybody")
class RecordingDropped(Event):
    """The recording had grown over its limit, and dropped this many of the oldest."""

    invocations: Count = 0
    pods: Count = 0
    lines: Count = 0
    readings: Count = 0
    unread: Count = 0
    events: Count = 0


@event("recording.cut", by="anybody")
class RecordingCut(Event):
    """The recording was loaded from a file that breaks off in the middle of this line."""

    line: Count = 0
