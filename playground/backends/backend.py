"""The interface between a playground and whatever runs its pods.

A backend runs a Restate server and pods, and reports what happens to them as events. It knows nothing about
invocations, views or lessons; a playground knows nothing about processes or clusters. To add a third backend, add a
folder beside `local/` and `knative/`, with one class that implements `Backend`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from playground.core.door import Door
from playground.core.settings import Settings

Record = Callable[..., None]
"""`Recording.append`: takes events, and may be called from any thread."""


@dataclass(frozen=True, slots=True)
class Condition:
    """The condition of a playground, as `repr(pg)` and timeout errors describe it.

    Attributes:
        words: "ready", or what is wrong, for example "the Restate server is coming back (killed 3 times)".
        fix: what can be done about it.
    """

    words: str = "ready"
    fix: str = ""

    @property
    def ready(self) -> bool:
        """Whether nothing is known to be wrong."""
        return self.words == "ready"


@dataclass(frozen=True, slots=True)
class Started:
    """A revision whose first pod has loaded its source.

    Attributes:
        revision: its name, e.g. "signup-00001".
        address: a URL at which Restate reaches this revision and no other.
        services: what it offers: [{"name", "type", "handlers": [{"name", "kind"}]}].
        headers: what Restate must send with every request to be let in.
    """

    revision: str
    address: str
    services: list[dict[str, Any]]
    headers: dict[str, str] = field(default_factory=dict)


class Backend(Protocol):
    """What a playground needs from whatever runs its pods. All methods run on the engine's loop.

    Attributes:
        name: its name in `Playground.open(backend=...)`.
        settings: the timings that apply, which may differ from those asked for.
        lag: seconds by which a pod's own report may be recorded later than Restate's word about it.
    """

    name: str
    settings: Settings
    lag: float

    @property
    def ingress(self) -> Door:
        """The way to Restate's ingress; the same for as long as the playground is open."""

    @property
    def admin(self) -> Door:
        """The way to Restate's admin API; the same for as long as the playground is open."""

    @property
    def ledger_url(self) -> str:
        """Base URL of the ledger for us. Pods find theirs in LEDGER_URL."""

    @property
    def condition(self) -> Condition:
        """Its condition, as far as it is known now. May be read from any thread, and never waits."""

    def check(self) -> None:
        """Check that the backend still works. May be called from any thread, and never waits.

        Raises:
            PlaygroundClosed: the process that runs everything has ended, and cannot be brought back.
        """

    @property
    def secrets(self) -> list[str]:
        """The parts of the addresses given to pods that must never be shown."""

    async def open(self) -> None:
        """Start, or connect to, a Restate server, and wait until it is ready.

        Raises:
            StartError: it did not become ready; says why.
        """

    async def ready(self) -> None:
        """Wait until the Restate server is ready, for example after a restart.

        Raises:
            StartError: it cannot be brought back.
        """

    async def start_revision(self, service: str, revision: str, source: Path) -> Started:
        """Start a revision's first pod and wait until it has loaded the source.

        Raises:
            DeployError: the source cannot be served. The revision leaves nothing behind.
        """

    async def discard_revision(self, revision: str) -> None:
        """Stop a revision for good."""

    async def kill_pod(self, pod: str) -> None:
        """End a pod at once, without letting it finish (SIGKILL; on Kubernetes, grace period 0)."""

    async def kill_server(self) -> None:
        """End the Restate server at once. It is restarted on the same data."""

    async def close(self) -> None:
        """End everything that this backend started. May be called twice."""
