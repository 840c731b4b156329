"""The lens's model: a timeline, as far as one invocation is concerned, in flat tables of small items.

Every item carries the times at which it came and went, so whoever draws it can draw any moment without
asking again: a mark that begins after the moment is not there yet, an attempt that ends after it is still
running. Times are seconds since the recording began, to the microsecond.

What is empty is left out. Values are previews of at most 80 characters: the whole one is in `details`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, NotRequired, TypedDict

from playground.recording import Attempt, Effect, Entry, Mark, Pod, Timeline, Trace
from playground.recording.changes import Change
from playground.recording.trace import How, Outcome, RowKey
from playground.views.messages import Delta, Picture

PREVIEW = 80

Failure = tuple[int, str]
"""Code and message."""
MarkItem = tuple[How, float] | tuple[How, float, float | None] | tuple[How, float, float | None, float | None]
"""What became of an entry in an attempt: how, since when, until when, and when a step's result was handed over."""


class TraceItem(TypedDict):
    """An invocation. `parent` is its caller's id, `status_at` when its status was heard of."""

    target: str
    status: str
    parent: NotRequired[str]
    sent: NotRequired[float]
    failure: NotRequired[Failure]
    last_failure: NotRequired[str]
    aborted: NotRequired[Literal["killed", "cancelled"]]
    status_at: NotRequired[float]


class AttemptItem(TypedDict):
    """An attempt, on a pod. `known` counts the journal entries it was given, `waits` are rows it was suspended on."""

    pod: str
    at: float
    outcome: Outcome
    known: int
    end: NotRequired[float]
    failure: NotRequired[Failure]
    waits: NotRequired[list[str]]


_In = TypedDict("_In", {"in": str}, total=False)


class EntryItem(_In):
    """A journal entry: previews of the values that went in and came out, with their sizes in bytes.

    `n` is its place among the rows: a saved notebook has its items in the order of their names. `until` is the end of a
    sleep or of a delay. `marks` are by the attempt's number.
    """

    n: int
    type: str
    label: NotRequired[str]
    size: NotRequired[int]
    out: NotRequired[str]
    out_size: NotRequired[int]
    failure: NotRequired[Failure]
    callee: NotRequired[str]
    until: NotRequired[float]
    marks: dict[str, MarkItem]


class LensPod(TypedDict):
    """A pod. `n` is its ordinal, 0 if it never had an attempt."""

    label: str
    n: int
    service: str
    revision: str
    phase: str
    at: float
    ready: NotRequired[float]
    gone: NotRequired[float]


class EffectItem(TypedDict):
    """A request that reached the outside world: `trace`, `attempt` and `row` are where it came from, if that is known.

    `repeated`: its key was known, so nothing happened again. `outside`: no step caused it.
    """

    n: int
    kind: str
    at: float
    trace: str
    key: NotRequired[str]
    repeated: NotRequired[Literal[True]]
    refused: NotRequired[Literal[True]]
    body: NotRequired[str]
    pod: NotRequired[str]
    attempt: NotRequired[int]
    row: NotRequired[str]
    outside: NotRequired[Literal[True]]


class LensValues(TypedDict):
    """The invocation, when the recording began (Unix seconds), its latest moment; whether there is a kernel to act."""

    root: str
    origin: float
    until: float
    open: NotRequired[bool]


class LensTables(TypedDict):
    """Invocations by id; attempts as "invocation#number"; entries as "invocation/row"; pods by name; effects.

    A row is "e" and the entry's index, or "s" and the signal's number or name.
    """

    traces: dict[str, TraceItem]
    attempts: dict[str, AttemptItem]
    entries: dict[str, EntryItem]
    pods: dict[str, LensPod]
    effects: dict[str, EffectItem]


class LensChanged(TypedDict, total=False):
    """The same tables, as far as something in them is new."""

    traces: dict[str, TraceItem | None]
    attempts: dict[str, AttemptItem | None]
    entries: dict[str, EntryItem | None]
    pods: dict[str, LensPod | None]
    effects: dict[str, EffectItem | None]


LensPicture = Picture[LensValues, LensTables]
LensDelta = Delta[LensValues, LensChanged]


def row_id(row: RowKey) -> str:
    """A row's identity as a string: "e0", "s17"."""
    return f"{row[0][0]}{row[1]}"


def picture(timeline: Timeline, root: str) -> LensPicture:
    """All there is to show of an invocation and those it has called."""
    traces = timeline.family(root)
    attempts: dict[str, AttemptItem] = {}
    entries: dict[str, EntryItem] = {}
    for trace in traces:
        attempts |= _attempts(timeline, trace)
        entries |= _entries(timeline, trace)
    return {
        "values": _values(timeline, root),
        "tables": {
            "traces": {trace.id: _trace(timeline, trace) for trace in traces},
            "attempts": attempts,
            "entries": entries,
            "pods": {pod.name: _pod(timeline, pod) for pod in pods(timeline, traces)},
            "effects": _effects(timeline, {trace.id for trace in traces}, range(len(timeline.effects))),
        },
    }


