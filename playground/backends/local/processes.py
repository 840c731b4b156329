"""The kernel's side of the keeper: start and signal processes, and learn when they end."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from playground.backends.local import boot
from playground.backends.local.output import Output, no_files
from playground.core.paths import PID_FILE
from playground.errors import PlaygroundClosed, StartError

CLOSE_TIMEOUT = 5.0
"""Seconds that the keeper has to end everything before it is killed."""

_lifelines: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def _drop_lifelines() -> None:
    # A forked copy of the kernel (multiprocessing) must not keep a playground alive.
    for lifeline in list(_lifelines):
        lifeline.close()


os.register_at_fork(after_in_child=_drop_lifelines)


class _Call:
    """A command that was sent to the keeper.

    Attributes:
        answer: the keeper's answer.
        on_exit: what to call when the process that it starts has ended.
    """

    def __init__(self, on_exit: Callable[[int], None] | None) -> None:
        self.answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.on_exit = on_exit


class Processes:
    """All processes of one playground, through its keeper (see `keeper`). Lives on the engine's loop.

    A call may be cancelled at any moment, when the learner presses the stop button. Its command has been sent, and
    will be answered. If it starts a process, that process is ended again.

    Args:
        directory: the playground's data directory.
        remove: whether the keeper removes it when it ends.
        hash_seed: PYTHONHASHSEED of the keeper, and so of all its forks; by default a random one.
    """

    def __init__(self, directory: Path, *, remove: bool, hash_seed: int | None = None) -> None:
        self._directory, self._remove = directory, remove
        self._variables = {} if hash_seed is None else {"PYTHONHASHSEED": str(hash_seed)}
        self.started = False
        self._numbers = itertools.count(1)
        self._calls: dict[int, _Call] = {}
        self._exits: dict[int, _Call] = {}
        self._unsent: deque[tuple[bytes, list[int]]] = deque()
        self._closing = self._gone = False
        self._outputs: weakref.WeakSet[Output] = weakref.WeakSet()
        self._keeper: subprocess.Popen[bytes] | None = None

    async def start(self, *, also_remove: Path | None = None) -> None:
        """Start the keeper.

        Args:
            also_remove: a directory elsewhere that is always removed when the keeper ends.
        """
        with contextlib.ExitStack() as opened:
            lock = self._lock_directory()
            opened.callback(os.close, lock)
            ours, theirs = socket.socketpair()
            opened.enter_context(theirs)
            scratch = [str(path) for path in (self._directory if self._remove else None, also_remove) if path]
            command = boot.interpreter("playground.backends.local.keeper", str(theirs.fileno()), str(lock), *scratch)
            with (self._directory / "keeper.log").open("ab") as log:
                # A session of its own: the stop button signals the kernel's process group.
                self._keeper = subprocess.Popen(  # noqa: ASYNC220
                    command,
                    pass_fds=[theirs.fileno(), lock],
                    start_new_session=True,
                    env={**boot.environment(), **self._variables},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            # In a single write, so that a reader always finds a pid: the opener's or the keeper's.
            os.pwrite(lock, f"{self._keeper.pid}\n".ljust(12).encode(), 0)
        ours.setblocking(False)
        self._socket = ours
        _lifelines.add(ours)
        self._reader = asyncio.get_running_loop().create_task(self._read())
        self.started = True

    def _lock_directory(self) -> int:
        """A locked file descriptor. The keeper inherits it, so the lock lasts as long as the keeper lives."""
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
    def gone(self) -> bool:
        """Whether the keeper, and everything with it, has ended although nobody closed it."""
        return self._gone and not self._closing

    def check(self) -> None:
        """Check that the keeper lives. From any thread.

        Raises:
            PlaygroundClosed: it does not.
        """
        if self.gone:
            raise _gone()

    @property
    def pid(self) -> int:
        """The keeper's process id."""
        assert self._keeper is not None
        return self._keeper.pid

    async def exec(self, argv: list[str], env: dict[str, str], log: Path, on_exit: Callable[[int], None]) -> int:
        """Run a program with its output appended to a file. Returns its pid.

        `on_exit` is called on the loop with its exit code, or minus the number of the signal that ended it.
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
        output: Output,
        fork: bool,
        on_exit: Callable[[int], None],
    ) -> int:
        """Start a module (a pod, the ledger) on an inherited listening socket. Returns its pid."""
        self._outputs.add(output)
        path = boot.learners_path()
        command = {"do": "serve", "module": module, "argv": [str(argument)], "path": path, "env": env, "fork": fork}
        return await self._started(command, [listening, output.printed, output.events], on_exit)

    async def signal(self, pid: int, number: int) -> None:
        """Signal a child and everything it started. Does nothing if it has already ended."""
        await self._ask({"do": "signal", "pid": pid, "signal": number})

    async def close(self) -> None:
        """End the keeper, and with it every process. May be called twice."""
        self._closing = True
        if self._keeper is None:
            return
        self._reader.cancel()
        asyncio.get_running_loop().remove_writer(self._socket)
        self._socket.close()
        self._refuse()
        # Not in a thread: many playgrounds are closed when the interpreter exits, and then no thread can be started.
        deadline = time.monotonic() + CLOSE_TIMEOUT
        while self._keeper.poll() is None:
            if time.monotonic() > deadline:
                self._keeper.kill()
            await asyncio.sleep(0.01)
        for output in list(self._outputs):  # their `on_exit` will not be called any more
            output.close()
        if self._remove:  # in case the keeper was killed; otherwise it has done so itself
            shutil.rmtree(self._directory, ignore_errors=True)
        else:
            (self._directory / PID_FILE).unlink(missing_ok=True)

    async def _started(self, command: dict[str, Any], fds: list[int], on_exit: Callable[[int], None]) -> int:
        pid: int = (await self._ask(command, fds, on_exit))["pid"]
        return pid

    async def _ask(
        self, command: dict[str, Any], fds: Sequence[int] = (), on_exit: Callable[[int], None] | None = None
    ) -> dict[str, Any]:
        if self._gone or self._closing:
            raise _gone()
        call = _Call(on_exit)
        number = next(self._numbers)
        try:
            self._send({"id": number, "fds": len(fds), **command}, fds)
        except OSError as error:
            raise no_files(error) from error
        self._calls[number] = call
        try:
            answer = await call.answer
        except asyncio.CancelledError:
            if call.answer.done() and not call.answer.cancelled() and not call.answer.exception():
                self._undo(call.answer.result())  # the answer came at the same moment
            raise
        if "error" in answer:
            raise StartError("A process could not be started.", answer["error"], "python -m playground doctor")
        return answer

    def _send(self, command: dict[str, Any], fds: Sequence[int] = ()) -> None:
        # Send duplicates: the caller may close its descriptors before they are sent.
        ours: list[int] = []
        try:
            for fd in fds:
                ours.append(os.dup(fd))
        except OSError:
            _close(ours)
            raise
        self._unsent.append((json.dumps(command).encode() + b"\n", ours))
        self._flush()

    def _flush(self) -> None:
        """Send what is queued. A command is always sent whole, even if its caller has been cancelled."""
        loop = asyncio.get_running_loop()
        while self._unsent:
            data, fds = self._unsent.popleft()
            try:
                sent = socket.send_fds(self._socket, [data], fds) if fds else self._socket.send(data)
            except BlockingIOError:
                self._unsent.appendleft((data, fds))
                loop.add_writer(self._socket, self._flush)
                return
            except OSError:
                _close(fds)
                continue  # the keeper is gone; the reader is about to notice
            _close(fds)
            if sent < len(data):
                self._unsent.appendleft((data[sent:], []))
        loop.remove_writer(self._socket)

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
                        self._answered(self._calls.pop(message["id"], None), message)
        self._gone = True
        self._refuse()
        if not self._closing:
            self._keeper_died()

    def _refuse(self) -> None:
        """Fail all pending calls: there will be no more answers."""
        for call in self._calls.values():
            if not call.answer.done():
                call.answer.set_exception(_gone())
        self._calls.clear()

    def _answered(self, call: _Call | None, answer: dict[str, Any]) -> None:
        if call is None:
            return
        if call.answer.done():  # its caller was cancelled
            self._undo(answer)
            return
        if call.on_exit is not None and "pid" in answer:
            self._exits[answer["pid"]] = call
        call.answer.set_result(answer)

    def _undo(self, answer: dict[str, Any]) -> None:
        """End the process that an answer is about: whoever asked for it was cancelled."""
        if "pid" in answer:
            if (call := self._exits.pop(answer["pid"], None)) is not None:
                call.on_exit = None
            if not (self._gone or self._closing):
                self._tell_signal(answer["pid"], signal.SIGKILL)

    def _tell_signal(self, pid: int, number: int) -> None:
        """Signal a child without waiting for the answer."""
        self._send({"id": next(self._numbers), "do": "signal", "pid": pid, "signal": number})

    def _exited(self, pid: int, status: int) -> None:
        call = self._exits.get(pid)
        if call is not None:
            # Not before the caller has received the pid.
            asyncio.get_running_loop().call_soon(self._hear, pid, call, status)

    def _hear(self, pid: int, call: _Call, status: int) -> None:
        if self._exits.get(pid) is call:
            del self._exits[pid]
        if call.on_exit is None:
            return
        try:
            call.on_exit(status)
        except Exception as error:  # the callbacks of other processes must still be called
            asyncio.get_running_loop().call_exception_handler(
                {"message": "the callback for the end of a process raised an error", "exception": error}
            )

    def _keeper_died(self) -> None:
        # Linux has killed the children by now; on other systems we have to.
        for pid in list(self._exits):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            self._exited(pid, -signal.SIGKILL)
        if self._remove:
            self._clearing = asyncio.get_running_loop().create_task(self._clear())

    async def _clear(self) -> None:
        """Remove the data directory, as the keeper would have. Dying processes may still write to it."""
        for _ in range(50):
            shutil.rmtree(self._directory, ignore_errors=True)
            await asyncio.sleep(0.1)
            if not self._directory.exists():
                return


def _close(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


def _gone() -> PlaygroundClosed:
    return PlaygroundClosed(
        "This playground's processes are gone.",
        "Their keeper process was killed, or the playground was closed. Data is kept only in a data_dir of your own.",
        "pg = Playground.open()",
    )
