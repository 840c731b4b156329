"""The embedded backend: one keeper, one restate-server, and an activator per revision."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import psutil

from playground.backends.backend import Condition, Record, Started
from playground.backends.local.activator import Activator
from playground.backends.local.binary import find_server
from playground.backends.local.exclusive import ExclusiveActivator
from playground.backends.local.keepers import HASH_SEEDS, Keepers
from playground.backends.local.ledger import LedgerProcess
from playground.backends.local.leftovers import sweep
from playground.backends.local.processes import Processes
from playground.backends.local.server import RestateServer, check_directory
from playground.backends.local.sockets import Sockets
from playground.core.door import Door
from playground.core.settings import Settings
from playground.errors import DeployError
from playground.pod import guard
from playground.restate.tcp import TcpDoor, secret_of

LOAD_TIMEOUT = 30.0
"""Seconds that a source may take to load."""


class LocalBackend:
    """See `playground.backends.backend.Backend`.

    Args:
        directory: the playground's data directory.
        remove: whether to remove it at the end.
        settings: timings.
        record: takes events.
    """

    name = "local"
    lag = 0.0  # a pod's report is in our pipe before Restate has the frame

    def __init__(self, directory: Path, *, remove: bool, settings: Settings, record: Record) -> None:
        self.settings = settings
        self._directory, self._record = directory, record
        seeded = settings.gated and settings.pods == "fork"
        self._processes = Processes(directory, remove=remove, hash_seed=HASH_SEEDS[0] if seeded else None)
        # The atlas's pods iterate sets in different orders, as pods of a cluster do.
        self._keepers = Keepers(directory, self._processes) if seeded else None
        self._sockets: Sockets | None = None
        self._server: RestateServer | None = None
        self._pods_door: TcpDoor | None = None
        self._activators: dict[str, Activator | ExclusiveActivator] = {}
        self._ledger = LedgerProcess(
            directory / "ledger.sqlite", processes=self._processes, settings=settings, record=record
        )

    @property
    def ingress(self) -> Door:
        """The way to Restate's ingress."""
        assert self._server is not None
        return self._server.ingress

    @property
    def admin(self) -> Door:
        """The way to Restate's admin API."""
        assert self._server is not None
        return self._server.admin

    @property
    def ledger_url(self) -> str:
        """Base URL of the ledger, for handlers and for us."""
        return self._ledger.url

    @property
    def condition(self) -> Condition:
        """The condition of the playground's processes."""
        if self._server is None:
            return Condition("not open")
        if self._processes.gone:
            return Condition("but its processes are gone: their keeper was killed", "pg = Playground.open()")
        for name, pid in (("playground's keeper", self._processes.pid), ("Restate server", self._server.pid)):
            if pid is not None and _is_stopped(pid):
                return Condition(f"the {name} is stopped (SIGSTOP)", f"Resume it: kill -CONT {pid}")
        return self._server.condition

    def check(self) -> None:
        """Check that the keeper lives: no other process outlives it."""
        self._processes.check()

    @property
    def secrets(self) -> list[str]:
        """The secret parts of the addresses that pods have of the ledger and the ingress."""
        assert self._pods_door is not None
        return [secret_of(url) for url in (self.ledger_url, self._pods_door.url)]

    @property
    def keeper_pid(self) -> int | None:
        """The process that is the parent of all others; None before it is started."""
        return self._processes.pid

    async def open(self) -> None:
        """Start the keeper and the server. The keeper imports the SDK while the server becomes ready."""
        check_directory(self._directory)
        binary = await asyncio.to_thread(find_server)
        await asyncio.to_thread(sweep)
        self._sockets = Sockets(self._directory)
        self._server = RestateServer(
            binary.path,
            self._directory,
            self._sockets,
            processes=self._processes,
            settings=self.settings,
            record=self._record,
        )
        try:
            await self._processes.start(also_remove=self._sockets.shortcut)
        except BaseException:
            self._sockets.close()
            raise
        try:
            self._pods_door = TcpDoor(self._server.ingress)
            await self._pods_door.open()
            work = [self._server.start()]
            if self.settings.pods == "fork":
                work.append(self._processes.warm())
            if self._keepers is not None:
                work.append(self._keepers.start())
            await asyncio.gather(*work)
            await self._ledger.start()
        except BaseException:
            await self.close()
            raise

    async def ready(self) -> None:
        """Wait until the server is ready."""
        assert self._server is not None
        await self._server.ready()

    async def start_revision(self, service: str, revision: str, source: Path) -> Started:
        """Give the revision an address and start its first pod."""
        assert self._pods_door is not None
        kind = ExclusiveActivator if self.settings.gated else Activator
        secret = secrets.token_urlsafe()
        activator = kind(
            service,
            revision,
            source,
            env={
                "LEDGER_URL": self.ledger_url,
                "RESTATE_INGRESS_URL": self._pods_door.url,
                guard.VARIABLE: secret,
            },
            processes=self._keepers or self._processes,
            settings=self.settings,
            record=self._record,
        )
        self._activators[revision] = activator
        try:
            pod = await activator.start_pod()
            async with asyncio.timeout(LOAD_TIMEOUT):
                services = await asyncio.shield(pod.loaded)
        except TimeoutError:
            await self.discard_revision(revision)
            await activator.kill(pod.name)
            raise DeployError(
                f"The service {service!r} was not deployed: its source did not finish loading.",
                f"It has been running for {LOAD_TIMEOUT:.0f} s. A source should only define services and do no work.",
                "Move whatever takes so long into a handler.",
            ) from None
        except BaseException:
            await self.discard_revision(revision)
            raise
        return Started(revision, activator.address, services, guard.headers(secret))

    async def discard_revision(self, revision: str) -> None:
        """Give up a revision's address and stop its pod."""
        activator = self._activators.pop(revision, None)
        if activator is not None:
            activator.close()

    async def kill_pod(self, pod: str) -> None:
        """SIGKILL the pod's process and everything it started."""
        for activator in self._activators.values():
            await activator.kill(pod)

    async def kill_server(self) -> None:
        """SIGKILL the Restate server. It is restarted on the same data."""
        if self._server is not None:
            await self._server.kill()

    async def close(self) -> None:
        """End every process of this playground."""
        if self._server is not None:
            self._server.close()
        for revision in list(self._activators):
            await self.discard_revision(revision)
        self._ledger.close()
        if self._keepers is not None:
            await self._keepers.close()
        if self._pods_door is not None:
            await self._pods_door.close()
        await self._processes.close()
        if self._sockets is not None:
            self._sockets.close()


def _is_stopped(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False
