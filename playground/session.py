"""The playground, as a notebook uses it. Every method is synchronous, and may be called from any thread."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import httpx

from playground.core.extras import extra
from playground.core.settings import Settings
from playground.errors import DeployError, PlaygroundError, WaitTimeout
from playground.handles import Invocation, Invocations, Ledger, Pods, Queue, Revisions, Service, State
from playground.jupyter.link import Ui, route_through_jupyter
from playground.jupyter.route import Route
from playground.magic import notebooks_shell, register
from playground.restate.admin import as_json
from playground.restate.ingress import NO_BODY
from playground.runtime.opening import asked_for, features_asked_for
from playground.runtime.pod import Pod
from playground.runtime.runtime import DEPLOY_TIMEOUT, Runtime
from playground.shown import Atlas, Recording

if TYPE_CHECKING:
    from playground.atlas.lab import Accept
    from playground.atlas.run import Count, Drive
    from playground.views.lens import Lens
    from playground.views.panels.board import Board, Panels

DEFAULTS = Settings()


class Playground:
    """A Restate server, pods that serve what you deploy, and a recording of everything that happens.

    Open one with `Playground.open()`. It ends with `close()`, with its `with` block, with the interpreter, or with the
    kernel, however that dies.

    Attributes:
        recording: everything that has happened, as events.
        settings: the timings that apply.
        ledger: the outside world: which effects reached it, and how it misbehaves.
        atlases: the crash atlases that were made, in order.
        runtime: what does the work; for tools, not for notebooks.
        latest: the playground that was opened last.
    """

    latest: ClassVar[Playground | None] = None

    def __init__(self, runtime: Runtime, recording: Recording) -> None:
        """Not for notebooks: use `Playground.open()`."""
        self.runtime, self.recording, self.settings = runtime, recording, runtime.settings
        self.ledger = Ledger(runtime)
        self.atlases: list[Atlas] = []
        self._route: Route | None = None

    # -- opening and closing ------------------------------------------------------------------------

    @classmethod
    def open(
        cls,
        backend: str | None = None,
        *,
        inactivity_timeout: float = DEFAULTS.inactivity_timeout,
        retry_interval: float = DEFAULTS.retry_interval,
        idle_window: float = DEFAULTS.idle_window,
        data_dir: str | os.PathLike[str] | None = None,
        pods: str | None = None,
    ) -> Playground:
        """Start a playground and wait until it is ready.

        A notebook has only one at a time: opening another closes the one before.

        Args:
            backend: "local" or "knative"; by default what PLAYGROUND_BACKEND says, or else "local".
            inactivity_timeout: seconds without progress until Restate suspends an invocation.
            retry_interval: seconds until a failed attempt is first retried.
            idle_window: seconds without work until a pod is stopped.
            data_dir: where Restate keeps its data; by default a new directory that is removed at the end.
            pods: "fork" (quicker) or "spawn"; by default what is safe on this system.

        Raises:
            SetupError: the Restate server cannot be found or fetched.
            StartError: the playground did not become ready; says why.
        """
        shell = notebooks_shell()
        if shell is not None and cls.latest is not None:
            cls.latest.close()
        chosen = backend or asked_for()
        # On macOS, system frameworks start threads in the process, so forking it is not safe.
        pods = pods or os.environ.get("PLAYGROUND_PODS") or ("fork" if sys.platform == "linux" else "spawn")
        settings = Settings(inactivity_timeout, retry_interval, idle_window, pods, features=features_asked_for())
        recording = Recording()
        playground = cls(Runtime.launch(chosen, settings, data_dir, recording), recording)
        cls.latest = playground
        if shell is not None:
            register(shell, playground.deploy)
        return playground

    def close(self) -> None:
        """End the server, the pods and everything else that this playground started. May be called twice.

        Raises:
            WaitTimeout: some of its processes do not end.
        """
        self.runtime.close()

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self.runtime.closed

    def __enter__(self) -> Playground:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- services -------------------------------------------------------------------------------------

    def deploy(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        name: str,
        source: str | None = None,
        breaking: bool = False,
        timeout: float = DEPLOY_TIMEOUT,
    ) -> Service:
        """Deploy a service from a file or from source text. A changed source makes a new revision.

        Args:
            path: a Python file that defines restate.Service, VirtualObject or Workflow objects.
            name: the name of the service, in lower-case letters, digits and hyphens.
            source: the source itself, instead of a path.
            breaking: allow a change that breaks callers or removes a handler in use.
            timeout: seconds to wait.

        Raises:
            DeployError: it was not deployed; the previous deployment stays.
            WaitTimeout: it was not deployed in time; says why.
        """
        self.runtime.check_open()
        if (path is None) == (source is None):
            raise DeployError("Deploy either a file or a source.", "", 'pg.deploy("signup.py", name="signup")')
        if path is not None:
            try:
                source = Path(path).read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise DeployError(
                    f"The file {os.fspath(path)} cannot be read.", f"{error}.", "Name a Python file that exists."
                ) from error
        return Service.of(self.runtime.deploy(name, source or "", breaking=breaking, timeout=timeout))

    @property
    def services(self) -> dict[str, Service]:
        """The deployed services by name."""
        return {name: Service.of(deployed) for name, deployed in self.runtime.services.items()}

    @property
    def refused(self) -> dict[str, PlaygroundError]:
        """Why the latest deployment failed, by the service's name. The previous deployment stays."""
        return self.runtime.refused

    # -- requests -------------------------------------------------------------------------------------

    def send(
        self,
        target: str,
        body: Any = NO_BODY,
        *,
        idempotency_key: str | None = None,
        delay: float | None = None,
        timeout: float | None = None,
    ) -> Invocation:
        """Send a request. Returns as soon as Restate has durably accepted it.

        Args:
            target: as in Restate's ingress URL: "Service/handler", "Object/key/handler".
            body: a JSON value for the handler; leave it out if the handler has no input.
            idempotency_key: requests with the same key become one invocation.
            delay: seconds until it starts.
            timeout: seconds to wait until Restate has accepted it.

        Raises:
            RequestError: there is no such service or handler, or the handler does not take such a body.
            WaitTimeout: Restate did not confirm in time that it has accepted it; says why.
        """
        sent = self.runtime.send(target, body, idempotency_key=idempotency_key, delay=delay, timeout=timeout)
        return self._handle(sent.id, sent.target, is_new=sent.is_new)

    def call(self, target: str, body: Any = NO_BODY, *, timeout: float = 30, **options: Any) -> Any:
        """Send a request, wait for it and return its result: `send(...).result(timeout)`.

        Args:
            timeout: seconds for all of it.
        """
        return self.runtime.call(target, body, timeout=timeout, **options)

    def invocation(self, invocation_id: str) -> Invocation:
        """The invocation with this id, for example one that a handler made.

        Raises:
            RecordingError: nothing is recorded about it.
        """
        return self._handle(invocation_id, self.recording.invocation(invocation_id).target)

    def resolve(self, awakeable: str, value: Any = None) -> None:
        """Complete an awakeable with a value. The invocation that waits for it goes on.

        Raises:
            RequestError: this is not the id of an awakeable.
        """
        self.runtime.resolve(awakeable, value)

    def reject(self, awakeable: str, reason: str) -> None:
        """Complete an awakeable with a failure. The invocation that waits for it gets a TerminalError."""
        self.runtime.reject(awakeable, reason)

    def atlas(
        self,
        request: str,
        body: Any = NO_BODY,
        *,
        target: Literal["pod", "server", "ledger"] = "pod",
        drive: Drive | None = None,
        depth: int = 1,
        most: int = 400,
        seed: int = 0,
        keys: Iterable[str] = (),
        concurrency: int = 10,
        accept: Accept | None = None,
        patience: float = 60,
        effects: Count | None = None,
    ) -> Atlas:
        """Crash an invocation at every point of its journal, and see what comes of it each time.

        The sweep runs in a separate playground with the services that are deployed here, and every run has its own
        keys. It does not affect this playground.

        Args:
            request: the target to invoke: "Service/handler", "Object/key/handler".
            body: the body of the request.
            target: where accidents happen: "pod" (killed at every frame), "server" (the Restate server, killed at every
                frame), or "ledger" (the outside world refuses, or its answer is lost).
            drive: plays the outside's part in each run, for example clicks the link in the mail. It is called with a
                `Run`. By default, an awakeable is resolved with null as soon as an attempt is suspended on it.
            depth: accidents per run, 1 or 2.
            most: the most runs to make. If there are more points, or pairs of points, a random sample is drawn.
            seed: of that sample.
            keys: strings in the body that every run replaces by its own, besides the keys of the objects that it
                addresses; for example one that becomes an idempotency key.
            concurrency: runs at a time.
            accept: the right results: a list of them, or a callable that takes a result and, if it has a second
                parameter, the `Run`. By default, those of runs without a crash.
            patience: seconds that a run may take, including its timers.
            effects: counts the effects of a run that the ledger does not see, as in
                `lambda run: {"line": file.read_text().count(run.fresh("ada"))}`.

        Raises:
            RequestError: the request cannot be sent.
            AtlasError: the invocation does not complete even without an accident.
        """
        from playground.atlas.lab import Hooks
        from playground.atlas.run import Request
        from playground.atlas.sweep import Sweep, parse_plan
        from playground.views.atlas.progress import Progress

        plan = parse_plan(target=target, depth=depth, most=most, seed=seed, concurrency=concurrency, patience=patience)
        self.runtime.check_request(request, body)
        sweep = Sweep(self.runtime, Request(request, body, frozenset(keys)), plan, Hooks(drive, accept, effects))
        with Progress(request) as progress:
            atlas = Atlas.of(sweep.run(progress))
        self.atlases.append(atlas)
        return atlas

    # -- what is there --------------------------------------------------------------------------------

    @property
    def pods(self) -> Pods:
        """The pods that exist now."""
        with self.recording.lock:
            timeline = self.recording.timeline
            alive = [Pod(self.runtime, pod.name) for pod in timeline.pods.values() if pod.alive]
            return Pods(alive, timeline.without_a_pod().values())

    @property
    def revisions(self) -> Revisions:
        """The deployed revisions, and the unfinished invocations pinned to each, as Restate has them now."""
        return Revisions(self.runtime.revisions())

    def wait_for(self, *, pods: int, timeout: float = 30) -> Pods:
        """Wait until there are this many pods. Returns them.

        Args:
            pods: how many; 0 means scaled to zero.
            timeout: seconds.

        Raises:
            WaitTimeout: the number of pods is another one after that time.
        """
        if not self.runtime.wait_until(lambda: len(self.pods) == pods, timeout):
            with self.recording.lock:
                timeline = self.recording.timeline
                there = [
                    f"{pod.name} is {pod.phase}, with "
                    + (
                        ", ".join(timeline.open[pod.name, number].trace.target for number in sorted(pod.open))
                        or "no work"
                    )
                    for pod in timeline.pods.values()
                    if pod.alive
                ]
            raise WaitTimeout(
                f"There are {len(there)} pod(s) after {timeout:g} s, not {pods}.",
                f"A pod is stopped when it has been without work for the idle window. {'; '.join(there)}".strip(),
                "pg.pods shows them, and pg.invocations what they may be working on.",
            )
        return self.pods

    def kill_pod(self, name: str) -> Pod:
        """Kill a pod, or the pod that serves a service now. Returns it when it is gone.

        Args:
            name: a service's name ("signup") or a pod's ("signup-00001-1").

        Raises:
            PodNotFound: there is no such pod now.
        """
        return self.runtime.kill_pod(name)

    def state(self, service: str, key: str) -> State:
        """The K/V state of an object, read from Restate's server now.

        Args:
            service: the name of the virtual object or workflow, e.g. "User".
            key: its key.

        Raises:
            RequestError: there is no such object.
        """
        values = self.runtime.read_state(service, key)
        state = State({name: as_json(value) for name, value in values.items()})
        state.service, state.key = service, key
        return state

    def set_state(self, service: str, key: str, values: Mapping[str, Any], *, timeout: float = 10) -> State:
        """Replace the whole K/V state of an object from outside. Returns it when Restate has applied the change.

        Restate applies it when the key's lock is free, so a running handler is not disturbed.

        Args:
            values: the new state, as JSON values by name. Names that are not in it are removed.
            timeout: seconds to wait until the change is applied.

        Raises:
            RequestError: there is no such object, or a handler is writing its state at the same moment.
            WaitTimeout: the change is accepted, but something still holds the key's lock; says what.
        """
        self.runtime.set_state(service, key, values, timeout=timeout)
        return self.state(service, key)

    def queue(self, service: str, key: str) -> Queue:
        """The invocations that hold a key's lock now and wait for it.

        Raises:
            RequestError: there is no such object.
        """
        holder, waiting = self.runtime.read_queue(service, key)
        return Queue(self.runtime, service, key, holder, waiting)

    def watch(self, invocation: Invocation | str) -> Lens:
        """The live replay lens of an invocation. It shows itself as the last value of a cell.

        Args:
            invocation: a handle or an invocation id.

        Raises:
            RecordingError: nothing is recorded about it.
        """
        with extra("lab"):
            from playground.views.lens import Lens

        return Lens(self.recording, invocation if isinstance(invocation, str) else invocation.id, self.runtime)

    @property
    def panel(self) -> Panels:
        """The panels, to show one by one: `pg.panel.pods()`, `pg.panel.state("User", "ada")`."""
        with extra("lab"):
            from playground.views.panels.board import Panels

        return Panels(self.recording, self.runtime)

    def dashboard(self) -> Board:
        """All panels side by side: requests, pods, invocations, awakeables, the outside world, queues and state."""
        return self.panel.dashboard()

    @property
    def invocations(self) -> Invocations:
        """All invocations that are recorded so far, including those made by handlers."""
        return Invocations(self._handle(trace.id, trace.target) for trace in self.recording.invocations)

    def kill_server(self) -> None:
        """SIGKILL the Restate server, and wait until it is back on the same data."""
        self.runtime.kill_server()

    @property
    def http(self) -> httpx.Client:
        """An HTTP client of Restate's ingress: `pg.http.post("/Greeter/greet", json="ada").json()`.

        It sends what your own program would send, but opens no port that others could use. It works from any thread and
        survives restarts of the server, until the playground is closed.
        """
        self.runtime.check_open()
        return self.runtime.http

    @property
    def ui(self) -> Ui:
        """The link to Restate's own UI: through Jupyter, behind its login, or else through `admin_url`."""
        self.runtime.check_open()
        if self._route is None:
            backend = self.runtime.backend
            self._route = route_through_jupyter({"admin": backend.admin, "ingress": backend.ingress})
            if self._route is not None:
                self.runtime.at_close(self._route.close)
        if self._route is not None:
            return Ui(f"{self._route.path('admin')}/ui/", through_jupyter=True)
        return Ui(f"{self.admin_url}/ui/", through_jupyter=False)

    @property
    def ingress_socket(self) -> Path | None:
        """The Unix socket of the ingress, for `curl --unix-socket PATH http://restate/Greeter/greet`.

        None if the ingress has a port instead (see `ingress_url`).
        """
        return self.runtime.backend.ingress.socket

    @property
    def ingress_url(self) -> str:
        """The base URL of Restate's ingress, for any HTTP client.

        The embedded server does not listen on any port. Reading this property opens one on 127.0.0.1 until the
        playground is closed. A part of the URL's path is a secret, so only those who have the URL are let in.
        """
        return self.runtime.tcp(self.runtime.backend.ingress)

    @property
    def admin_url(self) -> str:
        """The base URL of Restate's admin API, for any HTTP client. It opens a port, as `ingress_url` does."""
        return self.runtime.tcp(self.runtime.backend.admin)

    def _handle(self, invocation_id: str, target: str, *, is_new: bool = True) -> Invocation:
        return Invocation(self.runtime, invocation_id, target, is_new=is_new)

    def __repr__(self) -> str:
        if self.closed:
            return "Playground, closed"
        s = self.settings
        return (
            f"Playground on the {self.runtime.backend.name} backend, {self.runtime.condition.words}\n"
            f"  suspends an invocation after {s.inactivity_timeout:g} s without progress\n"
            f"  retries a failed attempt after {s.retry_interval:g} s\n"
            f"  stops a pod after {s.idle_window:g} s without work"
        )
