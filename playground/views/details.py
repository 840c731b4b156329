"""The details of one entry: whole values, service-protocol frames, its line of source.

The lens asks for them when an entry is selected. The frames are the recording's own events of that
entry, in every attempt, in order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NotRequired, TypedDict

from playground.errors import RecordingError
from playground.recording import Entry, Event, Recording, Timeline, Trace, kinds
from playground.recording.mismatch import explain
from playground.recording.timeline import awakeable_id
from playground.views.actions import Actions
from playground.views.model import row_id

MOST_SAID = 300
AROUND = 2
"""Lines shown before and after the one that asked."""


class Value(TypedDict):
    """A value as the recording has it; `size` of all of it in bytes, `cut` if that is more than is here."""

    text: str
    size: int
    cut: bool


class Frame(TypedDict):
    """One frame of the service protocol, so many seconds after the invocation came; its name has its direction."""

    at: float
    attempt: int
    name: str
    says: str
    size: NotRequired[int]


class Source(TypedDict):
    """The line of a file that asked for an entry, among those around it; `first` is the number of the first of them."""

    revision: str
    file: str
    line: int
    first: int
    lines: list[str]


_In = TypedDict("_In", {"in": Value}, total=False)


class Details(_In):
    """All that is known of an entry."""

    frames: list[Frame]
    out: NotRequired[Value]
    awakeable: NotRequired[str]
    source: NotRequired[Source]
    mismatch: NotRequired[str]


def details(recording: Recording, invocation: str, row: str) -> Details | None:
    """All that is known of an entry, JSON-able; None if there is no such entry.

    Args:
        row: the entry's row as the model names it: "e0", "s17".
    """
    with recording.lock:
        timeline = recording.timeline
        trace = timeline.invocations.get(invocation)
        entry = next((e for e in trace.entries if row_id(e.row) == row), None) if trace else None
        if trace is None or entry is None:
            return None
        frames = _frames(trace)
        return _details(timeline, trace, entry, frames.get(row, []))


def all_details(recording: Recording, traces: Iterable[Trace]) -> dict[str, Details]:
    """The details of every entry of these invocations, by the model's entry id."""
    found = {}
    with recording.lock:
        for trace in traces:
            frames = _frames(trace)
            for entry in trace.entries:
                row = row_id(entry.row)
                found[f"{trace.id}/{row}"] = _details(recording.timeline, trace, entry, frames.get(row, []))
    return found


def _details(timeline: Timeline, trace: Trace, entry: Entry, frames: list[Frame]) -> Details:
    told: Details = {"frames": frames}
    if entry.value is not None:
        told["in"] = _value(entry.value, entry.size)
    if entry.result is not None:
        told["out"] = _value(entry.result, entry.result_size)
    if entry.type == "Awakeable" and trace.raw_id:
        told["awakeable"] = awakeable_id(trace.raw_id, int(entry.row[1]))
    explained = [each for attempt in trace.attempts if (each := explain(timeline, trace, attempt))]
    if why := [str(each) for each in explained if ("entry", each.index) == entry.row]:
        told["mismatch"] = why[-1]
    if source := _source(timeline, trace, entry):
        told["source"] = source
    return told


def _value(text: str, size: int) -> Value:
    clean = text.encode("utf-8", "replace").decode("utf-8")
    return {"text": clean, "size": size, "cut": len(text.encode("utf-8", "replace")) < size}


def _source(timeline: Timeline, trace: Trace, entry: Entry) -> Source | None:
    """The line that asked for an entry in the latest attempt that came to it, and those around it."""
    attempt = next((each for each in reversed(trace.attempts) if entry.row in each.asked_at), None)
    revision = timeline.revisions.get(attempt.revision) if attempt else None
    if attempt is None or revision is None:
        return None
    lines, (file, line) = revision.source.splitlines(), attempt.asked_at[entry.row]
    first = max(1, line - AROUND)
    return {
        "revision": revision.name,
        "file": file,
        "line": line,
        "first": first,
        "lines": lines[first - 1 : line + AROUND],
    }


def _frames(trace: Trace) -> dict[str, list[Frame]]:
    """By row: the frames that concern it, in every attempt."""
    found: dict[str, list[Frame]] = {}
    for attempt in trace.attempts:
        for event in attempt.events[1:]:  # the first only says that it starts
            for row in _rows(event):
                found.setdefault(row, []).append(_frame(event, attempt.number, trace))
    return found


def _rows(event: Event) -> list[str]:
    match event:
        case kinds.OfEntry() | kinds.AttemptFailed() if event.entry is not None:
            return [f"e{event.entry}"]
        case kinds.OfEntry() if event.signal is not None:
            return [f"s{event.signal}"]
        case kinds.AttemptSuspended() | kinds.AttemptAwaiting():
            return [f"e{entry}" for entry in event.entries] + [f"s{signal}" for signal in event.signals]
    return []


def _frame(event: Event, attempt: int, trace: Trace) -> Frame:
    """What one frame said, and whether it came from the server or from the pod."""
    data = event.data
    to_pod = isinstance(event, kinds.EntryReplayed | kinds.EntryCompleted)
    name = str(data.get("type") or event.kind.partition(".")[2])
    replayed = " (replayed)" if isinstance(event, kinds.EntryReplayed) else ""
    said = ", ".join(f"{key}: {value}" for key, value in data.items() if key not in ("pod", "attempt", "type", "entry"))
    frame: Frame = {
        "at": round(event.at - (trace.sent_at or trace.attempts[0].started_at), 6),
        "attempt": attempt,
        "name": f"{'←' if to_pod else '→'} {name}{replayed}",
        "says": said[:MOST_SAID].encode("utf-8", "replace").decode("utf-8"),
    }
    if "size" in data:
        frame["size"] = data["size"]
    return frame


def whole_value(actions: Actions, invocation: str, row: str, side: str) -> str:
    """A value an event carries only the beginning of, whole, from Restate's journal.

    Args:
        side: "in" or "out".

    Raises:
        RequestError: the server does not answer.
        RecordingError: the journal does not hold it (any more).
    """
    entries = actions.invocation(invocation).read_journal()
    commands = [entry for entry in entries if entry["type"].startswith("Command")]
    found = None
    if row.startswith("e") and int(row[1:]) < len(commands):
        found = commands[int(row[1:])]
        if side == "out" and found["type"] != "Command: Output":
            done = [entry for entry in entries if entry["type"].startswith("Notification")]
            found = next((e for e in done if "completion" in e and e["completion"] == found.get("completion")), None)
    elif row.startswith("s"):
        found = next((entry for entry in entries if str(entry.get("signal")) == row[1:]), None)
    if found is None or "value" not in found:
        raise RecordingError(
            "The whole value is not there.",
            "Restate's server keeps a journal for a while after the end.",
            "inv.journal",
        )
    return str(found["value"])
