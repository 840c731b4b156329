"""Socket activation: how a revision has an address although it has no pod.

The backend owns the revision's listening socket. With zero pods nobody accepts on it, and a connection
from Restate waits in the operating system's backlog; that the socket became readable is the signal to
start a pod, which inherits the socket and accepts. There is no proxy in the path, and no request is
refused. A pod without an open attempt for the idle window is stopped, and the socket is watched again.

So it is always one of two: there is a pod that accepts, or the socket is watched. A pod that anybody else has asked to
end says that it accepts no more, and from then on it is not the revision's pod; it may take long to finish, and one
that does not come to its end is killed. Whatever keeps a pod from starting (no
file descriptors, no memory) is told and tried again, later and later: who waits in the backlog is never forgotten.

This plays the parts of Knative's activator and autoscaler, with one pod per revision at the most.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from playground.backends.local.output import Output
from playground.backends.local.pods import PodProcess, RevisionPods, backoff
from playground.pod import GRACE


class Activator(RevisionPods):
    """A revision whose one pod is there while there is work. Arguments as of `RevisionPods`."""

    def __init__(self, *names: Any, **options: Any) -> None:
        super().__init__(*names, **options)
        self._pod: PodProcess | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._failures = 0  # in a row
        self._closed = False

    async def start_pod(self) -> PodProcess:
        """Start the revision's pod, unless it is there already."""
        if self._pod is not None:
            return self._pod
        self._watch(False)
        try:
            pod = self._pod = self._new_pod()
            pod.on_change = lambda: self._changed(pod)
            await self._run(pod, self._socket.fileno())
        except BaseException:
            self._gone(self._pod)  # whoever is waiting for a pod is tried for again
            raise
        if self._closed:
            self._stop(pod)
        else:
            self._changed(pod)  # what it has said may have come before its process id
        return pod

    def close(self) -> None:
        """Give up the address. Pods that are left finish what is open, then stop."""
        if self._closed:
            return
        self._watch(False)
        self._closed = True
        if self._pod is not None:
            self._stop(self._pod)
        self._socket.close()

    def _watch(self, on: bool) -> None:
        loop = asyncio.get_running_loop()
        if on and not self._closed:
            loop.add_reader(self._socket, self._connected)
        elif not self._closed:
            loop.remove_reader(self._socket)

    def _connected(self) -> None:
        self._watch(False)
        self._task(self._activate())

    async def _activate(self) -> None:
        await asyncio.sleep(backoff(self._failures))
        if not self._closed:
            await self.start_pod()

    def _changed(self, pod: PodProcess) -> None:
        if pod is not self._pod:
            return  # one that finishes; how long the next one has been idle is none of its business
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if pod.draining:
            self._failures = 0 if pod.served else self._failures + 1
            self._leave(pod)
        elif not pod.open and pod.loaded.done():
            self._idle = asyncio.get_running_loop().call_later(self._settings.idle_window, self._stop, pod)

    def _stop(self, pod: PodProcess) -> None:
        """Scale to zero: ask the pod to end."""
        if pod is not self._pod or pod.pid is None:
            return
        # One that has yet to load its source has nothing to finish, and may never get so far as to listen.
        number = signal.SIGTERM if pod.loaded.done() else signal.SIGKILL
        self._task(self._processes.signal(pod.pid, number))
        self._leave(pod)

    def _leave(self, pod: PodProcess) -> None:
        """A pod that ends is left alone with what is open on it, for so long; whoever comes gets another."""
        self._pod = None
        pod.tell("pod.stopping")
        asyncio.get_running_loop().call_later(GRACE + 5, lambda: self._task(self.kill(pod.name)))
        self._watch(True)

    def _exited(self, pod: PodProcess, output: Output, status: int) -> None:
        try:
            super()._exited(pod, output, status)
        finally:
            self._gone(pod)

    def _gone(self, pod: PodProcess | None) -> None:
        if pod is self._pod:
            self._pod = None
            self._failures = 0 if pod is not None and pod.served else self._failures + 1
            self._watch(not self._processes.gone)  # without a keeper there will be no pod
