"""Where things go in a picture of an invocation: the time axis and the lanes of pods.

The axis gives every gap between two moments at which something happened a width of its own: at least a
little, so that one step can be told from the next, and ever less for longer ones, so that thirty seconds
of waiting do not push everything else aside. What an axis label says is the true time.

`static/layout.js` does the same for the widget, moment by moment; a test holds the two together.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from playground.views.model import AttemptItem, EntryItem, LensPicture, LensPod

GRAIN, LEAST, LONG, ROOM = 0.002, 0.5, 6.0, 2.4
MOST_POINTS = 2000
FULL = 60.0


def gap_units(seconds: float) -> float:
    """How wide a gap is drawn, in units."""
    if seconds < 2e-5:
        return 0.0
    units = LEAST + math.log2(1 + seconds / GRAIN)
    return units if units <= LONG else LONG + (units - LONG) / 3


@dataclass(frozen=True, slots=True)
class Axis:
    """A mapping of time to the width of a picture.

    Attributes:
        times: the moments it goes through, sorted; `units` where each of them is.
        total: units of the whole width.
    """

    times: Sequence[float]
    units: Sequence[float]
    total: float

    def at(self, time: float) -> float:
        """A time's place, from 0 to 1."""
        return _interpolate(self.times, self.units, time) / self.total

    def time(self, place: float) -> float:
        """The time at a place."""
        return _interpolate(self.units, self.times, place * self.total)


def span(picture: LensPicture) -> tuple[float, float]:
    """When the invocation came, and up to when there is something to draw."""
    until = picture["values"]["until"]
    began, ended = math.inf, 0.0
    for trace_id, trace in picture["tables"]["traces"].items():
        attempts = attempts_of(picture, trace_id)
        first = attempts[0]["at"] if attempts else trace.get("status_at", until)
        began = min(began, trace.get("sent", first), first)
        last = max((a.get("end", math.inf) for a in attempts), default=trace.get("status_at", 0.0))
        ended = max(ended, last if trace["status"] == "completed" else math.inf)
    began = min(began, until)
    return began, max(until if math.isinf(ended) else ended, began + 1e-3)


def attempts_of(picture: LensPicture, trace: str) -> list[AttemptItem]:
    """A trace's attempts, in order."""
    table = picture["tables"]["attempts"]
    return [table[f"{trace}#{n}"] for n in range(1, len(table) + 1) if f"{trace}#{n}" in table]


def entries_of(picture: LensPicture, trace: str) -> list[EntryItem]:
    """A trace's entries, in order."""
    return [item for key, item in picture["tables"]["entries"].items() if key.startswith(f"{trace}/")]


def axis(picture: LensPicture, traces: Iterable[str]) -> Axis:
    """The axis through all that happened to these traces, long gaps collapsed."""
    began, ended = span(picture)
    kept, starts, steps = {began, ended}, set(), []

    def keep(at: float | None) -> bool:
        if at is None or not began <= at <= ended:
            return False
        kept.add(at)
        return True

    for pod in picture["tables"]["pods"].values():
        for moment in (pod["at"], pod.get("ready"), pod.get("gone")):
            keep(moment)
    for effect in picture["tables"]["effects"].values():
        keep(effect["at"])
    for trace in traces:
        for attempt in attempts_of(picture, trace):
            if keep(attempt["at"]):
                starts.add(attempt["at"])
            keep(attempt.get("end"))
        for entry in entries_of(picture, trace):
            for how, at, *rest in entry["marks"].values():
                until = rest[0] if rest else None
                if how != "replayed" and began <= at <= ended:
                    steps.append(at)
                if until is not None and at < until <= ended and (how != "replayed" or until - at > GRAIN):
                    steps.append(until)
    if len(steps) > MOST_POINTS:
        steps = sorted(steps)[:: math.ceil(len(steps) / MOST_POINTS)]
    times = sorted({*kept, *steps})
    units = [0.0]
    for before, after in pairwise(times):
        units.append(units[-1] + gap_units(after - before) + (ROOM if before in starts else 0.0))
    return Axis(times, units, max(units[-1], FULL))


def lanes(pods: Iterable[tuple[str, LensPod]], most: int = 6) -> dict[str, int]:
    """A lane for each pod; with more than `most` pods, a lane is used again when its pod is gone."""
    listed = list(pods)
    lane: dict[str, int] = {}
    free: list[float] = []
    for name, pod in listed:
        place = next((n for n, until in enumerate(free) if len(listed) > most and until <= pod["at"]), len(free))
        free[place : place + 1] = [pod.get("gone", math.inf)]
        lane[name] = place
    return lane


def pod_counts(pods: Iterable[LensPod], began: float, ended: float) -> list[tuple[float, float, int]]:
    """The number of pods, as steps (from, to, count)."""
    lives = [(pod["at"], pod.get("gone", math.inf)) for pod in pods]
    changes = sorted([(at, 1) for at, _ in lives] + [(gone, -1) for _, gone in lives])
    steps = [(began, ended, 0)]
    for at, by in changes:
        start, _, count = steps[-1]
        if at <= began:
            steps[-1] = (start, ended, count + by)
        elif at < ended:
            steps[-1:] = [(start, at, count), (at, ended, count + by)]
    return [step for step in steps if step[1] > step[0]]


def _interpolate(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    if x <= xs[0]:
        return ys[0]
    if x >= xs[-1]:
        return ys[-1]
    high = bisect_right(xs, x)
    low = high - 1
    return ys[low] + (x - xs[low]) / (xs[high] - xs[low]) * (ys[high] - ys[low])
