"""Crash points: every frame boundary of a clean run, in every invocation it caused.

A point consists of the role of the invocation ("0" is the root, "0.1" the callee of its command 1), the boundary
before a frame (see `playground.pod.gate`), and a count of such boundaries in that invocation. The count is needed
because an invocation that was suspended starts a second time, and replays everything a second time. Together they
name the same place in every run that takes the same path, whatever the timing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from playground.pod.gate import Boundary, boundary
from playground.recording import Timeline, Trace


@dataclass(frozen=True, slots=True)
class Point:
    """One place for an accident.

    Attributes:
        act: "kill" for the pod, "server" for the server; "fail" or "lose_answer" for what the outside world does; or
            "slow", which is not an accident: the frame is only held.
        role: which invocation of the run; "" for an accident in the outside world.
        where: the boundary, or ("effect", kind, None).
        nth: which boundary or effect of this kind, from 1.
        invocation: the invocation's target, for the reader.
        name: the place in words.
        seconds: how long the frame is held.
    """

    act: str
    role: str
    where: Boundary
    nth: int
    invocation: str
    name: str
    seconds: float = 0.0

    @property
    def accident(self) -> dict[str, Any]:
        """The point as a plan for the ledger (see `playground.ledger.plans`)."""
        if self.where[0] == "effect":
            return {"act": self.act, "effect": self.where[1], "nth": self.nth}
        return {
            "act": self.act,
            "role": self.role,
            "boundary": list(self.where),
            "nth": self.nth,
            "seconds": self.seconds,
        }

    def __str__(self) -> str:
        return f"{self.invocation}: {self.name}"


def frame_points(timeline: Timeline, role_of: Mapping[str, str], act: str) -> list[Point]:
    """Every frame boundary of a recorded run, in order; those of a callee come after its call.

    Args:
        timeline: of a clean run.
        role_of: the role of each invocation of the run.
        act: what is to happen there: "kill" or "server".
    """
    points: dict[str, list[Point]] = {role: [] for role in role_of.values()}
    for invocation, role in role_of.items():
        trace = timeline.invocations[invocation]
        counts: Counter[Boundary] = Counter()
        for event in (event for attempt in trace.attempts for event in attempt.events):
            where = boundary({**event.data, "kind": event.kind})
            if where is None:
                continue
            counts[where] += 1
            name = _name(event.kind, event.data, where, counts[where], trace)
            points[role].append(Point(act, role, where, counts[where], trace.target, name))
    return list(_in_order(points, "0"))


def _in_order(points: Mapping[str, list[Point]], role: str) -> Iterator[Point]:
    """Put the points of invocations that run at the same time in an order that is the same in every run."""
    for point in points[role]:
        yield point
        direction, frame, entry = point.where
        callee = f"{role}.{entry}"
        if direction == "out" and frame in ("Call", "OneWayCall") and callee in points:
            yield from _in_order(points, callee)


def effect_points(timeline: Timeline, role_of: Mapping[str, str]) -> list[Point]:
    """Two points for every effect of a recorded run: it is refused, and its answer is lost."""
    counts: Counter[str] = Counter()
    points = []
    for effect in timeline.effects:
        if effect.invocation not in role_of:
            continue
        counts[effect.kind] += 1
        nth = counts[effect.kind]
        which = f"{effect.kind} {nth}" if nth > 1 else effect.kind
        for act, name in (("fail", "is refused"), ("lose_answer", "happens, its answer is lost")):
            where = ("effect", effect.kind, None)
            target = timeline.invocations[effect.invocation].target
            points.append(Point(act, "", where, nth, target, f"{which} {name}"))
    return points


def _name(kind: str, data: Mapping[str, Any], where: Boundary, nth: int, trace: Trace) -> str:
    direction, frame, entry = where
    row = trace.rows.get(("signal" if "signal" in data and "entry" not in data else "entry", entry))  # type: ignore[arg-type]
    what = str(row) if row is not None else frame
    again = f" ({nth})" if nth > 1 else ""
    if kind == "entry.replayed":
        if nth == 1 and frame == "Input":
            return "before Input is read"
        part = " (result)" if frame.endswith("completion") else " (id)" if frame.endswith("invocation id") else ""
        return f"replaying {what}{part}{again}"
    match direction, frame:
        case "in", "Start":
            return "before it starts" if nth == 1 else f"before it wakes up{again}"
        case "out", "ProposeRunCompletion":
            return f"after the effect of {what}, before its result is journaled"
        case "in", "Run completion" | "ProposeRunCompletionAck":  # from protocol 7 on this only says that it is stored
            return f"after the result of {what} is journaled"
        case "in", "Call invocation id":
            return f"after {what} is journaled"
        case "in", "Signal":
            return f"when {what} is completed"
        case "out", "Suspension":
            return f"before it suspends{again}"
        case "out", "Error":
            return f"before it reports an error{again}"
        case "out", "End":
            return "before it says it is done"
        case "end", _:
            return f"after the attempt's last frame{again}"
    if direction == "in":
        return f"before the result of {what} arrives{again}"
    return f"before {what} is sent{again}"
