"""The ledger as it is asked and told.

What is known of the outside world comes from the timeline like everything else. The ledger is only asked for the
number of its latest entry, and then the recording is waited for until it has it (`sync`): so a count right after a
result is never too low.
"""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import quote

import httpx

from playground.core.door import Door
from playground.errors import PlaygroundError, WaitTimeout
from playground.runtime.host import Host

UNUSABLE = 507
"""What the ledger answers while its file cannot be used."""


class LedgerClient:
    """Asks the ledger, and tells it how to misbehave."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._client = Door("http://ledger").blocking_client(10)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where this machine reaches it; handlers find theirs in LEDGER_URL."""
        return self._host.backend.ledger_url

    def clear(self) -> None:
        """Forget all entries and idempotency keys. Misbehaviour stays as it is."""
        self._ask("DELETE", "entries")
        self.sync()

    def misbehave(
        self,
        kind: str,
        *,
        fail: int | bool = 0,
        lose_answer: int | bool = 0,
        slow: float = 0.0,
        down: bool = False,
    ) -> None:
        """Make one kind of the outside world misbehave; without faults it behaves again.

        Args:
            kind: e.g. "email".
            fail: so many requests are refused before anything happens; True: all.
            lose_answer: of so many requests the effect happens but the answer is an error; True: all.
            slow: seconds each request takes.
            down: nobody answers.

        Raises:
            PlaygroundError: the kind's name cannot be used.
        """
        faults = {"fail": _count(fail), "lose_answer": _count(lose_answer), "slow": slow, "down": down}
        self._ask("PUT", f"faults/{quote(kind, safe='')}", faults)

    def behave(self) -> None:
        """All kinds behave again."""
        for kind in self._ask("GET", "faults"):
            self.misbehave(kind)

    def plan(self, plan: dict[str, Any]) -> None:
        """Plan accidents (see `playground.ledger.plans`); for the crash atlas."""
        self._ask("POST", "plans", plan)

    def plan_callee(self, told: dict[str, Any]) -> None:
        """Say whose callee an invocation is, which no pod has told; for the crash atlas."""
        self._ask("POST", "gate/callee", told)

    def plan_foreign(self, invocation: str) -> None:
        """Say that an invocation belongs to no planned run; for the crash atlas."""
        self._ask("POST", "gate/foreign", {"invocation": invocation})

    def release_plan(self, run: str) -> None:
        """Let go of a frame that was held while the server was killed; for the crash atlas."""
        self._ask("POST", f"plans/{run}/release")

    def forget_plan(self, run: str) -> None:
        """A planned run is over; for the crash atlas."""
        self._ask("POST", f"plans/{run}/forget")

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def sync(self) -> None:
        """Wait until the recording has all the ledger has.

        Raises:
            WaitTimeout: it does not get it.
        """
        last: int = self._ask("GET", "entries/last")["last"]

        def there() -> bool:
            timeline = self._host.recording.timeline
            return max(timeline.forgotten, timeline.effects[-1].number if timeline.effects else 0) >= last

        if not self._host.wait_until(there, 5):
            raise WaitTimeout(
                f"The ledger has {last} entries, but the recording did not get them in time.",
                "What the ledger tells is read with the rest of what happens; the machine may be very busy.",
                "Run the cell again.",
            )

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        self._host.check_open()
        with self._lock:
            try:
                answer = self._client.request(method, f"{self.url}/-/{path}", json=body)
            except httpx.HTTPError as error:
                raise PlaygroundError("The ledger does not answer.", f"{error!r}", "Try again in a moment.") from error
        if answer.status_code == UNUSABLE:
            told = answer.json()
            raise PlaygroundError(
                "The ledger's file cannot be used, so nothing can happen.", told["error"], told["fix"]
            )
        if not answer.is_success:
            raise PlaygroundError(
                f"The ledger refused {path}.",
                str(answer.json().get("error")),
                'A kind is lower-case letters, digits, - and _: pg.ledger.misbehave("email", fail=2)',
            )
        return answer.json() if answer.content else None


def _count(value: int | bool) -> int:
    """A number of requests; True stands for all of them."""
    return -1 if value is True else int(value)
