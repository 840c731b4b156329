"""The sweep: learn the outcomes of runs without a crash, then run once per crash point, many at a time.

Clean runs come first, until they show nothing new (see `legal`). The crash points are those of a clean run that has
keys of its own. Each crashed run is compared with the clean ones. If its outcome differs, controls tell whether the
crash is the reason.
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
from playground.atlas.lab import ACCEPTED_BY, FinishedRun, Hooks, Lab, ServerKiller
from playground.atlas.legal import LEAST, MORE, MOST, Legal, matches, nearest
from playground.atlas.normalize import plain
from playground.atlas.outcome import Outcome, judge
from playground.atlas.points import Point, effect_points, frame_points
from playground.atlas.run import Request, objects_of
from playground.errors import AtlasError
from playground.runtime.runtime import Runtime

Target = Literal["pod", "server", "ledger"]
INACTIVITY, BUSIEST = 1.2, 5.0
"""Seconds until a waiting attempt is suspended, and how many times longer at most on an overloaded machine. If it were
shorter, attempts that only wait for the machine would be suspended too."""
IDLE = 15.0
"""Seconds of silence after which a run without a crash is stuck: nobody plays the outside's part."""
TRIES = 3
CONTROLS = (1.0, 2.0, 0.5, 4.0)
"""The controls for a run that differs from clean runs: each is held for this many times what the crash has cost."""
HELD = (0.2, 5.0)
"""Seconds that a control is held, at least and at most."""
SLACK = 10.0
"""This many times the backend's lag, a pod may have to wait for its turn on a busy cluster."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to sweep over.

    Attributes:
        target: where accidents happen: in a pod, the Restate server, or the outside world ("ledger").
        depth: accidents per run, 1 or 2.
        most: the most runs to make. If there are more points, or pairs of points, a random sample is drawn.
        seed: of that sample, so that the same one can be drawn again.
        concurrency: runs at a time; always 1 if the server is killed.
        patience: seconds that a run may take.
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
        points: the places for accidents.
        usual: how often a step runs in them at most: (target, name) -> count.
        idle: seconds of silence after which a run is stuck.
        basis: what the atlas says about them.
    """

    points: list[Point]
    usual: dict[tuple[str, str], int]
    idle: float
    basis: Basis


class Progress(Protocol):
    """Follows how far a sweep has come."""

    def begin(self, total: int) -> None:
        """This many runs will be made."""

    def step(self) -> None:
        """One more run is done."""


