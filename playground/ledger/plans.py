"""Crash plans: where each run of the atlas is to have its accident, and whether it has had it.

A run is one invocation and everything it causes. Which run an invocation belongs to, and in which role, is known for
the root because it is registered, and for others because their caller's pod reports the id of each callee. A role is
"0" for the root, "0.1" for the callee of its command 1, and so on. A pod that asks before its role is known waits a
moment. If nobody reports it, because the caller has ended, the notebook is asked to find out.

A gated pod asks once per attempt what is planned for its invocation, and counts boundaries itself (see
`playground.pod.gate`). It asks again when it reaches the place. The accident is used up here, outside of whatever it
happens to, so that it happens only once. After that the boundaries of its invocation are counted from the beginning,
because the next attempt passes the first ones again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 1.0
"""Seconds that a pod waits, once, to learn which run its invocation belongs to."""
SOON = 0.1
"""Seconds until the notebook is asked. A report from the caller's pod comes sooner."""
HOLD = 30.0
"""Seconds that a frame is held while the Restate server is being killed."""


@dataclass(slots=True)
class Run:
    """A run and the accidents it is still to have, in order."""

    name: str
    accidents: list[dict[str, Any]]
    effects: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)  # role -> how often the next accident's place was passed
    released: asyncio.Event = field(default_factory=asyncio.Event)


class Plans:
    """Holds the plans, and decides on each report.

    Args:
        tell: called with an event when the notebook has to act, for example kill the server.
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
                {"act": "fail" or "lose_answer", "effect": kind, "nth"}. "slow" also has "seconds". It is not
                really an accident: the frame is held for that long, and then passes.
        """
        self._runs[run] = Run(run, accidents)
        await self._learn(root, self._runs[run], "0")

    def forget(self, run: str) -> None:
        """Forget a run that is over."""
        self._runs.pop(run, None)
        for invocation in [i for i, (known, _) in self._roles.items() if known.name == run]:
            del self._roles[invocation]

    async def begin(self, pod: str, attempt: int, invocation: str) -> dict[str, Any] | None:
        """An attempt begins. Returns the accident planned for its invocation, with `nth` counted from here."""
        self._on_pod[pod, attempt] = invocation
        run_and_role = await self._role(invocation)
        if run_and_role is None:
            return None
        run, role = run_and_role
        accident = self._next(run, role)
        return accident and {**accident, "nth": accident["nth"] - run.passed[role]}

    async def callee(self, invocation: str, entry: int, callee: str) -> None:
        """Learn the callee of an invocation's command."""
        if invocation in self._roles:
            run, role = self._roles[invocation]
            await self._learn(callee, run, f"{role}.{entry}")

    async def foreign(self, invocation: str) -> None:
        """Learn that an invocation belongs to no run, so nobody needs to wait for its role."""
        self._foreign.add(invocation)
        async with self._learned:
            self._learned.notify_all()

    def end(self, invocation: str, passed: int) -> None:
        """An attempt has ended that passed the place of its accident `passed` times."""
        if invocation in self._roles:
            run, role = self._roles[invocation]
            run.passed[role] += passed

    async def arrive(self, invocation: str) -> str:
        """An attempt has reached its accident. Returns "kill", "held" (the server was killed meanwhile) or "go"."""
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
        """The server has been killed: release the frame that was held. It goes nowhere."""
        if run in self._runs:
            self._runs[run].released.set()

    def fault(self, pod: str, attempt: int, effect: str) -> str | None:
        """What should go wrong with this effect: "fail", "lose_answer" or None."""
        run_and_role = self._roles.get(self._on_pod.get((pod, attempt), ""))
        if run_and_role is None:
            return None
        run, _ = run_and_role
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
