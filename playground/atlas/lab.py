"""The lab: a playground of the atlas's own, in which nothing that is killed is anybody's.

It has a Restate server, pods and a recording of its own, with the same sources deployed, and it is gone
when the sweep is over or given up. So the learner's recording, keys and pods are never touched. Its pods
serve one attempt each and ask before every frame (`Settings.gated`).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from playground.atlas.fresh import freshen, plain, token
from playground.atlas.outcome import Seen
from playground.atlas.points import Point
from playground.errors import PlaygroundError, RequestError
from playground.invocation import Invocation, standing
from playground.recording import Effect, Trace
from playground.restate.admin import as_json
from playground.restate.ingress import NO_BODY

if TYPE_CHECKING:
    from playground.session import Playground

JOURNAL_MISMATCH = 570
HOPELESS = 3
"""Attempts that fail with a journal mismatch before a run counts as stuck: the code will not change."""
KEEPS_FAILING = 7
"""Attempts that end with the very same error one after the other before a run counts as stuck."""
QUIET = 1.0
"""Seconds without news after which a run with fewer invocations than the clean one counts as over."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the atlas sends, and the keys in it that every run needs afresh."""

    target: str
    body: Any
    keys: frozenset[str] = frozenset()

    def fresh(self, number: int) -> tuple[str, Any]:
        """Target and body for a run."""
        body = self.body if self.body is NO_BODY else freshen(self.body, self.keys, number)
        service, *rest = self.target.split("/")
        return "/".join([service, *(freshen(part, self.keys, number) for part in rest[:-1]), *rest[-1:]]), body


class Run:
    """One run of the atlas, as a `drive=` callable sees it.

    Attributes:
        invocation: the root's handle, in the lab.
        number: the run's number.
    """

    def __init__(self, lab: Playground, invocation: Invocation, number: int, keys: frozenset[str]) -> None:
        self._lab, self.invocation, self.number, self._keys = lab, invocation, number, keys
        self.deadline = 0.0

    def fresh(self, text: str) -> str:
        """A target or key of the clean run, as it is called in this one: "ada" -> "ada-run00007"."""
        return str(freshen(text, self._keys, self.number))

    def wait_for(self, kind: str) -> Any:
        """Wait until an effect of this run is in the ledger; returns its body (parsed, if it is JSON).

        Raises:
            TimeoutError: it did not come while the run lasted.
        """
        found: list[Effect] = []

        def there() -> bool:
            found[:] = [effect for effect in self.effects() if effect.kind == kind and not effect.refused]
            return bool(found) or self.invocation.trace.done

        if not self._lab._wait_until(there, max(0.0, self.deadline - time.monotonic())) or not found:
            raise TimeoutError(f"no {kind} happened")
        return as_json(found[0].body)

    def effects(self) -> list[Effect]:
        """The effects of this run so far."""
        with self._lab.recording.lock:
            timeline = self._lab.recording.timeline
            mine = timeline.roles(self.invocation.id)
            return [e for e in timeline.effects if e.invocation in mine or token(self.number) in e.body + e.key]

    def resolve(self, awakeable: str, value: Any = None) -> None:
        """Complete an awakeable with a value."""
        self._lab.resolve(awakeable, value)

    def reject(self, awakeable: str, reason: str) -> None:
        """Complete an awakeable with a failure."""
        self._lab.reject(awakeable, reason)

    def call(self, target: str, body: Any = NO_BODY) -> Any:
        """Call a handler in the lab; keys of the clean run are made this run's own."""
        return self._lab.call(self.fresh(target), body if body is NO_BODY else freshen(body, self._keys, self.number))


Drive = Callable[[Run], None]


