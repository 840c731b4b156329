"""What a run may come to: learned from runs without a crash.

Two runs of a correct handler need not end alike. Times and random numbers differ in every run; of two branches
that race, now one wins and now the other. What clean runs agree on is what every other run is held against. Where
they differ, it depends on how:

* a value that is another in most runs *varies*, and is not compared at all;
* one that takes few values belongs to one of several *legal outcomes*. Result, state and effects of an outcome
  belong together: a run is right if one legal outcome has all of them.

So clean runs are made until they bring nothing new. Still, a crash costs time, and with it the branch that never
wins may win. Whether that is the crash's fault, a *control* tells: a run that is held at the same point for as long
as the crash has cost, and is not killed. What comes of it is legal, too.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from playground.atlas.fresh import VARIES, fits
from playground.atlas.outcome import Seen

LEAST, MORE, MOST = 3, 8, 12
"""Clean runs: so many if they agree; else so many; and so many if the last of those brought something new."""
FEW = 3
"""A value varies if there are more than one in so many."""


class Legal:
    """The legal outcomes of a sweep. Safe from any thread.

    Attributes:
        count: how many runs without a crash it has learned from.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: list[Seen] = []
        self._outcomes: list[Seen] = []
        self._open = False

    @property
    def count(self) -> int:
        """How many runs without a crash it has learned from."""
        return len(self._seen)

    def learn(self, seen: Seen, *, control: bool = False) -> bool:
        """Take in a run without a crash; returns whether it brought a new outcome.

        Args:
            control: it was held somewhere. If that brings something new, there is more than clean runs show.
        """
        with self._lock:
            new = bool(self._seen) and not any(matches(known, seen) for known in self._outcomes)
            self._open = self._open or (control and new)
            self._seen.append(seen)
            alike = _alike(self._seen)
            pattern = varying([_comparable(each) for each in alike], 0 if self._open else FEW)
            masked = [_masked(each, pattern) for each in alike]
            self._outcomes = list({json.dumps(_comparable(each), sort_keys=True): each for each in masked}.values())
            return new

    @property
    def outcomes(self) -> list[Seen]:
        """The legal outcomes, the first seen first; VARIES stands where nothing is compared."""
        with self._lock:
            return list(self._outcomes)

    @property
    def varies(self) -> list[str]:
        """What is not compared, because it varies: "result", "state of Stock/ada", "payment"."""
        found: dict[str, bool] = {}
        for outcome in self.outcomes:
            if _holds_varies(outcome.value):
                found["result"] = True
            found.update({f"state of {key}": True for key, state in outcome.states.items() if _holds_varies(state)})
            found.update({kind: True for kind, count in outcome.effects.items() if count == VARIES})
        return list(found)

    @property
    def suspensions(self) -> int:
        """How often such a run is suspended; on a busy machine one may be more often."""
        return min(seen.suspensions for seen in self._seen)

    @property
    def runs(self) -> list[Seen]:
        """The runs it has learned from."""
        with self._lock:
            return list(self._seen)


def matches(legal: Seen, seen: Seen, *, effects: bool = True, more: bool = False) -> bool:
    """Whether a run came to a legal outcome.

    Args:
        effects: whether its effects are compared, too.
        more: whether those of its kinds may have happened more often.
    """
    if seen.failure != legal.failure or not fits(legal.value, seen.value) or not _same_states(legal, seen):
        return False
    if more:
        usual = legal.effects
        return all(usual.get(kind) for kind, count in seen.effects.items() if count) and all(
            count == VARIES or seen.effects.get(kind, 0) >= count for kind, count in usual.items()
        )
    return not effects or fits(_counts(legal, seen), _counts(seen, legal))


def nearest(outcomes: Sequence[Seen], seen: Seen) -> Seen:
    """The legal outcome that a run is held against: one that it has come to, or one that has most in common."""

    def common(legal: Seen) -> tuple[bool, bool, bool, bool]:
        return (
            matches(legal, seen),
            matches(legal, seen, effects=False),
            legal.failure == seen.failure and fits(legal.value, seen.value),
            _same_states(legal, seen),
        )

    return max(outcomes, key=common)


def varying(values: Sequence[Any], few: int) -> Any:
    """A pattern of what varies in JSON values of one kind: VARIES where it does; elsewhere None, or of its parts.

    Args:
        few: a value varies if there are more than one in so many; 0: if there is more than one.
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


def _masked(seen: Seen, pattern: Any) -> Seen:
    masked: dict[str, Any] = _mask(_comparable(seen), pattern)
    return replace(seen, **masked)


def _comparable(seen: Seen) -> dict[str, Any]:
    return {name: getattr(seen, name) for name in ("value", "failure", "states", "effects")}


def _alike(seen: Sequence[Seen]) -> list[Seen]:
    """Runs that all have the same objects and kinds of effects: what has no state is as if it was not addressed."""
    objects = {key: True for each in seen for key in each.states}
    kinds = {kind: True for each in seen for kind in each.effects}
    return [
        replace(
            each,
            states={key: each.states.get(key, {}) for key in objects},
            effects={kind: each.effects.get(kind, 0) for kind in kinds},
        )
        for each in seen
    ]


def _same_states(legal: Seen, seen: Seen) -> bool:
    objects = {*legal.states, *seen.states}
    return all(fits(legal.states.get(key, {}), seen.states.get(key, {})) for key in objects)


def _counts(one: Seen, other: Seen) -> dict[str, Any]:
    """How often each kind of effect happened, also those that only the other has."""
    return {kind: one.effects.get(kind, 0) for kind in {*one.effects, *other.effects}}


def _holds_varies(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_varies(part) for part in value.values())
    if isinstance(value, list):
        return any(_holds_varies(part) for part in value)
    return bool(value == VARIES)
