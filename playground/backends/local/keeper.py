"""The keeper: the one process that is the parent of every other process of a playground.

A notebook's kernel can die at any moment, and in any way; Jupyter interrupts and kills by process
group. So the kernel starts no server and no pod itself. It starts this keeper, in a session of its
own, and holds the other end of a socket. Commands come in by that socket; when it closes, because the
kernel closed it or because the kernel is gone, the keeper kills all its children, removes the data
directory if that was a temporary one, and exits. Should the keeper itself be killed, Linux kills its
children (PDEATHSIG); elsewhere the kernel does, which learns of it by the same socket.

The keeper is also what pods are forked from: it has imported the SDK already, so a pod starts in
tens of milliseconds. It has one thread and no event loop, for only such a process forks safely.

Commands are lines of JSON. Each has a number, and so has its answer: whoever asked may have been interrupted,
and an answer must never be taken for another's. File descriptors ride along (SCM_RIGHTS):

    {"id", "do": "exec", "argv", "env", "log"}                              run a program  -> {"id", "pid"}
    {"id", "do": "warm"}                                                    import the SDK -> {"id"}
    {"id", "do": "serve", "fds": 3, "module", "argv", "path", "env", "fork"}  run a module   -> {"id", "pid"}
    {"id", "do": "signal", "pid", "signal"}                                 to its group   -> {"id"}

What went wrong is answered with {"id", "error"}. `serve` runs a module (a pod, the ledger) with three descriptors:
a listening socket, whose number it finds in POD_FD; a pipe for its words, standard output and error; and one for
its events, of which POD_EVENTS tells (see `playground.pod.emit`). When a child ends, {"exit": pid, "status": exit
code} is said, always after the answer that told its pid.

A child that has just been forked is a copy of the keeper: its signal handlers, its loop, its socket. So all signals
are blocked across the fork, until the child has put back what signals do by default; and it never returns from
there, whatever is raised in it.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from playground.backends.local import boot
from playground.pod.emit import EVENTS

PR_SET_PDEATHSIG = 1
CHECK = 0.5
"""Seconds between looks at whether the kernel is still the parent: a forked copy of the kernel would
keep the socket open although the kernel is gone."""


class Keeper:
    """See the module.

    Args:
        control: the socket to the kernel.
        lock: the file descriptor of the data directory's lock, which is just held open.
        scratch: directories to remove at the end.
    """

    def __init__(self, control: socket.socket, lock: int, scratch: list[Path]) -> None:
        self._control = control
        self._scratch = scratch
        self._kernel = os.getppid()
        self._children: set[int] = set()
        self._ending = False
        self._wake, wake = os.pipe()
        self._own = [control.fileno(), lock, self._wake, wake]
        os.set_blocking(wake, False)
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._asked_to_end)

    def run(self) -> NoReturn:
        """Serve the kernel until it is gone; then end everything."""
        commands, control = Commands(self._control), self._control.fileno()
        while os.getppid() == self._kernel and not self._ending:
            ready, _, _ = select.select([control, self._wake], [], [], CHECK)
            if self._wake in ready:
                os.read(self._wake, 4096)
            self._reap()
            if control not in ready:
                continue
            try:
                arrived = commands.read()
            except OSError:
                break
            if arrived is None:
                break
            for command, fds in arrived:
                self._obey(command, fds)
        self._end()

    def _asked_to_end(self, *_: object) -> None:
        # No more than a note: a handler runs in the middle of anything, a fork among it.
        self._ending = True

    def _obey(self, command: dict[str, Any], fds: list[int]) -> None:
        answer: dict[str, Any] = {"id": command["id"]}
        try:
            if len(fds) != command.get("fds", 0):
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))  # the system dropped what did not fit
            match command["do"]:
                case "exec":
                    answer["pid"] = self._exec(command["argv"], command["env"], command["log"])
                case "warm":
                    warm()
                case "serve":
                    answer["pid"] = self._serve(command, *fds)
                case "signal":
                    if command["pid"] in self._children:
                        _signal_group(command["pid"], command["signal"])
                case other:
                    raise ValueError(f"unknown command {other!r}")
        except Exception as error:
            answer["error"] = f"{type(error).__name__}: {error}"
        finally:
            for fd in fds:
                os.close(fd)
        self._say(answer)

    def _say(self, answer: dict[str, Any]) -> None:
        try:
            self._control.sendall(json.dumps(answer).encode() + b"\n")
        except OSError:
            self._end()

    def _reap(self) -> None:
        for pid in list(self._children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self._children.discard(pid)
                _signal_group(pid, signal.SIGKILL, reaped=True)  # what the child started and left behind
                self._say({"exit": pid, "status": os.waitstatus_to_exitcode(status)})

    def _fork(self, work: Callable[[], int]) -> int:
        """Fork a child, in a session of its own, that dies with the keeper. It exits with the result of its work."""
        keeper = os.getpid()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                self._be_child(keeper, work)
            self._children.add(pid)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid

    def _be_child(self, keeper: int, work: Callable[[], int]) -> NoReturn:
        code = 1
        try:
            os.setsid()
            die_with_parent(keeper)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            for fd in self._own:
                os.close(fd)
            code = work()
            sys.stdout.flush()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)  # never back into the keeper's loop

    def _exec(self, argv: list[str], env: dict[str, str], log: str) -> int:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return self._fork(lambda: _become(argv, env, out))
        finally:
            os.close(out)

    def _serve(self, command: dict[str, Any], listening: int, words: int, events: int) -> int:
        env = {**command["env"], "POD_FD": str(listening), EVENTS: f"fd:{events}"}
        if command["fork"]:
            return self._fork(lambda: _run(command["module"], command["argv"], command["path"], env, words))

        def spawn() -> int:
            for fd in (listening, events):
                os.set_inheritable(fd, True)
            argv = boot.interpreter(command["module"], *command["argv"], path=command["path"])
            return _become(argv, {**os.environ, **env}, words)

        return self._fork(spawn)

    def _end(self) -> NoReturn:
        for pid in self._children:
            _signal_group(pid, signal.SIGKILL)
        for pid in self._children:
            os.waitpid(pid, 0)
        for directory in self._scratch:
            shutil.rmtree(directory, ignore_errors=True)
        os._exit(0)


class Commands:
    """Lines of JSON from a socket, each with the descriptors that were sent with it."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._rest = b""
        self._fds: deque[list[int]] = deque()

    def read(self) -> list[tuple[dict[str, Any], list[int]]] | None:
        """What has arrived; None if the other end is closed. Descriptors are the reader's to close.

        Descriptors of two lines never come in one message. Those for which this process has no room are dropped
        by the system, which says so; then a line has fewer than it says.
        """
        data, fds, flags, _ = socket.recv_fds(self._control, 65536, 8)
        if not data:
            return None
        for fd in fds:
            os.set_inheritable(fd, False)
        if fds or flags & socket.MSG_CTRUNC:
            self._fds.append(list(fds))
        *lines, self._rest = (self._rest + data).split(b"\n")
        commands = [json.loads(line) for line in lines]
        return [(command, self._fds.popleft() if command.get("fds") else []) for command in commands]


