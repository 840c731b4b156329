"""What a soak came to: what was suffered and settled, and what has grown."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measure import table
from benchmarks.soak_faults import part
from playground.recording.recording import LIMIT

GROWTH = {
    "descriptors": 8.0,
    "threads": 2.0,
    "processes": 0.0,
    "temporary files": 0.0,
    "memory MB": 64.0,
    "keeper's descriptors": 4.0,
    "keeper's memory MB": 32.0,
    "server's memory MB": 250.0,
}
"""By how much each may be more at the end than after the warm-up, both measured at rest. Each revision deployed in
between may cost two descriptors more: its address stays, for what is pinned to it."""
PER_REVISION = 2
PER_THOUSAND_MB = 40.0
"""Megabytes of the recording that a thousand jobs (some 2,500 invocations) may cost the kernel, up to its limit."""


@dataclass(slots=True)
class Result:
    """What a run came to.

    Attributes:
        plan: the plan's name, see `soak_faults.digest`.
        faults: carried out, by name; `left_out` met nobody.
        compared: what the account was settled over.
        wrong: what does not hold; empty if all is well.
        before, after: sizes after the warm-up and at the end.
        refused: errors that callers were given while something was down, by name.
        data: where the data is kept, if something is wrong.
    """

    seed: int
    plan: str
    minutes: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    compared: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    slowest: float = 0.0
    revisions: int = 0
    reopened: int = 0
    data: str = ""

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON says it."""
        return {name: getattr(self, name) for name in self.__slots__}

    def table(self) -> str:
        """For the README."""
        groups: Counter[str] = Counter()
        for name, times in self.faults.items():
            groups[name.partition(" ")[0]] += times
        told = ", ".join(f"{whom} {times:,}" for whom, times in groups.most_common())
        grown = "; ".join(f"{name} {self.before[name]:g} → {self.after.get(name, 0):g}" for name in self.before)
        rows = [
            ("soak", f"seed {self.seed}, plan {self.plan}, {self.minutes:.0f} minutes"),
            ("faults", f"{sum(self.faults.values()):,} ({told})"),
            ("jobs begun, done", f"{self.compared.get('jobs', 0):,}, slowest {self.slowest:.0f} s"),
            ("additions to counters, each once", f"{self.compared.get('additions', 0):,}"),
            ("effects with a key, each once", f"{self.compared.get('effects', 0):,}"),
            ("journals that are as recorded", f"{self.compared.get('journals', 0):,}"),
            ("at rest, after the warm-up → at the end", grown),
            ("wrong", "nothing" if not self.wrong else f"{len(self.wrong)}"),
        ]
        return table(rows)


def sizes(keeper: int, temporary: Path) -> dict[str, float]:
    """How big everything is, at rest.

    Args:
        keeper: its process id.
        temporary: the directory for temporary files.
    """
    gc.collect()
    here, parent = psutil.Process(), psutil.Process(keeper)
    (server,) = (child for child in parent.children() if part(child) == "server")
    return {
        "descriptors": here.num_fds(),
        "threads": here.num_threads(),
        "processes": len([child for child in here.children(recursive=True) if child.status() != "zombie"]),
        "temporary files": len(list(temporary.iterdir())),
        "memory MB": round(here.memory_info().rss / 2**20),
        "keeper's descriptors": parent.num_fds(),
        "keeper's memory MB": round(parent.memory_info().rss / 2**20),
        "server's memory MB": round(server.memory_info().rss / 2**20),
    }


def grown(before: Mapping[str, float], after: Mapping[str, float], revisions: int, jobs: int) -> list[str]:
    """What has grown by more than it may.

    Args:
        revisions: deployed in between.
        jobs: done altogether.
    """
    told = []
    for name, most in GROWTH.items():
        if name == "descriptors":
            most += PER_REVISION * revisions
        if name == "memory MB":
            most += min(PER_THOUSAND_MB * jobs / 1000, LIMIT / 2**20)
        if after[name] - before[name] > most:
            told.append(f"{name}: {before[name]:g} → {after[name]:g}, that is over {most:g} more")
    return told


def tree(keeper: int | None) -> list[str]:
    """The keeper and its children, and what each is doing."""
    try:
        root = psutil.Process(keeper or 0)
        listed = [root, *root.children(recursive=True)]
        return [f"{each.pid} {each.name()} {part(each)} {each.status()} of {each.create_time():.3f}" for each in listed]
    except psutil.Error as error:
        return [repr(error)]
