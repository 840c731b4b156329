"""What a timeline is made of: traces of invocations, their attempts and entries, and pods.

The words are Restate's. An *invocation* is one request to a handler. It runs as one or more *attempts*, each on one
pod. Its *entries* are what the handler asked for, in journal order. What became of an entry in an attempt is a
*mark*:

* executed: asked for in this attempt. Of a `ctx.run`, the function ran to its end, whether it returned a result or
  failed for good (`Entry.failure`).
* replayed: taken from the journal; nothing ran.
* cut off: a `ctx.run` whose function was running when the attempt ended. Whether its effect reached the outside
  world, only the outside world knows.
* failed: a `ctx.run` whose function raised and will be tried again; or, in an attempt that did not fit the journal,
  the entry in whose place the handler asked for something else.
* delivered: a signal that came with a journal that the attempt did not fit. Nobody can tell whether the handler had
  asked for it.
* awaited: an awakeable that the attempt was suspended on. It becomes an entry when it is completed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from playground.recording.events import Event
from playground.restate.protocol import JOURNAL_MISMATCH

How = Literal["executed", "replayed", "cut off", "failed", "delivered", "awaited"]
Outcome = Literal["running", "completed", "suspended", "failed", "killed", "crashed", "stopped", "disconnected"]
Became = Literal["happened", "repeated", "refused"]
RowKey = tuple[Literal["entry", "signal"], int | str]

TAKEN_BACK = ("backing-off", "paused")
"""The statuses of an invocation whose pod was done, but whose result Restate has refused."""
ABORTED = 409
"""The code an invocation fails with when somebody kills or cancels it."""
CANCELLED: RowKey = ("signal", 1)
"""The row of the signal that asks an invocation to stop."""
OUTSIDE = -1
"""The step of an effect that no step caused."""
MOST_LINES, LONGEST_LINE, MOST_PRINTED = 10_000, 1_000_000, 4_000_000
"""Limits of a pod's log: lines, characters in one line, and characters in all."""


@dataclass(slots=True)
class Entry:
    """One row of an invocation: a journal entry, or an awakeable that will become one.

    Attributes:
        row: its identity: ("entry", command index) or ("signal", number or name).
        type: "Input", "Call", "Run", "Awakeable" …, as in the service protocol.
        name: what the handler called it, e.g. a run's name. May be empty.
        target: of a call: "Object/key/handler".
        key: of a state access or a promise.
        value: the payload that went in, as text, perhaps shortened; `size` is its full length in bytes.
        result: the payload that came back; `result_size` likewise.
        failure: (code, message) it ended with.
        callee: invocation id of a call.
        until: Unix seconds, the end of a sleep or of a delayed call.
        file: the file in the service's own folder that last asked for it, as a path within that folder; may be empty.
        line: the line in that file, from 1; 0 if there is none.
        position: its place among the rows of its invocation, from 0.
    """

    row: RowKey
    type: str
    name: str = ""
    target: str = ""
    key: str = ""
    value: str | None = None
    size: int = 0
    result: str | None = None
    result_size: int = 0
    failure: tuple[int, str] | None = None
    callee: str = ""
    until: float | None = None
    file: str = ""
    line: int = 0
    position: int = 0

    @property
    def failed(self) -> bool:
        """Whether it is a step or a call that failed for good and will not be retried."""
        return self.type in ("Run", "Call") and self.failure is not None

    @property
    def label(self) -> str:
        """What distinguishes this entry from others of its type: its name, target or key."""
        return self.name or self.target or self.key

    def __str__(self) -> str:
        return f"{self.type} {self.label}".rstrip()

    __repr__ = __str__


@dataclass(slots=True)
class Mark:
    """What became of an entry in one attempt.

    Attributes:
        how: see the module's docstring.
        at: when it began (executed) or was replayed, Unix seconds.
        until: when its result arrived; None if it never did.
        proposed_at: of a run, when its function had returned and the result was sent to Restate.
    """

    how: How
    at: float
    until: float | None = None
    proposed_at: float | None = None


