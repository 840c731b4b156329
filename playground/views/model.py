"""The lens's model: a timeline, as far as one invocation is concerned, in flat tables of small items.

Every item carries the times at which it came and went, so whoever draws it can draw any moment without
asking again: a mark that begins after the moment is not there yet, an attempt that ends after it is still
running. Times are seconds since the recording began, to the microsecond.

The tables:

| table | id | item |
|---|---|---|
| traces | invocation id | target, status, parent, sent, failure, last_failure, aborted |
| attempts | invocation#number | pod, at, end, outcome, known, failure, waits (rows) |
| entries | invocation/row | type, label, in, out, size, out_size, failure, callee, until, marks |
| pods | name | label, n (ordinal), service, revision, phase, at, ready, gone |
| effects | f and the position | n, kind, at, key, repeated, refused, body, pod, trace, attempt, row, outside |

A row is "e" and the entry's index, or "s" and the signal's number or name. `marks` is
{attempt number: [how, at, until, proposed]}. What is empty is left out. Values are previews of at most
80 characters: the whole one is in `details`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from playground.recording import Attempt, Effect, Entry, Mark, Pod, Timeline, Trace
from playground.recording.trace import RowKey
from playground.views.live import Change, Picture

PREVIEW = 80
Item = dict[str, Any]


def row_id(row: RowKey) -> str:
    """A row's identity as a string: "e0", "s17"."""
    return f"{row[0][0]}{row[1]}"


def picture(timeline: Timeline, root: str) -> Picture:
    """All there is to show of an invocation and those it has called."""
    traces = timeline.family(root)
    tables: dict[str, dict[str, Item | None]] = {"traces": {}, "attempts": {}, "entries": {}}
    for trace in traces:
        _put_trace(tables, timeline, trace)
    tables["pods"] = {pod.name: _pod(timeline, pod) for pod in pods(timeline, traces)}
    tables["effects"] = _effects(timeline, {trace.id for trace in traces}, range(len(timeline.effects)))
    return {"values": _values(timeline, root), "tables": tables}


def delta(timeline: Timeline, root: str, changes: Collection[Change]) -> Picture | None:
    """What these changes do to the picture; None if they do not concern it."""
    traces = {trace.id: trace for trace in timeline.family(root)}
    tables: dict[str, dict[str, Item | None]] = {}
    whole: set[str] = set()
    pods_changed = False
    for kind, *what in changes:
        if kind == "pod":
            pods_changed = True
        elif kind == "effect":
            if effects := _effects(timeline, traces.keys(), what):
                tables.setdefault("effects", {}).update(effects)
        elif kind in ("trace", "attempt", "entry") and (trace := traces.get(what[0])) and trace.id not in whole:
            if kind == "trace":
                pods_changed = True
                tables.setdefault("traces", {})[trace.id] = _trace(timeline, trace)
            elif kind == "attempt":
                for attempt in trace.attempts[what[1] - 1 :][:1]:
                    tables.setdefault("attempts", {})[attempt_id(attempt)] = _attempt(timeline, attempt)
            elif entry := trace.rows.get(what[1]):
                tables.setdefault("entries", {})[entry_id(trace, entry)] = _entry(timeline, trace, entry)
                if entry.callee in traces and entry.callee not in whole:
                    # A call has become known: all that was known of the called one before now belongs here.
                    pods_changed = True
                    for child in timeline.family(entry.callee):
                        whole.add(child.id)
                        _put_trace(tables, timeline, child)
                        tables.setdefault("effects", {}).update(
                            _effects(timeline, {child.id}, range(len(timeline.effects)))
                        )
    if pods_changed and (changed := _changed_pods(timeline, list(traces.values()))):
        tables["pods"] = changed
    return {"values": _values(timeline, root), "tables": tables} if tables else None


def pods(timeline: Timeline, traces: Iterable[Trace]) -> list[Pod]:
    """The pods of the services these invocations run on, as far as they were there meanwhile."""
    began, ended = _span(timeline, traces)
    return [pod for pod in _serving(timeline, traces) if _overlaps(pod, began, ended)]


def _changed_pods(timeline: Timeline, traces: list[Trace]) -> dict[str, Item | None]:
    began, ended = _span(timeline, traces)
    serving = [pod for pod in _serving(timeline, traces) if pod.gone_at is None or pod.gone_at >= began]
    # A pod may turn out to have come after the end: then it is taken away again.
    return {pod.name: _pod(timeline, pod) if _overlaps(pod, began, ended) else None for pod in serving}


def _serving(timeline: Timeline, traces: Iterable[Trace]) -> list[Pod]:
    targets = {trace.target.split("/", 1)[0] for trace in traces}
    services = {r.service for r in timeline.revisions.values() if any(s.get("name") in targets for s in r.services)}
    used = {attempt.pod for trace in traces for attempt in trace.attempts}
    services |= {pod.service for name in used if (pod := timeline.pods.get(name))}
    return [pod for pod in timeline.pods.values() if pod.service in services]


def _overlaps(pod: Pod, began: float, ended: float) -> bool:
    return pod.started_at <= ended and (pod.gone_at is None or pod.gone_at >= began)


