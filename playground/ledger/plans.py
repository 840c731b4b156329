"""Crash plans: which run of the atlas is to meet its accident where, and whether it has.

A run is one invocation and all it causes. Gated pods report every boundary before they pass it (see
`playground.pod.gate`). A report names an invocation; which run that belongs to, and in what role, is known
for the root from its registration and for others from their caller's report that a callee's id has
arrived. A role is "0" for the root, "0.1" for the callee of its command 1, and so on. A report that comes
before that is known waits a moment.

An accident is used up when it happens, here, outside of whatever it happens to. After one, the boundaries of
the invocation it happened to are counted anew: its next attempt passes the first ones again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 3.0
"""Seconds a report waits to learn which run it belongs to."""
HOLD = 30.0
"""Seconds a frame is held while the Restate server is being killed."""


@dataclass(slots=True)
class Run:
    """A run and the accidents it still has before it, in order."""

    name: str
    accidents: list[dict[str, Any]]
    passed: Counter[tuple[Any, ...]] = field(default_factory=Counter)
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
        self._on_pod: dict[tuple[str, int], str] = {}  # (pod, attempt) -> invocation
        self._learned = asyncio.Condition()

    async def register(self, run: str, root: str, accidents: list[dict[str, Any]]) -> None:
        """Plan a run whose root invocation has been sent.

        Args:
            run: a name for it.
            root: invocation id.
            accidents: in order; {"act": "kill" or "server", "role", "boundary", "nth"} or
                {"act": "fail" or "lose_answer", "effect": kind, "nth"}.
        """
        self._runs[run] = Run(run, accidents)
        await self._learn(root, self._runs[run], "0")

    def forget(self, run: str) -> None:
        """A run is over."""
        self._runs.pop(run, None)
        for invocation in [i for i, (known, _) in self._roles.items() if known.name == run]:
            del self._roles[invocation]

    async def gate(self, report: dict[str, Any]) -> str:
        """Decide about a boundary: "go", "kill", or "held" if the server was killed meanwhile."""
        invocation, where = report["invocation"], tuple(report["boundary"])
        self._on_pod[report["pod"], report["attempt"]] = invocation
        found = await self._role(invocation)
        if found is None:
            return "go"
        run, role = found
        if report.get("callee"):
            await self._learn(report["callee"], run, f"{role}.{where[2]}")
        run.passed[role, *where] += 1
        accident = run.accidents[0] if run.accidents else None
        if accident is None or accident["act"] not in ("kill", "server"):
            return "go"
        wanted = (accident["role"], *accident["boundary"])
        if wanted != (role, *where) or run.passed[wanted] != accident["nth"]:
            return "go"
        run.accidents.pop(0)
        if accident["act"] == "server":
            run.passed.clear()
        else:
            for passed in [passed for passed in run.passed if passed[0] == role]:
                del run.passed[passed]
        if accident["act"] == "kill":
            return "kill"
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
        run.passed["effect", effect] += 1
        accident = run.accidents[0] if run.accidents else None
        if accident is None or accident.get("effect") != effect or run.passed["effect", effect] != accident["nth"]:
            return None
        run.accidents.pop(0)
        return str(accident["act"])

    async def _learn(self, invocation: str, run: Run, role: str) -> None:
        if invocation not in self._roles:
            self._roles[invocation] = (run, role)
            async with self._learned:
                self._learned.notify_all()

    async def _role(self, invocation: str) -> tuple[Run, str] | None:
        if invocation not in self._roles:
            try:
                async with asyncio.timeout(PATIENCE), self._learned:
                    await self._learned.wait_for(lambda: invocation in self._roles)
            except TimeoutError:
                return None
        return self._roles.get(invocation)
