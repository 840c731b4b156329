"""The seam between a playground and what runs its pods.

A backend runs a Restate server and pods, and says what happens to them as events. It knows nothing of
invocations, views or lessons; a playground knows nothing of processes or clusters. A third backend is
a folder beside `local/` and `knative/` with one class that fits `Backend`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from playground.core.door import Door
from playground.core.settings import Settings

Record = Callable[..., None]
"""`Recording.append`: takes events; may be called from any thread."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How a playground is, as `repr(pg)` and an error at a deadline say it.

    Attributes:
        words: "ready", or what is wrong, e.g. "the Restate server is coming back (killed 3 times)".
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
        address: the URL at which Restate reaches this revision, and only it.
        services: what it offers: [{"name", "type", "handlers": [{"name", "kind"}]}].
        headers: what Restate has to say there with every request, to be let in.
    """

    revision: str
    address: str
    services: list[dict[str, Any]]
    headers: dict[str, str] = field(default_factory=dict)


class Backend(Protocol):
    """What a playground needs of whatever runs its pods. All methods run on the engine's loop.

    Attributes:
        name: what `Playground.open(backend=...)` calls it.
        settings: the timings in force, which may be others than were asked for.
        lag: seconds by which what pods say may reach the recording later than what Restate says of them.
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
        """Base URL of the ledger, for us; pods know theirs as LEDGER_URL."""

    @property
    def condition(self) -> Condition:
        """How it is, as far as it is known now. May be asked from any thread, and never waits."""

    def check(self) -> None:
        """See that there is still something to work with. May be called from any thread, and never waits.

        Raises:
            PlaygroundClosed: what runs everything was ended, and cannot be brought back.
        """

    @property
    def secrets(self) -> list[str]:
        """What nobody may be shown of the addresses that pods are given."""

    async def open(self) -> None:
        """Start, or connect to, a Restate server, and wait until it is ready.

        Raises:
            StartError: it did not get ready; says why.
        """

    async def ready(self) -> None:
        """Wait until the Restate server is ready, e.g. after it was restarted.

        Raises:
            StartError: it cannot be brought back.
        """

    async def start_revision(self, service: str, revision: str, source: Path) -> Started:
        """Start a revision's first pod and wait until it has loaded the source.

        Raises:
            DeployError: the source cannot be served; nothing of the revision is left.
        """

    async def discard_revision(self, revision: str) -> None:
        """Stop a revision for good."""

    async def kill_pod(self, pod: str) -> None:
        """End a pod at once, without a chance to finish (SIGKILL; on Kubernetes: grace period 0)."""

    async def kill_server(self) -> None:
        """End the Restate server at once; it is brought back on the same data."""

    async def close(self) -> None:
        """End everything this backend started. Safe to call twice."""
