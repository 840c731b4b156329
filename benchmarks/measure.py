"""What every benchmark shares: medians, a table, and the name of the machine."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path


def median(values: Iterable[float]) -> float:
    """The median: one slow round on a shared machine does not move it."""
    return statistics.median(values)


def milliseconds(values: Sequence[float]) -> str:
    """Seconds as "median (best – worst) ms"."""
    low, high = min(values) * 1000, max(values) * 1000
    return f"{median(values) * 1000:.0f} ms ({low:.0f} – {high:.0f})"


def machine() -> str:
    """Processor, cores, memory, system."""
    model = platform.processor() or platform.machine()
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return f"{model}, {os.cpu_count()} cores, {memory / 2**20:.0f} GB, {platform.system()} {platform.release()}"


def table(rows: Iterable[Sequence[str]]) -> str:
    """Rows as a Markdown table; the first is its head."""
    head, *rest = [list(row) for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rest))


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
