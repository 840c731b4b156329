"""What a view may do: the little of a runtime that a click in the page needs.

A view is handed one, or none: then it only shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from playground.restate.ingress import NO_BODY


class Sent(Protocol):
    """An invocation as a view sees one."""

    id: str
    target: str
    is_new: bool

    @property
    def status(self) -> str:
        """Restate's word for where it stands."""

    def cancel(self) -> None:
        """Ask it to stop."""

    def kill(self) -> None:
        """End it at once."""

    def pause(self) -> None:
        """Make no further attempt."""

    def resume(self) -> None:
        """Go on with it."""

    def restart_as_new(self) -> Sent:
        """Run it once more."""

    def read_journal(self) -> list[dict[str, Any]]:
        """Its journal as the server has it."""


class Killed(Protocol):
    """A pod as a view sees one."""

    name: str


class Outside(Protocol):
    """The outside world, as a view acts on it."""

    def clear(self) -> None:
        """Forget all entries."""

    def misbehave(
        self,
        kind: str,
        *,
        fail: int | bool = 0,
        lose_answer: int | bool = 0,
        slow: float = 0.0,
        down: bool = False,
    ) -> None:
        """Make one kind misbehave."""


class Actions(Protocol):
    """What a click may ask for. Every method may raise a PlaygroundError, whose text is shown in the page."""

    @property
    def closed(self) -> bool:
        """Whether nothing can be done any more."""

    @property
    def ledger(self) -> Outside:
        """The outside world."""

    def send(
        self, target: str, body: Any = NO_BODY, *, idempotency_key: str | None = None, delay: float | None = None
    ) -> Sent:
        """Send a request."""

    def invocation(self, invocation_id: str) -> Sent:
        """An invocation by its id."""

    def resolve(self, awakeable: str, value: Any = None) -> None:
        """Complete an awakeable with a value."""

    def reject(self, awakeable: str, reason: str) -> None:
        """Complete an awakeable with a failure."""

    def kill_pod(self, name: str) -> Killed:
        """Kill a pod."""

    def edit_state(
        self,
        service: str,
        key: str,
        changes: Mapping[str, str | None],
        seen: Mapping[str, str | None],
        patience: float,
    ) -> None:
        """Change single values of a key's state, if they still are what was seen."""

    def watch_key(self, service: str, key: str) -> Callable[[], None]:
        """Keep a key's state and queue recorded as they change; returns what ends that."""
