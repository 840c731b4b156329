"""Several keepers, each with its own hash seed, from which the crash atlas forks its pods.

A fork has its parent's hash seed, so pods forked from one keeper all iterate a set in the same order. Pods of a real
cluster do not, and code that depends on the order works only until an attempt is retried on another pod. So the atlas
forks its pods from several keepers in turn. Each keeper costs one import of the SDK; a fresh interpreter per pod would
cost that every time. The seeds are fixed, so that a repeated sweep has the same result.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playground.backends.local.processes import Processes

HASH_SEEDS = (1, 2, 4, 6)
"""Under each of these seeds, a set of two or three short names has another order than under most of the others."""


class Keepers:
    """Starts pods from the keepers in turn. Its methods are those of `Processes`. Lives on the engine's loop.

    Args:
        directory: the playground's data directory, which outlives them.
        first: the playground's own keeper, which has the first seed. Whoever started it closes it.
    """

    def __init__(self, directory: Path, first: Processes) -> None:
        places = {seed: directory / f"hash-seed-{seed}" for seed in HASH_SEEDS[1:]}
        self._others = {place: Processes(place, remove=False, hash_seed=seed) for seed, place in places.items()}
        self._keepers = [first, *self._others.values()]
        self._turn = itertools.cycle(self._keepers)
        self._of: dict[int, Processes] = {}

    async def start(self) -> None:
        """Start the other keepers, and have them import the SDK."""

        async def start(place: Path, keeper: Processes) -> None:
            await asyncio.to_thread(place.mkdir, exist_ok=True)
            await keeper.start()
            await keeper.warm()

        await asyncio.gather(*(start(*each) for each in self._others.items()))

    async def serve(self, module: str, argument: Path, *, on_exit: Callable[[int], None], **options: Any) -> int:
        """Start a module from the keeper whose turn it is. Returns its pid."""
        keeper = next(self._turn)
        for _ in self._keepers:
            if keeper.gone:
                keeper = next(self._turn)
        pids: list[int] = []

        def exited(status: int) -> None:
            for pid in pids:
                self._of.pop(pid, None)
            on_exit(status)

        pid = await keeper.serve(module, argument, on_exit=exited, **options)
        pids.append(pid)
        self._of[pid] = keeper
        return pid

    @property
    def gone(self) -> bool:
        """Whether all keepers have ended although nobody closed them."""
        return all(keeper.gone for keeper in self._keepers)

    async def signal(self, pid: int, number: int) -> None:
        """Signal a child of one of the keepers."""
        if pid in self._of:
            await self._of[pid].signal(pid, number)

    async def close(self) -> None:
        """End the other keepers, and with them their pods."""
        await asyncio.gather(*(keeper.close() for keeper in self._others.values() if keeper.started))