def delta(timeline: Timeline, root: str, changes: Collection[Change]) -> LensDelta | None:
    """What these changes do to the picture; None if they do not concern it."""
    traces = {trace.id: trace for trace in timeline.family(root)}
    tables: LensChanged = {}
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
                        effects = _effects(timeline, {child.id}, range(len(timeline.effects)))
                        tables.setdefault("traces", {})[child.id] = _trace(timeline, child)
                        tables.setdefault("attempts", {}).update(_attempts(timeline, child))
                        tables.setdefault("entries", {}).update(_entries(timeline, child))
                        tables.setdefault("effects", {}).update(effects)
    if pods_changed and (changed := _changed_pods(timeline, list(traces.values()))):
        tables["pods"] = changed
    return {"values": _values(timeline, root), "tables": tables} if tables else None


def pods(timeline: Timeline, traces: Iterable[Trace]) -> list[Pod]:
    """The pods of the services these invocations run on, as far as they were there meanwhile."""
    began, ended = _span(timeline, traces)
    return [pod for pod in _serving(timeline, traces) if _overlaps(pod, began, ended)]


def _changed_pods(timeline: Timeline, traces: list[Trace]) -> dict[str, LensPod | None]:
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


def _values(timeline: Timeline, root: str) -> LensValues:
    return {"root": root, "origin": timeline.began_at or 0.0, "until": _time(timeline, timeline.latest_at)}


def _attempts(timeline: Timeline, trace: Trace) -> dict[str, AttemptItem]:
    return {attempt_id(attempt): _attempt(timeline, attempt) for attempt in trace.attempts}


def _entries(timeline: Timeline, trace: Trace) -> dict[str, EntryItem]:
    return {entry_id(trace, entry): _entry(timeline, trace, entry) for entry in trace.entries}


def _trace(timeline: Timeline, trace: Trace) -> TraceItem:
    item: TraceItem = {"target": _text(trace.target), "status": trace.status}
    if trace.parent:
        item["parent"] = trace.parent
    if trace.sent_at is not None:
        item["sent"] = _time(timeline, trace.sent_at)
    if trace.failure:
        item["failure"] = _failure(trace.failure)
    if trace.last_failure:
        item["last_failure"] = _text(trace.last_failure, 300)
    if trace.aborted:
        item["aborted"] = trace.aborted
    if trace.status_at:
        item["status_at"] = _time(timeline, trace.status_at)
    return item


def _attempt(timeline: Timeline, attempt: Attempt) -> AttemptItem:
    item: AttemptItem = {
        "pod": attempt.pod,
        "at": _time(timeline, attempt.started_at),
        "outcome": attempt.outcome,
        "known": attempt.known_entries,
    }
    if attempt.ended_at is not None:
        item["end"] = _time(timeline, attempt.ended_at)
    if attempt.failure:
        item["failure"] = _failure(attempt.failure)
    if attempt.waits_for:
        item["waits"] = [row_id(row) for row in attempt.waits_for]
    return item


def _entry(timeline: Timeline, trace: Trace, entry: Entry) -> EntryItem:
    marks = {
        str(attempt.number): _mark(timeline, mark)
        for attempt in trace.attempts
        if (mark := attempt.marks.get(entry.row)) is not None and mark.how != "delivered"
    }
    item: EntryItem = {"n": entry.position, "type": entry.type, "marks": marks}
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
    return item


def _mark(timeline: Timeline, mark: Mark) -> MarkItem:
    at = _time(timeline, mark.at)
    until = None if mark.until is None else _time(timeline, mark.until)
    if mark.proposed_at is not None:
        return mark.how, at, until, _time(timeline, mark.proposed_at)
    return (mark.how, at) if until is None else (mark.how, at, until)


def _pod(timeline: Timeline, pod: Pod) -> LensPod:
    item: LensPod = {
        "label": _text(pod.label),
        "n": pod.ordinal,
        "service": _text(pod.service),
        "revision": _text(pod.revision),
        "phase": pod.phase,
        "at": _time(timeline, pod.started_at),
    }
    if pod.ready_at is not None:
        item["ready"] = _time(timeline, pod.ready_at)
    if pod.gone_at is not None:
        item["gone"] = _time(timeline, pod.gone_at)
    return item


def _effects(timeline: Timeline, traces: Collection[str], positions: Iterable[int]) -> dict[str, EffectItem]:
    return {
        f"f{position}": _effect(timeline, effect)
        for position in positions
        if position >= 0 and (effect := timeline.effects[position]).invocation in traces
    }


def _effect(timeline: Timeline, effect: Effect) -> EffectItem:
    item: EffectItem = {
        "n": effect.number,
        "kind": _text(effect.kind),
        "at": _time(timeline, effect.at),
        "trace": effect.invocation,
    }
    if effect.key:
        item["key"] = _text(effect.key)
    if effect.repeated:
        item["repeated"] = True
    if effect.refused:
        item["refused"] = True
    if effect.body:
        item["body"] = _text(effect.body)
    if effect.pod:
        item["pod"] = effect.pod
    if attempt := timeline.attempts.get((effect.pod, effect.attempt)):
        item["attempt"] = attempt.number
    if effect.row:
        item["row"] = row_id(effect.row)
    if effect.outside:
        item["outside"] = True
    return item


def _time(timeline: Timeline, at: float) -> float:
    return round(at - (timeline.began_at or 0.0), 6)


def _failure(failure: tuple[int, str]) -> Failure:
    return failure[0], _text(failure[1], 300)


def _text(text: str, most: int = PREVIEW) -> str:
    """A preview that UTF-8 can carry: half surrogates, which JSON may smuggle in, become question marks."""
    short = text if len(text) <= most else text[: most - 1] + "…"
    return short if short.isascii() else short.encode("utf-8", "replace").decode("utf-8")