class Lab:
    """Runs one request again and again, each time with accidents of its own.

    Args:
        playground: gated, with the sources deployed.
        drive: does what the outside has to do; by default an awakeable is resolved with null as soon as
            an attempt is suspended on it.
    """

    def __init__(self, playground: Playground, drive: Drive | None) -> None:
        self.playground = playground
        self._drive = drive

    def run(
        self, request: Request, number: int, points: tuple[Point, ...], *, patience: float, least: int = 1
    ) -> tuple[Invocation, Seen, bool]:
        """Run a request once; returns (its handle, what was seen, whether all accidents happened there).

        Args:
            number: the run's number; its keys follow from it.
            points: the accidents it meets, in order.
            patience: seconds after which it counts as stuck.
            least: how many invocations the clean run has caused.
        """
        lab = self.playground
        target, body = request.fresh(number)
        invocation = lab.send(target, body)
        run = Run(lab, invocation, number, request.keys)
        run.deadline = time.monotonic() + patience
        accidents = [point.accident for point in points]
        lab.ledger.plan({"run": str(number), "root": invocation.id, "accidents": accidents})
        trouble: list[str] = []
        driver = threading.Thread(target=self._driven, args=(run, trouble), daemon=True)
        driver.start()
        stuck = self._to_the_end(run, least)
        driver.join(0.5 if stuck else 5)
        if stuck:
            self._give_up(invocation.id)
        if trouble:
            stuck = stuck or f"drive raised {trouble[0]}"
        seen = self._seen(run, stuck)
        happened = self._happened(invocation.id, points)
        lab.ledger.forget_plan(str(number))
        return invocation, seen, happened

    # -- while it runs --------------------------------------------------------------------------------

    def _driven(self, run: Run, trouble: list[str]) -> None:
        try:
            if self._drive is not None:
                self._drive(run)
            else:
                self._click(run)
        except TimeoutError:
            pass  # the run says itself what it is stuck on
        except Exception as error:
            trouble.append(f"{type(error).__name__}: {error}")

    def _click(self, run: Run) -> None:
        lab, clicked = self.playground, set[str]()
        pending: list[str] = []

        def something() -> bool:
            timeline = lab.recording.timeline
            mine = [Invocation(lab, i, "") for i in timeline.roles(run.invocation.id)]
            pending[:] = [a for each in mine for a in each.awakeables if a not in clicked]
            return bool(pending) or self._over(run, 0)

        while lab._wait_until(something, max(0.0, run.deadline - time.monotonic())) and pending:
            for awakeable in pending:
                clicked.add(awakeable)
                lab.resolve(awakeable)

    def _traces(self, root: str) -> list[Trace]:
        timeline = self.playground.recording.timeline
        return timeline.family(root)

    def _over(self, run: Run, least: int) -> bool:
        traces = self._traces(run.invocation.id)
        return len(traces) >= least and all(trace.done for trace in traces)

    def _to_the_end(self, run: Run, least: int) -> str:
        """Wait for the run and all it caused; returns what it is stuck on, or nothing."""
        lab = self.playground

        def ended() -> bool:
            return self._over(run, least) or bool(self._hopeless(run))

        while not lab._wait_until(ended, min(QUIET, max(0.0, run.deadline - time.monotonic()))):
            lab._engine.run(lab._recorder.look())
            if self._over(run, 1):
                return ""
            if time.monotonic() > run.deadline:
                break
        with lab.recording.lock:
            if self._over(run, 1):
                return ""
            waiting = next((t for t in self._traces(run.invocation.id) if not t.done), None)
            return self._hopeless(run) or (f"{plain(waiting.target)}: {plain(standing(waiting)[0])}" if waiting else "")

    def _hopeless(self, run: Run) -> str:
        for trace in self._traces(run.invocation.id):
            if trace.status == "paused":
                return f"{plain(trace.target)}: paused"
            failures = [attempt.failure for attempt in trace.attempts if attempt.failure]
            if not failures:
                continue
            code, message = failures[-1]
            if code == JOURNAL_MISMATCH and len(failures) >= HOPELESS:
                return f"{plain(trace.target)}: journal mismatch, on every retry"
            if failures[-KEEPS_FAILING:].count(failures[-1]) == KEEPS_FAILING:
                return f"{plain(trace.target)}: fails on every retry: {plain(message)}"
        return ""

    def _give_up(self, root: str) -> None:
        for invocation in self.playground.recording.timeline.roles(root):
            try:
                Invocation(self.playground, invocation, "").kill()
            except (RequestError, PlaygroundError):
                pass  # it has ended meanwhile

    # -- what was seen --------------------------------------------------------------------------------

    def _seen(self, run: Run, stuck: str) -> Seen:
        lab = self.playground
        lab.ledger.entries()  # the recording has all the ledger has, from here on
        effects = [effect for effect in run.effects() if not (effect.repeated or effect.refused)]
        kinds = sorted({effect.kind for effect in lab.recording.timeline.effects})
        value, failure = None, ""
        if not stuck:
            lab._engine.run(lab._result(run.invocation.id, 10))  # recorded whole; what a pod tells may be cut
            root = run.invocation.trace
            value = plain(as_json(root.value), kinds)
            failure = plain(f"{root.failure[0]}: {root.failure[1]}", kinds) if root.failure else ""
        states = {}
        for service, key in keyed(self._traces(run.invocation.id)):
            states[f"{service}/{plain(key)}"] = plain(dict(lab.state(service, key)), kinds)
        steps: Counter[tuple[str, str, str]] = Counter()
        for effect in effects:
            trace = lab.recording.timeline.invocations.get(effect.invocation)
            step = str(trace.rows[effect.row]) if trace and effect.row else ""
            steps[effect.kind, plain(trace.target) if trace else "", step] += 1
        attempts = [attempt for trace in self._traces(run.invocation.id) for attempt in trace.attempts]
        suspensions = sum(attempt.outcome == "suspended" for attempt in attempts)
        return Seen(value, failure, stuck, states, Counter(e.kind for e in effects), suspensions, steps)

    def _happened(self, root: str, points: Iterable[Point]) -> bool:
        """Whether the recording shows every accident, at the very place it was planned for."""
        wanted = [point for point in points if point.where[0] != "effect"]
        recording = self.playground.recording
        with recording.lock:
            role_of = recording.timeline.roles(root)
            shown = []
            for event in recording.events:
                if event.kind not in ("attempt.crashed", "attempt.held"):
                    continue
                if event.data["invocation"] in role_of:
                    shown.append((role_of[event.data["invocation"]], tuple(event.data["boundary"])))
            refused = [e for e in recording.timeline.effects if e.invocation in role_of]
        if any(point.act == "fail" for point in points) and not any(e.refused for e in refused):
            return False
        return shown == [(point.role, point.where) for point in wanted]


def keyed(traces: Iterable[Trace]) -> list[tuple[str, str]]:
    """The objects that invocations addressed: (service, key), each once."""
    found = {}
    for trace in traces:
        service, *rest = trace.target.split("/")
        if len(rest) >= 2:
            found[service, "/".join(rest[:-1])] = True
    return list(found)


class KillsServer:
    """Kills the lab's Restate server whenever a plan says so, then lets the frame that was held go on."""

    def __init__(self, playground: Playground) -> None:
        self._playground = playground
        self._seen = 0
        playground.recording.listen(self._look)

    def _look(self) -> None:
        recording = self._playground.recording
        new, self._seen = recording.since(self._seen), len(recording)
        for event in new:
            if event.kind == "plan.hold":
                self._playground._engine.start(self._kill(event.data["run"]))

    async def _kill(self, run: str) -> None:
        await self._playground._backend.kill_server()
        await asyncio.to_thread(self._playground.ledger.release_plan, run)
