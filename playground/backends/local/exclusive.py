"""Exclusive pods: one process per connection, so that killing one touches no other attempt.

The crash atlas runs many invocations at once and kills the pod under one of them. With ordinary pods, all
that run on it would die too, and effects would double where no crash was planned. So here the backend
accepts each connection itself and hands it to a pod of its own, as inetd does. Restate is told to put
one stream on a connection, and uses an idle connection again before it opens another.

A connection that was accepted is held until a pod has it: what keeps the pod from starting is told, and
tried again, later and later.

On Kubernetes, Knative's `containerConcurrency: 1` gives the same.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
from typing import Any

from playground.backends.local.output import no_files
from playground.backends.local.pods import PodProcess, RevisionPods, backoff
from playground.errors import PlaygroundClosed, StartError


class ExclusiveActivator(RevisionPods):
    """A revision whose pods serve one connection each. Arguments as of `RevisionPods`."""

    def __init__(self, *names: Any, **options: Any) -> None:
        super().__init__(*names, **options)
        self._first: socket.socket | None = None
        self._failures = 0  # to accept, in a row
        self._closed = False
        self._watch()

    async def start_pod(self) -> PodProcess:
        """Start a pod that loads the source and serves nobody, to see that it can."""
        try:
            self._first, theirs = socket.socketpair()
        except OSError as error:
            raise no_files(error) from error
        try:
            with theirs:
                pod = await self._start_pod(theirs.fileno(), POD_GATED="1")
        except BaseException:
            self._first.close()
            raise
        pod.loaded.add_done_callback(self._seen)
        return pod

    def close(self) -> None:
        """Give up the address; pods end when Restate closes their connections, or with the keeper."""
        if self._closed:
            return
        self._closed = True
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        for pod in self.pods:
            if pod.pid is not None and not pod.loaded.done():
                self._task(self._processes.signal(pod.pid, signal.SIGKILL))

    def _watch(self) -> None:
        if not self._closed:
            asyncio.get_running_loop().add_reader(self._socket, self._connected)

    def _seen(self, _loaded: object) -> None:
        if self._first is not None:
            self._first.close()

    def _connected(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:  # it waits in the backlog until there is room for it
            self._failures += 1
            self._new_pod_failed(error)
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.call_later(backoff(self._failures), self._watch)
            return
        self._failures = 0
        self._task(self._serve(connection))

    def _new_pod_failed(self, error: OSError) -> None:
        pod = self._new_pod()
        self.pods.remove(pod)
        pod.gone("failed", reason=no_files(error).why)

    async def _serve(self, connection: socket.socket) -> None:
        """Give a connection to a pod of its own."""
        with connection:
            for failures in itertools.count(1):
                try:
                    await self._start_pod(connection.fileno(), POD_GATED="1")
                except (StartError, PlaygroundClosed):
                    if self._processes.gone:
                        return
                    await asyncio.sleep(backoff(failures))
                else:
                    return
