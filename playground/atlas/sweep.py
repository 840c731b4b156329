"""The sweep: learn what runs without a crash come to, then run once per crash point, many at a time.

Clean runs come first, as many as it takes until they bring nothing new (see `legal`). The points are those of
one that has keys of its own. Each crashed run is held against what clean runs came to; if it came to
something else, controls tell whether the crash is the reason.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from playground.atlas.atlas import Atlas, Basis
from playground.atlas.fresh import plain
from playground.atlas.lab import ACCEPTED_BY, KillsServer, Lab, Ran, Watch
from playground.atlas.legal import LEAST, MORE, MOST, Legal, matches, nearest
from playground.atlas.outcome import Outcome, judge
from playground.atlas.points import Point, effect_points, frame_points
from playground.atlas.run import Request, keyed
from playground.errors import AtlasError
from playground.runtime.runtime import Runtime

Target = Literal["pod", "server", "ledger"]
INACTIVITY, BUSIEST = 1.2, 5.0
"""Seconds. Shorter, and attempts that only wait for a busy machine would be suspended too; so on one that has more to
do than it can it is longer, so many times at the most."""
IDLE = 15.0
"""Seconds of silence after which a run without a crash will not go on: nobody does the outside's part."""
TRIES = 3
CONTROLS = (1.0, 2.0, 0.5, 4.0)
"""Controls at the most, for a run that came to something else than clean runs: each held so many times as long."""
HELD = (0.2, 5.0)
"""Seconds a control is held: at least, and at the most."""
SLACK = 10.0
"""Times the backend's lag: a pod that waits for its turn on a busy cluster takes that long."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to sweep over.

    Attributes:
        target: what has the accident: a pod, the Restate server, or the outside world ("ledger").
        depth: accidents per run, 1 or 2.
        most: runs at the most; if there are more points, or pairs of them, that many are drawn by lot.
        seed: of the lot, so that the same are drawn again.
        concurrency: runs at a time. The server is killed under one run at a time.
        patience: seconds a run may take.
    """

    target: Target = "pod"
    depth: int = 1
    most: int = 400
    seed: int = 0
    concurrency: int = 10
    patience: float = 60.0


@dataclass(frozen=True, slots=True)
class Clean:
    """What clean runs have shown.

    Attributes:
        points: where there can be accidents.
        usual: how often a step runs in them, at the most: (target, name) -> count.
        idle: seconds of silence after which a run is stuck.
        basis: what is said of them.
    """

    points: list[Point]
    usual: dict[tuple[str, str], int]
    idle: float
    basis: Basis


class Progress(Protocol):
    """Whoever is told how far a sweep is."""

    def begin(self, total: int) -> None:
        """So many runs are to come."""

    def step(self) -> None:
        """One more is done."""


