"""What came of a run, compared with runs without a crash."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from playground.atlas.normalize import VARIES, fits
from playground.atlas.points import Point
from playground.atlas.steps import Step

THROUGH_INGRESS = ", through the ingress"
"""The ending of an effect's kind if the effect is a handler called by the HTTP client of another."""

Result = Literal["right", "wrong", "failed", "stuck", "mismatch", "not reached"]


@dataclass(frozen=True, slots=True)
class Observed:
    """What was observed of a run from outside, without anything that differs from run to run.

    Attributes:
        value: what it returned.
        failure: the terminal error it ended with, as text; empty if it did not.
        stuck: what it waits for, if it did not end.
        states: the state of every object that it addressed: "Service/key" -> {name: value}.
        effects: how often each kind of effect happened; in a legal outcome this may be VARIES.
        suspensions: how many attempts were suspended.
        causes: how often each step caused each kind of effect: (kind, target, step) -> count.
        steps: every step, and how often it ran.
        mismatches: invocations with an attempt that did not fit the journal.
        scheduled: what will happen later, and so was not waited for.
        counted: the kinds of effects that `effects=` counted.
        refused: why `accept=` does not accept the result; empty if it does.
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
        result: right, wrong, failed (it ended with a terminal error), stuck (it did not end in time), mismatch (an
            attempt did not fit the journal, even if a later one did), or not reached (the accident did not
            happen, so this outcome says nothing).
        detail: the wrong result, the error, or what it is stuck on.
        state_diff: lines that say how the state differs; empty if it does not.
        effects: kind -> how often it happened, including 0 for kinds that only the clean run has.
        expected: kind -> how often it happens without a crash.
        invocation: the run's invocation id in the atlas's recording.
        twice: what caused the effects that happened more often than expected.
        crashed: whether the recording shows the accident at exactly this point.
        ran_twice: the steps whose function finished more than once.
        perhaps_twice: the steps whose function began more than once, and was cut off.
        steps: how many steps were observed.
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
        """Whether result and state are right; effects do not count."""
        return self.result == "right" and not self.state_diff

    @property
    def reached(self) -> bool:
        """Whether the accident happened, so that the outcome says something."""
        return self.result != "not reached"

    @property
    def exactly_once(self) -> bool:
        """Whether every effect happened exactly as often as without a crash."""
        return self.effects == self.expected

    @property
    def at_least_once(self) -> bool:
        """Whether every effect happened at least as often as without a crash."""
        return all(self.effects[kind] >= count for kind, count in self.expected.items())

    @property
    def steps_once(self) -> bool:
        """Whether the function of every step ran once."""
        return not (self.ran_twice or self.perhaps_twice)


def judge(
    expected: Observed,
    observed: Observed,
    points: tuple[Point, ...],
    invocation: str,
    *,
    crashed: bool,
    usual: Mapping[tuple[str, str], int] | None = None,
) -> Outcome:
    """Compare a run with a legal outcome.

    Args:
        usual: how often a step may run without a crash, if more than once: (target, name) -> count.
    """
    result, detail = _result(expected, observed)
    if not crashed and result == "right":
        result, detail = "not reached", "the run did not reach this point again"
    kinds = sorted({*expected.effects, *observed.effects})
    effects = {kind: observed.effects.get(kind, 0) for kind in kinds}
    legal = {kind: expected.effects.get(kind, 0) for kind in kinds}
    again = [step for step in observed.steps if step.begun > (usual or {}).get((step.target, step.name), 1)]
    return Outcome(
        points=points,
        result=result,
        detail=detail,
        state_diff=tuple(_state_diff(expected.states, observed.states)),
        effects=effects,
        expected={kind: effects[kind] if count == VARIES else count for kind, count in legal.items()},
        invocation=invocation,
        twice=tuple(
            f"{kind} in {target}, {step or 'outside of any step'}"
            for (kind, target, step), count in sorted(observed.causes.items())
            if count > expected.causes[kind, target, step] and legal[kind] != VARIES and effects[kind] > legal[kind]
        ),
        crashed=crashed,
        ran_twice=tuple(str(step) for step in again if step.returned > 1),
        perhaps_twice=tuple(str(step) for step in again if step.returned <= 1),
        steps=len(observed.steps),
    )


def _result(expected: Observed, observed: Observed) -> tuple[Result, str]:
    if observed.stuck:
        return "stuck", observed.stuck
    if observed.mismatches:
        mismatch = (
            f"an attempt of {', '.join(observed.mismatches)} did not fit the journal (570), though a later one did"
        )
        wrong = _compared(expected, observed)[1]
        return "mismatch", f"{mismatch}; {wrong}" if wrong else mismatch
    return _compared(expected, observed)


def _compared(expected: Observed, observed: Observed) -> tuple[Result, str]:
    if observed.refused:
        return "wrong", observed.refused
    if observed.failure != expected.failure:
        if observed.failure:
            return "failed", observed.failure
        return "wrong", f"it returned {observed.value!r} instead of failing"
    if not fits(expected.value, observed.value):
        return "wrong", f"it returned {observed.value!r} instead of {expected.value!r}"
    return "right", ""


def _state_diff(expected: dict[str, Any], observed: dict[str, Any]) -> list[str]:
    lines = []
    for key in sorted({*expected, *observed}):
        want, have = expected.get(key, {}), observed.get(key, {})
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
