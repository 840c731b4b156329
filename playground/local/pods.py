"""Pods of the embedded backend: processes of this machine, one or more per revision."""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from playground.backend import Record, Settings
from playground.local.keepers import Keepers
from playground.local.output import Output
from playground.local.processes import Processes
from playground.podlife import PodLife


class PodProcess(PodLife):
    """One pod: a process and its log."""

    def __init__(self, name: str, service: str, revision: str, record: Record) -> None:
        super().__init__(name, service, revision, record)
        self.pid: int | None = None
        self.output = Output(self.take)

    def started(self, pid: int) -> None:
        """The process runs."""
        self.pid = pid
        self.output.handed_over()

    def not_started(self) -> None:
        """There is no process, and will be none."""
        self.output.handed_over()
        self.exited(1)

    def exited(self, status: int) -> None:
        """The process has ended: tell what it said last, then how it went."""
        self.output.drain()
        self.ended(status)


class RevisionPods:
    """One revision: its listening socket, and what starts and kills its pods.

    Args:
        service, revision: names.
        source: the Python file its pods serve.
        env: extra environment of its pods.
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
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._socket.setblocking(False)
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def address(self) -> str:
        """The URL at which Restate reaches this revision, and only it."""
        host, port = self._socket.getsockname()
        return f"http://{host}:{port}"

    async def start_pod(self) -> PodProcess:
        """Start the revision's first pod, to see that it can load the source."""
        raise NotImplementedError

    async def kill(self, name: str) -> None:
        """SIGKILL a pod."""
        for pod in self.pods:
            if pod.name == name and pod.pid is not None:
                await self._processes.signal(pod.pid, signal.SIGKILL)

    def close(self) -> None:
        """Give up the address."""
        raise NotImplementedError

    def _new_pod(self) -> PodProcess:
        pod = PodProcess(f"{self.revision}-{next(self._numbers)}", self.service, self.revision, self._record)
        self.pods.append(pod)
        pod.tell("pod.starting")
        return pod

    async def _run(self, pod: PodProcess, listening: int, **env: str) -> None:
        """Start a pod's process on a socket it inherits.

        Raises:
            StartError, PlaygroundClosed: there is no process; the pod is gone again.
        """
        try:
            pid = await self._processes.serve(
                "playground.pod",
                self._source,
                env={**self._env, "K_SERVICE": self.service, "K_REVISION": self.revision, "POD_NAME": pod.name, **env},
                listening=listening,
                log=pod.output.write_end,
                fork=self._settings.pods == "fork",
                on_exit=lambda status: self._exited(pod, status),
            )
        except BaseException:
            self.pods.remove(pod)
            pod.not_started()
            raise
        pod.started(pid)

    def _exited(self, pod: PodProcess, status: int) -> None:
        pod.exited(status)
        self.pods.remove(pod)

    def _task(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a keeper that is gone is told where somebody waits for it
