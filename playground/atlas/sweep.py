"""The sweep: learn what a clean run is like, then run it once per crash point, many at a time.

Two clean runs come first. What they agree on is what every other run is held against; what differs between
them (times, random numbers) is left out of the comparison. The points are those of the first of them.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from playground.atlas.atlas import Atlas
from playground.atlas.fresh import plain
from playground.atlas.lab import Drive, KillsServer, Lab, Request, keyed
from playground.atlas.outcome import Outcome, Seen, judge, reference
from playground.atlas.points import Point, effect_points, frame_points
from playground.atlas.progress import Progress
from playground.errors import AtlasError
from playground.invocation import Invocation

if TYPE_CHECKING:
    from playground.session import Playground

Target = Literal["pod", "server", "ledger"]
INACTIVITY = 1.2
"""Seconds. Shorter, and attempts that only wait for a busy machine would be suspended too."""
TRIES = 3
SLACK = 10.0
"""Times the backend's lag: a pod that waits for its turn on a busy cluster takes that long."""
FIRST_PATIENCE = 60.0
"""Seconds a clean run may take."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to sweep over.

    Attributes:
        target: what has the accident: a pod, the Restate server, or the outside world ("ledger").
        depth: accidents per run, 1 or 2.
        most: runs at the most; if there are more points, or pairs of them, that many are drawn by lot.
        seed: of the lot, so that the same are drawn again.
        concurrency: runs at a time. The server is killed under one run at a time.
    """

    target: Target = "pod"
    depth: int = 1
    most: int = 400
    seed: int = 0
    concurrency: int = 10


class Sweep:
    """One sweep.

    Args:
        playground: the learner's; only its deployed sources are read.
        request: what is sent each time.
        plan: what happens to it.
        drive: what the outside does meanwhile, see `Lab`.
    """

    def __init__(self, playground: Playground, request: Request, plan: Plan, drive: Drive | None) -> None:
        self._playground, self._request, self._plan, self._drive = playground, request, plan, drive
        self._numbers = itertools.count(3)

    def run(self) -> Atlas:
        """Sweep, and clean up whatever happens.

        Raises:
            AtlasError: the clean run does not complete, so there is nothing to compare with.
        """
        with self._lab() as lab, Progress(self._request.target) as progress:
            expected, points, seconds, size = self._clean(lab)
            chosen = self._choose(points)
            progress.begin(len(chosen))
            patience = max(8.0, 4 * seconds + 4) + self._slack
            if self._plan.target == "server":
                KillsServer(lab.playground)
            outcomes: dict[tuple[Point, ...], Outcome] = {}
            workers = 1 if self._plan.target == "server" else self._plan.concurrency
            with ThreadPoolExecutor(workers, thread_name_prefix="atlas") as pool:
                jobs: dict[Future[Outcome], tuple[Point, ...]] = {
                    pool.submit(self._one, lab, each, expected, patience, size): each for each in chosen
                }
                try:
                    for job in as_completed(jobs):
                        outcomes[jobs[job]] = job.result()
                        progress.step()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    lab.playground.close()  # what still runs in it ends now
                    raise
            recording = lab.playground.recording
        return Atlas(self._request.target, self._plan.target, points, [outcomes[each] for each in chosen], recording)

    @property
    def _slack(self) -> float:
        """Seconds more that a run may take where pods are slow to start: its first, and the one after the kill."""
        return SLACK * self._playground._backend.lag

    @contextmanager
    def _lab(self) -> Iterator[Lab]:
        ours = self._playground.settings
        settings = replace(ours, gated=True, inactivity_timeout=INACTIVITY, retry_interval=0.03, idle_window=60.0)
        playground = self._playground._launch(self._playground._backend.name, settings)
        try:
            for service in self._playground.services.values():
                source = self._playground.recording.timeline.revisions[service.revision].source
                playground.deploy(name=service.name, source=source)
            yield Lab(playground, self._drive)
        finally:
            playground.close()

    def _clean(self, lab: Lab) -> tuple[Seen, list[Point], float, int]:
        """Two clean runs: what they agree on, the points, how long one took, how many invocations it caused."""
        first, _ = self._clean_run(lab, self._request, 0)
        recording = lab.playground.recording
        with recording.lock:
            mine = recording.timeline.roles(first.id)
            keys = {key for _, key in keyed(recording.timeline.invocations[i] for i in mine)}
        self._request = replace(self._request, keys=self._request.keys | keys)
        began = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            runs = list(pool.map(lambda number: self._clean_run(lab, self._request, number), (1, 2)))
        seconds = time.monotonic() - began
        root = runs[0][0].id
        with recording.lock:
            timeline = recording.timeline
            size = len(timeline.roles(root))
            if self._plan.target == "ledger":
                points = effect_points(timeline, root)
            else:
                act = "kill" if self._plan.target == "pod" else "server"
                points = frame_points(recording.events, timeline, root, act)
        return reference(runs[0][1], runs[1][1]), [_plainly(point) for point in points], seconds, size

    def _clean_run(self, lab: Lab, request: Request, number: int) -> tuple[Invocation, Seen]:
        invocation, seen, _ = lab.run(
            request, number, (), patience=(FIRST_PATIENCE if self._drive else 15.0) + self._slack
        )
        if seen.stuck:
            raise AtlasError(
                f"There is no atlas of {self._request.target}: it does not complete even without an accident.",
                f"{seen.stuck}",
                "Have the outside do its part, e.g. drive=lambda run: run.resolve(run.wait_for('email')['id'])",
            )
        return invocation, seen

    def _choose(self, points: list[Point]) -> list[tuple[Point, ...]]:
        chosen: list[tuple[Point, ...]] = [(point,) for point in points]
        if self._plan.depth == 2:
            chosen = list(itertools.combinations(points, 2))
        if len(chosen) > self._plan.most:
            lot = random.Random(self._plan.seed)  # noqa: S311  (drawing a sample, not a secret)
            chosen = [chosen[n] for n in sorted(lot.sample(range(len(chosen)), self._plan.most))]
        return chosen

    def _one(self, lab: Lab, points: tuple[Point, ...], expected: Seen, patience: float, size: int) -> Outcome:
        for _ in range(TRIES):
            number = next(self._numbers)
            invocation, seen, crashed = lab.run(self._request, number, points, patience=patience, least=size)
            outcome = judge(expected, seen, points, invocation.id, crashed=crashed)
            # A run that took another turn than the clean one, or was suspended where that was not, says less.
            if seen.stuck or (crashed and seen.suspensions <= expected.suspensions + len(points)):
                break
        return outcome


def _plainly(point: Point) -> Point:
    """A point in words that hold for every run."""
    return replace(point, invocation=plain(point.invocation), name=plain(point.name))


def parse_plan(**options: Any) -> Plan:
    """A plan from `pg.atlas`'s arguments.

    Raises:
        AtlasError: one of them cannot be.
    """
    plan = Plan(**options)
    if plan.target not in ("pod", "server", "ledger") or plan.depth not in (1, 2):
        raise AtlasError(
            "There is no such atlas.",
            f"It was asked for target={plan.target!r}, depth={plan.depth!r}.",
            'target is "pod", "server" or "ledger"; depth is 1 or 2',
        )
    return plan
