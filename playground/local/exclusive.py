"""Exclusive pods: one process per connection, so that killing one touches no other attempt.

The crash atlas runs many invocations at once and kills the pod under one of them. With ordinary pods, all
that run on it would die too, and effects would double where no crash was planned. So here the backend
accepts each connection itself and hands it to a pod of its own, as inetd does. Restate is told to put
one stream on a connection, and uses an idle connection again before it opens another.

On Kubernetes, Knative's `containerConcurrency: 1` gives the same.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
from pathlib import Path

from playground.backend import Record, Settings
from playground.local.activator import PodProcess
from playground.local.processes import Processes


class ExclusiveActivator:
    """One revision whose pods serve one connection each. Arguments as of `Activator`."""

    def __init__(
        self,
        service: str,
        revision: str,
        source: Path,
        *,
        env: dict[str, str],
        processes: Processes,
        settings: Settings,
        record: Record,
    ) -> None:
        self.service, self.revision = service, revision
        self._source, self._env = source, env
        self._processes, self._settings, self._record = processes, settings, record
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._socket.setblocking(False)
        self._numbers = itertools.count(1)
        self.pods: list[PodProcess] = []
        self._first: socket.socket | None = None
        self._tasks: set[asyncio.Task[PodProcess]] = set()
        asyncio.get_running_loop().add_reader(self._socket, self._connected)

    @property
    def address(self) -> str:
        """The URL at which Restate reaches this revision."""
        host, port = self._socket.getsockname()
        return f"http://{host}:{port}"

    async def start_pod(self) -> PodProcess:
        """Start a pod that loads the source and serves nobody, to see that it can."""
        self._first, theirs = socket.socketpair()
        pod = await self._start(theirs)
        pod.loaded.add_done_callback(self._seen)
        return pod

    async def kill(self, name: str) -> None:
        """SIGKILL a pod."""
        for pod in self.pods:
            if pod.name == name and pod.pid is not None:
                await self._processes.signal(pod.pid, signal.SIGKILL)

    def close(self) -> None:
        """Give up the address; pods end when Restate closes their connections, or with the keeper."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _seen(self, _loaded: object) -> None:
        if self._first is not None:
            self._first.close()

    def _connected(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:
            return
        task = asyncio.get_running_loop().create_task(self._start(connection))
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[PodProcess]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a keeper that is gone is told where somebody waits for it

    async def _start(self, connection: socket.socket) -> PodProcess:
        name = f"{self.revision}-{next(self._numbers)}"
        pod = PodProcess(name, self.service, self.revision, self._record)
        self.pods.append(pod)
        pod.tell("pod.starting")

        def exited(status: int) -> None:
            pod.exited(status)
            self.pods.remove(pod)

        env = {**self._env, "K_SERVICE": self.service, "K_REVISION": self.revision, "POD_NAME": name, "POD_GATED": "1"}
        with connection:
            pid = await self._processes.serve(
                "playground.pod",
                self._source,
                env=env,
                listening=connection.fileno(),
                log=pod.output.write_end,
                fork=self._settings.pods == "fork",
                on_exit=exited,
            )
        pod.started(pid)
        return pod
