"""The grid's model: an atlas as plain values and one table of rows, for the page and for the picture.

A row is one run: where its accidents were, and what came of it, column by column. A cell is [sign, tone,
text]. Signs are shapes that the page and the picture draw each in its own way; the tone says whether it is
as in a clean run ("good"), otherwise ("bad", "stuck"), or says nothing ("quiet"); a count that is not as in
a clean run has an exclamation mark.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict

from playground.core.text import plural, times
from playground.views.messages import Picture
from playground.views.panels.panel import plain
from playground.views.text import atlas_steps

if TYPE_CHECKING:
    from playground.atlas import Atlas, Outcome, Point
    from playground.atlas.outcome import Result

Sign = Literal["right", "wrong", "failed", "stuck", "unknown", "differs", "never", "once", "twice", "often"]
Tone = Literal["good", "bad", "stuck", "quiet"]
Cell = tuple[Sign, Tone, str]


class RunRow(TypedDict):
    """One run.

    `group` is the invocation it crashed in, `level` how deep that was called; `places` has one per accident, `cells`
    one per column after the first. `reasons` are all that is otherwise than in a clean run: what, and a text.
    """

    group: str
    level: int
    places: list[str]
    cells: list[Cell]
    reasons: list[tuple[str, str]]
    deviates: bool


class AtlasValues(TypedDict):
    """Of all runs.

    `verdicts` each with whether it holds; `notes`: what they rest on, a line each; `columns` each with what is usual
    in it. The first column is the place.
    """

    title: str
    summary: str
    verdicts: list[tuple[str, bool]]
    notes: list[str]
    columns: list[tuple[str, str]]


class AtlasTables(TypedDict):
    """Runs by their position."""

    rows: dict[str, RunRow]


AtlasPicture = Picture[AtlasValues, AtlasTables]


class Gap(NamedTuple):
    """Rows left out: how many, and how many of them deviate."""

    rows: int
    deviating: int


LONG = 2000
"""Characters of a detail."""
_ACCIDENTS = {"pod": "a pod killed", "server": "the Restate server killed", "ledger": "the outside world misbehaving"}
_RESULTS: dict[Result, tuple[Sign, Tone]] = {
    "right": ("right", "good"),
    "wrong": ("wrong", "bad"),
    "failed": ("failed", "bad"),
    "stuck": ("stuck", "stuck"),
    "mismatch": ("wrong", "bad"),
    "not reached": ("unknown", "quiet"),
}
_REASONS = {
    "wrong": "wrong result",
    "failed": "failed",
    "stuck": "stuck on",
    "mismatch": "mismatch",
    "not reached": "not reached",
}
_COUNTS: tuple[Sign, ...] = ("never", "once", "twice", "often")


def picture(atlas: Atlas) -> AtlasPicture:
    """All there is to show of an atlas, JSON-able."""
    kinds = sorted({kind for outcome in atlas.outcomes for kind in outcome.effects})
    expected = {kind: max(outcome.expected.get(kind, 0) for outcome in atlas.outcomes) for kind in kinds}
    place = "what goes wrong outside" if atlas.target == "ledger" else "crashed"
    values: AtlasValues = {
        "title": _short(f"Crash atlas of {atlas.request}"),
        "summary": summary(atlas),
        "verdicts": verdicts(atlas),
        "notes": [_short(line) for line in atlas.rests_on],
        "columns": [
            *((place, ""), ("result", ""), ("state", "")),
            *((_short(kind), f"clean run: {times(expected[kind])}") for kind in kinds),
            *([("steps", "")] if atlas.observed_steps else []),
        ],
    }
    rows = {str(number): _row(outcome, expected, atlas) for number, outcome in enumerate(atlas.outcomes)}
    return {"values": values, "tables": {"rows": rows}}


def verdicts(atlas: Atlas) -> list[tuple[str, bool]]:
    """What one wants to know of an atlas: in words, and whether it holds in every run that says anything."""
    reached = [outcome for outcome in atlas.outcomes if outcome.reached]
    if not reached:
        return [("nothing was observed", False)]
    counted = {"right result and state": sum(not outcome.right for outcome in reached)}
    if atlas.observed_effects:
        counted["every effect at least once"] = sum(not outcome.at_least_once for outcome in reached)
        counted["every effect exactly once"] = sum(not outcome.exactly_once for outcome in reached)
    elif atlas.observed_steps:
        counted["every step once"] = sum(not outcome.steps_once for outcome in reached)
    found = [(f"{name}: not at {broken}" if broken else name, not broken) for name, broken in counted.items()]
    if atlas.basis.mismatches:
        found.append(("not the same way at every attempt, without any crash", False))
    return found


def summary(atlas: Atlas) -> str:
    """In one sentence: how many points, what happened at each, and what came of it."""
    reached = [outcome for outcome in atlas.outcomes if outcome.reached]
    parts = [f"result {_counted(outcome.result for outcome in atlas.outcomes)}"]
    if reached:
        parts.append(f"state {_counted('differs' if outcome.state_diff else 'right' for outcome in reached)}")
    for kind in sorted({kind for outcome in reached for kind in outcome.effects}):
        parts.append(f"{_short(kind)} {_counted(times(outcome.effects.get(kind, 0)) for outcome in reached)}")
    if any(outcome.steps for outcome in reached):
        parts.append(f"steps {_counted(atlas_steps(outcome) for outcome in reached)}")
    return f"{_scope(atlas)}: {'; '.join(parts)}" if atlas.outcomes else "no points: nothing was swept"


def _scope(atlas: Atlas) -> str:
    depth = max((len(outcome.points) for outcome in atlas.outcomes), default=1)
    runs, possible = len(atlas.outcomes), math.comb(len(atlas.points), depth)
    what = _points(runs, depth) if runs >= possible else f"{runs} of {_points(possible, depth)}, drawn by lot"
    return f"{what}, {_ACCIDENTS.get(atlas.target, 'an accident')} at {'each' if depth == 1 else 'both'}"


def _points(count: int, depth: int) -> str:
    return plural(count, "point") if depth == 1 else f"{plural(count, 'pair')} of points"


def _counted(words: Iterable[str]) -> str:
    """ "right at 38, stuck at 1": the most frequent first."""
    return ", ".join(f"{word} at {count}" for word, count in Counter(words).most_common())


def _row(outcome: Outcome, expected: dict[str, int], atlas: Atlas) -> RunRow:
    first = outcome.points[0]
    return {
        "group": _short(first.invocation),
        "level": first.role.count("."),
        "places": [_place(point, first) for point in outcome.points],
        "cells": list(_cells(outcome, expected, atlas)),
        "reasons": [(what, _short(text, LONG)) for what, text in _reasons(outcome, expected)],
        "deviates": atlas.deviates(outcome),
    }


def _cells(outcome: Outcome, expected: dict[str, int], atlas: Atlas) -> Iterable[Cell]:
    yield (*_RESULTS[outcome.result], outcome.result)
    yield (
        ("differs", "bad", f"differs ({len(outcome.state_diff)})") if outcome.state_diff else ("right", "good", "right")
    )
    for kind, usual in expected.items():
        count = outcome.effects.get(kind, 0)
        sign, text = _COUNTS[min(count, 3)], times(count)
        good = count == outcome.expected.get(kind, usual)
        yield (sign, "good", text) if good else (sign, "bad", f"{text} !")
    if atlas.observed_steps:
        sign = "once" if outcome.steps_once else "twice"
        # That a step ran twice is no harm in itself: its effect may be the same. It is all there is to see without one.
        bad = not (outcome.steps_once or atlas.observed_effects)
        yield (sign if outcome.steps else "unknown", "bad" if bad else "quiet", atlas_steps(outcome))


def _reasons(outcome: Outcome, expected: dict[str, int]) -> Iterable[tuple[str, str]]:
    if outcome.result in _REASONS:
        yield _REASONS[outcome.result], outcome.detail
    for line in outcome.state_diff:
        yield "state", line
    for kind, usual in expected.items():
        count, usual = outcome.effects.get(kind, 0), outcome.expected.get(kind, usual)
        if count != usual:
            yield _short(kind), f"{times(count)}, and {times(usual)} in a clean run"
    for cause in outcome.twice:
        yield "again", cause
    for step in outcome.ran_twice:
        yield "ran twice", step
    for step in outcome.perhaps_twice:
        yield "may have run twice", step


def _place(point: Point, first: Point) -> str:
    return _short(point.name if point.invocation == first.invocation else f"{point.invocation}: {point.name}")


def _short(text: str, most: int = 200) -> str:
    return plain(text if len(text) <= most else text[: most - 1] + "…")


def excerpt(rows: Sequence[RunRow], most: int) -> list[RunRow | Gap]:
    """The rows worth showing where not all can be, in order: those that deviate before others.

    Args:
        rows: all rows.
        most: how many rows may be shown.
    """
    deviating = [number for number, row in enumerate(rows) if row["deviates"]]
    others = [number for number, row in enumerate(rows) if not row["deviates"]]
    shown = sorted([*deviating[:most], *others[: max(0, most - len(deviating))]])
    found: list[RunRow | Gap] = []
    for before, number in pairwise([-1, *shown, len(rows)]):
        if left_out := rows[before + 1 : number]:
            found.append(Gap(len(left_out), sum(row["deviates"] for row in left_out)))
        if number < len(rows):
            found.append(rows[number])
    return found
