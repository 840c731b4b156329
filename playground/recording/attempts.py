"""The part of the fold that follows attempts: what their pods' taps say, entry by entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playground.recording import kinds
from playground.recording.events import Event
from playground.recording.trace import Attempt, Effect, Entry, How, Mark, Outcome, RowKey
from playground.recording.writer import Writer
from playground.restate.protocol import FIRST_AWAKEABLE

OUTCOME_OF_A_POD: dict[str, Outcome] = {"killed": "killed", "crashed": "crashed", "stopped": "stopped"}
"""How an attempt ended that was still running when its pod went away, by how the pod went."""

# Entries whose result arrives later, as a completion. All others are done as soon as they are sent.
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


def started(timeline: Writer, event: kinds.AttemptStarted) -> None:
    """An attempt begins: a Start frame has arrived at a pod."""
    trace = timeline.trace(event.invocation)
    trace.target, trace.raw_id = event.target or trace.target, event.id or trace.raw_id
    pod, number = event.pod, event.attempt
    attempt = Attempt(trace, len(trace.attempts) + 1, pod, event.at, event.known)
    attempt.events.append(event)
    attempt.ordinal = timeline.number_pod(pod)
    attempt.revision = timeline.pods[pod].revision if pod in timeline.pods else ""
    if trace.attempts and trace.attempts[-1].outcome == "completed":
        # Its pod reported the end, but Restate never stored it: the pod or the server died in between.
        last = timeline.pods.get(trace.attempts[-1].pod)
        gone = last.phase if last else ""
        trace.attempts[-1].outcome = "killed" if gone == "killed" else "disconnected"
        timeline.touch("attempt", trace.id, len(trace.attempts))
    trace.attempts.append(attempt)
    timeline.open[pod, number] = timeline.attempts[pod, number] = attempt
    if pod in timeline.pods:
        timeline.pods[pod].open.add(number)
    trace.status, trace.status_at = "running", event.at
    timeline.touch("trace", trace.id)
    timeline.touch("attempt", trace.id, attempt.number)


def close(timeline: Writer, attempt: Attempt, at: float, pod: str, number: int) -> None:
    """End an attempt: nothing more will happen in it."""
    attempt.ended_at = at
    timeline.open.pop((pod, number), None)
    if pod in timeline.pods:
        timeline.pods[pod].open.discard(number)
    for row, mark in attempt.marks.items():
        if mark.how == "executed" and mark.until is None and attempt.trace.rows[row].type == "Run":
            if mark.proposed_at is not None and attempt.outcome in ("completed", "suspended"):
                mark.until = mark.proposed_at  # the attempt got past it, so its result was accepted
            else:
                mark.how = "cut off"
            timeline.touch("entry", attempt.trace.id, row)
    if attempt.outcome in ("killed", "crashed", "stopped", "disconnected"):
        timeline.set_status(attempt.trace, "backing-off", at)


def closed(timeline: Writer, attempt: Attempt, event: kinds.AttemptClosed) -> None:
    """The attempt's stream is closed."""
    if attempt.outcome == "running":
        attempt.outcome = "disconnected"
    elif attempt.outcome == "completed" and not attempt.trace.refused:
        timeline.set_status(attempt.trace, "completed", event.at)
    close(timeline, attempt, event.at, event.pod, event.attempt)


def suspended(timeline: Writer, attempt: Attempt, event: kinds.AttemptSuspended) -> None:
    """The attempt gave up its pod until what it waits for is there."""
    attempt.outcome = "suspended"
    attempt.waits_for = [("entry", index) for index in event.entries]
    for signal in event.signals:
        if not isinstance(signal, int) or signal >= FIRST_AWAKEABLE:
            row: RowKey = ("signal", signal)
            attempt.waits_for.append(row)
            _signal(timeline, attempt, signal)
            attempt.marks.setdefault(row, Mark("awaited", event.at))
    timeline.set_status(attempt.trace, "suspended", event.at)


def failed(timeline: Writer, attempt: Attempt, event: kinds.AttemptFailed) -> None:
    """The attempt ended with an error that Restate will retry."""
    attempt.outcome = "failed"
    attempt.failure = (event.code, event.message)
    attempt.stacktrace = event.stacktrace
    attempt.failed_at = (event.file, event.line) if event.file else None
    attempt.asked_instead, attempt.mismatch_at = event.asked, event.entry
    row = _row(event.entry)
    mark, entry = attempt.marks.get(row), attempt.trace.rows.get(row)
    if attempt.mismatch:
        _not_asked_for(timeline, attempt, event)
    elif mark and entry and entry.type == "Run" and mark.how == "executed" and mark.until is None:
        mark.how = "failed"
        timeline.touch("entry", attempt.trace.id, entry.row)
    attempt.trace.last_failure = attempt.failure[1]
    timeline.set_status(attempt.trace, "backing-off", event.at)


