"""What came of a run, held against a clean one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from playground.atlas.fresh import VARIES, fits, mask
from playground.atlas.points import Point

Result = Literal["right", "wrong", "failed", "stuck", "not reached"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a run from outside, without what differs from run to run.

    Attributes:
        value: what it returned.
        failure: the terminal error it ended with, as text; empty if it did not.
        stuck: what it waits for, if it did not end.
        states: state of every object it addressed: "Service/key" -> {name: value}.
        effects: how often each kind of effect happened.
        suspensions: how many attempts were suspended.
        steps: how often each effect happened, by the step that caused it: (kind, target, step) -> count.
    """

    value: Any
    failure: str
    stuck: str
    states: dict[str, Any]
    effects: Counter[str]
    suspensions: int = 0
    steps: Counter[tuple[str, str, str]] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an accident did to a run.

    Attributes:
        points: the accidents it met, in order.
        result: right, wrong, failed (ended with a terminal error), stuck (did not end in time), or
            not reached (the accident did not happen, so this says nothing).
        detail: the result that was wrong, the error, or what it is stuck on.
        state_diff: lines that say how the state differs; empty if it does not.
        effects: kind -> how often it happened; kinds of the clean run are there even if 0.
        expected: kind -> how often it happened in the clean run.
        invocation: the run's invocation id, in the atlas's recording.
        twice: the steps whose effect happened more often than in the clean run.
        crashed: whether the recording shows that the accident happened exactly there.
    """

    points: tuple[Point, ...]
    result: Result
    detail: str
    state_diff: tuple[str, ...]
    effects: dict[str, int]
    expected: dict[str, int]
    invocation: str
    twice: tuple[str, ...] = ()
    crashed: bool = True

    @property
    def right(self) -> bool:
        """Right result and right state; says nothing of effects."""
        return self.result == "right" and not self.state_diff

    @property
    def exactly_once(self) -> bool:
        """Every effect happened exactly as often as in the clean run."""
        return self.effects == self.expected

    @property
    def at_least_once(self) -> bool:
        """Every effect happened at least as often as in the clean run, and none that it has not."""
        return self.effects.keys() == self.expected.keys() and all(
            self.effects[kind] >= count for kind, count in self.expected.items()
        )


def reference(first: Seen, second: Seen) -> Seen:
    """What two clean runs have in common, to hold others against."""
    states = {
        key: mask(first.states[key], second.states.get(key)) if key in second.states else VARIES for key in first.states
    }
    return Seen(
        mask(first.value, second.value),
        first.failure,
        first.stuck,
        states,
        first.effects,
        first.suspensions,
        first.steps,
    )


def judge(expected: Seen, seen: Seen, points: tuple[Point, ...], invocation: str, *, crashed: bool) -> Outcome:
    """Hold a run against the clean one."""
    result, detail = _result(expected, seen)
    if not crashed and result == "right":
        result, detail = "not reached", "the run did not come to this point again"
    kinds = sorted({*expected.effects, *seen.effects})
    return Outcome(
        points=points,
        result=result,
        detail=detail,
        state_diff=tuple(_state_diff(expected.states, seen.states)),
        effects={kind: seen.effects[kind] for kind in kinds},
        expected={kind: expected.effects[kind] for kind in kinds},
        invocation=invocation,
        twice=tuple(
            f"{kind} in {target}, {step or 'outside of any step'}"
            for (kind, target, step), count in sorted(seen.steps.items())
            if count > expected.steps[kind, target, step]
        ),
        crashed=crashed,
    )


def _result(expected: Seen, seen: Seen) -> tuple[Result, str]:
    if seen.stuck:
        return "stuck", seen.stuck
    if seen.failure != expected.failure:
        return "failed" if seen.failure else "wrong", seen.failure or f"it returned {seen.value!r} instead of failing"
    if not fits(expected.value, seen.value):
        return "wrong", f"it returned {seen.value!r} instead of {expected.value!r}"
    return "right", ""


def _state_diff(expected: dict[str, Any], seen: dict[str, Any]) -> list[str]:
    lines = []
    for key in sorted({*expected, *seen}):
        want, have = expected.get(key, {}), seen.get(key, {})
        if want == VARIES:
            continue
        for name in sorted({*want, *have}):
            if name not in have:
                lines.append(f"{key}: {name} is missing")
            elif name not in want:
                lines.append(f"{key}: {name} is {have[name]!r}, and should not be there")
            elif not fits(want[name], have[name]):
                lines.append(f"{key}: {name} is {have[name]!r} instead of {want[name]!r}")
    return lines