def _span(timeline: Timeline, traces: Iterable[Trace]) -> tuple[float, float]:
    """From when to when these invocations were: infinite while one of them is not done."""
    began, ended = float("inf"), 0.0
    for trace in traces:
        first = trace.attempts[0].started_at if trace.attempts else trace.status_at or timeline.latest_at
        began = min(began, trace.sent_at or first, first)
        last = max((attempt.ended_at or float("inf") for attempt in trace.attempts), default=trace.status_at)
        ended = max(ended, last if trace.done else float("inf"))
    return began, ended


def attempt_id(attempt: Attempt) -> str:
    """An attempt's id in the table."""
    return f"{attempt.trace.id}#{attempt.number}"


def entry_id(trace: Trace, entry: Entry) -> str:
    """An entry's id in the table."""
    return f"{trace.id}/{row_id(entry.row)}"


def _values(timeline: Timeline, root: str) -> dict[str, Any]:
    return {"root": root, "origin": timeline.began_at or 0.0, "until": _time(timeline, timeline.latest_at)}


def _put_trace(tables: dict[str, dict[str, Item | None]], timeline: Timeline, trace: Trace) -> None:
    tables.setdefault("traces", {})[trace.id] = _trace(timeline, trace)
    attempts, entries = tables.setdefault("attempts", {}), tables.setdefault("entries", {})
    for attempt in trace.attempts:
        attempts[attempt_id(attempt)] = _attempt(timeline, attempt)
    for entry in trace.entries:
        entries[entry_id(trace, entry)] = _entry(timeline, trace, entry)


def _trace(timeline: Timeline, trace: Trace) -> Item:
    return {
        "target": _text(trace.target),
        "status": trace.status,
        **_some(
            parent=trace.parent,
            sent=_time(timeline, trace.sent_at),
            failure=_failure(trace.failure),
            last_failure=_text(trace.last_failure, 300),
            aborted=trace.aborted,
            status_at=_time(timeline, trace.status_at or None),
        ),
    }


def _attempt(timeline: Timeline, attempt: Attempt) -> Item:
    return {
        "pod": attempt.pod,
        "at": _time(timeline, attempt.started_at),
        "outcome": attempt.outcome,
        **_some(
            end=_time(timeline, attempt.ended_at),
            known=attempt.known_entries,
            failure=_failure(attempt.failure),
            waits=[row_id(row) for row in attempt.waits_for],
        ),
    }


def _entry(timeline: Timeline, trace: Trace, entry: Entry) -> Item:
    item: Item = {"type": entry.type}
    if entry.label:
        item["label"] = _text(entry.label, 200)
    if entry.value:
        item["in"], item["size"] = _text(entry.value), entry.size
    if entry.result:
        item["out"], item["out_size"] = _text(entry.result), entry.result_size
    if entry.failure:
        item["failure"] = _failure(entry.failure)
    if entry.callee:
        item["callee"] = entry.callee
    if entry.until is not None:
        item["until"] = _time(timeline, entry.until)
    item["marks"] = {
        str(attempt.number): _mark(timeline, mark)
        for attempt in trace.attempts
        if (mark := attempt.marks.get(entry.row)) is not None and mark.how != "delivered"
    }
    return item


def _mark(timeline: Timeline, mark: Mark) -> list[Any]:
    times = [_time(timeline, mark.at), _time(timeline, mark.until), _time(timeline, mark.proposed_at)]
    while len(times) > 1 and times[-1] is None:
        times.pop()
    return [mark.how, *times]


def _pod(timeline: Timeline, pod: Pod) -> Item:
    return {
        "label": _text(pod.label),
        "n": pod.ordinal,
        "service": _text(pod.service),
        "revision": _text(pod.revision),
        "phase": pod.phase,
        "at": _time(timeline, pod.started_at),
        **_some(
            ready=_time(timeline, pod.ready_at),
            gone=_time(timeline, pod.gone_at),
        ),
    }


def _effects(timeline: Timeline, traces: Collection[str], positions: Iterable[int]) -> dict[str, Item | None]:
    return {
        f"f{position}": _effect(timeline, effect)
        for position in positions
        if position >= 0 and (effect := timeline.effects[position]).invocation in traces
    }


def _effect(timeline: Timeline, effect: Effect) -> Item:
    attempt = timeline.attempts.get((effect.pod, effect.attempt))
    return {
        "n": effect.number,
        "kind": _text(effect.kind),
        "at": _time(timeline, effect.at),
        "trace": effect.invocation,
        **_some(
            key=_text(effect.key),
            repeated=effect.repeated,
            refused=effect.refused,
            body=_text(effect.body),
            pod=effect.pod,
            attempt=attempt.number if attempt else None,
            row=row_id(effect.row) if effect.row else None,
            outside=effect.outside,
        ),
    }


def _time(timeline: Timeline, at: float | None) -> float | None:
    return None if at is None else round(at - (timeline.began_at or 0.0), 6)


def _failure(failure: tuple[int, str] | None) -> list[Any] | None:
    return [failure[0], _text(failure[1], 300)] if failure else None


def _text(text: str, most: int = PREVIEW) -> str:
    """A preview that UTF-8 can carry: half surrogates, which JSON may smuggle in, become question marks."""
    short = text if len(text) <= most else text[: most - 1] + "…"
    return short if short.isascii() else short.encode("utf-8", "replace").decode("utf-8")


def _some(**fields: Any) -> Item:
    return {name: value for name, value in fields.items() if value not in (None, "", []) and value is not False}
