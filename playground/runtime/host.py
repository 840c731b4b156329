"""A host: a Restate server, pods and a recording, from start to end, and how calls wait for them.

Every method is synchronous and may be called from any thread. It either hands work to the engine and waits for it, with
one deadline for everything that is to be done (`do`), or it waits until the recording shows something (`wait_until`).
What the work is about is the business of the layers above.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import os
import shutil
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

from playground.backends.backend import Backend, Condition
from playground.core.door import Door
from playground.core.engine import Engine, closed
from playground.core.proxies import exempt_loopback
from playground.core.settings import Settings
from playground.errors import Interrupted, PlaygroundError, WaitTimeout
from playground.recording import Recording
from playground.restate.admin import Admin
from playground.restate.ingress import Ingress
from playground.restate.tcp import TcpDoor, secret_of
from playground.runtime.deploying import Deployer
from playground.runtime.opening import data_directory, make_backend
from playground.runtime.recorder import Recorder

PATIENCE = 15.0
"""Seconds that a call without a timeout of its own waits. What it asks for takes milliseconds."""
CLOSE_TIMEOUT = 30.0
HTTP_TIMEOUT = 60.0
"""Seconds that a request of `http` waits by default."""

T = TypeVar("T")


class Host:
    """A server, pods and a recording. Start one with `launch()`.

    Attributes:
        recording: everything that has happened, as events.
        settings: the timings that apply.
        backend: what runs the server and the pods.
        directory: where their data is.
        admin: Restate's admin API, for coroutines that `do` runs.
        ingress: Restate's ingress; likewise.
        http: a blocking HTTP client of the ingress.
        recorder: asks Restate what only the server knows.
        deployer: makes and remembers revisions.
    """

    def __init__(
        self, backend: Backend, engine: Engine, directory: Path, recording: Recording, settings: Settings
    ) -> None:
        self.backend, self.directory, self.recording, self.settings = backend, directory, recording, settings
        self._engine = engine
        self._doors: dict[Door, TcpDoor] = {}
        self._at_close: list[Callable[[], None]] = []
        self._closed = False
        self._owner = os.getpid()

    # -- starting and closing -------------------------------------------------------------------------

    @classmethod
    def launch(
        cls,
        backend: str,
        settings: Settings,
        data_dir: str | os.PathLike[str] | None = None,
        recording: Recording | None = None,
    ) -> Self:
        """Start a server and everything else, and wait until it is ready.

        Args:
            backend: "local" or "knative".
            data_dir: where Restate keeps its data; by default a new directory that is removed at the end.
            recording: where everything that happens is appended; by default a new one.

        Raises:
            SetupError: the Restate server cannot be found or fetched.
            StartError: it did not become ready; says why.
        """
        exempt_loopback()
        recording = Recording() if recording is None else recording
        directory = data_directory(data_dir)
        runner = make_backend(backend, directory, data_dir is None, settings, recording)
        engine = Engine()
        host = cls(runner, engine, directory, recording, settings)
        try:
            engine.run(host._start())
        except BaseException:
            engine.close()
            if data_dir is None:
                shutil.rmtree(directory, ignore_errors=True)
            raise
        atexit.register(host.close)
        return host

    async def _start(self) -> None:
        await self.backend.open()
        self.settings = self.backend.settings
        for secret in self.backend.secrets:
            self.recording.conceal(secret)
        self.ingress = Ingress(self.backend.ingress, self.backend.ready)
        self.admin = Admin(self.backend.admin, self.backend.ready)
        self.http = self.backend.ingress.blocking_client(HTTP_TIMEOUT)
        self.recorder = Recorder(self.recording, self.admin, lag=self.backend.lag)
        self.deployer = Deployer(self.directory, self.backend, self.admin, self.recording)
        try:
            await self.admin.check_features(self.settings.features)
            await self.deployer.revive()
        except BaseException:
            await self._stop()
            raise

    async def _stop(self) -> None:
        self.recorder.close()
        self.http.close()
        for close in self._at_close:
            close()
        for door in self._doors.values():
            await door.close()
        await self.ingress.close()
        await self.admin.close()
        await self.backend.close()

    def close(self) -> None:
        """End the server, the pods and everything else that was started. May be called twice.

        Raises:
            WaitTimeout: some processes do not end.
        """
        if self._closed:
            return
        self._closed = True
        if os.getpid() != self._owner:
            return  # this is a forked copy of the kernel; what runs belongs to the original
        atexit.unregister(self.close)
        try:
            self._engine.run(self._stop(), CLOSE_TIMEOUT)
        except TimeoutError:
            raise WaitTimeout(
                f"The playground did not close within {CLOSE_TIMEOUT:g} s.",
                "Some of its processes do not end.",
                "python -m playground doctor",
            ) from None
        finally:
            self._engine.close()

    def at_close(self, close: Callable[[], None]) -> None:
        """Call `close` when this is closed, on the engine's thread."""
        self._at_close.append(close)

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._closed

    def check_open(self) -> None:
        """Check that the playground still works.

        Raises:
            PlaygroundClosed: it is closed, or its processes are gone.
        """
        if self._closed:
            raise closed()
        self.backend.check()

    # -- how calls wait -------------------------------------------------------------------------------

    def do(self, work: Coroutine[Any, Any, T], doing: str, timeout: float | None = None, fix: str | None = None) -> T:
        """Run something on the engine and wait for it, with one deadline for all of it.

        Args:
            doing: what this does, for the error: "Reading the state of User/ada".
            timeout: seconds; by default PATIENCE.
            fix: what to do if it takes too long although the playground is ready.

        Raises:
            WaitTimeout: it was not done in time; says what state the playground is in.
        """
        limit = PATIENCE if timeout is None else timeout
        try:
            return self.run(work, limit)
        except WaitTimeout:
            raise  # an error of its own kind, and also a TimeoutError
        except TimeoutError:
            why, help_ = self.trouble()
            if fix is not None:
                help_ = fix if self.backend.condition.ready else f"{help_} {fix}"
            raise WaitTimeout(f"{doing} took longer than {limit:g} s.", why, help_) from None

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run something on the engine. If it fails because another thread closes the playground, the error says so.

        Raises:
            TimeoutError: it was not done in time.
        """
        try:
            return self._engine.run(work, timeout)
        except Exception as error:
            if self._closed:  # its connections are closed too, and their libraries raise errors of their own
                raise closed() from None
            if isinstance(error, PlaygroundError | concurrent.futures.CancelledError):
                self.backend.check()
            raise

    def start(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start something on the engine without waiting for it."""
        return self._engine.start(work)

    def trouble(self) -> tuple[str, str]:
        """Why the playground may be slow to answer, and what can be done about it."""
        condition = self.condition
        if condition.ready:
            return (
                "The Restate server runs, but has not answered.",
                "It may be busy. Run the cell again.",
            )
        return f"{condition.words[0].upper()}{condition.words[1:]}.", condition.fix

    @property
    def condition(self) -> Condition:
        """The backend's condition, as far as it is known now."""
        return self.backend.condition

    def wait_until(self, reached: Callable[[], bool], timeout: float) -> bool:
        """Wait until the recording makes `reached()` true. Returns False if that does not happen in time.

        Args:
            reached: called after every new event, with the recording's lock held.
            timeout: seconds.
        """
        grown = threading.Event()
        stop = self.recording.listen(grown.set)
        deadline = time.monotonic() + timeout
        try:
            while True:
                grown.clear()
                with self.recording.lock:
                    _ = self.recording.timeline  # brings traces that `reached` may hold up to date
                    if reached():
                        return True
                self.check_open()
                if not grown.wait(max(0.0, deadline - time.monotonic())):
                    return False
        except KeyboardInterrupt:
            raise Interrupted from None
        finally:
            stop()

    async def looked(self) -> None:
        """Have the recorder ask Restate now."""
        await self.recorder.look()

    def look(self) -> None:
        """Have the recorder ask Restate now, and wait for it."""
        self.do(self.looked(), "Asking Restate for its unfinished invocations")

    # -- ways in --------------------------------------------------------------------------------------

    def tcp(self, door: Door) -> str:
        """A URL for any HTTP client. If a port has to be opened for it, part of its path is a secret."""
        if door.socket is None:
            return door.url
        self.check_open()

        async def opened() -> str:
            if door not in self._doors:
                self._doors[door] = tcp_door = TcpDoor(door)
                await tcp_door.open()
                self.recording.conceal(secret_of(tcp_door.url))
            return self._doors[door].url

        return self.do(opened(), "Opening a port")
