"""What came of a run, held against what runs without a crash come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from playground.atlas.fresh import VARIES, fits
from playground.atlas.points import Point
from playground.atlas.steps import Step

THROUGH_INGRESS = ", through the ingress"
"""Ends the kind of an effect that is a call of a handler by another's HTTP client."""

Result = Literal["right", "wrong", "failed", "stuck", "mismatch", "not reached"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a run from outside, without what differs from run to run.

    Attributes:
        value: what it returned.
        failure: the terminal error it ended with, as text; empty if it did not.
        stuck: what it waits for, if it did not end.
        states: state of every object it addressed: "Service/key" -> {name: value}.
        effects: how often each kind of effect happened; in a legal outcome also VARIES.
        suspensions: how many attempts were suspended.
        causes: how often each effect happened, by the step that caused it: (kind, target, step) -> count.
        steps: every step, and how often it ran.
        mismatches: invocations of which an attempt did not fit the journal.
        scheduled: what is to happen later, and so was not waited for.
        counted: the kinds of effects that `effects=` has counted.
        refused: why the result is not one that `accept=` accepts; empty if it is.
    """

    value: Any
    failure: str
    stuck: str
    states: dict[str, Any]
    effects: dict[str, Any]
    suspensions: int = 0
    causes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    steps: tuple[Step, ...] = ()
    mismatches: tuple[str, ...] = ()
    scheduled: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an accident did to a run.

    Attributes:
        points: the accidents it met, in order.
        result: right, wrong, failed (ended with a terminal error), stuck (did not end in time), mismatch (an
            attempt did not fit the journal, whatever came of it later), or not reached (the accident did not
            happen, so this says nothing).
        detail: the result that was wrong, the error, or what it is stuck on.
        state_diff: lines that say how the state differs; empty if it does not.
        effects: kind -> how often it happened; kinds of the clean run are there even if 0.
        expected: kind -> how often it happens in such a run without a crash.
        invocation: the run's invocation id, in the atlas's recording.
        twice: what caused effects that happened more often than in such a run.
        crashed: whether the recording shows that the accident happened exactly there.
        ran_twice: the steps whose function came to its end more often than once.
        perhaps_twice: the steps whose function began more often than once, and was cut off.
        steps: how many steps were seen.
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
    ran_twice: tuple[str, ...] = ()
    perhaps_twice: tuple[str, ...] = ()
    steps: int = 0

    @property
    def right(self) -> bool:
        """Right result and right state; says nothing of effects."""
        return self.result == "right" and not self.state_diff

    @property
    def reached(self) -> bool:
        """Whether it says anything: the accident happened."""
        return self.result != "not reached"

    @property
    def exactly_once(self) -> bool:
        """Every effect happened exactly as often as in a run without a crash."""
        return self.effects == self.expected

    @property
    def at_least_once(self) -> bool:
        """Every effect happened at least as often as in a run without a crash."""
        return all(self.effects[kind] >= count for kind, count in self.expected.items())

    @property
    def steps_once(self) -> bool:
        """The function of every step ran once."""
        return not (self.ran_twice or self.perhaps_twice)


def judge(
    expected: Seen,
    seen: Seen,
    points: tuple[Point, ...],
    invocation: str,
    *,
    crashed: bool,
    usual: Mapping[tuple[str, str], int] | None = None,
) -> Outcome:
    """Hold a run against a legal outcome.

    Args:
        usual: how often a step runs without a crash, at the most, if that is more than once: (target, name) -> count.
    """
    result, detail = _result(expected, seen)
    if not crashed and result == "right":
        result, detail = "not reached", "the run did not come to this point again"
    kinds = sorted({*expected.effects, *seen.effects})
    effects = {kind: seen.effects.get(kind, 0) for kind in kinds}
    told = {kind: expected.effects.get(kind, 0) for kind in kinds}
    again = [step for step in seen.steps if step.begun > (usual or {}).get((step.target, step.name), 1)]
    return Outcome(
        points=points,
        result=result,
        detail=detail,
        state_diff=tuple(_state_diff(expected.states, seen.states)),
        effects=effects,
        expected={kind: effects[kind] if count == VARIES else count for kind, count in told.items()},
        invocation=invocation,
        twice=tuple(
            f"{kind} in {target}, {step or 'outside of any step'}"
            for (kind, target, step), count in sorted(seen.causes.items())
            if count > expected.causes[kind, target, step] and told[kind] != VARIES and effects[kind] > told[kind]
        ),
        crashed=crashed,
        ran_twice=tuple(str(step) for step in again if step.returned > 1),
        perhaps_twice=tuple(str(step) for step in again if step.returned <= 1),
        steps=len(seen.steps),
    )


def _result(expected: Seen, seen: Seen) -> tuple[Result, str]:
    if seen.stuck:
        return "stuck", seen.stuck
    if seen.mismatches:
        told = f"an attempt of {', '.join(seen.mismatches)} did not fit the journal (570), though a later one did"
        wrong = _compared(expected, seen)[1]
        return "mismatch", f"{told}; {wrong}" if wrong else told
    return _compared(expected, seen)


def _compared(expected: Seen, seen: Seen) -> tuple[Result, str]:
    if seen.refused:
        return "wrong", seen.refused
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