def _not_asked_for(timeline: Writer, attempt: Attempt, event: kinds.AttemptFailed) -> None:
    """Correct the marks: the handler was given the whole journal, but only got as far as the entry that did not fit."""
    if event.entry is None:
        return
    for row, mark in list(attempt.marks.items()):
        if row[0] == "signal":
            mark.how = "delivered" if mark.how == "replayed" else mark.how
            timeline.touch("entry", attempt.trace.id, row)
        elif isinstance(row[1], int) and row[1] >= event.entry:
            if row[1] == event.entry:
                mark.how, mark.at, mark.until = "failed", event.at, None
            else:
                del attempt.marks[row]
            timeline.touch("entry", attempt.trace.id, row)


def ended(timeline: Writer, attempt: Attempt, _event: kinds.AttemptEnded) -> None:
    """The handler is done. Restate knows it once the stream closes."""
    attempt.outcome = "completed"


def replayed(timeline: Writer, attempt: Attempt, event: kinds.EntryReplayed) -> None:
    """The attempt was given a journal entry."""
    trace = attempt.trace
    attempt.seen_entries += 1
    at = event.at
    if event.signal is not None and event.entry is None:
        _signalled(timeline, attempt, event, event.signal, "replayed")
    elif event.type.endswith((" completion", " invocation id")):
        _replayed_completion(timeline, attempt, event)
    else:
        entry = timeline.row(trace, _row(event.entry), event.type)
        _fill(entry, event)
        # For the first attempt, Input is the request arriving, not a replay.
        first = entry.type == "Input" and attempt.number == 1 and attempt.known_entries == 1
        done = None if entry.type in _COMPLETABLE else at
        attempt.marks[entry.row] = Mark("executed" if first else "replayed", at, done)
    if attempt.seen_entries == attempt.known_entries:
        # The replay is over. A run without a stored result starts to execute again now.
        for row, mark in attempt.marks.items():
            if mark.how == "replayed" and mark.until is None and trace.rows[row].type == "Run":
                mark.how, mark.at = "executed", at
                timeline.touch("entry", trace.id, row)


def _replayed_completion(timeline: Writer, attempt: Attempt, event: kinds.EntryReplayed) -> None:
    """The attempt was given the result of an entry."""
    entry = _complete(timeline, attempt, event)
    if entry is None or entry.type != "Run":
        return
    # An earlier attempt produced this result, but died before Restate confirmed that it was stored.
    for earlier in attempt.trace.attempts[:-1]:
        mark = earlier.marks.get(entry.row)
        if mark and mark.how == "cut off" and mark.proposed_at is not None:
            mark.how, mark.until = "executed", mark.proposed_at


def asked(timeline: Writer, attempt: Attempt, event: kinds.EntryAsked) -> None:
    """A line of the handler's code asks for an entry. If the entry is new, it is sent a moment later."""
    row: RowKey = ("entry", -1 if event.entry is None else event.entry)
    if event.signal is not None:
        row = ("signal", event.signal)
    attempt.asked_at[row] = (event.file, event.line)
    if (entry := attempt.trace.rows.get(row)) is not None:
        _place(entry, attempt)
        timeline.touch("entry", attempt.trace.id, row)


def executed(timeline: Writer, attempt: Attempt, event: kinds.EntryExecuted) -> None:
    """The handler asked for something new."""
    entry = timeline.row(attempt.trace, _row(event.entry), event.type)
    _fill(entry, event)
    _place(entry, attempt)
    attempt.marks[entry.row] = Mark("executed", event.at, None if entry.type in _COMPLETABLE else event.at)
    if entry.type == "Output":
        attempt.trace.value, attempt.trace.failure = entry.value, entry.failure


def proposed(timeline: Writer, attempt: Attempt, event: kinds.EntryProposed) -> None:
    """A run's function has returned, and its result was sent to Restate."""
    row = _row(event.entry)
    mark, entry = attempt.marks.get(row), attempt.trace.rows.get(row)
    if mark and entry:
        mark.how, mark.proposed_at = "executed", event.at
        _result(entry, event)
        timeline.touch("entry", attempt.trace.id, entry.row)


