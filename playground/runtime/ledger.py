"""A client of the ledger.

What is known about the outside world comes from the timeline, like everything else. The ledger itself is only asked for
the number of its latest entry; `sync` then waits until the recording has that entry too. So a count right after a
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
"""The HTTP status that the ledger answers with while its file is unusable."""


class LedgerClient:
    """Asks the ledger what it has, and tells it how to misbehave."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._client = Door("http://ledger").blocking_client(10)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Its address for this machine. Handlers find theirs in LEDGER_URL."""
        return self._host.backend.ledger_url

    def clear(self) -> None:
        """Forget all entries and idempotency keys. Faults stay as they are."""
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
        """Make one kind of effect misbehave. Called without faults, it behaves again.

        Args:
            kind: e.g. "email".
            fail: how many requests are refused before anything happens; True for all.
            lose_answer: for how many requests the effect happens but the answer is an error; True for all.
            slow: seconds that each request takes.
            down: whether nobody answers.

        Raises:
            PlaygroundError: the name of the kind is not allowed.
        """
        faults = {"fail": _count(fail), "lose_answer": _count(lose_answer), "slow": slow, "down": down}
        self._ask("PUT", f"faults/{quote(kind, safe='')}", faults)

    def behave(self) -> None:
        """Let all kinds behave again."""
        for kind in self._ask("GET", "faults"):
            self.misbehave(kind)

    def plan(self, plan: dict[str, Any]) -> None:
        """Plan accidents (see `playground.ledger.plans`). For the crash atlas."""
        self._ask("POST", "plans", plan)

    def plan_callee(self, call: dict[str, Any]) -> None:
        """Say which invocation called which, where no pod has said so. For the crash atlas."""
        self._ask("POST", "gate/callee", call)

    def plan_foreign(self, invocation: str) -> None:
        """Say that an invocation belongs to no planned run. For the crash atlas."""
        self._ask("POST", "gate/foreign", {"invocation": invocation})

    def release_plan(self, run: str) -> None:
        """Release the frame that was held while the server was killed. For the crash atlas."""
        self._ask("POST", f"plans/{run}/release")

    def forget_plan(self, run: str) -> None:
        """Forget a run's plan: the run is over. For the crash atlas."""
        self._ask("POST", f"plans/{run}/forget")

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def sync(self) -> None:
        """Wait until the recording has everything that the ledger has.

        Raises:
            WaitTimeout: it did not get it in time.
        """
        last: int = self._ask("GET", "entries/last")["last"]

        def there() -> bool:
            timeline = self._host.recording.timeline
            return max(timeline.forgotten, timeline.effects[-1].number if timeline.effects else 0) >= last

        if not self._host.wait_until(there, 5):
            raise WaitTimeout(
                f"The ledger has {last} entries, but the recording did not get them in time.",
                "The recording reads the ledger's entries along with everything else; the machine may be very busy.",
                "Run the cell again.",
            )

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        self._host.check_open()
        with self._lock:
            try:
                answer = self._client.request(method, f"{self.url}/-/{path}", json=body)
            except httpx.HTTPError as error:
                raise PlaygroundError(
                    "The ledger does not answer.",
                    f"{error!r}",
                    "It restarts by itself. Run the cell again in a moment; if that fails, reopen the playground.",
                ) from error
        if answer.status_code == UNUSABLE:
            problem = answer.json()
            raise PlaygroundError(
                "The ledger cannot use its file, so no effect can happen.", problem["error"], problem["fix"]
            )
        if not answer.is_success:
            raise PlaygroundError(
                f"The ledger refused {path}.",
                str(answer.json().get("error")),
                'A kind is lower-case letters, digits, - and _: pg.ledger.misbehave("email", fail=2)',
            )
        return answer.json() if answer.content else None


def _count(value: int | bool) -> int:
    """A number of requests for the ledger, where True means all of them."""
    return -1 if value is True else int(value)
