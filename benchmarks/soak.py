"""Is anything lost, is anything stuck? `python -m benchmarks soak --minutes 10 --seed 7`.

A playground does all that it can do, while its parts are killed, asked to end and made to stand still, and while the
caller is interrupted. A keeper's death ends the playground, as it should; then the next one is opened on the same data,
and goes on. Afterwards everything that was begun must be done, once, and nothing may have grown: `soak_load` has the
account, `soak_faults` the plan, and `soak_result` what may grow by how much.

The load comes from threads; the main thread is the notebook: it calls, deploys, kills pods, and is interrupted in it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import psutil

from benchmarks.soak_faults import Fault, Saboteur, digest, interrupt_main, plan
from benchmarks.soak_load import SOURCES, Job, Load, audit, source
from benchmarks.soak_result import Result, grown, sizes, tree
from playground import Playground
from playground.backends.local.backend import LocalBackend
from playground.errors import PlaygroundError, PodNotFound

STUCK = 120.0
"""Seconds without a fault in which everything has to be done; also: in which no job at all is done under faults."""
INTERRUPTED = "calls interrupted"


class Soak:
    """One run.

    Args:
        directory: the data and what is temporary are below it.
        seconds: how long faults come, or None.
        most: how many faults come, or None.
        rate: faults per second.
    """

    def __init__(
        self, seed: int, directory: Path, *, seconds: float | None, most: int | None, rate: float, workers: int = 6
    ) -> None:
        self.result = Result(seed, digest(seed, rate))
        self._directory, self._data = directory, directory / "data"
        self._seconds, self._most = seconds, most
        self._plan = plan(seed, rate)
        self._random = random.Random(f"{seed} caller")
        self._load = Load(seed, workers)
        self._saboteur = Saboteur(self._keeper, self._interrupt, self._reopen)
        self._open: Playground | None = None
        self._versions = dict.fromkeys(SOURCES, 1)
        self._armed = self._over = False
        self._failure: BaseException | None = None
        self._began = time.monotonic()

    def run(self) -> Result:
        """Open, warm up, soak, settle the account."""
        inherited = signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGINT, self._interrupted)
        try:
            self._open_playground()
            with self._watched():
                self._act(self._warm_up())
                self._settle()
                self.result.before = sizes(self._keeper() or 0, self._directory / "tmp")
                revisions = self.result.revisions
                self._act(self._soak())
                self._settle()
                self.result.after = sizes(self._keeper() or 0, self._directory / "tmp")
            self._account(self.result.revisions - revisions)
        except BaseException as error:
            self.result.wrong.append("".join(traceback.format_exception(error)))
        finally:
            self._finish()
            signal.signal(signal.SIGINT, inherited)
        return self.result

    # -- phases --------------------------------------------------------------------------------------------

    def _warm_up(self) -> Iterator[Fault]:
        """A few of all faults: what is loaded, cached and pooled once is there afterwards."""
        seconds = min(60.0, (self._seconds or 600.0) / 5)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            yield next(self._plan)
        yield Fault(0.0, "keeper", "kill", 0.0, 0.0)  # rare in a plan, so it is in every run

    def _soak(self) -> Iterator[Fault]:
        deadline = self._began + (self._seconds or float("inf"))
        while time.monotonic() < deadline and sum(self._saboteur.done.values()) < (self._most or sys.maxsize):
            yield next(self._plan)

    def _act(self, faults: Iterator[Fault]) -> None:
        """Load and faults from threads, calls from here, until the faults are over."""
        self._over = False
        self._load.pause(paused=False)
        self._load.latest = time.monotonic()
        thread = threading.Thread(target=self._sabotage, args=(faults,), name="saboteur")
        thread.start()
        while thread.is_alive():
            self._call()
        thread.join()
        self._load.pause()
        if self._failure is not None:
            raise self._failure

    def _sabotage(self, faults: Iterator[Fault]) -> None:
        try:
            for fault in faults:
                time.sleep(fault.after)
                self._saboteur.strike(fault)
                if time.monotonic() - self._load.latest > STUCK:
                    raise TimeoutError(f"no job has been done for {STUCK:.0f} s")
        except BaseException as error:
            self._failure = error
        finally:
            self._saboteur.rest()
            self._over = True

    def _settle(self) -> None:
        """No faults, no new jobs: everything has to come to its end, and to rest."""
        deadline = time.monotonic() + STUCK
        pg = self._load.playground
        while self._load.open and time.monotonic() < deadline:
            time.sleep(0.1)
        if self._load.open:
            raise TimeoutError(f"{len(self._load.open)} jobs are not done {STUCK:.0f} s after the last fault")
        while unfinished := pg.runtime.run(pg.runtime.admin.unfinished()):
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{len(unfinished)} invocations are not completed {STUCK:.0f} s after the last fault"
                )
            time.sleep(0.2)
        pg.wait_for(pods=0, timeout=60)

    # -- the caller, in the main thread ---------------------------------------------------------------------

    def _call(self) -> None:
        """One thing that a notebook does; an interrupt may come at any moment of it."""
        what = self._random.choice((self._job, self._job, self._job, self._kill_pod, self._deploy, self._look))
        try:
            self._armed = True
            try:
                what(self._load.playground)
            finally:
                self._armed = False
        except KeyboardInterrupt:
            self._load.refused[INTERRUPTED] += 1
        except BaseException as error:
            self._load.excuse(error, what.__name__)
            time.sleep(0.05)

    def _job(self, pg: Playground) -> None:
        if self._load.behind:
            time.sleep(0.1)
            return
        job = self._load.draw(self._random.choice(("add", "both")))
        try:
            self._load.once(job, pg)
        finally:
            if job.ended is None:
                self._load.leave(job)

    def _kill_pod(self, pg: Playground) -> None:
        with contextlib.suppress(PodNotFound):
            killed = pg.kill_pod(self._random.choice(tuple(SOURCES)))
            if killed.phase not in ("killed", "crashed", "stopped"):
                self._load.broken.append(f"kill_pod returned {killed!r}")

    def _deploy(self, pg: Playground) -> None:
        if self._random.random() > 0.2:
            return
        name = self._random.choice(tuple(SOURCES))
        self._versions[name] += 1
        deployed = pg.deploy(name=name, source=source(name, self._versions[name]))
        self.result.revisions += 1
        if deployed.name != name or pg.services[name].revision != deployed.revision:
            self._load.broken.append(f"deploy of {name} returned {deployed!r}")

    def _look(self, pg: Playground) -> None:
        counter = self._random.choice(("c0", "c1"))
        repr(pg.state("Counter", counter))
        repr(pg.queue("Counter", counter))
        repr(pg.pods)

    def _interrupt(self) -> bool:
        if self._armed:
            interrupt_main()
            return True
        return False

    def _interrupted(self, _number: int, _frame: FrameType | None) -> None:
        if self._armed:
            raise KeyboardInterrupt

    # -- the playground ---------------------------------------------------------------------------------------

    def _keeper(self) -> int | None:
        backend = self._open.runtime.backend if self._open is not None else None
        return backend.keeper_pid if isinstance(backend, LocalBackend) else None

    def _open_playground(self) -> None:
        pg = Playground.open(data_dir=self._data, inactivity_timeout=0.5, idle_window=1.0)
        for name, version in self._versions.items():
            pg.deploy(name=name, source=source(name, version))
            self.result.revisions += 1
        self._open = pg
        self._load.use(pg)

    def _reopen(self) -> None:
        """A keeper was killed, and the playground is over: the next one goes on with its data."""
        self._saboteur.rest()
        dead, self._open = self._open, None
        self._load.use(None)
        assert dead is not None
        dead.close()
        self._open_playground()
        self.result.reopened += 1

    # -- what came of it ----------------------------------------------------------------------------------------

    def _account(self, revisions: int) -> None:
        result, pg = self.result, self._load.playground
        result.compared, wrong = audit(self._load.jobs, pg, self._data)
        result.wrong += wrong + self._load.broken
        result.wrong += grown(result.before, result.after, revisions, len(self._load.jobs))

    def _finish(self) -> None:
        result = self.result
        result.minutes = round((time.monotonic() - self._began) / 60, 2)
        result.faults, result.left_out = dict(self._saboteur.done), dict(self._saboteur.left_out)
        result.refused = dict(self._load.refused)
        result.slowest = round(max((job.ended - job.began for job in self._load.jobs if job.ended), default=0.0), 1)
        if result.wrong:
            result.data = str(self._directory)
            print(self._diagnosis(), flush=True)
        self._load.stop()
        if self._open is not None:
            self._open.close()

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Say every ten seconds how it goes."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(10):
                print(self._progress(), flush=True)

        thread = threading.Thread(target=watch, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _progress(self) -> str:
        now = time.monotonic()
        waiting = [now - job.began for job in tuple(self._load.open)]
        return (
            f"{now - self._began:5.0f} s  {sum(self._saboteur.done.values()):6} faults"
            f"  {len(self._load.jobs):6} jobs, {len(waiting)} open, the oldest {max(waiting, default=0):.0f} s"
            f"  {self.result.revisions} revisions, reopened {self.result.reopened}×, {len(self._load.broken)} broken"
            f"  {psutil.Process().memory_info().rss / 2**20:.0f} MB"
        )

    def _diagnosis(self) -> str:
        """All that helps to find out what went wrong."""
        lines = ["", "WRONG", *self.result.wrong[:40], *self._load.broken[:10]]
        lines += ["", "latest faults", *self._saboteur.recent]
        pg = self._open
        if pg is None:
            return "\n".join(lines)
        lines += ["", "processes", *tree(self._keeper())]
        try:
            lines += ["", "pods", repr(pg.pods), "", "unfinished, as Restate has it"]
            unfinished = pg.runtime.run(pg.runtime.admin.unfinished())
            lines += [json.dumps(row) for row in unfinished[:20]]
            for job in list(self._load.open)[:10]:
                lines += ["", f"{job.key} of {time.monotonic() - job.began:.0f} s ago", _told(pg, job)]
            for row in unfinished[:10]:
                lines += ["", _trace(pg, row["id"])]
        except PlaygroundError as error:
            lines += [f"(no more can be told: {error})"]
        for name in ("keeper.log", "restate-server.log"):
            for path in sorted(self._data.rglob(name)):
                lines += ["", str(path), *path.read_text("utf-8", "replace").splitlines()[-25:]]
        return "\n".join(lines)


def _told(pg: Playground, job: Job) -> str:
    return _trace(pg, job.invocation) if job.invocation else "(not accepted by Restate yet)"


def _trace(pg: Playground, invocation: str) -> str:
    try:
        return f"{invocation}\n{pg.invocation(invocation)!r}"
    except PlaygroundError as error:
        return f"{invocation}: {error.what}"


def soak(
    seed: int, *, seconds: float | None = None, most: int | None = None, rate: float = 5.0, where: Path | None = None
) -> Result:
    """Run a soak in a directory of its own, which is kept if something is wrong.

    Args:
        seed: what faults, jobs and calls are drawn with.
        seconds: how long faults come.
        most: how many faults come; the first of the two limits counts.
        rate: faults per second, on average.
        where: the directory, by default a new one.
    """
    directory = where or Path(tempfile.mkdtemp(prefix="soak-"))
    (directory / "tmp").mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(directory / "tmp")
    inherited = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(directory / "tmp")
    try:
        result = Soak(seed, directory, seconds=seconds, most=most, rate=rate).run()
    finally:
        tempfile.tempdir = before
        if inherited is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = inherited
    if not result.wrong and where is None:
        shutil.rmtree(directory, ignore_errors=True)
    return result


def main(arguments: list[str]) -> None:
    """`python -m benchmarks soak`: exits with 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak", description="Faults without end, nothing lost.")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the plan (default: by chance)")
    parser.add_argument("--minutes", type=float, help="how long faults come (default 10, if no number is given)")
    parser.add_argument("--faults", type=int, help="how many faults come")
    parser.add_argument("--rate", type=float, default=5.0, help="faults per second (default 5)")
    parser.add_argument("--json", type=Path, help="a file for the result")
    asked = parser.parse_args(arguments)
    minutes = asked.minutes if asked.minutes or asked.faults else 10.0
    print(f"seed {asked.seed}, plan {digest(asked.seed, asked.rate)}", flush=True)
    result = soak(asked.seed, seconds=minutes and minutes * 60, most=asked.faults, rate=asked.rate)
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(result.to_json(), indent=2) + "\n", "utf-8")
    print(f"\n{result.table()}")
    if result.wrong:
        print(f"\nWRONG ({len(result.wrong)}); the data is kept in {result.data}", flush=True)
        sys.exit(1)