def completed(timeline: Writer, attempt: Attempt, event: kinds.EntryCompleted) -> None:
    """A result arrived while the attempt was running."""
    if event.signal is not None:
        _signalled(timeline, attempt, event, event.signal, "executed")
    else:
        _complete(timeline, attempt, event)


def _signalled(timeline: Writer, attempt: Attempt, event: kinds.OfEntry, signal: int | str, how: How) -> None:
    """An awakeable was completed, or another signal arrived. Only the first counts: a second click changes nothing."""
    entry = _signal(timeline, attempt, signal)
    mark = attempt.marks.get(entry.row)
    if mark is None or mark.how == "awaited":
        attempt.marks[entry.row] = Mark(how, event.at, event.at)
        _result(entry, event)


def _complete(timeline: Writer, attempt: Attempt, event: kinds.EntryReplayed | kinds.EntryCompleted) -> Entry | None:
    """Store the result of an entry. Returns the entry, or None if it is unknown."""
    row = _row(event.entry)
    entry, mark = attempt.trace.rows.get(row), attempt.marks.get(row)
    if entry is None or mark is None:
        return None
    timeline.touch("entry", attempt.trace.id, row)
    if callee := event.callee:
        entry.callee = callee
        child = timeline.trace(callee)
        child.parent, child.target = attempt.trace.id, child.target or entry.target
        timeline.touch("trace", callee)
        if entry.type == "OneWayCall":
            mark.until = event.at
        return entry
    if event.type != "ProposeRunCompletionAck":
        _result(entry, event)
    mark.until = event.at
    return entry


def cause_of(attempt: Attempt, effect: Effect) -> RowKey | None:
    """The run of an attempt that caused an effect; None if no run did, or if nobody can tell.

    The pod says which run it was. Older recordings lack that; for them it is the run whose function was running at
    the time, if there was exactly one.
    """
    if effect.step is not None:
        row: RowKey = ("entry", effect.step)
        return row if row in attempt.marks else None
    running = [row for row, mark in attempt.marks.items() if _ran_at(attempt, row, mark, effect.at)]
    return running[0] if len(running) == 1 else None


def _ran_at(attempt: Attempt, row: RowKey, mark: Mark, at: float) -> bool:
    if attempt.trace.rows[row].type != "Run" or mark.how == "replayed":
        return False
    ended = mark.proposed_at or mark.until or attempt.ended_at
    return mark.at <= at and (ended is None or at <= ended)


def _signal(timeline: Writer, attempt: Attempt, signal: int | str) -> Entry:
    """The row of a signal. A number means an awakeable or a cancellation; all other signals have a name."""
    if isinstance(signal, int):
        kind = "Awakeable" if signal >= FIRST_AWAKEABLE else "Cancel"
        entry = timeline.row(attempt.trace, ("signal", signal), kind)
        _place(entry, attempt)
        return entry
    entry = timeline.row(attempt.trace, ("signal", signal), "Signal")
    entry.name = signal
    return entry


def _row(entry: int | None) -> RowKey:
    return "entry", -1 if entry is None else entry


def _place(entry: Entry, attempt: Attempt) -> None:
    """Store the line that asked for an entry, which its pod reports before the entry itself."""
    entry.file, entry.line = attempt.asked_at.get(entry.row, (entry.file, entry.line))


def _fill(entry: Entry, event: kinds.Asked) -> None:
    if event.type != "?":
        entry.type = event.type
    entry.name, entry.target, entry.key = event.name or entry.name, event.target or entry.target, event.key or entry.key
    if isinstance(event.signal, str):  # a named signal that is sent
        entry.name = entry.name or event.signal
    if event.value is not None:
        entry.value, entry.size = event.value, event.size or 0
    if event.failure is not None:
        entry.failure = event.failure
    if event.until:
        entry.until = event.until / 1000


def _result(entry: Entry, event: kinds.OfEntry) -> None:
    if event.value is not None:
        entry.result, entry.result_size = event.value, event.size or 0
    if event.failure is not None:
        entry.failure = event.failure


FOLDS: dict[type[Event], Callable[[Writer, Attempt, Any], None]] = {
    kinds.AttemptSuspended: suspended,
    kinds.AttemptFailed: failed,
    kinds.AttemptEnded: ended,
    kinds.AttemptClosed: closed,
    kinds.EntryReplayed: replayed,
    kinds.EntryAsked: asked,
    kinds.EntryExecuted: executed,
    kinds.EntryProposed: proposed,
    kinds.EntryCompleted: completed,
}
