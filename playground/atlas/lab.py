"""The lab: a playground of the atlas's own, where killing harms nobody.

It has its own Restate server, pods and recording, with the same sources deployed, and is removed when the sweep ends.
So the learner's recording, keys and pods are never touched. Each of its pods serves one attempt, and asks the ledger
for permission before every frame (`Settings.gated`).

A run is over when its root, and everything the root has caused, is over (see `family`), however long that takes; or
when what it waits for shows that it will never end.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from inspect import Parameter, signature
from typing import Any

from playground.atlas.family import Families
from playground.atlas.normalize import plain, token
from playground.atlas.outcome import THROUGH_INGRESS, Observed
from playground.atlas.points import Point
from playground.atlas.run import Count, Drive, Request, Run, objects_of
from playground.atlas.steps import Accident, steps
from playground.core.text import duration
from playground.errors import PlaygroundError, RequestError
from playground.recording import Trace
from playground.recording.kinds import PlanHold
from playground.restate.admin import as_json
from playground.runtime.invocation import Invocation, standing
from playground.runtime.runtime import Runtime

HOPELESS = 3
"""A run with this many attempts that ended with a journal mismatch is stuck: the code will not change."""
KEEPS_FAILING = 7
"""A run with this many attempts in a row that ended with exactly the same error is stuck."""
QUIET = 1.0
"""Seconds between looks at a run that reports nothing."""
SHORTLY = 0.02
"""Seconds until an incomplete journal is read again."""
ACCEPTED_BY = "accept="

Accept = Callable[..., Any] | list[Any] | tuple[Any, ...]
"""The right results: a list of them, or a callable that takes a result and, if it has a second parameter, the `Run`."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the learner contributes to a run from outside.

    Attributes:
        drive: plays the outside's part; by default, an awakeable is resolved with null as soon as an attempt is
            suspended on it.
        accept: which results are right; by default those of runs without a crash.
        count: counts effects that do not go to the ledger.
    """

    drive: Drive | None = None
    accept: Accept | None = None
    count: Count | None = None


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that is over.

    Attributes:
        invocation: the root's handle.
        observed: what was observed of it.
        happened: whether the recording shows every accident at exactly the place it was planned for.
    """

    invocation: Invocation
    observed: Observed
    happened: bool


