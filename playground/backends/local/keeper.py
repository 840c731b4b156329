"""The keeper: the process that is the parent of all other processes of a playground.

A notebook's kernel can die at any moment and in any way, and Jupyter interrupts and kills whole process groups. So the
kernel starts no server and no pods itself. It starts this keeper, in a session of its own, and holds the other end of a
socket, through which it sends commands. When the socket closes, because the kernel has closed it or is gone, the keeper
kills all its children, removes the data directory if it is a temporary one, and exits. If the keeper itself is killed,
Linux kills its children (PDEATHSIG); on other systems the kernel does, which notices through the same socket.

Pods are forked from the keeper. It has already imported the SDK, so a pod starts within tens of milliseconds. It has
one thread and no event loop, because only such a process can be forked safely.

Commands are lines of JSON. Each has a number, which its answer repeats: a caller may have been interrupted, and must
not take the answer to another command for its own. File descriptors are sent along (SCM_RIGHTS):

    {"id", "do": "exec", "argv", "env", "log"}                              run a program  -> {"id", "pid"}
    {"id", "do": "warm"}                                                    import the SDK -> {"id"}
    {"id", "do": "serve", "fds": 3, "module", "argv", "path", "env", "fork"}  run a module   -> {"id", "pid"}
    {"id", "do": "signal", "pid", "signal"}                                 to its group   -> {"id"}

If something goes wrong, the answer is {"id", "error"}. `serve` runs a module (a pod, the ledger) with three
descriptors: a listening socket, whose number is in POD_FD; a pipe for standard output and error; and a pipe for its
events, which POD_EVENTS names (see `playground.pod.emit`). When a child ends, the keeper sends
{"exit": pid, "status": exit code}, always after the answer that contained the pid.

A freshly forked child is a copy of the keeper, with its signal handlers, its loop and its socket. So all signals are
blocked across the fork until the child has reset their handlers, and whatever the child raises, it never returns into
the keeper's loop.
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
"""Seconds between checks whether the kernel is still the parent. The socket does not always show it: a forked copy of
the kernel would keep it open."""


class Keeper:
    """See the module's docstring.

    Args:
        control: the socket to the kernel.
        lock: the file descriptor of the data directory's lock, which only has to stay open.
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
        """Serve the kernel until it is gone, then end everything."""
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
        # Only take note: a signal handler runs in the middle of anything, even of a fork.
        self._ending = True

    def _obey(self, command: dict[str, Any], fds: list[int]) -> None:
        answer: dict[str, Any] = {"id": command["id"]}
        try:
            if len(fds) != command.get("fds", 0):
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))  # the system dropped those that did not fit
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
                _signal_group(pid, signal.SIGKILL, reaped=True)  # kill what the child started and left behind
                self._say({"exit": pid, "status": os.waitstatus_to_exitcode(status)})

    def _fork(self, work: Callable[[], int]) -> int:
        """Fork a child that has its own session, dies with the keeper, and exits with the result of `work`."""
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

    def _serve(self, command: dict[str, Any], listening: int, output: int, events: int) -> int:
        env = {**command["env"], "POD_FD": str(listening), EVENTS: f"fd:{events}"}
        if command["fork"]:
            return self._fork(lambda: _run(command["module"], command["argv"], command["path"], env, output))

        def spawn() -> int:
            for fd in (listening, events):
                os.set_inheritable(fd, True)
            argv = boot.interpreter(command["module"], *command["argv"], path=command["path"])
            return _become(argv, {**os.environ, **env}, output)

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
    """Reads lines of JSON from a socket, each with the file descriptors that were sent along."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._rest = b""
        self._fds: deque[list[int]] = deque()

    def read(self) -> list[tuple[dict[str, Any], list[int]]] | None:
        """The commands that have arrived; None if the other end is closed. The caller closes the descriptors.

        One message never carries the descriptors of two lines. If this process has no room for some of them, the
        system drops them and says so; then a line comes with fewer than it announces.
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
    """Import what every pod imports, so that forks of this process already have it."""
    import httpx  # noqa: F401
    import hypercorn.asyncio
    import hypercorn.protocol.h2  # noqa: F401
    import restate
    import restate.server  # noqa: F401

    import playground.ledger.__main__
    import playground.pod.serve  # noqa: F401

    gc.collect()
    gc.freeze()  # or garbage collection in a fork would touch, and so copy, the memory pages it shares


def _run(module: str, argv: list[str], path: list[str], env: dict[str, str], output: int) -> int:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.environ.update(env)
    sys.path += [each for each in path if each not in sys.path]  # last, so that none of them hides one of ours
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
    """Signal a child and everything it started. A child that was just forked may not lead a group yet."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        if not reaped:
            os.kill(pid, number)


def die_with_parent(parent: int) -> None:
    """Have Linux kill this process when its parent ends. Does nothing on other systems."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # the parent ended before we asked


def main() -> NoReturn:
    """`python -m playground.backends.local.keeper CONTROL LOCK [SCRATCH ...]`; the first two are file descriptors."""
    control, lock = int(sys.argv[1]), int(sys.argv[2])
    for fd in (control, lock):
        os.set_inheritable(fd, False)
    Keeper(socket.socket(fileno=control), lock, [Path(each) for each in sys.argv[3:]]).run()


if __name__ == "__main__":
    main()
