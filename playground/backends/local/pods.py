"""Pods of the embedded backend: processes on this machine, one or more per revision."""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from playground.backends.backend import Record
from playground.backends.local.keepers import Keepers
from playground.backends.local.output import Output, no_files
from playground.backends.local.processes import Processes
from playground.backends.pod_tracker import PodTracker
from playground.core.settings import Settings
from playground.errors import PlaygroundError

MAX_BACKOFF = 5.0
"""The longest wait, in seconds, before a pod that keeps crashing or cannot be started is started again."""


def backoff(failures: int) -> float:
    """Seconds to wait after this many failures in a row."""
    return min(0.1 * 2**failures, MAX_BACKOFF) if failures else 0.0


class PodProcess(PodTracker):
    """One pod: a process and its output.

    Attributes:
        pid: its process id, while it has a process.
        killed: whether somebody asked to kill it, perhaps before it had a process.
    """

    pid: int | None = None
    killed = False


def reason(error: BaseException) -> str:
    """Why a process was not started, in one line."""
    if isinstance(error, PlaygroundError):
        return error.why or error.what
    return "it was interrupted" if isinstance(error, asyncio.CancelledError) else f"{type(error).__name__}: {error}"


class RevisionPods:
    """One revision: its listening socket, and how its pods are started and killed.

    Args:
        service, revision: names.
        source: the Python file its pods serve.
        env: extra environment variables for its pods.

    Raises:
        StartError: a listening socket could not be opened.
    """

    def __init__(
        self,
        service: str,
        revision: str,
        source: Path,
        *,
        env: dict[str, str],
        processes: Processes | Keepers,
        settings: Settings,
        record: Record,
    ) -> None:
        self.service, self.revision = service, revision
        self.pods: list[PodProcess] = []
        self._source, self._env = source, env
        self._processes, self._settings, self._record = processes, settings, record
        try:
            self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        except OSError as error:
            raise no_files(error) from error
        self._socket.setblocking(False)
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def address(self) -> str:
        """The URL at which Restate reaches this revision and no other."""
        host, port = self._socket.getsockname()
        return f"http://{host}:{port}"

    async def start_pod(self) -> PodProcess:
        """Start the revision's first pod, to see whether it can load the source."""
        raise NotImplementedError

    async def kill(self, name: str) -> None:
        """SIGKILL a pod."""
        for pod in list(self.pods):
            if pod.name == name:
                pod.killed = True
                if pod.pid is not None:
                    await self._processes.signal(pod.pid, signal.SIGKILL)

    def close(self) -> None:
        """Give up the address."""
        raise NotImplementedError

    async def _start_pod(self, listening: int, **env: str) -> PodProcess:
        """Start another pod. See `_run`."""
        pod = self._new_pod()
        await self._run(pod, listening, **env)
        return pod

    def _new_pod(self) -> PodProcess:
        pod = PodProcess(f"{self.revision}-{next(self._numbers)}", self.service, self.revision, self._record)
        self.pods.append(pod)
        pod.tell("pod.starting")
        return pod

    async def _run(self, pod: PodProcess, listening: int, **env: str) -> None:
        """Start a pod's process on a socket it inherits.

        Raises:
            StartError, PlaygroundClosed: it did not start. The pod is recorded as gone, with the reason.
        """
        try:
            with Output(pod.take) as output:
                pod.pid = await self._processes.serve(
                    "playground.pod",
                    self._source,
                    env={
                        **self._env,
                        "K_SERVICE": self.service,
                        "K_REVISION": self.revision,
                        "POD_NAME": pod.name,
                        **env,
                    },
                    listening=listening,
                    output=output,
                    fork=self._settings.pods == "fork",
                    on_exit=lambda status: self._exited(pod, output, status),
                )
        except BaseException as error:
            self.pods.remove(pod)
            pod.gone("failed", reason=reason(error))
            raise
        if pod.killed:
            self._task(self._processes.signal(pod.pid, signal.SIGKILL))

    def _exited(self, pod: PodProcess, output: Output, status: int) -> None:
        self.pods.remove(pod)
        pod.pid = None
        output.drain()
        pod.ended(status)

    def _task(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # if the keeper is gone, those who wait for it get the error
