"""The soak's load: jobs of every kind that durable execution promises something for, and what must come of them.

A job is a request that is sent again, with the same key, until its result is there: what is accepted once must
happen once. Each adds one to its counters, and each addition is an effect with a key in the ledger. So afterwards
there is an account to settle: the counters in Restate's state, the effects in the ledger's file, the journals on the
server and the recording here were written by four different programs, and all must say what the jobs say.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from playground import Playground
from playground.errors import InvocationFailed, PlaygroundClosed, PlaygroundError
from playground.restate.admin import literal

COUNTERS = tuple(f"c{n}" for n in range(6))
ASKED_FOR = 300
"""Journals that are read at a time."""
PATIENCE = 20.0
"""Seconds a job waits for its result before it asks again."""
EFFECT = """
# version {version}
import os
from datetime import timedelta
import httpx
import restate

def effect(key: str) -> None:
    httpx.post(
        os.environ["LEDGER_URL"] + "/added", json={{"key": key}}, headers={{"idempotency-key": key}}, timeout=30
    ).raise_for_status()
"""
SOURCES = {
    "counter": """
counter = restate.VirtualObject("Counter")

@counter.handler()
async def add(ctx: restate.ObjectContext, key: str) -> str:
    await ctx.run_typed("effect", effect, key=key)
    ctx.set("count", (await ctx.get("count", type_hint=int) or 0) + 1)
    return key
""",
    "moves": """
moves = restate.Service("Moves")

@moves.handler()
async def both(ctx: restate.Context, job: dict) -> str:
    for number, name in enumerate(job["counters"]):
        await ctx.generic_call("Counter", "add", json(f"{job['key']}-{number}"), key=name)
    return job["key"]

@moves.handler()
async def later(ctx: restate.Context, job: dict) -> str:
    for number, name in enumerate(job["counters"]):
        ctx.generic_send(
            "Counter", "add", json(f"{job['key']}-{number}"), key=name, send_delay=timedelta(milliseconds=400)
        )
        await ctx.sleep(timedelta(milliseconds=50))
    return job["key"]

def json(text: str) -> bytes:
    return f'"{text}"'.encode()
""",
    "desk": """
desk = restate.VirtualObject("Desk")

@desk.handler()
async def ask(ctx: restate.ObjectContext, job: dict) -> str:
    awakeable, answer = ctx.awakeable(type_hint=str)
    ctx.set("awakeable", awakeable)
    said = await answer
    ctx.clear("awakeable")
    await ctx.generic_call("Counter", "add", f'"{said}"'.encode(), key=job["counters"][0])
    return job["key"]
""",
    "errand": """
errand = restate.Workflow("Errand")

@errand.main()
async def run(ctx: restate.WorkflowContext, job: dict) -> str:
    await ctx.promise("go", type_hint=str).value()
    await ctx.generic_call("Counter", "add", f'"{job["key"]}-0"'.encode(), key=job["counters"][0])
    return job["key"]

@errand.handler()
async def go(ctx: restate.WorkflowSharedContext) -> None:
    await ctx.promise("go", type_hint=str).resolve("now")
""",
}


def source(name: str, version: int) -> str:
    """A service's source; a version is a revision of its own, and reads the journals of all others."""
    return EFFECT.format(version=version) + SOURCES[name]


@dataclass(slots=True, eq=False)
class Job:
    """One thing to be done, once.

    Attributes:
        kind: which of `KINDS`.
        key: names it everywhere: idempotency key, workflow key, effect.
        counters: each gets one more.
        began, ended: monotonic seconds.
        invocation: the id of the invocation that does it, once it is known.
    """

    kind: str
    key: str
    counters: tuple[str, ...]
    delay: float
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    invocation: str = ""

    @property
    def body(self) -> dict[str, object]:
        """What its handler gets."""
        return {"key": self.key, "counters": list(self.counters)}

    @property
    def effects(self) -> list[str]:
        """The keys of its effects."""
        return [self.key] if self.kind in ("add", "delayed") else [f"{self.key}-{n}" for n in range(len(self.counters))]


def _sent(
    job: Job, pg: Playground, target: str, body: object, delay: float | None = None, *, keyed: bool = True
) -> str:
    sent = pg.send(target, body, delay=delay, idempotency_key=job.key if keyed else None)
    job.invocation = sent.id
    return str(sent.result(PATIENCE))