@dataclass(slots=True, eq=False)
class Attempt:
    """One attempt of an invocation, on one pod.

    Attributes:
        number: 1 for the first one recorded.
        pod: the pod's name.
        ordinal: that pod's number among the pods of its service, from 1; 0 if unknown.
        revision: the revision that the pod serves; empty if unknown.
        started_at: Unix seconds.
        ended_at: when it ended; None while it runs.
        known_entries: how many journal entries (commands and notifications) it was given to replay.
        outcome: how it ended, or "running".
        failure: (code, message) it failed with.
        stacktrace: that failure's, as the SDK reported it.
        asked_instead: if it did not fit its journal: what the code asked for, "Run send letter".
        mismatch_at: the index of the command at which it failed; None if it was none.
        failed_at: file and line in the service's own code that raised it, if that is where it was raised.
        asked_at: file and line that asked for each entry, by row, including replayed ones.
        waits_for: what it was suspended on.
        marks: what became of each entry, by row.
        events: what its pod has said of it, in order.
    """

    trace: Trace = field(repr=False)
    number: int
    pod: str
    started_at: float
    known_entries: int
    ended_at: float | None = None
    outcome: Outcome = "running"
    failure: tuple[int, str] | None = None
    stacktrace: str = ""
    failed_at: tuple[str, int] | None = None
    asked_instead: str = ""
    mismatch_at: int | None = None
    asked_at: dict[RowKey, tuple[str, int]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list, repr=False)
    waits_for: list[RowKey] = field(default_factory=list)
    marks: dict[RowKey, Mark] = field(default_factory=dict)
    seen_entries: int = 0
    ordinal: int = 0
    revision: str = ""

    @property
    def mismatch(self) -> bool:
        """Whether the handler asked for something other than what its journal has."""
        return self.failure is not None and self.failure[0] == JOURNAL_MISMATCH

    @property
    def replayed(self) -> list[Entry]:
        """The entries taken from the journal."""
        return self._marked("replayed")

    @property
    def executed(self) -> list[Entry]:
        """The entries executed in this attempt."""
        return self._marked("executed")

    @property
    def cut_off(self) -> list[Entry]:
        """The steps that were running when the attempt ended."""
        return self._marked("cut off")

    def _marked(self, how: How) -> list[Entry]:
        return [entry for entry in self.trace.entries if (mark := self.marks.get(entry.row)) and mark.how == how]

    def __repr__(self) -> str:
        counts = f"{len(self.replayed)} replayed, {len(self.executed)} executed"
        return f"Attempt {self.number} on pod {self.ordinal}: {counts}, {self.outcome}"


@dataclass(slots=True, eq=False)
class Trace:
    """What a recording knows of one invocation.

    Attributes:
        id: the invocation id.
        target: "Service/handler", "Object/key/handler".
        status: Restate's: pending, scheduled, running, backing-off, suspended, paused, completed.
        sent_at: when the client sent it, if it did.
        parent: invocation id of the caller.
        entries: the rows, in journal order.
        attempts: every attempt, in order.
        value: its result as text; if it ended with a terminal error, `failure` has (code, message) instead.
        body: what the client sent.
        journal: the journal as the admin API last returned it.
        last_failure: what Restate says about the latest failed attempt.
        clicked: when the client completed an awakeable, by signal number.
        deployment: the Restate deployment that it is pinned to; empty until it is.
        settled: whether Restate itself, and not just a pod, has said that it is completed.
        refused: whether Restate has refused a result that a pod reported. From then on only Restate's word counts.
    """

    id: str
    target: str = ""
    status: str = "pending"
    sent_at: float | None = None
    parent: str = ""
    body: Any = None
    entries: list[Entry] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    value: str | None = None
    failure: tuple[int, str] | None = None
    journal: list[dict[str, Any]] = field(default_factory=list)
    last_failure: str = ""
    raw_id: str = ""
    status_at: float = 0.0
    rows: dict[RowKey, Entry] = field(default_factory=dict)
    clicked: dict[int, float] = field(default_factory=dict)
    deployment: str = ""
    settled: bool = False
    refused: bool = False

    @property
    def done(self) -> bool:
        """Whether it is completed, with a result or a failure."""
        return self.status == "completed"

    @property
    def aborted(self) -> Literal["", "killed", "cancelled"]:
        """Whether somebody ended it: killed it, or cancelled it without its handler catching that."""
        if not self.done or self.failure is None or self.failure[0] != ABORTED:
            return ""
        raised = any(entry.type == "Output" and entry.failure for entry in self.entries)  # by the handler itself
        if self.failure[1] == "killed" and not raised:
            return "killed"
        return "cancelled" if self.failure[1] == "cancelled" and (not raised or CANCELLED in self.rows) else ""

    @property
    def mismatches(self) -> int:
        """How many attempts did not fit the journal, even if a later one did."""
        return sum(attempt.mismatch for attempt in self.attempts)

    def entry(self, name: str) -> Entry | None:
        """The latest entry with this name, target, key or type; None if there is none."""
        return next((e for e in reversed(self.entries) if name in (e.label, e.type, str(e))), None)

    @property
    def awakeables(self) -> list[Entry]:
        """The awakeables that an attempt was suspended on and nobody has completed yet."""
        if self.done:
            return []
        completed = {row for attempt in self.attempts for row, mark in attempt.marks.items() if mark.how != "awaited"}
        completed |= {("signal", signal) for signal in self.clicked}
        return [entry for entry in self.entries if entry.type == "Awakeable" and entry.row not in completed]

    def __repr__(self) -> str:
        return f"{self.target} {self.status}, {len(self.attempts)} attempts"


