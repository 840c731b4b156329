"""The grid's model: an atlas as plain values and one table of rows, for the page and for the picture.

A row is one run: where its accidents were, and what came of it, column by column. What a clean run does is
in `values`, once: a count is told as it is, and is out of the ordinary if it is another one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from playground.views.live import Picture
from playground.views.panels.panel import plain
from playground.views.text import plural
from playground.views.words import times

if TYPE_CHECKING:
    from playground.atlas import Atlas, Outcome, Point

Item = dict[str, Any]

LONG = 2000
"""Characters of a detail."""
_ACCIDENTS = {"pod": "a pod killed", "server": "the Restate server killed", "ledger": "the outside world misbehaving"}


def picture(atlas: Atlas) -> Picture:
    """All there is to show of an atlas, JSON-able.

    `values`: title, summary, verdicts ([name, runs for which it does not hold]), kinds (of effects),
    expected (counts in a clean run). `rows`, by position: group (the invocation), level (how deep it was
    called), places (one per accident), result, detail, diff (of the state), counts, twice (steps whose
    effect happened more often), deviates.
    """
    kinds = sorted({kind for outcome in atlas.outcomes for kind in outcome.effects})
    expected = [max((o.expected.get(kind, 0) for o in atlas.outcomes), default=0) for kind in kinds]
    broken = {id(outcome) for outcome in atlas.broken(effects="exactly_once")}
    rows: dict[str, Item | None] = {
        str(number): _row(outcome, kinds, id(outcome) in broken) for number, outcome in enumerate(atlas.outcomes)
    }
    values = {
        "title": _short(f"Crash atlas of {atlas.request}"),
        "summary": summary(atlas),
        "verdicts": verdicts(atlas),
        "kinds": [_short(kind) for kind in kinds],
        "expected": expected,
    }
    return {"values": values, "tables": {"rows": rows}}


def verdicts(atlas: Atlas) -> list[tuple[str, int]]:
    """What can be asked of an atlas with `holds`, and the number of runs for which it does not hold."""
    return [
        ("right result and state", len(atlas.broken())),
        ("every effect at least once", len(atlas.broken(effects="at_least_once"))),
        ("every effect exactly once", len(atlas.broken(effects="exactly_once"))),
    ]


def summary(atlas: Atlas) -> str:
    """In one sentence: how many points, what happened at each, and what came of it."""
    reached = [outcome for outcome in atlas.outcomes if outcome.result != "not reached"]
    parts = [f"result {_counted(outcome.result for outcome in atlas.outcomes)}"]
    if reached:
        parts.append(f"state {_counted('differs' if outcome.state_diff else 'right' for outcome in reached)}")
    for kind in sorted({kind for outcome in reached for kind in outcome.effects}):
        counts = Counter(outcome.effects.get(kind, 0) for outcome in reached)
        told = ", ".join(f"{times(count)} at {many}" for count, many in sorted(counts.items(), key=lambda each: -each[1]))
        parts.append(f"{_short(kind)} {told}")
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


def _row(outcome: Outcome, kinds: Sequence[str], deviates: bool) -> Item:
    first = outcome.points[0]
    return {
        "group": _short(first.invocation),
        "level": first.role.count("."),
        "places": [_place(point, first) for point in outcome.points],
        "result": outcome.result,
        "detail": _short(outcome.detail, LONG),
        "diff": [_short(line, LONG) for line in outcome.state_diff],
        "counts": [outcome.effects.get(kind, 0) for kind in kinds],
        "twice": [_short(step) for step in outcome.twice],
        "deviates": deviates,
    }


def _place(point: Point, first: Point) -> str:
    return _short(point.name if point.invocation == first.invocation else f"{point.invocation}: {point.name}")


def _short(text: str, most: int = 200) -> str:
    return plain(text if len(text) <= most else text[: most - 1] + "…")


def excerpt(rows: Sequence[Item], most: int) -> list[Item | int]:
    """The rows worth showing where not all can be, in order: those that deviate before others.

    Args:
        rows: all rows.
        most: how many rows may be shown.

    Returns:
        rows, and for each gap the number of rows left out there.
    """
    deviating = [number for number, row in enumerate(rows) if row["deviates"]]
    others = [number for number, row in enumerate(rows) if not row["deviates"]]
    shown = sorted([*deviating[:most], *others[: max(0, most - len(deviating))]])
    found: list[Item | int] = []
    before = -1
    for number in [*shown, len(rows)]:
        if number - before > 1:
            found.append(number - before - 1)
        if number < len(rows):
            found.append(rows[number])
        before = number
    return found
