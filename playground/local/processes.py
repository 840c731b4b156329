"""The kernel's end of the keeper: start and signal processes, hear when they end."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playground.errors import PlaygroundClosed, StartError

PID_FILE = "keeper.pid"
"""In the data directory: the keeper's process id, while the playground is open."""

_lifelines: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def _drop_lifelines() -> None:
    # In a forked copy of the kernel (multiprocessing): it must not keep a playground alive.
    for lifeline in list(_lifelines):
        lifeline.close()


os.register_at_fork(after_in_child=_drop_lifelines)


class Processes:
    """All processes of one playground, through its keeper (see `keeper`). Lives on the engine's loop.

    Args:
        directory: the playground's data directory.
        remove: whether the keeper removes it when it ends.
        hash_seed: PYTHONHASHSEED of the keeper, and so of all it forks; by default one of its own each time.
    """

    def __init__(self, directory: Path, *, remove: bool, hash_seed: int | None = None) -> None:
        self._directory, self._remove = directory, remove
        self._variables = {} if hash_seed is None else {"PYTHONHASHSEED": str(hash_seed)}
        self.started = False
        self._lock = asyncio.Lock()
        self._answers: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._exits: dict[int, Callable[[int], None]] = {}
        self._early: dict[int, int] = {}
        self._closing = False

    async def start(self, *, also_remove: Path | None = None) -> None:
        """Start the keeper.

        Args:
            also_remove: a directory elsewhere that is removed with the keeper's end in any case.
        """
        lock = self._lock_directory()
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "playground.local.keeper", str(theirs.fileno()), str(lock)]
        command += [str(path) for path in (self._directory if self._remove else None, also_remove) if path]
        with (self._directory / "keeper.log").open("ab") as log:
            # A session of its own: the stop button signals the kernel's process group.
            self._keeper = subprocess.Popen(  # noqa: ASYNC220
                command,
                pass_fds=[theirs.fileno(), lock],
                start_new_session=True,
                env={**os.environ, **self._variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        os.truncate(lock, 0)
        os.write(lock, str(self._keeper.pid).encode())
        os.close(lock)
        theirs.close()
        ours.setblocking(False)
        self._socket = ours
        _lifelines.add(ours)
        self._reader = asyncio.get_running_loop().create_task(self._read())
        self.started = True

    def _lock_directory(self) -> int:
        """A locked file descriptor that the keeper inherits: the lock lasts as long as it lives."""
        lock = os.open(self._directory / PID_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise StartError(
                f"The data directory {self._directory} is in use by another playground.",
                "Two Restate servers cannot share their data.",
                "Close the other one, or name another directory: Playground.open(data_dir=...)",
            ) from None
        return lock

    @property
    def pid(self) -> int:
        """The keeper's process id."""
        return self._keeper.pid

    async def exec(self, argv: list[str], env: dict[str, str], log: Path, on_exit: Callable[[int], None]) -> int:
        """Run a program with its output appended to a file; returns its pid.

        `on_exit` is called on the loop with its exit code (negative: the signal that ended it).
        """
        return await self._started({"do": "exec", "argv": argv, "env": env, "log": str(log)}, [], on_exit)

    async def warm(self) -> None:
        """Have the keeper import the SDK, so that pods can be forked from it."""
        await self._ask({"do": "warm"})

    async def serve(
        self,
        module: str,
        argument: Path,
        *,
        env: dict[str, str],
        listening: int,
        log: int,
        fork: bool,
        on_exit: Callable[[int], None],
    ) -> int:
        """Start a module (a pod, the ledger) on an inherited listening socket; returns its pid."""
        command = {"do": "serve", "module": module, "argv": [str(argument)], "env": env, "fork": fork}
        return await self._started(command, [listening, log], on_exit)

    async def signal(self, pid: int, number: int) -> None:
        """Signal a child and everything it started. Does nothing if it has ended already."""
        await self._ask({"do": "signal", "pid": pid, "signal": number})

    async def close(self) -> None:
        """End the keeper, and with it every process. Safe to call twice."""
        self._closing = True
        self._reader.cancel()
        self._socket.close()
        try:
            await asyncio.to_thread(self._keeper.wait, 10)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            await asyncio.to_thread(self._keeper.wait)
        if self._remove:  # the keeper has done it, unless it was killed
            shutil.rmtree(self._directory, ignore_errors=True)
        else:
            (self._directory / PID_FILE).unlink(missing_ok=True)

    async def _started(self, command: dict[str, Any], fds: list[int], on_exit: Callable[[int], None]) -> int:
        pid: int = (await self._ask(command, fds))["pid"]
        self._exits[pid] = on_exit
        if pid in self._early:  # it ended before we knew its pid
            self._exited(pid, self._early.pop(pid))
        return pid

    async def _ask(self, command: dict[str, Any], fds: list[int] | None = None) -> dict[str, Any]:
        async with self._lock:
            data = json.dumps(command).encode() + b"\n"
            try:
                sent = socket.send_fds(self._socket, [data], fds or [])
                await asyncio.get_running_loop().sock_sendall(self._socket, data[sent:])
            except OSError as error:
                raise _gone() from error
            answer = await self._answers.get()
        if answer is None:
            self._answers.put_nowait(None)
            raise _gone()
        if "error" in answer:
            raise StartError("A process could not be started.", answer["error"], "python -m playground doctor")
        return answer

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        buffer = b""
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(self._socket, 65536):
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    message = json.loads(line)
                    if "exit" in message:
                        self._exited(message["exit"], message["status"])
                    else:
                        self._answers.put_nowait(message)
        self._answers.put_nowait(None)
        if not self._closing:
            self._keeper_died()

    def _exited(self, pid: int, status: int) -> None:
        on_exit = self._exits.pop(pid, None)
        if on_exit is None:
            self._early[pid] = status
        else:
            on_exit(status)

    def _keeper_died(self) -> None:
        # Linux has killed the children by now; elsewhere that is left to us.
        for pid in list(self._exits):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            self._exited(pid, -signal.SIGKILL)


def _gone() -> PlaygroundClosed:
    return PlaygroundClosed(
        "This playground's processes are gone.",
        "Their keeper process was killed or the playground was closed.",
        "pg = Playground.open()",
    )
