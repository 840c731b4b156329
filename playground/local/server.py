"""The Restate server of the embedded backend: a child process on Unix sockets, brought back when it dies.

Restate's ingress and admin API have no authentication of their own. So the server listens on no port at all; its
sockets are in a directory that only the playground's owner may enter (see `sockets`), the same after a restart.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from pathlib import Path

import httpx

from playground.backend import Door, Record, Settings
from playground.errors import StartError
from playground.local.processes import Processes
from playground.local.sockets import NODE, Sockets
from playground.recording import Event
from playground.restate.settings import environment

NEEDED_DISK = 100 * 2**20
"""Bytes free below which a start is refused; a small playground writes about 5 MB."""
START_TIMEOUT = 30.0
MAX_RESTARTS = 5
"""So many deaths within `RESTART_WINDOW` seconds, and the server stays down."""
RESTART_WINDOW = 30.0


class RestateServer:
    """A restate-server process. Lives on the engine's loop.

    Args:
        binary: the program.
        directory: the playground's data directory; the server's own is below it.
        sockets: where it listens.

    Attributes:
        ingress: where requests go.
        admin: where deployments are registered and questions asked; its `/ui` is Restate's own UI.
    """

    def __init__(
        self,
        binary: Path,
        directory: Path,
        sockets: Sockets,
        *,
        processes: Processes,
        settings: Settings,
        record: Record,
    ) -> None:
        self._binary, self._sockets = binary, sockets
        self.ingress = Door("http://restate-ingress", sockets.ingress)
        self.admin = Door("http://restate-admin", sockets.admin)
        self._processes, self._settings, self._record = processes, settings, record
        self._log = directory / "restate-server.log"
        self._scratch = directory / "tmp"
        self._pid: int | None = None
        self._up = asyncio.Event()
        self._was_up = False
        self._failed: StartError | None = None
        self._deaths: list[float] = []
        self._closing = False
        self._restart: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id, while it runs."""
        return self._pid

    async def start(self) -> None:
        """Start and wait until it is healthy.

        Raises:
            StartError: the data directory or the server itself is the reason.
        """
        if not await self._run():
            raise self._explain()

    async def ready(self) -> None:
        """Wait until it is healthy, e.g. after a death.

        Raises:
            StartError: it died too often.
        """
        while not self._up.is_set():
            if self._failed is not None:
                raise self._failed
            await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """SIGKILL it. A death that was asked for does not count as one too many."""
        if self._pid is not None:
            self._deaths.clear()
            self._up.clear()
            await self._processes.signal(self._pid, signal.SIGKILL)

    def close(self) -> None:
        """Do not bring it back any more."""
        self._closing = True
        if self._restart is not None:
            self._restart.cancel()

    async def _run(self) -> bool:
        self._record(Event.now("server.starting"))
        await asyncio.to_thread(_empty, self._scratch)
        self._pid = await self._processes.exec(
            [str(self._binary), "--no-logo"], self._environment(), self._log, self._exited
        )
        deadline = time.monotonic() + START_TIMEOUT
        async with self.admin.client(2) as admin, self.ingress.client(2) as ingress:
            for client, path in ((admin, "/health"), (ingress, "/restate/health")):
                while not await _healthy(client, path):
                    if self._pid is None:
                        return False
                    if time.monotonic() > deadline:
                        await self._processes.signal(self._pid, signal.SIGKILL)
                        return False
                    await asyncio.sleep(0.01)
        self._was_up = True
        self._up.set()
        self._record(Event.now("server.ready"))
        return True

    def _exited(self, status: int) -> None:
        was_up = self._was_up
        self._pid = None
        self._was_up = False
        self._up.clear()
        self._record(Event.now("server.gone", exit=status))
        if was_up and not self._closing:
            self._restart = asyncio.get_running_loop().create_task(self._bring_back())

    async def _bring_back(self) -> None:
        now = time.monotonic()
        self._deaths = [death for death in self._deaths if now - death < RESTART_WINDOW] + [now]
        if len(self._deaths) > MAX_RESTARTS or not await self._run():
            self._failed = self._explain()

    def _environment(self) -> dict[str, str]:
        ours = {
            **environment(self._settings),
            "RESTATE_BASE_DIR": str(self._sockets.base),
            "RESTATE_NODE_NAME": NODE,
            "RESTATE_LISTEN_MODE": "unix",
            "RESTATE_ADVERTISED_ADDRESS": f"unix:{self._sockets.fabric}",
            "TMPDIR": str(self._scratch),  # it leaves a directory behind there at every start
        }
        if self._settings.gated:  # one attempt per connection, and so per pod
            ours["RESTATE_WORKER__INVOKER__HTTP2_STREAMS_PER_CONNECTION_LIMIT"] = "1"
        # Restate variables of the learner's shell would change what the lessons were verified with.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RESTATE_")}
        return {**inherited, **ours}

    def _log_tail(self) -> str:
        try:
            lines = self._log.read_text("utf-8", "replace").splitlines()[-20:]
        except OSError:
            return ""
        return "\n".join(_message(line) for line in lines)

    def _explain(self) -> StartError:
        last = self._log_tail().splitlines()[-5:]
        return StartError(
            "The Restate server does not start.",
            "It said last:\n  " + "\n  ".join(last or ["(nothing)"]),
            "python -m playground doctor",
        )


def check_directory(directory: Path) -> None:
    """See that a data directory exists, can be written, and has room.

    Raises:
        StartError: it does not, or has not.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "write-test").write_bytes(b"x" * 4096)
        (directory / "write-test").unlink()
        free = shutil.disk_usage(directory).free
    except OSError as error:
        raise StartError(
            f"The data directory {directory} cannot be used.",
            f"{error.strerror}.",
            "Name a directory that is yours: Playground.open(data_dir=...)",
        ) from error
    if free < NEEDED_DISK:
        raise StartError(
            f"The disk that holds {directory} is full.",
            f"{free / 2**20:.0f} MB are free; Restate's log needs {NEEDED_DISK / 2**20:.0f} MB to be safe.",
            "Free some space, or name another directory: Playground.open(data_dir=...)",
        )


def _message(line: str) -> str:
    try:
        record = json.loads(line)
        told = record.get("fields", record)
        return " ".join(str(told[name]) for name in ("message", "error", "err", "cause") if told.get(name))
    except (ValueError, AttributeError):
        return line


def _empty(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, exist_ok=True)


async def _healthy(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 200
    except httpx.TransportError:
        return False
