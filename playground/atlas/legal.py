"""The legal outcomes of a run, learned from runs without a crash.

Two runs of a correct handler need not end alike. Times and random numbers differ in every run, and if two branches
race, either may win. Where clean runs agree, every other run must agree too. Where they differ, it depends on how:

* A value that differs in most runs *varies*, and is not compared at all.
* A value that takes only a few forms belongs to one of several *legal outcomes*. The result, state and effects of an
  outcome belong together: a run is right if it matches all of them in one legal outcome.

So clean runs are made until they show nothing new. But a crash costs time, and with that delay a branch may win that
never wins otherwise. A *control* tells whether that is so: a run that is held at the same point for as long as the
crash took, but not killed. Its outcome is legal too.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from playground.atlas.normalize import VARIES, fits
from playground.atlas.outcome import Observed

LEAST, MORE, MOST = 3, 8, 12
"""The number of clean runs: LEAST if they agree, else MORE; and MOST if the latest ones showed something new."""
FEW = 3
"""A value varies if it takes more than one form per FEW runs."""


class Legal:
    """The legal outcomes of a sweep. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: list[Observed] = []
        self._outcomes: list[Observed] = []
        self._open = False

    @property
    def count(self) -> int:
        """How many runs without a crash it has learned from."""
        return len(self._runs)

    def learn(self, observed: Observed, *, control: bool = False) -> bool:
        """Learn from a run without a crash. Returns whether its outcome is new.

        Args:
            control: whether it is a control. If its outcome is new, clean runs do not show all there is.
        """
        with self._lock:
            new = bool(self._runs) and not any(matches(known, observed) for known in self._outcomes)
            self._open = self._open or (control and new)
            self._runs.append(observed)
            alike = _alike(self._runs)
            pattern = varying([_comparable(each) for each in alike], 0 if self._open else FEW)
            masked = [_masked(each, pattern) for each in alike]
            self._outcomes = list({json.dumps(_comparable(each), sort_keys=True): each for each in masked}.values())
            return new

    @property
    def outcomes(self) -> list[Observed]:
        """The legal outcomes, in the order they were first observed. Whatever is not compared is VARIES."""
        with self._lock:
            return list(self._outcomes)

    @property
    def varies(self) -> list[str]:
        """What is not compared because it varies: "result", "state of Stock/ada", "payment"."""
        names: dict[str, bool] = {}
        for outcome in self.outcomes:
            if _holds_varies(outcome.value):
                names["result"] = True
            names.update({f"state of {key}": True for key, state in outcome.states.items() if _holds_varies(state)})
            names.update({kind: True for kind, count in outcome.effects.items() if count == VARIES})
        return list(names)

    @property
    def suspensions(self) -> int:
        """How often a clean run is suspended at least; on a busy machine it may be more often."""
        return min(observed.suspensions for observed in self._runs)

    @property
    def runs(self) -> list[Observed]:
        """The observed runs that it has learned from."""
        with self._lock:
            return list(self._runs)


def matches(legal: Observed, observed: Observed, *, effects: bool = True, more: bool = False) -> bool:
    """Whether a run matches a legal outcome.

    Args:
        effects: whether to compare its effects too.
        more: whether effects of the same kinds may have happened more often.
    """
    if observed.failure != legal.failure or not fits(legal.value, observed.value) or not _same_states(legal, observed):
        return False
    if more:
        usual = legal.effects
        return all(usual.get(kind) for kind, count in observed.effects.items() if count) and all(
            count == VARIES or observed.effects.get(kind, 0) >= count for kind, count in usual.items()
        )
    return not effects or fits(_counts(legal, observed), _counts(observed, legal))


def nearest(outcomes: Sequence[Observed], observed: Observed) -> Observed:
    """The legal outcome to compare a run with: one that it matches, or else the one that has most in common with it."""

    def common(legal: Observed) -> tuple[bool, bool, bool, bool]:
        return (
            matches(legal, observed),
            matches(legal, observed, effects=False),
            legal.failure == observed.failure and fits(legal.value, observed.value),
            _same_states(legal, observed),
        )

    return max(outcomes, key=common)


def varying(values: Sequence[Any], few: int) -> Any:
    """A pattern of what varies in JSON values that have the same place: VARIES, None, or the patterns of their parts.

    Args:
        few: a value varies if it takes more than one form per `few` values; with 0, if it takes more than one form.
    """
    if all(isinstance(value, dict) and value.keys() == values[0].keys() for value in values):
        return {name: varying([value[name] for value in values], few) for name in values[0]}
    if all(isinstance(value, list) and len(value) == len(values[0]) for value in values):
        return [varying([value[n] for value in values], few) for n in range(len(values[0]))]
    distinct = len({json.dumps(value, sort_keys=True) for value in values})
    if distinct > 1 and (few == 0 or distinct * few > len(values)):
        return VARIES
    return None


def _mask(value: Any, pattern: Any) -> Any:
    if pattern == VARIES:
        return VARIES
    if isinstance(pattern, dict):
        return {name: _mask(value[name], pattern[name]) for name in value}
    if isinstance(pattern, list):
        return [_mask(part, each) for part, each in zip(value, pattern, strict=True)]
    return value


def _masked(observed: Observed, pattern: Any) -> Observed:
    masked: dict[str, Any] = _mask(_comparable(observed), pattern)
    return replace(observed, **masked)


def _comparable(observed: Observed) -> dict[str, Any]:
    return {name: getattr(observed, name) for name in ("value", "failure", "states", "effects")}


def _alike(observed: Sequence[Observed]) -> list[Observed]:
    """The same runs, all with the same objects and kinds of effects: an object that was not addressed has no state."""
    objects = {key: True for each in observed for key in each.states}
    kinds = {kind: True for each in observed for kind in each.effects}
    return [
        replace(
            each,
            states={key: each.states.get(key, {}) for key in objects},
            effects={kind: each.effects.get(kind, 0) for kind in kinds},
        )
        for each in observed
    ]


def _same_states(legal: Observed, observed: Observed) -> bool:
    objects = {*legal.states, *observed.states}
    return all(fits(legal.states.get(key, {}), observed.states.get(key, {})) for key in objects)


def _counts(one: Observed, other: Observed) -> dict[str, Any]:
    """How often each kind of effect happened, including kinds that only the other run has."""
    return {kind: one.effects.get(kind, 0) for kind in {*one.effects, *other.effects}}


def _holds_varies(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_varies(part) for part in value.values())
    if isinstance(value, list):
        return any(_holds_varies(part) for part in value)
    return bool(value == VARIES)
