"""The soak's faults: a plan drawn from a seed, and the hand that carries it out.

The plan is drawn before anything happens and asks nobody, so the same seed is the same plan on any machine: after how
long, which signal, to whom, and how long a process stands still. Whom it meets is up to the moment: `pick` points into
the list of those that are there.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil

MIX = {
    ("pod", "kill"): 32.0,
    ("pod", "terminate"): 22.0,
    ("pod", "stop"): 18.0,
    ("caller", "interrupt"): 14.0,
    ("ledger", "kill"): 4.0,
    ("ledger", "stop"): 3.0,
    ("server", "stop"): 3.0,
    ("server", "kill"): 2.0,
    ("server", "terminate"): 1.0,
    ("keeper", "stop"): 0.9,
    ("keeper", "kill"): 0.07,
    ("keeper", "terminate"): 0.03,
}
"""How often each fault is drawn, of a hundred. What ends a whole playground is the dearest: it is opened anew."""
SIGNALS = {"kill": signal.SIGKILL, "terminate": signal.SIGTERM, "stop": signal.SIGSTOP}
LONGEST_STOP = {"pod": 1.5, "ledger": 1.0, "server": 1.5, "keeper": 0.5}
"""Seconds that a process stands still at the most."""
WAIT = 2.0
"""Seconds that a victim is waited for, until the fault is left out."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a plan.

    Attributes:
        after: seconds since the one before.
        whom: pod, ledger, server, keeper or caller.
        what: kill, terminate, stop or interrupt.
        pick: which of those that are there, from 0 to 1.
        hold: seconds until one that is stopped goes on.
    """

    after: float
    whom: str
    what: str
    pick: float
    hold: float

    @property
    def name(self) -> str:
        """What is counted."""
        return f"{self.whom} {self.what}"


def plan(seed: int, rate: float) -> Iterator[Fault]:
    """Faults without end, the same for the same seed and rate.

    Args:
        rate: faults per second, on average.
    """
    lot = random.Random(f"{seed} faults")
    kinds, weights = list(MIX), list(MIX.values())
    while True:
        ((whom, what),) = lot.choices(kinds, weights)
        hold = lot.uniform(0.02, LONGEST_STOP.get(whom, 0.0) or 0.02)
        yield Fault(lot.expovariate(rate), whom, what, lot.random(), hold)


def digest(seed: int, rate: float) -> str:
    """A plan's name: two runs with the same one suffer the same."""
    return hashlib.sha256(repr(list(itertools.islice(plan(seed, rate), 1000))).encode()).hexdigest()[:8]


class Saboteur:
    """Carries a plan out, in a thread of its own.

    Args:
        keeper: gives the process id of the open playground's keeper, or None while there is none.
        interrupt: interrupts the caller; whether there was somebody to interrupt.
        ended: called when a keeper was ended, and with it the playground.

    Attributes:
        done: faults carried out, by name.
        left_out: those that met nobody.
        recent: the latest, with when they came.
    """

    def __init__(
        self, keeper: Callable[[], int | None], interrupt: Callable[[], bool], ended: Callable[[], None]
    ) -> None:
        self.done: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.recent: list[str] = []
        self._keeper, self._interrupt, self._ended = keeper, interrupt, ended
        self._resting: list[threading.Timer] = []

    def strike(self, fault: Fault) -> bool:
        """Carry out one fault; whether it met anybody."""
        deadline = time.monotonic() + WAIT
        while not self._try(fault):
            if time.monotonic() > deadline:
                self.left_out[fault.name] += 1
                return False
            time.sleep(0.01)
        self.done[fault.name] += 1
        self.recent = [*self.recent[-29:], f"{time.time():.3f} {fault.name} {fault.hold:.2f}"]
        if fault.whom == "keeper" and fault.what != "stop":
            self._ended()
        return True

    def rest(self) -> None:
        """Wait until whatever stands still goes on again."""
        for timer in self._resting:
            timer.join()
        self._resting.clear()

    def _try(self, fault: Fault) -> bool:
        if fault.whom == "caller":
            return self._interrupt()
        try:
            there = victims(self._keeper(), fault.whom)
            if not there:
                return False
            victim = there[int(fault.pick * len(there))]
            victim.send_signal(SIGNALS[fault.what])
        except psutil.Error:
            return False  # it was quicker
        if fault.what == "stop":
            self._resting = [timer for timer in self._resting if timer.is_alive()]
            timer = threading.Timer(fault.hold, _go_on, (victim,))
            timer.start()
            self._resting.append(timer)
        return True


def victims(keeper: int | None, whom: str) -> list[psutil.Process]:
    """The processes of a playground that play a part. All are the keeper's children, and most look alike."""
    if keeper is None:
        return []
    if whom == "keeper":
        return [psutil.Process(keeper)]
    children = sorted(psutil.Process(keeper).children(), key=lambda process: process.create_time())
    return [child for child in children if part(child) == whom]


def part(process: psutil.Process) -> str:
    """What a child of the keeper is: one that is just being forked counts as a pod."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return "nobody"
        if "restate-server" in process.name():
            return "server"
        return "ledger" if any(file.path.endswith("ledger.sqlite") for file in process.open_files()) else "pod"
    except psutil.Error:
        return "nobody"


def _go_on(process: psutil.Process) -> None:
    try:
        process.resume()
    except psutil.Error:
        pass  # it was killed while it stood still


def interrupt_main() -> None:
    """What the stop button does: SIGINT, in the main thread."""
    ident = threading.main_thread().ident
    assert ident is not None
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(ident, signal.SIGINT)
    else:
        os.kill(os.getpid(), signal.SIGINT)