def _add(job: Job, pg: Playground) -> str:
    return _sent(job, pg, f"Counter/{job.counters[0]}/add", job.key)


def _delayed(job: Job, pg: Playground) -> str:
    return _sent(job, pg, f"Counter/{job.counters[0]}/add", job.key, job.delay)


def _both(job: Job, pg: Playground) -> str:
    return _sent(job, pg, "Moves/both", job.body)


def _later(job: Job, pg: Playground) -> str:
    return _sent(job, pg, "Moves/later", job.body)


def _ask(job: Job, pg: Playground) -> str:
    asks = pg.send(f"Desk/{job.key}/ask", job.body, idempotency_key=job.key)
    job.invocation = asks.id
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not asks.trace.done:
        if awakeable := pg.state("Desk", job.key).get("awakeable"):
            pg.resolve(awakeable, f"{job.key}-0")
            break
        time.sleep(0.05)
    return str(asks.result(PATIENCE))


def _errand(job: Job, pg: Playground) -> str:
    runs = pg.send(f"Errand/{job.key}/run", job.body)
    job.invocation = runs.id
    pg.call(f"Errand/{job.key}/go", idempotency_key=f"{job.key}-go", timeout=PATIENCE)
    return str(runs.result(PATIENCE))


KINDS: dict[str, Callable[[Job, Playground], str]] = {
    "add": _add,
    "delayed": _delayed,
    "both": _both,
    "later": _later,
    "ask": _ask,
    "errand": _errand,
}


class Load:
    """Threads that do jobs, on whichever playground is the open one.

    Args:
        seed: what the jobs are drawn with.
        workers: jobs at a time.

    Attributes:
        jobs: all that were begun.
        open: those that are not done.
        refused: how often a call told of what was in its way, by the error's name: it was made again.
        broken: what no fault excuses.
        latest: when a job was done last, monotonic seconds.
    """

    def __init__(self, seed: int, workers: int) -> None:
        self.jobs: list[Job] = []
        self.open: set[Job] = set()
        self.refused: Counter[str] = Counter()
        self.broken: list[str] = []
        self.latest = time.monotonic()
        self._random = random.Random(f"{seed} jobs")
        self._numbers = itertools.count(1)
        self._lock = threading.Condition()
        self._playground: Playground | None = None
        self._left: list[Job] = []
        self._paused, self._stopped = True, False
        self._threads = [threading.Thread(target=self._work, name=f"soak-{n}", daemon=True) for n in range(workers)]
        for thread in self._threads:
            thread.start()

    # -- the open playground ------------------------------------------------------------------------------

    @property
    def playground(self) -> Playground:
        """The open one; waits while there is none."""
        with self._lock:
            self._lock.wait_for(lambda: self._playground is not None or self._stopped)
            if self._playground is None:
                raise PlaygroundClosed("The soak is over.")
            return self._playground

    def use(self, playground: Playground | None) -> None:
        """Say which one is open now, or that none is."""
        with self._lock:
            self._playground = playground
            self._lock.notify_all()

    # -- jobs -----------------------------------------------------------------------------------------------

    def draw(self, kind: str | None = None) -> Job:
        """A new job, which counts from now on."""
        with self._lock:
            kind = kind or self._random.choice(tuple(KINDS))
            counters = tuple(self._random.sample(COUNTERS, 2 if kind in ("both", "later") else 1))
            job = Job(kind, f"{kind}{next(self._numbers)}", counters, self._random.uniform(0.1, 1.5))
            self.jobs.append(job)
            self.open.add(job)
            return job

    def once(self, job: Job, playground: Playground) -> None:
        """Try to get a job done.

        Raises:
            PlaygroundError: it is not known to be done.
        """
        answer = KINDS[job.kind](job, playground)
        if answer != job.key:
            self.broken.append(f"{job.key} came back as {answer!r}")
        job.ended = self.latest = time.monotonic()
        with self._lock:
            self.open.discard(job)

    @property
    def behind(self) -> bool:
        """Whether more jobs were left to the threads than they get done."""
        return len(self._left) > len(self._threads)

    def leave(self, job: Job) -> None:
        """Leave a job to the threads: who began it was interrupted."""
        with self._lock:
            self._left.append(job)

    def pause(self, *, paused: bool = True) -> None:
        """Begin no more jobs; those begun are done."""
        with self._lock:
            self._paused = paused
            self._lock.notify_all()

    def stop(self) -> None:
        """End the threads."""
        with self._lock:
            self._stopped, self._paused, self._playground = True, True, None
            self._lock.notify_all()
        for thread in self._threads:
            thread.join(PATIENCE + 5)

    def _work(self) -> None:
        while job := self._next():
            while job in self.open and not self._stopped:
                try:
                    self.once(job, self.playground)
                except BaseException as error:
                    self.excuse(error, job.key)
                    time.sleep(0.05)

    def _next(self) -> Job | None:
        while True:
            with self._lock:
                if self._left:
                    return self._left.pop()
                if self._stopped:
                    return None
                if self._paused:
                    self._lock.wait(0.2)
                    continue
            return self.draw()

    def excuse(self, error: BaseException, what: str) -> None:
        """Count an error that a fault explains; keep one that nothing does."""
        if isinstance(error, PlaygroundError) and not isinstance(error, InvocationFailed):
            self.refused[type(error).__name__] += 1
        else:
            self.broken.append(f"{what}: {''.join(traceback.format_exception(error))}")


