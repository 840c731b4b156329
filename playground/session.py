"""The playground: what a notebook holds. Every method is synchronous and safe from any thread."""

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
from playground.handles import Invocation, Ledger, Pods, Queue, Revisions, Service, State
from playground.jupyter.link import Ui, way_through_jupyter
from playground.jupyter.passage import Passage
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
    """A Restate server, pods that serve what you deploy, and a recording of all that happens.

    Open one with `Playground.open()`. It ends with `close()`, with a `with` block, with the
    interpreter, or with the kernel, however that dies.

    Attributes:
        recording: everything that has happened, as events.
        settings: the timings in force.
        ledger: the outside world: what effects reached it, and how it misbehaves.
        atlases: the crash atlases that were made, in order.
        runtime: what acts behind it; for tools, not for notebooks.
        latest: the one that was opened last.
    """

    latest: ClassVar[Playground | None] = None

    def __init__(self, runtime: Runtime, recording: Recording) -> None:
        """Not for notebooks: use `Playground.open()`."""
        self.runtime, self.recording, self.settings = runtime, recording, runtime.settings
        self.ledger = Ledger(runtime)
        self.atlases: list[Atlas] = []
        self._passage: Passage | None = None

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

        In a notebook there is one at a time: opening again closes the one before.

        Args:
            backend: "local" or "knative"; by default the variable PLAYGROUND_BACKEND, else "local".
            inactivity_timeout: seconds without progress until Restate suspends an invocation.
            retry_interval: seconds until a failed attempt is first retried.
            idle_window: seconds without work until a pod is stopped.
            data_dir: where Restate keeps its data; by default a new directory, removed at the end.
            pods: "fork" (quicker) or "spawn"; by default what is safe on this system.

        Raises:
            SetupError: the Restate server cannot be found or fetched.
            StartError: the playground did not get ready; says why.
        """
        shell = notebooks_shell()
        if shell is not None and cls.latest is not None:
            cls.latest.close()
        chosen = backend or asked_for()
        # Forking is safe only from a process without threads of the system's frameworks; macOS has them.
        pods = pods or os.environ.get("PLAYGROUND_PODS") or ("fork" if sys.platform == "linux" else "spawn")
        settings = Settings(inactivity_timeout, retry_interval, idle_window, pods, features=features_asked_for())
        recording = Recording()
        opened = cls(Runtime.launch(chosen, settings, data_dir, recording), recording)
        cls.latest = opened
        if shell is not None:
            register(shell, opened.deploy)
        return opened

    def close(self) -> None:
        """End the server, the pods and everything else this playground started. Safe to call twice.

        Raises:
            WaitTimeout: some of its processes do not end.
        """
        self.runtime.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
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
        """Deploy a service from a file (or from source text); changed source makes a new revision.

        Args:
            path: a Python file that defines restate.Service, VirtualObject or Workflow objects.
            name: what to call the service: lower-case letters, digits and hyphens.
            source: the source itself, instead of a path.
            breaking: allow a change that breaks callers or takes away a handler in use.
            timeout: seconds to wait at most.

        Raises:
            DeployError: it was not deployed; what was deployed before still is.
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
        """Why the latest deployment came to nothing, by the service's name; what was deployed before still is."""
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
        """Send a request and return at once; Restate has accepted it durably when this returns.

        Args:
            target: as in Restate's ingress URL: "Service/handler", "Object/key/handler".
            body: what the handler gets, anything JSON can say; leave it out for a handler without input.
            idempotency_key: requests with the same key are one invocation.
            delay: seconds until it starts.
            timeout: seconds to wait at most until Restate has accepted it.

        Raises:
            RequestError: no such service or handler, or the handler does not take such a body.
            WaitTimeout: Restate has not said in time that it has accepted it; says why.
        """
        sent = self.runtime.send(target, body, idempotency_key=idempotency_key, delay=delay, timeout=timeout)
        return self._handle(sent.id, sent.target, is_new=sent.is_new)

    def call(self, target: str, body: Any = NO_BODY, *, timeout: float = 30, **options: Any) -> Any:
        """Send a request, wait for it, return its result: `send(...).result(timeout)`.

        Args:
            timeout: seconds for all of it.
        """
        return self.runtime.call(target, body, timeout=timeout, **options)

    def invocation(self, invocation_id: str) -> Invocation:
        """A handle of an invocation by its id, for example of one that another handler made.

        Raises:
            RecordingError: nothing is recorded of it.
        """
        return self._handle(invocation_id, self.recording.invocation(invocation_id).target)

    def resolve(self, awakeable: str, value: Any = None) -> None:
        """Complete an awakeable with a value: what waits for it goes on.

        Raises:
            RequestError: it is not an awakeable's id.
        """
        self.runtime.resolve(awakeable, value)

    def reject(self, awakeable: str, reason: str) -> None:
        """Complete an awakeable with a failure: what waits for it gets a TerminalError."""
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

        The sweep runs in a playground of its own, with the services that are deployed here; every run has
        keys of its own. Nothing of it is left in this playground.

        Args:
            request: the target to invoke: "Service/handler", "Object/key/handler".
            body: what it gets.
            target: what has the accident: "pod" (killed at every frame), "server" (the Restate server,
                killed at every frame), or "ledger" (the outside world refuses, or loses its answer).
            drive: does what the outside has to do in each run, for example click the link in the mail; it
                is called with a `Run`. By default awakeables are resolved with null once suspended on.
            depth: accidents per run, 1 or 2.
            most: runs at the most; of more points, or pairs, so many are drawn by lot.
            seed: of the lot.
            keys: strings in the body that every run needs afresh, besides the keys of the objects it
                addresses; for example one that becomes an idempotency key.
            concurrency: runs at a time.
            accept: which results are right: a list of them, or a callable that is given the result (and the
                `Run`, if it takes two). By default those that runs without a crash return.
            patience: seconds a run may take, its timers included.
            effects: counts effects of a run that the ledger does not see, as in
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
            made = Atlas.of(sweep.run(progress))
        self.atlases.append(made)
        return made

    # -- what is there --------------------------------------------------------------------------------

    @property
    def pods(self) -> Pods:
        """The pods that are there now."""
        with self.recording.lock:
            timeline = self.recording.timeline
            alive = [Pod(self.runtime, pod.name) for pod in timeline.pods.values() if pod.alive]
            return Pods(alive, timeline.without_a_pod().values())

    @property
    def revisions(self) -> Revisions:
        """The deployed revisions, and how many unfinished invocations are pinned to each, as Restate has it now."""
        return Revisions(self.runtime.revisions())

    def wait_for(self, *, pods: int, timeout: float = 30) -> Pods:
        """Wait until there are so many pods; returns them.

        Args:
            pods: how many; 0 is scaled to zero.
            timeout: seconds.

        Raises:
            WaitTimeout: there are not.
        """
        if not self.runtime.wait_until(lambda: len(self.pods) == pods, timeout):
            raise WaitTimeout(
                f"{pods} pod(s) were waited for; there are {len(self.pods)} after {timeout:g} s.",
                "A pod is stopped when it has been without work for the idle window.",
                "pg.pods shows them, pg.invocations what they may be working on.",
            )
        return self.pods

    def kill_pod(self, name: str) -> Pod:
        """Kill a pod, or the pod that serves a service now; returns it when it is gone.

        Args:
            name: a service's name ("signup") or a pod's ("signup-00001-1").

        Raises:
            PodNotFound: there is none now.
        """
        return self.runtime.kill_pod(name)

    def state(self, service: str, key: str) -> State:
        """An object's K/V state, read from Restate's server now.

        Args:
            service: the virtual object's or workflow's name, e.g. "User".
            key: its key.

        Raises:
            RequestError: no such object is deployed.
        """
        values = self.runtime.read_state(service, key)
        state = State({name: as_json(value) for name, value in values.items()})
        state.service, state.key = service, key
        return state

    def set_state(self, service: str, key: str, values: Mapping[str, Any], *, timeout: float = 10) -> State:
        """Replace an object's K/V state as a whole, from outside; returns it when Restate has applied it.

        Restate applies it when the key's lock is free: a handler that runs is not disturbed.

        Args:
            values: the new state, anything JSON can say by name; names that are not in it are removed.
            timeout: seconds to wait until it is applied.

        Raises:
            RequestError: no such object is deployed, or it is written by a handler at the same moment.
            WaitTimeout: it is accepted, but the key's lock is still held; says by what.
        """
        self.runtime.set_state(service, key, values, timeout=timeout)
        return self.state(service, key)

    def queue(self, service: str, key: str) -> Queue:
        """Who holds a key's lock now, and who waits for it.

        Raises:
            RequestError: no such object is deployed.
        """
        holder, waiting = self.runtime.read_queue(service, key)
        return Queue(self.runtime, service, key, holder, waiting)

    def watch(self, invocation: Invocation | str) -> Lens:
        """The replay lens of an invocation, live: shown as a cell's last value.

        Args:
            invocation: a handle, or an invocation id.

        Raises:
            RecordingError: nothing is recorded of it.
        """
        with extra("lab"):
            from playground.views.lens import Lens

        return Lens(self.recording, invocation if isinstance(invocation, str) else invocation.id, self.runtime)

    @property
    def panel(self) -> Panels:
        """The panels, each to be shown alone: `pg.panel.pods()`, `pg.panel.state("User", "ada")`."""
        with extra("lab"):
            from playground.views.panels.board import Panels

        return Panels(self.recording, self.runtime)

    def dashboard(self) -> Board:
        """All panels side by side: requests, pods, invocations, awakeables, the outside world, queues and state."""
        return self.panel.dashboard()

    @property
    def invocations(self) -> list[Invocation]:
        """Every invocation recorded so far, called ones included."""
        return [self._handle(trace.id, trace.target) for trace in self.recording.invocations]

    def kill_server(self) -> None:
        """SIGKILL the Restate server itself, and wait until it is back on the same data."""
        self.runtime.kill_server()

    @property
    def http(self) -> httpx.Client:
        """An HTTP client of Restate's ingress: `pg.http.post("/Greeter/greet", json="ada").json()`.

        What a program of your own would send, without a port that others could use. From any thread, until the
        playground is closed; a restart of the server does not harm it.
        """
        self.runtime.check_open()
        return self.runtime.http

    @property
    def ui(self) -> Ui:
        """The link to Restate's own UI: through Jupyter, behind its login; without one, through `admin_url`."""
        self.runtime.check_open()
        if self._passage is None:
            backend = self.runtime.backend
            self._passage = way_through_jupyter({"admin": backend.admin, "ingress": backend.ingress})
            if self._passage is not None:
                self.runtime.at_close(self._passage.close)
        if self._passage is not None:
            return Ui(f"{self._passage.path('admin')}/ui/", through_jupyter=True)
        return Ui(f"{self.admin_url}/ui/", through_jupyter=False)

    @property
    def ingress_socket(self) -> Path | None:
        """The ingress's Unix socket, for `curl --unix-socket PATH http://restate/Greeter/greet`.

        None where the ingress has a port instead: `ingress_url`.
        """
        return self.runtime.backend.ingress.socket

    @property
    def ingress_url(self) -> str:
        """Base URL of Restate's ingress, for any HTTP client.

        The embedded server listens on no port. Asking for this opens one on 127.0.0.1, until the playground is
        closed: whoever has the URL is let in, and nobody else, for a part of its path is secret.
        """
        return self.runtime.tcp(self.runtime.backend.ingress)

    @property
    def admin_url(self) -> str:
        """Base URL of Restate's admin API, for any HTTP client. It opens a port as `ingress_url` does."""
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