class Lab:
    """Runs one request again and again, each time with accidents of its own.

    Args:
        playground: gated, with the sources deployed.
        hooks: what the learner contributes.
    """

    def __init__(self, playground: Runtime, hooks: Hooks) -> None:
        self.playground, self._hooks = playground, hooks
        self.families = Families(playground)

    def run(
        self, request: Request, number: int, points: tuple[Point, ...], *, patience: float, idle: float | None = None
    ) -> FinishedRun:
        """Run the request once.

        Args:
            number: the run's number, which its keys are derived from.
            points: the accidents it meets, in order.
            patience: seconds after which it counts as stuck.
            idle: seconds after which it counts as stuck if none of its attempts runs and it reports nothing.
        """
        lab = self.playground
        target, body = request.fresh(number)
        invocation = lab.send(target, body)
        run = Run(lab, self.families, invocation, number, request.keys)
        run.deadline = time.monotonic() + patience
        accidents = [point.accident for point in points]
        lab.ledger.plan({"run": str(number), "root": invocation.id, "accidents": accidents})
        raised: list[str] = []
        driver = threading.Thread(target=self._drive, args=(run, raised), daemon=True)
        driver.start()
        stuck = self._to_the_end(run, idle or patience)
        driver.join(0.5 if stuck else 5)
        if stuck:
            self._give_up(run)
        if raised:
            stuck = stuck or f"drive raised {raised[0]}"
        ran = FinishedRun(invocation, self._observe(run, stuck), self._happened(invocation.id, points))
        lab.ledger.forget_plan(str(number))
        return ran

    # -- while it runs --------------------------------------------------------------------------------

    def _drive(self, run: Run, raised: list[str]) -> None:
        try:
            if self._hooks.drive is not None:
                self._hooks.drive(run)
            else:
                self._resolve_all(run)
        except TimeoutError:
            pass  # the run itself shows what it is stuck on
        except Exception as error:
            raised.append(f"{type(error).__name__}: {error}")

    def _resolve_all(self, run: Run) -> None:
        lab, resolved = self.playground, set[str]()
        pending: list[str] = []

        def something() -> bool:
            mine = [Invocation(lab, trace.id, "") for trace in run.traces]
            pending[:] = [a for each in mine for a in each.awakeables if a not in resolved]
            return bool(pending) or self._over(run)

        while lab.wait_until(something, max(0.0, run.deadline - time.monotonic())) and pending:
            for awakeable in pending:
                resolved.add(awakeable)
                lab.resolve(awakeable)

    def _over(self, run: Run) -> bool:
        """Whether everything that is known to belong to a run is done, or sleeps until after the deadline."""
        root, *others = run.traces
        return root.done and all(t.done or _asleep(t, run) for t in (*others, *run.strangers))

    def _to_the_end(self, run: Run, idle: float) -> str:
        """Wait for a run and everything it causes. Returns what it is stuck on; empty if it ended."""
        lab = self.playground
        changed_at, progress = time.monotonic(), self._progress(run)
        while True:
            now = time.monotonic()
            wait = min(QUIET, max(0.0, run.deadline - now))
            lab.wait_until(lambda: self._over(run) or bool(self._hopeless(run)), wait)
            if loose := self.families.of(run.invocation.id).loose:
                for invocation in loose:
                    self.families.read(invocation)
                time.sleep(SHORTLY)
            lab.look()  # no pod reports invocations that are queued, or were called through the ingress
            if self._over(run):
                self.families.hear()
            self.families.ask(token(run.number))
            with lab.recording.lock:
                if self._over(run) and not self.families.of(run.invocation.id).loose:
                    return ""
                if hopeless := self._hopeless(run):
                    return hopeless
                now, before = time.monotonic(), progress
                progress = self._progress(run)
                changed_at = now if progress != before else changed_at
                if now > run.deadline or (now - changed_at > idle and not self._busy(run)):
                    waiting = next((t for t in (*run.traces, *run.strangers) if not t.done), run.invocation.trace)
                    return f"{plain(waiting.target)}: {plain(standing(waiting)[0])}"

    def _progress(self, run: Run) -> list[tuple[Any, ...]]:
        return [(t.id, t.status, len(t.attempts), len(t.entries)) for t in (*run.traces, *run.strangers)]

    def _busy(self, run: Run) -> bool:
        """Whether an attempt is running, or a timer that will end."""
        return any(t.attempts and t.attempts[-1].outcome == "running" for t in run.traces) or any(
            (until := t.rows[row].until) and until > time.time()
            for t in run.traces
            if t.status == "suspended" and t.attempts
            for row in t.attempts[-1].waits_for
            if row in t.rows
        )

    def _hopeless(self, run: Run) -> str:
        for trace in run.traces:
            target = plain(trace.target)
            if trace.status == "paused":
                return f"{target}: paused: {plain(trace.last_failure)}" if trace.last_failure else f"{target}: paused"
            if _asleep(trace, run):
                until = datetime.fromtimestamp(_timer(trace) or 0, UTC)
                return f"{target} waits for its timer until {until:%Y-%m-%d %H:%M:%S} UTC"
            failures = [attempt.failure for attempt in trace.attempts if attempt.failure]
            if trace.mismatches >= HOPELESS and trace.status != "completed":
                return f"{target}: journal mismatch, on every retry"
            if failures and failures[-KEEPS_FAILING:].count(failures[-1]) == KEEPS_FAILING:
                return f"{target}: fails on every retry: {plain(failures[-1][1])}"
        return ""

    def _give_up(self, run: Run) -> None:
        for trace in run.traces:
            try:
                Invocation(self.playground, trace.id, "").kill()
            except (RequestError, PlaygroundError):
                pass  # it has ended meanwhile

    # -- what was observed ----------------------------------------------------------------------------

    def _observe(self, run: Run, stuck: str) -> Observed:
        lab = self.playground
        lab.ledger.sync()  # from here on the recording has everything the ledger has
        value, failure, refused = None, "", ""
        with lab.recording.lock:
            timeline = lab.recording.timeline
            kinds = sorted({effect.kind for effect in timeline.effects})
            effects = [effect for effect in run.effects() if not (effect.repeated or effect.refused)]
            causes: Counter[tuple[str, str, str]] = Counter()
            for effect in effects:
                trace = timeline.invocations.get(effect.invocation)
                step = str(trace.rows[effect.row]) if trace and effect.row else ""
                causes[effect.kind, plain(trace.target) if trace else "", step] += 1
            traces, strangers = run.traces, [plain(trace.target) for trace in run.strangers]
        if not stuck:
            lab.run(run.invocation.ended(10))  # records the whole value; the one that a pod reports may be shortened
            root = run.invocation.trace
            value = plain(as_json(root.value), kinds)
            failure = plain(f"{root.failure[0]}: {root.failure[1]}", kinds) if root.failure else ""
            if self._hooks.accept is not None and not failure:
                refused = _refused(self._hooks.accept, value, run)
                value = ACCEPTED_BY
        states = {}
        for service, key in objects_of((*traces, *run.strangers)):
            values = lab.read_state(service, key)
            states[f"{service}/{plain(key)}"] = plain({n: as_json(v) for n, v in values.items()}, kinds)
        counts: Counter[str] = Counter(effect.kind for effect in effects)
        counts.update(f"{target}{THROUGH_INGRESS}" for target in strangers)
        counted = dict(self._hooks.count(run)) if self._hooks.count is not None else {}
        counts.update(counted)
        with lab.recording.lock:
            return Observed(
                value,
                failure,
                stuck,
                states,
                dict(counts),
                suspensions=sum(a.outcome == "suspended" for trace in traces for a in trace.attempts),
                causes=causes,
                steps=tuple(steps(traces, lab.recording.timeline, self._accidents())),
                mismatches=tuple(plain(trace.target) for trace in traces if trace.mismatches),
                scheduled=(*self.families.of(run.invocation.id).scheduled, *_sleeping(traces)),
                counted=tuple(counted),
                refused=refused,
            )

    def family(self, root: str) -> list[Trace]:
        """The invocations of a run, callers first."""
        with self.playground.recording.lock:
            return [self.playground.recording.timeline.invocations[i] for i in self.families.of(root).roles]

    def lost(self, root: str) -> float:
        """Seconds that a run has lost in crashes, from the start of each crashed attempt to that of the next."""
        seconds = 0.0
        with self.playground.recording.lock:
            timeline = self.playground.recording.timeline
            family = {trace.id for trace in self.family(root)}
            for event in self._accidents():
                attempt = timeline.attempts.get((event.pod, event.attempt))
                if attempt is None or event.invocation not in family:
                    continue
                again = [a.started_at for a in attempt.trace.attempts if a.started_at > attempt.started_at]
                seconds += min(again, default=event.at) - attempt.started_at
        return seconds

    def _accidents(self) -> list[Accident]:
        return [event for event in self.playground.recording.events if isinstance(event, Accident)]

    def _happened(self, root: str, points: Iterable[Point]) -> bool:
        """Whether the recording shows every accident at exactly the place it was planned for."""
        points = [point for point in points if point.act != "slow"]
        wanted = [point for point in points if point.where[0] != "effect"]
        recording = self.playground.recording
        with recording.lock:
            role_of = self.families.of(root).roles
            shown = [
                (role_of[event.invocation], tuple(event.boundary))
                for event in self._accidents()
                if event.invocation in role_of
            ]
            effects = [e for e in recording.timeline.effects if e.invocation in role_of]
        if any(point.act == "fail" for point in points) and not any(effect.refused for effect in effects):
            return False
        return shown == [(point.role, point.where) for point in wanted]


