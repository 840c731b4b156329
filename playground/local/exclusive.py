"""Exclusive pods: one process per connection, so that killing one touches no other attempt.

The crash atlas runs many invocations at once and kills the pod under one of them. With ordinary pods, all
that run on it would die too, and effects would double where no crash was planned. So here the backend
accepts each connection itself and hands it to a pod of its own, as inetd does. Restate is told to put
one stream on a connection, and uses an idle connection again before it opens another.

On Kubernetes, Knative's `containerConcurrency: 1` gives the same.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from playground.local.pods import PodProcess, RevisionPods


class ExclusiveActivator(RevisionPods):
    """A revision whose pods serve one connection each. Arguments as of `RevisionPods`."""

    def __init__(self, *names: Any, **options: Any) -> None:
        super().__init__(*names, **options)
        self._first: socket.socket | None = None
        asyncio.get_running_loop().add_reader(self._socket, self._connected)

    async def start_pod(self) -> PodProcess:
        """Start a pod that loads the source and serves nobody, to see that it can."""
        self._first, theirs = socket.socketpair()
        pod = await self._start(theirs)
        pod.loaded.add_done_callback(self._seen)
        return pod

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
        self._task(self._start(connection))

    async def _start(self, connection: socket.socket) -> PodProcess:
        pod = self._new_pod()
        with connection:
            await self._run(pod, connection.fileno(), POD_GATED="1")
        return pod