@dataclass(slots=True)
class Effect:
    """A request that reached the outside world, and what became of it there, according to the ledger.

    Attributes:
        number: the ledger's own count, from 1.
        kind: "email", "payment" …
        at: when, Unix seconds.
        key: the idempotency key that it came with; may be empty.
        repeated: the ledger already knew the key, so it answered as before and nothing happened again.
        refused: the outside world was down, and nothing happened.
        body: what was asked for, as text, perhaps shortened.
        pod: the pod it came from, and `attempt` the attempt there; empty and 0 if unknown.
        invocation, row: the invocation, and the run in it, that caused it, if known.
        step: index of that run, according to the pod; -1 if it was outside of any step; None if the pod did not say.
    """

    number: int
    kind: str
    at: float
    key: str = ""
    repeated: bool = False
    refused: bool = False
    body: str = ""
    pod: str = ""
    attempt: int = 0
    invocation: str = ""
    row: RowKey | None = None
    step: int | None = None

    @property
    def outside(self) -> bool:
        """Whether it is known to come from outside of any step, so that a replay causes it again."""
        return self.step == OUTSIDE

    @property
    def became(self) -> Became:
        """What became of it: happened, repeated or refused."""
        return "refused" if self.refused else "repeated" if self.repeated else "happened"


@dataclass(slots=True, eq=False)
class Pod:
    """One pod's life.

    Attributes:
        name: its name.
        service, revision: what it serves.
        ordinal: 1 for the service's first pod that was given an attempt, and so on; 0 before that. It is the same in
            every run, because it skips pods that come and go without work, whose number is a matter of timing.
        phase: starting, ready, stopping, then stopped, killed, crashed, refused, or failed (it could not be started).
        reason: why it could not be started.
        started_at, ready_at, gone_at: Unix seconds; None if not yet.
        open: numbers of the attempts that are running on it.
        logs: the latest lines it printed; `logs_dropped` counts earlier ones that are not kept.
    """

    name: str
    service: str
    revision: str
    ordinal: int = 0
    phase: str = "starting"
    reason: str = ""
    started_at: float = 0.0
    ready_at: float | None = None
    gone_at: float | None = None
    open: set[int] = field(default_factory=set)
    logs: list[str] = field(default_factory=list)
    logs_dropped: int = 0
    log_size: int = 0

    def printed(self, line: str) -> None:
        """Add a line to its log. If the pod prints without end, only the latest lines are kept."""
        line = line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…"
        self.logs.append(line)
        self.log_size += len(line)
        if len(self.logs) > MOST_LINES or self.log_size > MOST_PRINTED:
            half = self.logs[: (len(self.logs) + 1) // 2]
            del self.logs[: len(half)]
            self.log_size -= sum(map(len, half))
            self.logs_dropped += len(half)

    @property
    def log(self) -> str:
        """What it printed, as text, beginning with how many lines are not kept, if any."""
        before = [f"({self.logs_dropped:,} earlier lines are not kept)"] if self.logs_dropped else []
        return "\n".join([*before, *self.logs])

    @property
    def alive(self) -> bool:
        """Whether it exists: starting, ready or stopping."""
        return self.gone_at is None

    @property
    def label(self) -> str:
        """A name without anything random: "signup pod 2"."""
        return f"{self.service} pod {self.ordinal}" if self.ordinal else f"{self.service} pod, unused"