def _timer(trace: Trace) -> float | None:
    """When the first timer ends that an invocation is suspended on, if it waits for nothing but timers."""
    last = trace.attempts[-1] if trace.attempts else None
    if trace.status != "suspended" or last is None or not last.waits_for:
        return None
    waits = [trace.rows.get(row) for row in last.waits_for]
    ends = [entry.until for entry in waits if entry is not None and entry.type == "Sleep" and entry.until is not None]
    return min(ends) if len(ends) == len(waits) else None


def _asleep(trace: Trace, run: Run) -> bool:
    """Whether an invocation waits for nothing but a timer that ends after the run's deadline."""
    timer = _timer(trace)
    return timer is not None and timer - time.time() > run.deadline - time.monotonic()


def _sleeping(traces: Iterable[Trace]) -> list[str]:
    """What comes after timers that were not waited for, in words."""
    lines = []
    for trace in traces:
        if trace.done or _timer(trace) is None:
            continue
        last = trace.attempts[-1]
        sleeps = [e.until - m.at for r, m in last.marks.items() if (e := trace.rows[r]).type == "Sleep" and e.until]
        lines.append(f"{plain(trace.target)}, what comes after its timer of {duration(round(max(sleeps)))}")
    return lines


def _refused(accept: Accept, value: Any, run: Run) -> str:
    """Why a result is not accepted; empty if it is accepted."""
    if not callable(accept):
        return "" if value in accept else f"it returned {value!r}, which is not in {ACCEPTED_BY}"
    free = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    takes = [p for p in signature(accept).parameters.values() if p.kind in free and p.default is Parameter.empty]
    try:
        fine = bool(accept(value, run) if len(takes) > 1 else accept(value))
    except Exception as error:  # an assertion in it, for example
        return f"it returned {value!r}; {ACCEPTED_BY} raised {type(error).__name__}: {error}"
    return "" if fine else f"it returned {value!r}, which {ACCEPTED_BY} does not accept"


class ServerKiller:
    """Kills the lab's Restate server whenever a plan says so, then releases the frame that was held."""

    def __init__(self, playground: Runtime) -> None:
        self._playground = playground
        self._seen = 0
        playground.recording.listen(self._look)

    def _look(self) -> None:
        recording = self._playground.recording
        new, self._seen = recording.since(self._seen), len(recording)
        for event in new:
            if isinstance(event, PlanHold):
                self._playground.start(self._kill(event.run))

    async def _kill(self, run: str) -> None:
        await self._playground.backend.kill_server()
        await asyncio.to_thread(self._playground.ledger.release_plan, run)
