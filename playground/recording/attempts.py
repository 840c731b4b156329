"""The part of the fold that follows attempts: what their pods' taps say, entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from playground.recording.trace import FIRST_AWAKEABLE, Attempt, Entry, How, Mark, Outcome, RowKey

if TYPE_CHECKING:
    from playground.recording.timeline import Timeline

OUTCOME_OF_A_POD: dict[str, Outcome] = {"killed": "killed", "crashed": "crashed", "stopped": "stopped"}
"""How an attempt ends that was running when its pod went."""

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


def started(timeline: Timeline, at: float, data: Mapping[str, Any]) -> None:
    """An attempt begins: a Start frame has arrived at a pod."""
    trace = timeline.trace(data.get("invocation", ""))
    trace.target = data.get("target", trace.target)
    trace.raw_id = data.get("id", trace.raw_id)
    pod, number = data.get("pod", ""), data.get("attempt", 0)
    attempt = Attempt(trace, len(trace.attempts) + 1, pod, at, data.get("known", 0))
    attempt.ordinal = timeline.number_pod(pod)
    attempt.revision = timeline.pods[pod].revision if pod in timeline.pods else ""
    if trace.attempts and trace.attempts[-1].outcome == "completed":
        # Its end was said but never stored: the pod or the server died in between.
        last = timeline.pods.get(trace.attempts[-1].pod)
        gone = last.phase if last else ""
        trace.attempts[-1].outcome = "killed" if gone == "killed" else "disconnected"
        timeline.touch("attempt", trace.id, len(trace.attempts))
    trace.attempts.append(attempt)
    timeline.open[pod, number] = timeline.attempts[pod, number] = attempt
    if pod in timeline.pods:
        timeline.pods[pod].open.add(number)
    trace.status, trace.status_at = "running", at
    timeline.touch("trace", trace.id)
    timeline.touch("attempt", trace.id, attempt.number)


def close(timeline: Timeline, attempt: Attempt, at: float, pod: str, number: int) -> None:
    """Nothing more will come of an attempt."""
    attempt.ended_at = at
    timeline.open.pop((pod, number), None)
    if pod in timeline.pods:
        timeline.pods[pod].open.discard(number)
    for row, mark in attempt.marks.items():
        if mark.how == "executed" and mark.until is None and attempt.trace.rows[row].type == "Run":
            mark.how = "cut off"
            timeline.touch("entry", attempt.trace.id, row)
    if attempt.outcome in ("killed", "crashed", "stopped", "disconnected"):
        timeline.set_status(attempt.trace, "backing-off", at)


def closed(timeline: Timeline, attempt: Attempt, at: float, data: Mapping[str, Any]) -> None:
    """Its stream is closed."""
    if attempt.outcome == "running":
        attempt.outcome = "disconnected"
    elif attempt.outcome == "completed" and not attempt.trace.refused:
        timeline.set_status(attempt.trace, "completed", at)
    close(timeline, attempt, at, data.get("pod", ""), data.get("attempt", 0))


def suspended(timeline: Timeline, attempt: Attempt, at: float, data: Mapping[str, Any]) -> None:
    """It gave its pod back until what it waits for is there."""
    attempt.outcome = "suspended"
    attempt.waits_for = [("entry", index) for index in data.get("entries", ())]
    for signal in data.get("signals", ()):
        if not isinstance(signal, int) or signal >= FIRST_AWAKEABLE:
            row: RowKey = ("signal", signal)
            attempt.waits_for.append(row)
            timeline.row(attempt.trace, row, _signal_type(signal))
            attempt.marks.setdefault(row, Mark("awaited", at))
    timeline.set_status(attempt.trace, "suspended", at)


def failed(timeline: Timeline, attempt: Attempt, at: float, data: Mapping[str, Any]) -> None:
    """It ended with an error that will be retried."""
    attempt.outcome = "failed"
    attempt.failure = (data.get("code", 0), data.get("message", ""))
    attempt.stacktrace = data.get("stacktrace", "")
    mark = attempt.marks.get(("entry", data.get("entry", -1)))
    entry = attempt.trace.rows.get(("entry", data.get("entry", -1)))
    if mark and entry and entry.type == "Run" and mark.how == "executed" and mark.until is None:
        mark.how = "failed"
        timeline.touch("entry", attempt.trace.id, entry.row)
    attempt.trace.last_failure = attempt.failure[1]
    timeline.set_status(attempt.trace, "backing-off", at)


def ended(timeline: Timeline, attempt: Attempt, _at: float, _data: Mapping[str, Any]) -> None:
    """The handler is done. That Restate knows it shows when the stream closes."""
    attempt.outcome = "completed"


def replayed(timeline: Timeline, attempt: Attempt, at: float, data: Mapping[str, Any]) -> None:
    """A journal entry was given to it."""
    trace = attempt.trace
    attempt.seen_entries += 1
    if data.get("signal") is not None and "entry" not in data:
        _signalled(timeline, attempt, at, data, "replayed")
    elif _is_completion(data):
        _replayed_completion(timeline, attempt, at, data)
    else:
        entry = timeline.row(trace, ("entry", data.get("entry", -1)), data.get("type", "?"))
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
                timeline.touch("entry", trace.id, row)


def _replayed_completion(timeline: Timeline, attempt: Attempt, at: float, data: Mapping[str, Any]) -> None:
    """The result of an entry was given to it."""
    entry = _complete(timeline, attempt, at, data)
    if entry is None or entry.type != "Run":
        return
    # An earlier attempt handed this result over and died before it heard that it was stored.
    for earlier in attempt.trace.attempts[:-1]:
        mark = earlier.marks.get(entry.row)
        if mark and mark.how == "cut off" and mark.proposed_at is not None:
            mark.how, mark.until = "executed", mark.proposed_at


def executed(timeline: Timeline, attempt: Attempt, at: float, data: Mapping[str, Any]) -> None:
    """Its handler asked for something new."""
    entry = timeline.row(attempt.trace, ("entry", data.get("entry", -1)), data.get("type", "?"))
    _fill(entry, data)
    attempt.marks[entry.row] = Mark("executed", at, None if entry.type in _COMPLETABLE else at)
    if entry.type == "Output":
        attempt.trace.value, attempt.trace.failure = entry.value, entry.failure


def proposed(timeline: Timeline, attempt: Attempt, at: float, data: Mapping[str, Any]) -> None:
    """A run's function has returned, and its result was handed over."""
    mark = attempt.marks.get(("entry", data.get("entry", -1)))
    entry = attempt.trace.rows.get(("entry", data.get("entry", -1)))
    if mark and entry:
        mark.how, mark.proposed_at = "executed", at
        _result(entry, data)
        timeline.touch("entry", attempt.trace.id, entry.row)


