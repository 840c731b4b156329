"""Socket activation: how a revision can have an address without having a pod.

The backend owns the revision's listening socket. With zero pods nobody accepts on it, and a connection from Restate
waits in the operating system's backlog. The socket becoming readable is the signal to start a pod, which inherits the
socket and accepts. There is no proxy in the path, and no request is refused. A pod that has no open attempt for the
idle window is stopped, and the socket is watched again.

So there is always either a pod that accepts or a watched socket. A pod that somebody else has asked to end reports that
it no longer accepts, and from then on it is not the revision's pod. It may take a while to finish; if it takes too
long, it is killed. If a pod cannot be started (no file descriptors, no memory), that is reported and retried with
growing delays, so a connection in the backlog is never forgotten.

This does the work of Knative's activator and autoscaler, with at most one pod per revision.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from playground.backends.local.output import Output
from playground.backends.local.pods import PodProcess, RevisionPods, backoff
from playground.pod import GRACE


class Activator(RevisionPods):
    """A revision with one pod while there is work, and none otherwise. Takes the arguments of `RevisionPods`."""

    def __init__(self, *names: Any, **options: Any) -> None:
        super().__init__(*names, **options)
        self._pod: PodProcess | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._failures = 0  # in a row
        self._closed = False

    async def start_pod(self) -> PodProcess:
        """Start the revision's pod, unless it has one."""
        if self._pod is not None:
            return self._pod
        self._watch(False)
        try:
            pod = self._pod = self._new_pod()
            pod.on_change = lambda: self._changed(pod)
            await self._run(pod, self._socket.fileno())
        except BaseException:
            self._gone(self._pod)  # watch the socket again: a connection may be waiting for a pod
            raise
        if self._closed:
            self._stop(pod)
        else:
            self._changed(pod)  # it may have reported something before its process id was known
        return pod

    def close(self) -> None:
        """Give up the address. The remaining pods finish their open attempts, then stop."""
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
            return  # an earlier pod that is finishing; it must not touch the idle timer of the current one
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
        # A pod that is still loading its source has nothing to finish, and may not be listening for SIGTERM yet.
        number = signal.SIGTERM if pod.loaded.done() else signal.SIGKILL
        self._task(self._processes.signal(pod.pid, number))
        self._leave(pod)

    def _leave(self, pod: PodProcess) -> None:
        """Let a pod finish its open attempts, and kill it if that takes too long. New connections get another pod."""
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
            self._watch(not self._processes.gone)  # without a keeper no pod can be started
