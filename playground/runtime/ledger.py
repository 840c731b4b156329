"""`pg.ledger`: what a notebook sees of the outside world, and how it makes it misbehave.

What is shown comes from the timeline like everything else. The ledger is only asked for the number of
its latest entry, and then the recording is waited for until it has it: so a count right after a result
is never too low.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from playground.errors import PlaygroundError, WaitTimeout
from playground.recording import Effect
from playground.views import text

if TYPE_CHECKING:
    from playground.session import Playground


UNUSABLE = 507
"""What the ledger answers while its file cannot be used."""


class Entries(list[Effect]):
    """What reached the outside world, in order."""

    ordinals: dict[str, str]

    def __repr__(self) -> str:
        return text.ledger_table(self, self.ordinals)


class LedgerClient:
    """The ledger as a notebook uses it."""

    def __init__(self, playground: Playground) -> None:
        self._playground = playground
        self._client = httpx.Client(trust_env=False, timeout=10)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where this machine reaches it; handlers find theirs in LEDGER_URL."""
        return self._playground._backend.ledger_url

    def entries(self, kind: str | None = None) -> Entries:
        """What has reached the outside world since it was last cleared, repeated and refused requests included.

        Args:
            kind: only this kind, e.g. "email".
        """
        self._sync()
        recording = self._playground.recording
        with recording.lock:
            timeline = recording.timeline
            found = Entries(
                effect
                for effect in timeline.effects
                if effect.number > timeline.forgotten and (kind is None or effect.kind == kind)
            )
            found.ordinals = {name: pod.label for name, pod in timeline.pods.items()}
        return found

    def count(self, kind: str | None = None) -> int:
        """How often something really happened: repeated and refused requests do not count.

        Args:
            kind: only this kind, e.g. "email".
        """
        return sum(not (effect.repeated or effect.refused) for effect in self.entries(kind))

    def wait_for(self, kind: str, count: int = 1, timeout: float = 30) -> Entries:
        """Wait until something has happened so often; returns the entries of its kind.

        Args:
            kind: e.g. "email".
            count: how often, at least.
            timeout: seconds.

        Raises:
            WaitTimeout: it has not happened so often.
        """

        def there() -> bool:
            timeline = self._playground.recording.timeline
            return count <= sum(
                effect.kind == kind and effect.number > timeline.forgotten and not (effect.repeated or effect.refused)
                for effect in timeline.effects
            )

        if not self._playground._wait_until(there, timeout):
            raise WaitTimeout(
                f"{kind!r} was waited for {count} time(s), and did not happen so often within {timeout:g} s.",
                f"It has happened {self.count(kind)} time(s).",
                "pg.ledger shows what has happened; pg.invocations what is running.",
            )
        return self.entries(kind)

    def clear(self) -> None:
        """Forget all entries and idempotency keys. Misbehaviour stays as it is."""
        self._ask("DELETE", "entries")
        self._sync()

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

    def _sync(self) -> None:
        """Wait until the recording has all the ledger has."""
        last: int = self._ask("GET", "entries/last")["last"]

        def there() -> bool:
            timeline = self._playground.recording.timeline
            return max(timeline.forgotten, timeline.effects[-1].number if timeline.effects else 0) >= last

        if not self._playground._wait_until(there, 5):
            raise WaitTimeout(
                f"The ledger has {last} entries, but the recording did not get them in time.", "", "Again."
            )

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        self._playground._check_open()
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

    def __repr__(self) -> str:
        return repr(self.entries())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        from playground.views.bundle import in_a_notebook  # widgets are loaded by those who show them

        data = {"text/plain": repr(self)}
        if not in_a_notebook():
            return data
        board = self._playground.panel.ledger()._repr_mimebundle_()
        return {**(board[0] if board else {}), **data}


def _count(value: int | bool) -> int:
    """A number of requests; True stands for all of them."""
    return -1 if value is True else int(value)