class Sweep:
    """One sweep.

    Args:
        playground: the learner's; only its deployed sources are read.
        request: what is sent each time.
        plan: what happens to it.
        watch: what the outside does meanwhile, and what it says of a run.
    """

    def __init__(self, playground: Runtime, request: Request, plan: Plan, watch: Watch) -> None:
        self._playground, self._request, self._plan, self._watch = playground, request, plan, watch
        self._numbers = itertools.count(1)
        self._legal = Legal()
        self._new = False  # whether the latest clean runs brought something new

    def run(self, progress: Progress | None = None) -> Atlas:
        """Sweep, and clean up whatever happens.

        Args:
            progress: is told how far it is.

        Raises:
            AtlasError: the clean run does not complete, so there is nothing to compare with.
        """
        with self._lab() as lab:
            clean = self._clean(lab)
            chosen = self._choose(clean.points)
            if progress is not None:
                progress.begin(len(chosen))
            if self._plan.target == "server":
                KillsServer(lab.playground)
            runs: dict[tuple[Point, ...], Ran] = {}
            workers = 1 if self._plan.target == "server" else self._plan.concurrency
            with ThreadPoolExecutor(workers, thread_name_prefix="atlas") as pool:
                jobs: dict[Future[Ran], tuple[Point, ...]] = {
                    pool.submit(self._one, lab, each, clean): each for each in chosen
                }
                try:
                    for job in as_completed(jobs):
                        runs[jobs[job]] = job.result()
                        if progress is not None:
                            progress.step()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    lab.playground.close()  # what still runs in it ends now
                    raise
            recording = lab.playground.recording
        basis = replace(clean.basis, legal=len(self._legal.outcomes), varies=tuple(self._legal.varies))
        outcomes = [self._judge(points, runs[points], clean) for points in chosen]
        return Atlas(self._request.target, self._plan.target, clean.points, outcomes, recording, basis)

    @property
    def _patience(self) -> float:
        """Seconds a run may take; more where pods are slow to start: its first, and the one after the kill."""
        return self._plan.patience + SLACK * self._playground.backend.lag

    @contextmanager
    def _lab(self) -> Iterator[Lab]:
        ours = self._playground.settings
        settings = replace(ours, gated=True, inactivity_timeout=_inactivity(), retry_interval=0.03, idle_window=60.0)
        recording = type(self._playground.recording)()  # one that can be looked at, if the learner's can
        playground = Runtime.launch(self._playground.backend.name, settings, recording=recording)
        try:
            for service in self._playground.services.values():
                source = self._playground.recording.timeline.revisions[service.revision].source
                playground.deploy(service.name, source)
            yield Lab(playground, self._watch)
        finally:
            playground.close()

    # -- without a crash ------------------------------------------------------------------------------

    def _clean(self, lab: Lab) -> Clean:
        """Clean runs, until they bring nothing new."""
        first = self._clean_run(lab, self._request, 0)
        recording = lab.playground.recording
        with recording.lock:
            mine = lab.families.of(first.invocation.id).roles
            keys = {key for _, key in keyed(recording.timeline.invocations[i] for i in mine)}
        self._request = replace(self._request, keys=self._request.keys | keys)
        began = time.monotonic()
        runs = self._more(lab, [first], LEAST)
        seconds = time.monotonic() - began
        if len(self._legal.outcomes) > 1 or self._legal.varies:
            runs = self._more(lab, runs, MORE)
            while self._new and len(runs) < MOST:
                runs = self._more(lab, runs, MOST)
        with recording.lock:
            timeline = recording.timeline
            # On a busy machine a run may be suspended where it does not wait for long: those are not what is usual.
            usual_run = min(runs[1:], key=lambda run: run.seen.suspensions)
            role_of = lab.families.of(usual_run.invocation.id).roles
            if self._plan.target == "ledger":
                points = effect_points(timeline, role_of)
            else:
                act = "kill" if self._plan.target == "pod" else "server"
                points = frame_points(recording.events, timeline, role_of, act)
        seen = [run.seen for run in runs]
        usual: dict[tuple[str, str], int] = {}
        for step in (step for each in seen for step in each.steps):
            usual[step.target, step.name] = max(step.begun, usual.get((step.target, step.name), 1))
        basis = Basis(
            clean=len(runs),
            accepted=self._watch.accept is not None,
            counted=tuple(sorted({kind for s in seen for kind in s.counted})),
            untried=tuple(sorted({each for s in seen for each in s.scheduled})),
            mismatches=tuple(sorted({each for s in seen for each in s.mismatches})),
        )
        idle = max(8.0, 4 * seconds + 4) + SLACK * self._playground.backend.lag
        return Clean([_plainly(point) for point in points], usual, idle, basis)

    def _more(self, lab: Lab, runs: list[Ran], count: int) -> list[Ran]:
        """More clean runs, until there are so many."""
        numbers = list(itertools.islice(self._numbers, count - len(runs)))
        with ThreadPoolExecutor(max(1, min(len(numbers), self._plan.concurrency))) as pool:
            more = list(pool.map(lambda number: self._clean_run(lab, self._request, number), numbers))
        if len(runs) == 1:
            self._legal.learn(runs[0].seen)
        brought = [self._legal.learn(run.seen) for run in more]
        self._new = any(brought)
        return [*runs, *more]

    def _clean_run(self, lab: Lab, request: Request, number: int) -> Ran:
        idle = IDLE + SLACK * self._playground.backend.lag if self._watch.drive is None else None
        ran = lab.run(request, number, (), patience=self._patience, idle=idle)
        if ran.seen.stuck:
            raise self._incomplete(lab, ran)
        if ran.seen.refused:
            raise AtlasError(
                f"There is no atlas of {request.target}: {ACCEPTED_BY} refuses what it returns without any crash.",
                f"In a run without a crash {ran.seen.refused}.",
                "Let accept= accept every result that is right; a run's own keys are as in your request.",
            )
        return ran

    def _incomplete(self, lab: Lab, ran: Ran) -> AtlasError:
        """Why a run without an accident did not complete, and what can be done about that."""
        what = f"There is no atlas of {self._request.target}: it does not complete even without an accident."
        patience = self._plan.patience
        with lab.playground.recording.lock:
            traces = [t for t in lab.family(ran.invocation.id) if t.attempts]
            sleeps = [e.until for t in traces for e in t.entries if e.type == "Sleep" and e.until is not None]
            began = min(trace.attempts[0].started_at for trace in traces) if traces else 0.0
            failing = any(attempt.failure for trace in traces for attempt in trace.attempts)
            suspended = any(trace.status == "suspended" for trace in traces)
        if "timer" in ran.seen.stuck:
            needed = round(max(sleeps) - began + 10)
            return AtlasError(
                what,
                f"{ran.seen.stuck}, and a run may take {patience:g} s.",
                f"pg.atlas(..., patience={needed}), or a shorter sleep in the service while it is tested",
            )
        if failing:
            return AtlasError(what, f"{ran.seen.stuck}.", "Call it alone first, and see why: pg.send(...)")
        if suspended or ran.seen.stuck.startswith("drive raised"):
            fix = "Have the outside do its part, e.g. drive=lambda run: run.resolve(run.wait_for('email')['id'])"
            return AtlasError(what, f"{ran.seen.stuck}", fix)
        return AtlasError(
            what, f"{ran.seen.stuck} A run may take {patience:g} s.", f"pg.atlas(..., patience={2 * patience:g})"
        )

    # -- with one -------------------------------------------------------------------------------------

    def _choose(self, points: list[Point]) -> list[tuple[Point, ...]]:
        chosen: list[tuple[Point, ...]] = [(point,) for point in points]
        if self._plan.depth == 2:
            chosen = list(itertools.combinations(points, 2))
        if len(chosen) > self._plan.most:
            lot = random.Random(self._plan.seed)  # noqa: S311  (drawing a sample, not a secret)
            chosen = [chosen[n] for n in sorted(lot.sample(range(len(chosen)), self._plan.most))]
        return chosen

    def _one(self, lab: Lab, points: tuple[Point, ...], clean: Clean) -> Ran:
        for _ in range(TRIES):
            ran = lab.run(self._request, next(self._numbers), points, patience=self._patience, idle=clean.idle)
            # A run that took another turn than the clean one, or was suspended where that was not, says less.
            if ran.seen.stuck or (ran.happened and ran.seen.suspensions <= self._legal.suspensions + len(points)):
                break
        if ran.happened and self._differs(ran):
            self._control(lab, points, ran, clean)
        return ran

    def _judge(self, points: tuple[Point, ...], ran: Ran, clean: Clean) -> Outcome:
        """Hold a run against all that was learned in the whole sweep."""
        expected = nearest(self._legal.outcomes, ran.seen)
        return judge(expected, ran.seen, points, ran.invocation.id, crashed=ran.happened, usual=clean.usual)

    def _differs(self, ran: Ran) -> bool:
        """Whether a run came to something else than runs without a crash, and not just to more of the same effects."""
        ended = not (ran.seen.stuck or ran.seen.mismatches or ran.seen.refused)
        return ended and not any(matches(legal, ran.seen, more=True) for legal in self._legal.outcomes)

    def _control(self, lab: Lab, points: tuple[Point, ...], ran: Ran, clean: Clean) -> None:
        """See what comes of runs that are held where that one was crashed, for about as long as it took to be back."""
        places = [point for point in points if point.where[0] != "effect"]
        if not places and len(self._legal.outcomes) == 1:
            return  # the outside world refused, or lost an answer, and nothing says that anything races here
        lost = lab.lost(ran.invocation.id)
        for share in CONTROLS:
            held = min(max(HELD[0], share * lost), HELD[1])
            slow = tuple(replace(point, act="slow", seconds=held) for point in places)
            control = lab.run(self._request, next(self._numbers), slow, patience=self._patience, idle=clean.idle)
            if control.seen.stuck or control.seen.mismatches:
                return
            self._legal.learn(control.seen, control=True)
            if not self._differs(ran):
                return


def _inactivity() -> float:
    """Seconds until an attempt is suspended that waits: longer if more wants to run here than there are processors."""
    waiting = os.getloadavg()[0] / (2 * (os.cpu_count() or 1))
    return INACTIVITY * min(max(1.0, waiting), BUSIEST)


def _plainly(point: Point) -> Point:
    """A point in words that hold for every run."""
    return replace(point, invocation=plain(point.invocation), name=plain(point.name))


def parse_plan(**options: Any) -> Plan:
    """A plan from `pg.atlas`'s arguments.

    Raises:
        AtlasError: one of them cannot be.
    """
    plan = Plan(**options)
    if plan.target not in ("pod", "server", "ledger") or plan.depth not in (1, 2) or not plan.patience > 0:
        raise AtlasError(
            "There is no such atlas.",
            f"It was asked for target={plan.target!r}, depth={plan.depth!r}, patience={plan.patience!r}.",
            'target is "pod", "server" or "ledger"; depth is 1 or 2; patience is a number of seconds',
        )
    return plan
