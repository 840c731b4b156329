"""The Restate server of the embedded backend: a child process on Unix sockets, restarted when it dies.

Restate's ingress and admin API have no authentication. So the server does not listen on any port. Its sockets are in a
directory that only the playground's owner may enter (see `sockets`), and stay the same after a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
from pathlib import Path

import httpx

from playground.backends.backend import Condition, Record
from playground.backends.local.processes import Processes
from playground.backends.local.sockets import NODE, Sockets
from playground.core.door import Door
from playground.core.settings import Settings
from playground.errors import PlaygroundError, StartError
from playground.recording import Event
from playground.restate.settings import environment

NEEDED_DISK = 100 * 2**20
"""With fewer bytes free, a start is refused. A small playground writes about 5 MB."""
START_TIMEOUT = 30.0
RESTART_WINDOW = 30.0
"""A death counts for this many seconds. The more of them count, the longer the wait before the next start."""
MAX_BACKOFF = 3.0
FULL = 1 << 20
"""With fewer bytes free, a disk counts as full: the server writes in larger pieces."""


class RestateServer:
    """A restate-server process. Lives on the engine's loop.

    Args:
        binary: the program.
        directory: the playground's data directory, which contains the server's.
        sockets: where it listens.

    Attributes:
        ingress: where requests go.
        admin: the admin API; Restate's own UI is at `/ui`.
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
        self._binary, self._directory, self._sockets = binary, directory, sockets
        self.ingress = Door("http://restate-ingress", sockets.ingress)
        self.admin = Door("http://restate-admin", sockets.admin)
        self._processes, self._settings, self._record = processes, settings, record
        self._log = directory / "restate-server.log"
        self._scratch = directory / "tmp"
        self._pid: int | None = None
        self._up = asyncio.Event()
        self._started = False
        self._was_full = False
        self._failed: PlaygroundError | None = None
        self._deaths: list[tuple[float, int]] = []  # time and exit status
        self._closing = False
        self._restart: asyncio.Task[None] | None = None
        self._disk: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id, while it runs."""
        return self._pid

    async def start(self) -> None:
        """Start it and wait until it is healthy.

        Raises:
            StartError: it does not start; says why.
        """
        if not await self._run():
            raise self._explain()
        self._started = True
        self._disk = asyncio.get_running_loop().create_task(self._watch_disk())

    @property
    def condition(self) -> Condition:
        """Its condition. From any thread."""
        if self._failed is not None:
            return Condition("the Restate server is down for good", self._failed.fix)
        if _is_full(self._directory):
            return Condition(
                f"the disk that holds {self._directory} is full, and the Restate server cannot write",
                "Free some space. The server will then go on by itself.",
            )
        if self._up.is_set() and not self._was_full:
            return Condition()
        killed = sum(status == -signal.SIGKILL for _, status in self._deaths)
        how = [f"killed {_times(killed)}"] if killed else []
        if others := [status for _, status in self._deaths if status != -signal.SIGKILL]:
            how.append(f"ended by itself {_times(len(others))}, last with exit code {others[-1]}")
        causes = f" ({', '.join(how)})" if how else ""
        return Condition(f"the Restate server is coming back{causes}", "Wait for it: pg says when it is ready.")

    async def ready(self) -> None:
        """Wait until it is healthy, for example after a restart.

        Raises:
            PlaygroundClosed: it cannot be restarted.
        """
        while not self._up.is_set():
            self._processes.check()
            if self._failed is not None:
                raise self._failed
            await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """SIGKILL it. This death does not delay the restart."""
        if self._pid is not None:
            self._deaths.clear()
            self._up.clear()
            await self._processes.signal(self._pid, signal.SIGKILL)

    def close(self) -> None:
        """Do not restart it from now on."""
        self._closing = True
        for task in (self._restart, self._disk):
            if task is not None:
                task.cancel()

    async def _run(self) -> bool:
        self._record(Event.now("server.starting"))
        _empty(self._scratch)
        gone = asyncio.Event()

        def exited(status: int) -> None:
            gone.set()
            self._exited(status)

        pid = await self._processes.exec([str(self._binary), "--no-logo"], self._environment(), self._log, exited)
        self._pid = None if gone.is_set() else pid
        deadline = time.monotonic() + START_TIMEOUT
        async with self.admin.client(2) as admin, self.ingress.client(2) as ingress:
            for client, path in ((admin, "/health"), (ingress, "/restate/health")):
                while not await _healthy(client, path):
                    if gone.is_set():
                        return False
                    if time.monotonic() > deadline:
                        await self._processes.signal(pid, signal.SIGKILL)
                        await gone.wait()  # two servers on the same data would corrupt it
                        return False
                    await asyncio.sleep(0.01)
        if gone.is_set():
            return False
        self._up.set()
        self._record(Event.now("server.ready"))
        return True

    def _exited(self, status: int) -> None:
        self._pid = None
        self._up.clear()
        now = time.monotonic()
        self._deaths = [death for death in self._deaths if now - death[0] < RESTART_WINDOW] + [(now, status)]
        self._record(Event.now("server.gone", exit=status))
        if self._started and not self._closing and (self._restart is None or self._restart.done()):
            self._restart = asyncio.get_running_loop().create_task(self._bring_back())

    async def _bring_back(self) -> None:
        """Restart it, with growing delays if it keeps dying, until it stays up."""
        while not self._closing:
            if len(self._deaths) > 1:
                await asyncio.sleep(min(0.1 * 2 ** len(self._deaths), MAX_BACKOFF))
            try:
                if await self._run():
                    return
            except StartError:
                await asyncio.sleep(1)  # no process can be started just now
            except PlaygroundError as error:
                self._failed = error
                return

    async def _watch_disk(self) -> None:
        """Restart it when a full disk has room again: by itself, it would not resume writing."""
        while True:
            await asyncio.sleep(0.25)
            full = _is_full(self._directory)
            if self._was_full and not full:
                with contextlib.suppress(PlaygroundError):  # the keeper is gone, and everything with it
                    await self.kill()
            self._was_full = full

    def _environment(self) -> dict[str, str]:
        ours = {
            **environment(self._settings),
            "RESTATE_BASE_DIR": str(self._sockets.base),
            "RESTATE_NODE_NAME": NODE,
            "RESTATE_LISTEN_MODE": "unix",
            "RESTATE_ADVERTISED_ADDRESS": f"unix:{self._sockets.fabric}",
            "TMPDIR": str(self._scratch),  # the server leaves a directory there at every start
        }
        if self._settings.gated:  # one attempt per connection, and so per pod
            ours["RESTATE_WORKER__INVOKER__HTTP2_STREAMS_PER_CONNECTION_LIMIT"] = "1"
        # Restate variables in the learner's shell would change the settings that the lessons were verified with.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RESTATE_")}
        return {**inherited, **ours}

    def _log_tail(self) -> str:
        try:
            lines = self._log.read_text("utf-8", "replace").splitlines()[-20:]
        except OSError:
            return ""
        return "\n".join(_message(line) for line in lines)

    def _explain(self) -> StartError:
        if _is_full(self._directory):
            return StartError(
                "The Restate server does not start.",
                f"The disk that holds {self._directory} is full.",
                "Free some space, or name another directory: Playground.open(data_dir=...)",
            )
        last = self._log_tail().splitlines()[-5:]
        return StartError(
            "The Restate server does not start.",
            "Its last output was:\n  " + "\n  ".join(last or ["(nothing)"]),
            "python -m playground doctor",
        )


def check_directory(directory: Path) -> None:
    """Check that a data directory exists, can be written to, and has room.

    Raises:
        StartError: one of these is not so.
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
            "Name a directory that you can write to: Playground.open(data_dir=...)",
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
        fields = record.get("fields", record)
        return " ".join(str(fields[name]) for name in ("message", "error", "err", "cause") if fields.get(name))
    except (ValueError, AttributeError):
        return line


def _is_full(directory: Path) -> bool:
    try:
        return shutil.disk_usage(directory).free < FULL
    except OSError:
        return False


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _empty(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, exist_ok=True)


async def _healthy(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 200
    except httpx.TransportError:
        return False