class Sweep:
    """One sweep.

    Args:
        playground: the learner's, of which only the deployed sources are read.
        request: what is sent each time.
        plan: what happens to it.
        hooks: what the learner contributes from outside.
    """

    def __init__(self, playground: Runtime, request: Request, plan: Plan, hooks: Hooks) -> None:
        self._playground, self._request, self._plan, self._hooks = playground, request, plan, hooks
        self._numbers = itertools.count(1)
        self._legal = Legal()
        self._new = False  # whether the latest clean runs showed something new

    def run(self, progress: Progress | None = None) -> Atlas:
        """Sweep, and clean up whatever happens.

        Args:
            progress: follows how far it has come.

        Raises:
            AtlasError: the clean run does not complete, so there is nothing to compare with.
        """
        with self._lab() as lab:
            clean = self._clean(lab)
            chosen = self._choose(clean.points)
            if progress is not None:
                progress.begin(len(chosen))
            if self._plan.target == "server":
                ServerKiller(lab.playground)
            runs: dict[tuple[Point, ...], FinishedRun] = {}
            workers = 1 if self._plan.target == "server" else self._plan.concurrency
            with ThreadPoolExecutor(workers, thread_name_prefix="atlas") as pool:
                jobs: dict[Future[FinishedRun], tuple[Point, ...]] = {
                    pool.submit(self._one, lab, each, clean): each for each in chosen
                }
                try:
                    for job in as_completed(jobs):
                        runs[jobs[job]] = job.result()
                        if progress is not None:
                            progress.step()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    lab.playground.close()  # ends what is still running in it
                    raise
            recording = lab.playground.recording
        basis = replace(clean.basis, legal=len(self._legal.outcomes), varies=tuple(self._legal.varies))
        outcomes = [self._judge(points, runs[points], clean) for points in chosen]
        return Atlas(self._request.target, self._plan.target, clean.points, outcomes, recording, basis)

    @property
    def _patience(self) -> float:
        """Seconds that a run may take. More where pods are slow to start: a run needs one first, and one per kill."""
        return self._plan.patience + SLACK * self._playground.backend.lag

    @contextmanager
    def _lab(self) -> Iterator[Lab]:
        ours = self._playground.settings
        settings = replace(ours, gated=True, inactivity_timeout=_inactivity(), retry_interval=0.03, idle_window=60.0)
        recording = type(self._playground.recording)()  # shows itself in a notebook if the learner's does
        playground = Runtime.launch(self._playground.backend.name, settings, recording=recording)
        try:
            for service in self._playground.services.values():
                source = self._playground.recording.timeline.revisions[service.revision].source
                playground.deploy(service.name, source)
            yield Lab(playground, self._hooks)
        finally:
            playground.close()

    # -- without a crash ------------------------------------------------------------------------------

    def _clean(self, lab: Lab) -> Clean:
        """Make clean runs until they show nothing new."""
        first = self._clean_run(lab, self._request, 0)
        recording = lab.playground.recording
        with recording.lock:
            mine = lab.families.of(first.invocation.id).roles
            keys = {key for _, key in objects_of(recording.timeline.invocations[i] for i in mine)}
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
            # On a busy machine a run may also be suspended where it only waits briefly. Take one without that.
            usual_run = min(runs[1:], key=lambda run: run.observed.suspensions)
            role_of = lab.families.of(usual_run.invocation.id).roles
            if self._plan.target == "ledger":
                points = effect_points(timeline, role_of)
            else:
                act = "kill" if self._plan.target == "pod" else "server"
                points = frame_points(timeline, role_of, act)
        observed = [run.observed for run in runs]
        usual: dict[tuple[str, str], int] = {}
        for step in (step for each in observed for step in each.steps):
            usual[step.target, step.name] = max(step.begun, usual.get((step.target, step.name), 1))
        basis = Basis(
            clean=len(runs),
            accepted=self._hooks.accept is not None,
            counted=tuple(sorted({kind for s in observed for kind in s.counted})),
            untried=tuple(sorted({each for s in observed for each in s.scheduled})),
            mismatches=tuple(sorted({each for s in observed for each in s.mismatches})),
        )
        idle = max(8.0, 4 * seconds + 4) + SLACK * self._playground.backend.lag
        return Clean([_plainly(point) for point in points], usual, idle, basis)

    def _more(self, lab: Lab, runs: list[FinishedRun], count: int) -> list[FinishedRun]:
        """Make clean runs until there are `count` of them."""
        numbers = list(itertools.islice(self._numbers, count - len(runs)))
        with ThreadPoolExecutor(max(1, min(len(numbers), self._plan.concurrency))) as pool:
            more = list(pool.map(lambda number: self._clean_run(lab, self._request, number), numbers))
        if len(runs) == 1:
            self._legal.learn(runs[0].observed)
        new = [self._legal.learn(run.observed) for run in more]
        self._new = any(new)
        return [*runs, *more]

    def _clean_run(self, lab: Lab, request: Request, number: int) -> FinishedRun:
        idle = IDLE + SLACK * self._playground.backend.lag if self._hooks.drive is None else None
        ran = lab.run(request, number, (), patience=self._patience, idle=idle)
        if ran.observed.stuck:
            raise self._incomplete(lab, ran)
        if ran.observed.refused:
            raise AtlasError(
                f"There is no atlas of {request.target}: {ACCEPTED_BY} rejects what it returns without a crash.",
                f"In a run without a crash {ran.observed.refused}.",
                "Have accept= accept every right result. Keys in it are as in your request.",
            )
        return ran

    def _incomplete(self, lab: Lab, ran: FinishedRun) -> AtlasError:
        """Why a run without an accident did not complete, and what can be done about it."""
        what = f"There is no atlas of {self._request.target}: it does not complete even without an accident."
        patience = self._plan.patience
        with lab.playground.recording.lock:
            traces = [t for t in lab.family(ran.invocation.id) if t.attempts]
            sleeps = [e.until for t in traces for e in t.entries if e.type == "Sleep" and e.until is not None]
            began = min(trace.attempts[0].started_at for trace in traces) if traces else 0.0
            failing = any(attempt.failure for trace in traces for attempt in trace.attempts)
            suspended = any(trace.status == "suspended" for trace in traces)
        if "timer" in ran.observed.stuck:
            needed = round(max(sleeps) - began + 10)
            return AtlasError(
                what,
                f"{ran.observed.stuck}, and a run may take {patience:g} s.",
                f"pg.atlas(..., patience={needed}), or a shorter sleep in the service while it is tested",
            )
        if failing:
            return AtlasError(what, f"{ran.observed.stuck}.", "Call it on its own first to see why: pg.send(...)")
        if suspended or ran.observed.stuck.startswith("drive raised"):
            fix = "Play the outside's part, e.g. drive=lambda run: run.resolve(run.wait_for('email')['id'])"
            return AtlasError(what, f"{ran.observed.stuck}", fix)
        return AtlasError(
            what, f"{ran.observed.stuck} A run may take {patience:g} s.", f"pg.atlas(..., patience={2 * patience:g})"
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

    def _one(self, lab: Lab, points: tuple[Point, ...], clean: Clean) -> FinishedRun:
        for _ in range(TRIES):
            ran = lab.run(self._request, next(self._numbers), points, patience=self._patience, idle=clean.idle)
            # A run that took another path than the clean one, or was suspended where that was not, says less.
            usual = ran.observed.suspensions <= self._legal.suspensions + len(points)
            if ran.observed.stuck or (ran.happened and usual):
                break
        if ran.happened and self._differs(ran):
            self._control(lab, points, ran, clean)
        return ran

    def _judge(self, points: tuple[Point, ...], ran: FinishedRun, clean: Clean) -> Outcome:
        """Compare a run with everything that was learned in the whole sweep."""
        expected = nearest(self._legal.outcomes, ran.observed)
        return judge(expected, ran.observed, points, ran.invocation.id, crashed=ran.happened, usual=clean.usual)

    def _differs(self, ran: FinishedRun) -> bool:
        """Whether a run differs from runs without a crash by more than additional effects of the same kinds."""
        ended = not (ran.observed.stuck or ran.observed.mismatches or ran.observed.refused)
        return ended and not any(matches(legal, ran.observed, more=True) for legal in self._legal.outcomes)

    def _control(self, lab: Lab, points: tuple[Point, ...], ran: FinishedRun, clean: Clean) -> None:
        """Learn from runs that are held where that one was crashed, for about as long as the crash has cost."""
        places = [point for point in points if point.where[0] != "effect"]
        if not places and len(self._legal.outcomes) == 1:
            return  # an effect was refused or its answer lost, and there is no sign of a race
        lost = lab.lost(ran.invocation.id)
        for share in CONTROLS:
            held = min(max(HELD[0], share * lost), HELD[1])
            slow = tuple(replace(point, act="slow", seconds=held) for point in places)
            control = lab.run(self._request, next(self._numbers), slow, patience=self._patience, idle=clean.idle)
            if control.observed.stuck or control.observed.mismatches:
                return
            self._legal.learn(control.observed, control=True)
            if not self._differs(ran):
                return


def _inactivity() -> float:
    """Seconds until a waiting attempt is suspended; longer if more processes want to run than there are processors."""
    waiting = os.getloadavg()[0] / (2 * (os.cpu_count() or 1))
    return INACTIVITY * min(max(1.0, waiting), BUSIEST)


def _plainly(point: Point) -> Point:
    """A point whose names hold for every run."""
    return replace(point, invocation=plain(point.invocation), name=plain(point.name))


def parse_plan(**options: Any) -> Plan:
    """A plan from `pg.atlas`'s arguments.

    Raises:
        AtlasError: one of them is not allowed.
    """
    plan = Plan(**options)
    if plan.target not in ("pod", "server", "ledger") or plan.depth not in (1, 2) or not plan.patience > 0:
        raise AtlasError(
            "There is no such atlas.",
            f"It was asked for target={plan.target!r}, depth={plan.depth!r}, patience={plan.patience!r}.",
            'target is "pod", "server" or "ledger"; depth is 1 or 2; patience is a number of seconds',
        )
    return plan
