"""The playground: what a notebook holds. Every method is synchronous and safe from any thread."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import httpx

from playground.backends.backend import Backend
from playground.core.door import Door
from playground.core.engine import Engine, closed
from playground.core.proxies import exempt_loopback
from playground.core.settings import Settings
from playground.current import close_current, make_current, notebooks_shell
from playground.errors import DeployError, PlaygroundError, PodNotFound, RequestError, WaitTimeout
from playground.invocation import Invocation, Pod, Pods, Queue, Service, State, parsed
from playground.jupyter.passage import Passage
from playground.recording import Event, Recording
from playground.restate.admin import Admin
from playground.restate.body import as_body, check_body
from playground.restate.ingress import NO_BODY, Ingress, encode
from playground.restate.target import Target, parse_target
from playground.restate.tcp import TcpDoor, secret_of
from playground.runtime import keyed
from playground.runtime.deploying import Deployer
from playground.runtime.ledger import LedgerClient
from playground.runtime.opening import asked_for, data_directory, features_asked_for, make_backend
from playground.runtime.recorder import Recorder
from playground.runtime.revisions import Revisions, in_use
from playground.ui import Ui, way_through_jupyter

if TYPE_CHECKING:
    from playground.atlas import Atlas
    from playground.atlas.lab import Accept
    from playground.atlas.run import Count, Drive
    from playground.views.lens import Lens
    from playground.views.panels.board import Board, Panels

DEFAULTS = Settings()
PATIENCE = 15.0
"""Seconds a call waits that has no timeout of its own to say. What it asks for takes milliseconds."""
DEPLOY_TIMEOUT = 120.0
CLOSE_TIMEOUT = 30.0
HTTP_TIMEOUT = 60.0
"""Seconds a request of `pg.http` waits; each can say otherwise."""

T = TypeVar("T")


class Playground:
    """A Restate server, pods that serve what you deploy, and a recording of all that happens.

    Open one with `Playground.open()`. It ends with `close()`, with a `with` block, with the
    interpreter, or with the kernel, however that dies.

    Attributes:
        recording: everything that has happened, as events.
        settings: the timings in force.
        ledger: the outside world: what effects reached it, and how it misbehaves.
        atlases: the crash atlases that were made, in order.
    """

    def __init__(
        self, backend: Backend, engine: Engine, directory: Path, recording: Recording, settings: Settings
    ) -> None:
        """Not for notebooks: use `Playground.open()`."""
        self.recording = recording
        self._backend, self._engine, self._directory = backend, engine, directory
        self.settings = settings
        self.atlases: list[Atlas] = []
        self._doors: dict[Door, TcpDoor] = {}
        self._passage: Passage | None = None
        self._closed = False
        self._owner = os.getpid()

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
        if shell is not None:
            close_current()
        chosen = backend or asked_for()
        # Forking is safe only from a process without threads of the system's frameworks; macOS has them.
        pods = pods or os.environ.get("PLAYGROUND_PODS") or ("fork" if sys.platform == "linux" else "spawn")
        settings = Settings(inactivity_timeout, retry_interval, idle_window, pods, features=features_asked_for())
        opened = cls._launch(chosen, settings, data_dir)
        make_current(opened)
        if shell is not None:
            from playground.magic import register

            register(shell)
        return opened

    @classmethod
    def _launch(cls, backend: str, settings: Settings, data_dir: str | os.PathLike[str] | None = None) -> Playground:
        """Start a playground without making it the notebook's."""
        exempt_loopback()
        recording = Recording()
        directory = data_directory(data_dir)
        made = make_backend(backend, directory, data_dir is None, settings, recording)
        engine = Engine()
        playground = cls(made, engine, directory, recording, settings)
        try:
            engine.run(playground._start())
        except BaseException:
            engine.close()
            if data_dir is None:
                shutil.rmtree(directory, ignore_errors=True)
            raise
        atexit.register(playground.close)
        return playground

    async def _start(self) -> None:
        await self._backend.open()
        self.settings = self._backend.settings
        for secret in self._backend.secrets:
            self.recording.conceal(secret)
        self._ingress = Ingress(self._backend.ingress, self._backend.ready)
        self._admin = Admin(self._backend.admin, self._backend.ready)
        self._http = self._backend.ingress.blocking_client(HTTP_TIMEOUT)
        self._recorder = Recorder(self.recording, self._admin, lag=self._backend.lag)
        self.ledger = LedgerClient(self)
        self._deployer = Deployer(self._directory, self._backend, self._admin, self.recording)
        try:
            await self._admin.check_features(self.settings.features)
            await self._deployer.revive()
        except BaseException:
            await self._stop()
            raise

    async def _stop(self) -> None:
        self._recorder.close()
        self.ledger.close()
        self._http.close()
        if self._passage is not None:
            self._passage.close()
        for door in self._doors.values():
            await door.close()
        await self._ingress.close()
        await self._admin.close()
        await self._backend.close()

    def close(self) -> None:
        """End the server, the pods and everything else this playground started. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if os.getpid() != self._owner:
            return  # a forked copy of the kernel is leaving; the playground is not its own
        atexit.unregister(self.close)

        try:
            self._engine.run(self._stop(), CLOSE_TIMEOUT)
        except TimeoutError:
            raise WaitTimeout(
                f"The playground is not closed after {CLOSE_TIMEOUT:g} s.",
                "Some of its processes do not end.",
                "python -m playground doctor",
            ) from None
        finally:
            self._engine.close()

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
        self._check_open()
        if (path is None) == (source is None):
            raise DeployError("Deploy either a file or a source.", "", 'pg.deploy("signup.py", name="signup")')
        if path is not None:
            try:
                source = Path(path).read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise DeployError(
                    f"The file {os.fspath(path)} cannot be read.", f"{error}.", "Name a Python file that exists."
                ) from error
        work = self._deployer.deploy(name, source or "", breaking=breaking)
        return self._do(work, f"Deploying {name!r}", timeout)

    @property
    def services(self) -> dict[str, Service]:
        """The deployed services by name."""
        return dict(self._deployer.services)

    @property
    def refused(self) -> dict[str, PlaygroundError]:
        """Why the latest deployment came to nothing, by the service's name; what was deployed before still is."""
        return dict(self._deployer.refused)

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
        self._check_open()
        encode(body)  # what JSON cannot say is refused before anything else is looked at
        parsed_target = parse_target(target, self._deployer.offered())
        check_body(parsed_target, body, self._deployer.offered())
        work = self._send(parsed_target, body, idempotency_key, delay)
        return self._do(
            work,
            f"Sending a request to {parsed_target}",
            timeout,
            "It may still be accepted: pg.invocations lists it then. With an idempotency_key, send it again.",
        )

    async def _send(self, target: Target, body: Any, key: str | None, delay: float | None) -> Invocation:
        at = time.time()
        invocation, is_new = await self._ingress.send(target, body, idempotency_key=key, delay=delay)
        told = {} if body is NO_BODY else {"body": as_body(body)}
        if delay and is_new:
            told["delay"] = delay
        self.recording.append(
            Event.of("invocation.sent", at, {"invocation": invocation, "target": str(target), **told})
        )
        return Invocation(self, invocation, str(target), is_new=is_new)

    def call(self, target: str, body: Any = NO_BODY, *, timeout: float = 30, **options: Any) -> Any:
        """Send a request, wait for it, return its result: `send(...).result(timeout)`.

        Args:
            timeout: seconds for all of it.
        """
        deadline = time.monotonic() + timeout
        invocation = self.send(target, body, timeout=timeout, **options)
        return invocation.result(max(0.0, deadline - time.monotonic()), of=timeout)

    def invocation(self, invocation_id: str) -> Invocation:
        """A handle of an invocation by its id, for example of one that another handler made.

        Raises:
            RecordingError: nothing is recorded of it.
        """
        return Invocation(self, invocation_id, self.recording.invocation(invocation_id).target)

    def resolve(self, awakeable: str, value: Any = None) -> None:
        """Complete an awakeable with a value: what waits for it goes on.

        Raises:
            RequestError: it is not an awakeable's id.
        """
        self._check_open()
        self._do(self._ingress.complete_awakeable(awakeable, value=value), f"Resolving {awakeable}")
        self.recording.append(Event.now("awakeable.completed", awakeable=awakeable, value=as_body(value)))

    def reject(self, awakeable: str, reason: str) -> None:
        """Complete an awakeable with a failure: what waits for it gets a TerminalError."""
        self._check_open()
        self._do(self._ingress.complete_awakeable(awakeable, reason=reason), f"Rejecting {awakeable}")
        self.recording.append(Event.now("awakeable.completed", awakeable=awakeable, reason=reason))

    async def _result(self, invocation: str, patience: float) -> tuple[str | None, tuple[int, str] | None]:
        async with asyncio.timeout(patience):
            try:
                value, failure = await self._ingress.attach(invocation)
            except RequestError:
                # The ingress does not know invocations whose handler the latest revision lacks.
                value, failure = await self._admin.outcome(invocation)
        text = None if value is None else value.decode("utf-8", "replace")
        told = {"failure": list(failure)} if failure else {"value": text}
        self.recording.append(Event.now("invocation.result", invocation=invocation, **told))
        await self._recorder.caught_up(invocation)
        return text, failure

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
        from playground.atlas.lab import Watch
        from playground.atlas.run import Request
        from playground.atlas.sweep import Sweep, parse_plan

        self._check_open()
        plan = parse_plan(target=target, depth=depth, most=most, seed=seed, concurrency=concurrency, patience=patience)
        check_body(parse_target(request, self._deployer.offered()), body, self._deployer.offered())
        made = Sweep(self, Request(request, body, frozenset(keys)), plan, Watch(drive, accept, effects)).run()
        self.atlases.append(made)
        return made

    # -- what is there --------------------------------------------------------------------------------

    @property
    def pods(self) -> Pods:
        """The pods that are there now."""
        with self.recording.lock:
            timeline = self.recording.timeline
            alive = [Pod(self, pod.name) for pod in timeline.pods.values() if pod.alive]
            return Pods(alive, timeline.without_a_pod().values())

    @property
    def revisions(self) -> Revisions:
        """The deployed revisions, and how many unfinished invocations are pinned to each, as Restate has it now."""
        self._check_open()
        self._do(self._recorder.look(), "Asking Restate for its unfinished invocations")
        with self.recording.lock:
            return in_use(self.recording.timeline)

    def wait_for(self, *, pods: int, timeout: float = 30) -> Pods:
        """Wait until there are so many pods; returns them.

        Args:
            pods: how many; 0 is scaled to zero.
            timeout: seconds.

        Raises:
            WaitTimeout: there are not.
        """
        if not self._wait_until(lambda: len(self.pods) == pods, timeout):
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
        self._check_open()
        alive = self.pods
        named = [pod for pod in alive if pod.name == name]
        serving = [pod for pod in alive if pod.service == name and pod.phase in ("starting", "ready")]
        if not (named or serving):
            listed = ", ".join(pod.name for pod in alive) or "none"
            raise PodNotFound(
                f"There is no pod {name!r} to kill.",
                f"{name!r} has scaled to zero." if name in self._deployer.services else f"Pods now: {listed}.",
                "Send a request first; a pod starts when there is work.",
            )
        return (named or serving)[-1].kill()

    def state(self, service: str, key: str) -> State:
        """An object's K/V state, read from Restate's server now.

        Args:
            service: the virtual object's or workflow's name, e.g. "User".
            key: its key.

        Raises:
            RequestError: no such object is deployed.
        """
        self._check_open()
        keyed.check(service, self._deployer.offered())

        self._do(keyed.read_state(self.recording, self._admin, service, key), f"Reading the state of {service}/{key}")
        state = State(parsed(self.recording.timeline.states[service, key]))
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
        self._check_open()
        keyed.check(service, self._deployer.offered())
        new = {name: encode(value)[0] or b"" for name, value in values.items()}
        # Who holds the lock is known a little before the end of all patience, and is the better answer.
        within = timeout - min(
            0.5 * timeout, 0.5
        )  # before the call as a whole is over: only then it can say who holds the lock
        work = keyed.set_state(self.recording, self._admin, service, key, new, within)
        self._do(work, f"Replacing the state of {service}/{key}", timeout)
        return self.state(service, key)

    def queue(self, service: str, key: str) -> Queue:
        """Who holds a key's lock now, and who waits for it.

        Raises:
            RequestError: no such object is deployed.
        """
        self._check_open()
        keyed.check(service, self._deployer.offered())

        async def read() -> None:
            await self._recorder.look()
            await keyed.read_queue(self.recording, self._admin, service, key)

        self._do(read(), f"Reading the queue of {service}/{key}")
        read_queue = self.recording.timeline.queues[service, key]
        return Queue(self, service, key, read_queue.holder, list(read_queue.waiting))

    def watch(self, invocation: Invocation | str) -> Lens:
        """The replay lens of an invocation, live: shown as a cell's last value.

        Args:
            invocation: a handle, or an invocation id.

        Raises:
            RecordingError: nothing is recorded of it.
        """
        from playground.views.lens import Lens  # widgets are loaded by those who show them

        return Lens(self.recording, invocation if isinstance(invocation, str) else invocation.id, self)

    @property
    def panel(self) -> Panels:
        """The panels, each to be shown alone: `pg.panel.pods()`, `pg.panel.state("User", "ada")`."""
        from playground.views.panels.board import Panels  # widgets are loaded by those who show them

        return Panels(self.recording, self)

    def dashboard(self) -> Board:
        """All panels side by side: requests, pods, invocations, awakeables, the outside world, queues and state."""
        return self.panel.dashboard()

    @property
    def invocations(self) -> list[Invocation]:
        """Every invocation recorded so far, called ones included."""
        return [Invocation(self, trace.id, trace.target) for trace in self.recording.invocations]

    def kill_server(self) -> None:
        """SIGKILL the Restate server itself, and wait until it is back on the same data."""
        self._check_open()
        starts = self.recording.timeline.server_starts
        self._do(self._backend.kill_server(), "Killing the Restate server")
        if not self._wait_until(lambda: self.recording.timeline.server_starts > starts, 30):
            why, fix = self._trouble()
            raise WaitTimeout("The Restate server was killed, and is not back after 30 s.", why, fix)

    @property
    def http(self) -> httpx.Client:
        """An HTTP client of Restate's ingress: `pg.http.post("/Greeter/greet", json="ada").json()`.

        What a program of your own would send, without a port that others could use. From any thread, until the
        playground is closed; a restart of the server does not harm it.
        """
        self._check_open()
        return self._http

    @property
    def ui(self) -> Ui:
        """The link to Restate's own UI: through Jupyter, behind its login; without one, through `admin_url`."""
        self._check_open()
        if self._passage is None:
            self._passage = way_through_jupyter({"admin": self._backend.admin, "ingress": self._backend.ingress})
        if self._passage is not None:
            return Ui(f"{self._passage.path('admin')}/ui/", through_jupyter=True)
        return Ui(f"{self.admin_url}/ui/", through_jupyter=False)

    @property
    def ingress_socket(self) -> Path | None:
        """The ingress's Unix socket, for `curl --unix-socket PATH http://restate/Greeter/greet`.

        None where the ingress has a port instead: `ingress_url`.
        """
        return self._backend.ingress.socket

    @property
    def ingress_url(self) -> str:
        """Base URL of Restate's ingress, for any HTTP client.

        The embedded server listens on no port. Asking for this opens one on 127.0.0.1, until the playground is
        closed: whoever has the URL is let in, and nobody else, for a part of its path is secret.
        """
        return self._tcp(self._backend.ingress)

    @property
    def admin_url(self) -> str:
        """Base URL of Restate's admin API, for any HTTP client. It opens a port as `ingress_url` does."""
        return self._tcp(self._backend.admin)

    # -- inside ---------------------------------------------------------------------------------------

    def _tcp(self, door: Door) -> str:
        """A URL that any HTTP client can use."""
        if door.socket is None:
            return door.url
        self._check_open()

        async def opened() -> str:
            if door not in self._doors:
                self._doors[door] = made = TcpDoor(door)
                await made.open()
                self.recording.conceal(secret_of(made.url))
            return self._doors[door].url

        return self._do(opened(), "Opening a port")

    def _do(self, work: Coroutine[Any, Any, T], doing: str, timeout: float | None = None, fix: str | None = None) -> T:
        """The one way in which a call waits for the engine: with one deadline for all there is to do.

        Args:
            doing: what is done, for the error: "Reading the state of User/ada".
            timeout: seconds; by default PATIENCE.
            fix: what to do if it is not done in time, once the playground is in order.

        Raises:
            WaitTimeout: it is not done in time; says how the playground is.
        """
        limit = PATIENCE if timeout is None else timeout
        try:
            return self._run(work, limit)
        except WaitTimeout:
            raise  # an error of its own kind, and also a TimeoutError
        except TimeoutError:
            why, help_ = self._trouble()
            if fix is not None:
                help_ = fix if self._backend.condition.ready else f"{help_} {fix}"
            raise WaitTimeout(f"{doing} is not done after {limit:g} s.", why, help_) from None

    def _run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run something on the engine. What fails because another thread closes the playground says just that."""
        try:
            return self._engine.run(work, timeout)
        except Exception as error:
            if self._closed:  # its connections are closed too, and their libraries have words of their own
                raise closed() from None
            if isinstance(error, PlaygroundError | concurrent.futures.CancelledError):
                self._backend.check()
            raise

    def _trouble(self) -> tuple[str, str]:
        """Why the playground may keep somebody waiting, and what can be done about it."""
        condition = self._backend.condition
        if condition.ready:
            return "The Restate server runs, but has not answered.", "Try again: it may have much to do."
        return f"{condition.words[0].upper()}{condition.words[1:]}.", condition.fix

    def _wait_until(self, reached: Callable[[], bool], timeout: float) -> bool:
        """Wait until something recorded makes `reached()` true; False if it does not in time."""
        grown = threading.Event()
        stop = self.recording.listen(grown.set)
        deadline = time.monotonic() + timeout
        try:
            while True:
                grown.clear()
                with self.recording.lock:
                    if reached():
                        return True
                self._check_open()
                if not grown.wait(max(0.0, deadline - time.monotonic())):
                    return False
        finally:
            stop()

    def _check_open(self) -> None:
        if self._closed:
            raise closed()
        self._backend.check()

    def __repr__(self) -> str:
        if self._closed:
            return "Playground, closed"
        s = self.settings
        return (
            f"Playground on the {self._backend.name} backend, {self._backend.condition.words}\n"
            f"  suspends an invocation after {s.inactivity_timeout:g} s without progress\n"
            f"  retries a failed attempt after {s.retry_interval:g} s\n"
            f"  stops a pod after {s.idle_window:g} s without work"
        )
