"""What a recording drops when it has grown over its limit, oldest first.

What repeats goes first: older readings of a key, older lines of a pod's log, older events that nobody understood.
Then go invocations that have ended, together with everything they called, but never one that somebody may still
wait for. Last go pods that are gone and have nothing left to show. The recording counts what it dropped and says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence

from playground.recording import kinds
from playground.recording.events import Event, Unknown
from playground.recording.timeline import Timeline, parse_awakeable
from playground.recording.trace import Trace

EACH = 700
"""Bytes an event takes with what is folded from it, not counting its texts (`python -m benchmarks memory`)."""
LINES = 500
"""Lines of each pod's log that are kept when the recording is too large."""
UNREAD = 200
"""Events that changed nothing, of which this many are kept."""

_NOT_READ = (Unknown, kinds.NotTaken, kinds.FrameUnknown)
_READINGS = (kinds.StateRead, kinds.QueueRead, kinds.JournalRead, kinds.LedgerFaults)


def weight(event: Event) -> int:
    """About how many bytes an event takes in memory."""
    return EACH + event.length


def lighten(
    events: Sequence[Event], timeline: Timeline, excess: int
) -> tuple[list[int], Counter[str], set[str], set[str]]:
    """Choose what to drop.

    Args:
        events: those of the recording, all folded into the timeline.
        excess: bytes to free.

    Returns:
        The positions to keep, how much is dropped of what, and the invocations and pods that are dropped.
    """
    dropped: Counter[str] = Counter()
    gone = _repeated(events, dropped)
    excess -= sum(weight(events[position]) for position in gone)
    owner = _owners(events, timeline)
    weights: Counter[str] = Counter()
    for position, event in enumerate(events):
        if position not in gone and owner[position]:
            weights[owner[position]] += weight(event)
    invocations: set[str] = set()
    for root, trace in timeline.invocations.items():
        if excess <= 0:
            break
        caller = timeline.invocations.get(trace.parent)
        if root in invocations or (caller is not None and caller.id not in invocations and caller is not trace):
            continue  # it is dropped with its caller
        family = [each.id for each in timeline.family(root) if each.id not in invocations]
        if all(_over(timeline.invocations[each]) for each in family):
            invocations.update(family)
            excess -= sum(weights[each] for each in family)
    dropped["invocations"] += len(invocations)
    used = {a.pod for t in timeline.invocations.values() if t.id not in invocations for a in t.attempts}
    pods = {pod.name for pod in timeline.pods.values() if not pod.alive and pod.name not in used}
    pods = pods if invocations else set()
    dropped["pods"] += len(pods)
    kept = [
        position
        for position, event in enumerate(events)
        if not (
            position in gone
            or owner[position] in invocations
            or (isinstance(event, kinds.OfPod) and event.pod in pods and not isinstance(event, kinds.OfAttempt))
        )
    ]
    dropped["events"] = len(events) - len(kept)
    return kept, +dropped, invocations, pods


def _repeated(events: Sequence[Event], dropped: Counter[str]) -> set[int]:
    """Positions of events that later ones of the same kind have made redundant."""
    gone: set[int] = set()
    counts: Counter[Hashable] = Counter()
    for position in range(len(events) - 1, -1, -1):
        event = events[position]
        for kind, most, name, whose in _RULES:
            if isinstance(event, kind):
                counts[whose(event)] += 1
                if counts[whose(event)] > most:
                    gone.add(position)
                    dropped[name] += 1
                break
    return gone


def _whose(event: Event) -> Hashable:
    match event:
        case kinds.OfKey():
            return event.kind, event.service, event.key
        case kinds.JournalRead():
            return event.kind, event.invocation
        case kinds.LedgerFaults():
            return event.kind, event.effect
    return event.kind


_RULES: tuple[tuple[type[Event] | tuple[type[Event], ...], int, str, Callable[[Event], Hashable]], ...] = (
    (kinds.PodLog, LINES, "lines", lambda event: getattr(event, "pod", "")),
    (_NOT_READ, UNREAD, "unread", lambda _: "unread"),
    (_READINGS, 1, "readings", _whose),
)


def _owners(events: Sequence[Event], timeline: Timeline) -> list[str]:
    """The invocation each event belongs to; empty if it belongs to none."""
    streams: dict[tuple[str, int], str] = {}
    raw = {trace.raw_id: trace.id for trace in timeline.invocations.values() if trace.raw_id}
    for event in events:
        if isinstance(event, kinds.AttemptStarted):
            streams[event.pod, event.attempt] = event.invocation

    def owner(event: Event) -> str:
        match event:
            case kinds.OfInvocation():
                return event.invocation
            case kinds.OfAttempt() | kinds.OfEffect():
                return streams.get((event.pod, event.attempt), "")
            case kinds.AwakeableCompleted():
                return raw.get(parse_awakeable(event.awakeable)[0], "")
        return ""

    return [owner(event) for event in events]


def _over(trace: Trace) -> bool:
    return trace.done and all(attempt.ended_at is not None for attempt in trace.attempts)
