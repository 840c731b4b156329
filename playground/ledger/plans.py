"""Crash plans: which run of the atlas is to meet its accident where, and whether it has.

A run is one invocation and all it causes. Which run an invocation belongs to, and in what role, is known
for the root from its registration, and for others from their caller, whose pod reports the id of each
callee. A role is "0" for the root, "0.1" for the callee of its command 1, and so on. A pod that asks before
that is known waits a moment; if nobody reports it, for its caller has ended, the notebook is asked to find out.

A gated pod asks once per attempt what is planned for its invocation, and counts boundaries itself (see
`playground.pod.gate`). It asks again when it has come to the place: an accident is used up here, outside of
whatever it happens to, so that it happens once. After one, the boundaries of its invocation are counted
anew: the next attempt passes the first ones again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 1.0
"""Seconds a pod waits, once, to learn which run its invocation belongs to."""
SOON = 0.1
"""Seconds until the notebook is asked: the report of a caller's pod comes sooner."""
HOLD = 30.0
"""Seconds a frame is held while the Restate server is being killed."""


@dataclass(slots=True)
class Run:
    """A run and the accidents it still has before it, in order."""

    name: str
    accidents: list[dict[str, Any]]
    effects: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)  # role -> times the next accident's place was passed
    released: asyncio.Event = field(default_factory=asyncio.Event)


class Plans:
    """Holds plans and decides about each report.

    Args:
        tell: called with an event when the notebook has to act (kill the server).
    """

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._runs: dict[str, Run] = {}
        self._roles: dict[str, tuple[Run, str]] = {}  # invocation -> run, role
        self._foreign: set[str] = set()  # invocations that belong to no run, e.g. sent by a handler's HTTP client
        self._on_pod: dict[tuple[str, int], str] = {}  # (pod, attempt) -> invocation
        self._learned = asyncio.Condition()

    async def register(self, run: str, root: str, accidents: list[dict[str, Any]]) -> None:
        """Plan a run whose root invocation has been sent.

        Args:
            run: a name for it.
            root: invocation id.
            accidents: in order; {"act": "kill", "server" or "slow", "role", "boundary", "nth"} or
                {"act": "fail" or "lose_answer", "effect": kind, "nth"}. "slow" has "seconds", and is none:
                the frame is held for so long, and then passes.
        """
        self._runs[run] = Run(run, accidents)
        await self._learn(root, self._runs[run], "0")

    def forget(self, run: str) -> None:
        """A run is over."""
        self._runs.pop(run, None)
        for invocation in [i for i, (known, _) in self._roles.items() if known.name == run]:
            del self._roles[invocation]

    async def begin(self, pod: str, attempt: int, invocation: str) -> dict[str, Any] | None:
        """An attempt begins: the accident planned for its invocation, with `nth` counted from here."""
        self._on_pod[pod, attempt] = invocation
        found = await self._role(invocation)
        if found is None:
            return None
        run, role = found
        accident = self._next(run, role)
        return accident and {**accident, "nth": accident["nth"] - run.passed[role]}

    async def callee(self, invocation: str, entry: int, callee: str) -> None:
        """An invocation's command has a callee."""
        if invocation in self._roles:
            run, role = self._roles[invocation]
            await self._learn(callee, run, f"{role}.{entry}")

    async def foreign(self, invocation: str) -> None:
        """An invocation belongs to no run: nobody waits to learn its role any more."""
        self._foreign.add(invocation)
        async with self._learned:
            self._learned.notify_all()

    def end(self, invocation: str, passed: int) -> None:
        """An attempt has ended that passed the place of its accident so many times."""
        if invocation in self._roles:
            run, role = self._roles[invocation]
            run.passed[role] += passed

    async def arrive(self, invocation: str) -> str:
        """An attempt has come to its accident: "kill", "held" (the server was killed meanwhile), or "go"."""
        if invocation not in self._roles:
            return "go"
        run, role = self._roles[invocation]
        accident = self._next(run, role)
        if accident is None:
            return "go"
        run.accidents.pop(0)
        run.passed.clear()
        if accident["act"] == "kill":
            return "kill"
        if accident["act"] == "slow":
            await asyncio.sleep(accident["seconds"])
            return "go"
        run.released.clear()
        self._tell({"kind": "plan.hold", "run": run.name})
        try:
            async with asyncio.timeout(HOLD):
                await run.released.wait()
        except TimeoutError:
            pass
        return "held"

    def release(self, run: str) -> None:
        """The server has been killed: let the frame that was held go nowhere."""
        if run in self._runs:
            self._runs[run].released.set()

    def fault(self, pod: str, attempt: int, effect: str) -> str | None:
        """What is to go wrong with this effect: "fail", "lose_answer" or None."""
        found = self._roles.get(self._on_pod.get((pod, attempt), ""))
        if found is None:
            return None
        run, _ = found
        run.effects[effect] += 1
        accident = run.accidents[0] if run.accidents else None
        if accident is None or accident.get("effect") != effect or run.effects[effect] != accident["nth"]:
            return None
        run.accidents.pop(0)
        return str(accident["act"])

    def _next(self, run: Run, role: str) -> dict[str, Any] | None:
        accident = run.accidents[0] if run.accidents else None
        return accident if accident is not None and accident.get("role") == role else None

    async def _learn(self, invocation: str, run: Run, role: str) -> None:
        if invocation not in self._roles:
            self._roles[invocation] = (run, role)
            async with self._learned:
                self._learned.notify_all()

    async def _role(self, invocation: str) -> tuple[Run, str] | None:
        known = invocation in self._roles or invocation in self._foreign
        if not known and not await self._learns(invocation, SOON):
            self._tell({"kind": "plan.unknown", "invocation": invocation})
            if not await self._learns(invocation, PATIENCE):
                self._foreign.add(invocation)
        return self._roles.get(invocation)

    async def _learns(self, invocation: str, patience: float) -> bool:
        try:
            async with asyncio.timeout(patience), self._learned:
                await self._learned.wait_for(lambda: invocation in self._roles or invocation in self._foreign)
        except TimeoutError:
            return False
        return True
