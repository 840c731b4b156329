"""Exclusive pods: one process per connection, so that killing one touches no other attempt.

The crash atlas runs many invocations at once and kills the pod of one of them. With ordinary pods, all others on that
pod would die too, and effects would be repeated where no crash was planned. So here the backend accepts each
connection itself and hands it to a pod of its own, as inetd does. Restate is told to put one stream on each
connection. It reuses an idle connection before it opens another.

An accepted connection is held until a pod has it. If the pod cannot be started, that is reported and retried with
growing delays.

On Kubernetes, Knative's `containerConcurrency: 1` has the same effect.
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
    """A revision whose pods serve one connection each. Takes the arguments of `RevisionPods`."""

    def __init__(self, *names: Any, **options: Any) -> None:
        super().__init__(*names, **options)
        self._first: socket.socket | None = None
        self._failures = 0  # failures to accept, in a row
        self._closed = False
        self._watch()

    async def start_pod(self) -> PodProcess:
        """Start a pod that only loads the source, to see whether it can."""
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
        pod.loaded.add_done_callback(self._close_first)
        return pod

    def close(self) -> None:
        """Give up the address. Pods end when Restate closes their connections, or with the keeper."""
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

    def _close_first(self, _loaded: object) -> None:
        if self._first is not None:
            self._first.close()

    def _connected(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:  # the connection waits in the backlog until there is room for it
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
