"""Pods of the Kubernetes backend: what Kubernetes and the pods themselves say, as the events of the seam.

Three witnesses tell of a pod's end, and the first one counts. The pod's first process says in the log how the
one that serves has ended (`playground.pod.init`), within milliseconds. Kubernetes says it in the pod's
status, about a second later. And the pod object goes away, be it that somebody deleted it by force.

A pod that Knative has scaled away lives on for half a minute: its queue-proxy waits, for the case that a
request is still on its way. Such a pod counts as gone as soon as nothing is open on it, for Kubernetes does not
count it either: a ReplicaSet counts pods that are not being deleted.

A container whose process has ended would be started again under the same name, as if nothing had happened.
So a pod is replaced as a whole when its process ends: one pod, one process, one name in every event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from playground.backends.backend import Record
from playground.backends.knative.api import ApiError, Kubernetes
from playground.backends.knative.logs import PodLog
from playground.backends.knative.objects import PODS, Object
from playground.backends.knative.readiness import Diagnosis, exit_code, has_started, stuck
from playground.backends.knative.revision import CONTAINER, REVISION, SERVICE, key_of
from playground.backends.pod_tracker import PodTracker
from playground.pod.emit import LogParser

QUIET = 0.7
"""Seconds a pod that is being deleted must have had nothing open until it counts as gone."""
LAST_WORDS = 3.0
"""Seconds the log of a pod that is gone may still take to be read to its end."""
KILL = ["sh", "-c", "kill -9 -1"]
"""Ends every process of a container but the first, which then says so."""
MAX_BACKOFF = 4.0
"""Seconds at most until a pod that keeps crashing is replaced; less than its first process lingers."""

Start = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class ClusterPod(PodTracker):
    """One pod of one of our services.

    Args:
        first: the pod as Kubernetes first told of it.
        start: runs a coroutine for as long as the backend lives.
        on_end: called when its process has ended without being asked to: it has to be replaced.
    """

    def __init__(
        self,
        first: Object,
        *,
        kubernetes: Kubernetes,
        record: Record,
        start: Start,
        on_end: Callable[[ClusterPod], None],
    ) -> None:
        marks = first["metadata"]["labels"]
        super().__init__(first["metadata"]["name"], marks[SERVICE], marks[REVISION], record)
        self.stuck: Diagnosis | None = None
        self.stuck_since = 0.0
        self.is_gone = False
        self.process_ended = False
        self._object = first
        self._kubernetes, self._start = kubernetes, start
        self._parser = LogParser(key_of(first, CONTAINER))
        self._log = PodLog(kubernetes, self.name, CONTAINER, self._read, lambda: self._over)
        self._over = False  # nothing more will be written to the log
        self._deleted = False
        self._stopping = self._killed = False
        self._idle: asyncio.TimerHandle | None = None
        self._following: asyncio.Task[None] | None = None
        self.on_change = self._look_whether_idle
        self.on_end = on_end
        self.tell("pod.starting")
        self.update(first)

    @property
    def key(self) -> str:
        """What is unique to it."""
        return str(self._object["metadata"]["uid"])

    def update(self, pod: Object) -> None:
        """Kubernetes says something new of it."""
        self._object = pod
        if self._following is None and (has_started(pod, CONTAINER) or "nodeName" in pod["spec"]):
            self._following = self._start(self._log.follow())
        found = stuck(pod)
        if found is None or self.stuck is None:
            self.stuck_since = asyncio.get_running_loop().time()
        self.stuck = found
        if pod["metadata"].get("deletionGracePeriodSeconds") and not self._stopping:
            self._stopping = True
            if not (self.is_gone or self._killed):
                self.tell("pod.stopping")
                self._look_whether_idle()
        if (status := exit_code(pod, CONTAINER)) is not None and not self.process_ended:
            self._over = True
            self._start(self._end(status))

    def deleted(self) -> None:
        """Its object is gone."""
        self._over = self._deleted = True
        self._start(self._end(None))

    async def kill(self) -> None:
        """SIGKILL its process, and delete what is left.

        Deleting alone would not do: even by force, the kubelet lets a container finish within its grace period.
        """
        self._killed = True
        if has_started(self._object, CONTAINER):
            try:
                await self._kubernetes.run(self._object, CONTAINER, KILL)
            except ApiError:
                pass  # it has gone meanwhile, or we may not; deleting is what is left
        await self.remove()

    async def remove(self) -> None:
        """Delete its object at once."""
        if not self._deleted:
            await self._kubernetes.delete(PODS, self.name, grace=0)

    def close(self) -> None:
        """Tell nothing more of it. What it has started ends with the backend's tasks."""
        if self._idle is not None:
            self._idle.cancel()

    # -- its end --------------------------------------------------------------------------------------

    async def _end(self, status: int | None) -> None:
        """It has ended, says Kubernetes; let its log say so first, if it does."""
        if self._following is not None:
            await asyncio.wait([self._following], timeout=LAST_WORDS)
        if not self.process_ended:
            self.take(self._parser.close())
        if status is not None:
            self._process_ended(128 - status if status > 128 else status)
        else:
            self._gone("killed" if self._killed or not self._stopping else "stopped")
        if self._following is not None:
            self._following.cancel()

    def _process_ended(self, status: int) -> None:
        if self.process_ended:
            return
        self.process_ended = True
        if not self.is_gone:
            self.is_gone = True
            self.ended(status)
        if not (self._stopping or self._killed):
            self.on_end(self)

    def _gone(self, how: str) -> None:
        if not self.is_gone:
            self.is_gone = True
            self.gone(how)

    def _look_whether_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._stopping and self._log.opened and not (self.open or self.is_gone or self._killed):
            self._idle = asyncio.get_running_loop().call_later(QUIET, self._gone, "stopped")

    # -- what it says -----------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        items = self._parser.feed(data)
        last = next(
            (n for n, (what, item) in enumerate(items) if what == "event" and item["kind"] == "pod.ended"), None
        )
        if self.process_ended:
            return  # the container was started again before the pod could be replaced
        self.take(items[:last])
        if last is not None:
            self._over = True
            self._process_ended(int(items[last][1].get("exit", 1)))