# -- the account ------------------------------------------------------------------------------------------------


def audit(jobs: list[Job], pg: Playground, directory: Path) -> tuple[dict[str, int], list[str]]:
    """Compare what the jobs ask for with what four programs say.

    Returns:
        What was compared, by name, and what is wrong.
    """
    wrong = [f"{job.key} is not done" for job in jobs if job.ended is None]
    additions = Counter(name for job in jobs for name in job.counters)
    for name in COUNTERS:
        count = pg.state("Counter", name).get("count", 0)
        if count != additions[name]:
            wrong.append(f"the counter {name} is {count}, and {additions[name]} were added")
    happened = _effects(directory)
    asked_for = {key for job in jobs for key in job.effects}
    wrong += [f"the effect {key} happened {times} times" for key, times in happened.items() if times != 1]
    wrong += [f"the effect {key} never happened" for key in sorted(asked_for - happened.keys())]
    wrong += [f"nobody asked for the effect {key}" for key in sorted(happened.keys() - asked_for)]
    journals, differ = _journals(pg)
    compared = {"jobs": len(jobs), "additions": additions.total(), "effects": len(happened), "journals": journals}
    return compared, wrong + differ


def _effects(directory: Path) -> Counter[str]:
    """How often each effect happened, from the ledger's own file."""
    with sqlite3.connect(f"file:{directory / 'ledger.sqlite'}?mode=ro", uri=True) as file:
        rows = file.execute("SELECT key, count(*) FROM entries WHERE what = 'happened' GROUP BY key").fetchall()
    file.close()
    return Counter(dict(rows))


def _journals(pg: Playground) -> tuple[int, list[str]]:
    """Compare the recorded entries of every invocation with the journal that the server has of it.

    One that completed before this playground was opened has no recorded entries; nor has one that the recording let
    go of to stay under its limit.
    """
    with pg.recording.lock:
        traces = pg.recording.invocations
        wrong = [f"{t.id} ({t.target}) is recorded as {t.status}, not as completed" for t in traces if not t.done]
        recorded = {
            trace.id: [
                kind for _, kind in sorted((int(e.row[1]), e.type) for e in trace.entries if e.row[0] == "entry")
            ]
            for trace in traces
            if trace.entries
        }
    compared = 0
    for ids in batched(recorded, ASKED_FOR):
        listed = ", ".join(map(literal, ids))
        rows = pg.runtime.run(
            pg.runtime.admin.query(
                f"SELECT id, entry_type FROM sys_journal WHERE id IN ({listed}) AND entry_type LIKE 'Command: %'"
                " ORDER BY id, index"
            )
        )
        stored: dict[str, list[str]] = {}
        for row in rows:
            stored.setdefault(row["id"], []).append(row["entry_type"].removeprefix("Command: "))
        for invocation, journal in stored.items():
            compared += 1
            if recorded[invocation] != journal:
                wrong.append(f"{invocation}: recorded {recorded[invocation]}, in the journal {journal}")
    return compared, wrong


def batched(names: Iterable[str], size: int) -> Iterator[list[str]]:
    """So many at a time."""
    rest = iter(names)
    while batch := list(itertools.islice(rest, size)):
        yield batch
