"""Socket activation: how a revision has an address although it has no pod.

The backend owns the revision's listening socket. With zero pods nobody accepts on it, and a connection
from Restate waits in the operating system's backlog; that the socket became readable is the signal to
start a pod, which inherits the socket and accepts. There is no proxy in the path, and no request is
refused. A pod without an open attempt for the idle window is stopped, and the socket is watched again.

This plays the parts of Knative's activator and autoscaler, with one pod per revision at the most.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playground.backend import Record, Settings
from playground.errors import DeployError
from playground.local.output import Output
from playground.local.processes import Processes
from playground.pod.serve import GRACE, REFUSED
from playground.recording import Event

MAX_BACKOFF = 5.0


class PodProcess:
    """One pod: a process, its log, and how many attempts are open on it."""

    def __init__(self, name: str, service: str, revision: str, record: Record) -> None:
        self.name, self.service, self.revision = name, service, revision
        self.pid: int | None = None
        self.open: set[int] = set()
        self.served = False
        self.loaded: asyncio.Future[list[dict[str, Any]]] = asyncio.get_running_loop().create_future()
        self.loaded.add_done_callback(lambda f: f.cancelled() or f.exception())  # not always awaited
        self.on_change: Callable[[], None] = lambda: None
        self._record = record
        self.output = Output(self._take)

    def tell(self, kind: str, **data: Any) -> None:
        """Record something the backend knows of this pod."""
        self._record(Event.now(kind, pod=self.name, service=self.service, revision=self.revision, **data))

    def started(self, pid: int) -> None:
        """The process runs."""
        self.pid = pid
        self.output.handed_over()

    def exited(self, status: int) -> None:
        """The process has ended: tell what it said last, then how it went."""
        self.output.drain()
        how = {0: "stopped", REFUSED: "refused", -signal.SIGKILL: "killed"}.get(status, "crashed")
        self.open.clear()
        self.tell("pod.gone", how=how, exit=status)
        if not self.loaded.done():
            self.loaded.set_exception(DeployError(f"The pod {self.name} ended while it was starting ({how})."))

    def _take(self, items: list[tuple[str, Any]]) -> None:
        events = []
        for what, item in items:
            if what == "log":
                events.append(Event.now("pod.log", pod=self.name, text=item))
                continue
            try:
                event = Event.from_fields(item, pod=self.name)
            except ValueError:
                continue
            events.append(event)
            self._notice(event)
        if events:
            self._record(*events)
            self.on_change()

    def _notice(self, event: Event) -> None:
        match event.kind:
            case "attempt.started":
                self.open.add(event.data["attempt"])
                self.served = True
            case "attempt.closed":
                self.open.discard(event.data["attempt"])
            case "pod.loaded" if not self.loaded.done():
                self.loaded.set_result(event.data["services"])
            case "pod.refused" if not self.loaded.done():
                self.loaded.set_exception(_refusal(self.service, event))


class Activator:
    """One revision: its socket, and the pod that serves it when there is work.

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
        processes: Processes,
        settings: Settings,
        record: Record,
    ) -> None:
        self.service, self.revision = service, revision
        self._source, self._env = source, env
        self._processes, self._settings, self._record = processes, settings, record
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._socket.setblocking(False)
        self._pod: PodProcess | None = None
        self._stopping: list[PodProcess] = []
        self._idle: asyncio.TimerHandle | None = None
        self._counter = 0
        self._crashes = 0
        self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def address(self) -> str:
        """The URL at which Restate reaches this revision."""
        host, port = self._socket.getsockname()
        return f"http://{host}:{port}"

    @property
    def pods(self) -> list[PodProcess]:
        """The pods that are there now."""
        return [*([self._pod] if self._pod else []), *self._stopping]

    async def start_pod(self) -> PodProcess:
        """Start the revision's pod, unless it is there already."""
        if self._pod is not None:
            return self._pod
        self._watch(False)
        self._counter += 1
        pod = self._pod = PodProcess(f"{self.revision}-{self._counter}", self.service, self.revision, self._record)
        pod.on_change = lambda: self._changed(pod)
        pod.tell("pod.starting")
        env = {**self._env, "K_SERVICE": self.service, "K_REVISION": self.revision, "POD_NAME": pod.name}
        pid = await self._processes.serve(
            "playground.pod",
            self._source,
            env=env,
            listening=self._socket.fileno(),
            log=pod.output.write_end,
            fork=self._settings.pods == "fork",
            on_exit=lambda status: self._exited(pod, status),
        )
        pod.started(pid)
        return pod

    async def kill(self, name: str) -> None:
        """SIGKILL a pod."""
        for pod in self.pods:
            if pod.name == name and pod.pid is not None:
                await self._processes.signal(pod.pid, signal.SIGKILL)

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
        if self._crashes:
            await asyncio.sleep(min(0.1 * 2**self._crashes, MAX_BACKOFF))
        if not self._closed:
            await self.start_pod()

    def _changed(self, pod: PodProcess) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if pod is self._pod and not pod.open and pod.loaded.done():
            self._idle = asyncio.get_running_loop().call_later(self._settings.idle_window, self._stop, pod)

    def _stop(self, pod: PodProcess) -> None:
        """Scale to zero: the pod finishes what came in meanwhile; the socket is watched again."""
        if pod is not self._pod or pod.pid is None:
            return
        self._pod = None
        self._stopping.append(pod)
        pod.tell("pod.stopping")
        self._task(self._processes.signal(pod.pid, signal.SIGTERM))
        asyncio.get_running_loop().call_later(GRACE + 5, lambda: self._task(self.kill(pod.name)))
        self._watch(True)

    def _exited(self, pod: PodProcess, status: int) -> None:
        pod.exited(status)
        if pod in self._stopping:
            self._stopping.remove(pod)
        if pod is self._pod:
            self._pod = None
            self._crashes = 0 if pod.served else self._crashes + 1
            self._watch(True)

    def _task(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a keeper that is gone is told where somebody waits for it


def _refusal(service: str, event: Event) -> DeployError:
    reason, text, trace = (str(event.data.get(name, "")) for name in ("reason", "text", "trace"))
    what = f"The service {service!r} was not deployed: {text}."
    match reason:
        case "syntax":
            return DeployError(what, f"Python cannot read the source:\n{trace}", "Correct that line and deploy again.")
        case "raised":
            return DeployError(what, f"The source raised while it was loaded:\n{trace}", "Correct it and deploy again.")
        case "duplicate":
            return DeployError(what, "Restate addresses services by name.", "Rename one of them.")
    return DeployError(
        what,
        "A pod serves the restate.Service, VirtualObject and Workflow objects its source defines at top level.",
        'Add one: greeter = restate.Service("Greeter"), with a function under @greeter.handler()',
    )