def warm() -> None:
    """Import what every pod imports, so that a fork of this process has it."""
    import httpx  # noqa: F401
    import hypercorn.asyncio
    import hypercorn.protocol.h2  # noqa: F401
    import restate
    import restate.server  # noqa: F401

    import playground.ledger.__main__
    import playground.pod.serve  # noqa: F401

    gc.collect()
    gc.freeze()  # collections in a fork must not touch, and so copy, the pages shared with it


def _run(module: str, argv: list[str], path: list[str], env: dict[str, str], words: int) -> int:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(words, 1)
    os.dup2(words, 2)
    os.close(words)
    os.environ.update(env)
    sys.path += [each for each in path if each not in sys.path]  # last: no module of ours may be taken for another
    if threading.active_count() > 1:
        print("the keeper has threads; its forks may hang", file=sys.stderr)
    main = importlib.import_module(f"{module}.__main__").main
    return int(main(argv))


def _become(argv: list[str], env: dict[str, str], out: int) -> NoReturn:
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.execve(argv[0], argv, env)
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    os._exit(127)


def _signal_group(pid: int, number: int, *, reaped: bool = False) -> None:
    """Signal a child and all it started; a child just forked may not lead a group yet."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        if not reaped:
            os.kill(pid, number)


def die_with_parent(parent: int) -> None:
    """Have the kernel of the operating system kill this process when its parent ends (Linux only)."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it ended before we asked


def main() -> NoReturn:
    """`python -m playground.backends.local.keeper CONTROL LOCK [SCRATCH ...]`; the first two are file descriptors."""
    control, lock = int(sys.argv[1]), int(sys.argv[2])
    for fd in (control, lock):
        os.set_inheritable(fd, False)
    Keeper(socket.socket(fileno=control), lock, [Path(each) for each in sys.argv[3:]]).run()


if __name__ == "__main__":
    main()