def completed(timeline: Timeline, attempt: Attempt, at: float, data: Mapping[str, Any]) -> None:
    """A result arrived while it ran."""
    if data.get("signal") is not None:
        _signalled(timeline, attempt, at, data, "executed")
    else:
        _complete(timeline, attempt, at, data)


def _signalled(timeline: Timeline, attempt: Attempt, at: float, data: Mapping[str, Any], how: How) -> None:
    """An awakeable was completed, or another signal came. The first one counts: a second click changes nothing."""
    entry = timeline.row(attempt.trace, ("signal", data["signal"]), _signal_type(data["signal"]))
    mark = attempt.marks.get(entry.row)
    if mark is None or mark.how == "awaited":
        attempt.marks[entry.row] = Mark(how, at, at)
        _result(entry, data)


def _complete(timeline: Timeline, attempt: Attempt, at: float, data: Mapping[str, Any]) -> Entry | None:
    """Note the result of an entry; returns the entry, or None if it is not known."""
    row: RowKey = ("entry", data.get("entry", -1))
    entry, mark = attempt.trace.rows.get(row), attempt.marks.get(row)
    if entry is None or mark is None:
        return None
    timeline.touch("entry", attempt.trace.id, row)
    if callee := data.get("callee"):
        entry.callee = callee
        child = timeline.trace(callee)
        child.parent, child.target = attempt.trace.id, child.target or entry.target
        timeline.touch("trace", callee)
        if entry.type == "OneWayCall":
            mark.until = at
        return entry
    if data.get("type") != "ProposeRunCompletionAck":
        _result(entry, data)
    mark.until = at
    return entry


def running_at(attempt: Attempt, at: float) -> RowKey | None:
    """The run whose function was running at a moment of an attempt; None if none was."""
    for row, mark in reversed(attempt.marks.items()):
        ended = mark.proposed_at or mark.until or attempt.ended_at
        if attempt.trace.rows[row].type == "Run" and mark.how != "replayed" and mark.at <= at:
            return row if ended is None or at <= ended else None
    return None


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


FOLDS: dict[str, Callable[[Timeline, Attempt, float, Mapping[str, Any]], None]] = {
    "attempt.suspended": suspended,
    "attempt.failed": failed,
    "attempt.ended": ended,
    "attempt.closed": closed,
    "entry.replayed": replayed,
    "entry.executed": executed,
    "entry.proposed": proposed,
    "entry.completed": completed,
}
