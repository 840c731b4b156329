"""The runtime: everything that can be asked of a running playground. It shows nothing.

A notebook's `Playground` (see `playground.session`) is one, and the crash atlas works in another.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from playground.backends.backend import Backend
from playground.core.engine import Engine
from playground.core.settings import Settings
from playground.errors import PlaygroundError, PodNotFound, WaitTimeout
from playground.recording import Event, Recording
from playground.restate.body import as_body, check_body
from playground.restate.ingress import NO_BODY, encode
from playground.restate.target import Target, parse_target
from playground.runtime import virtual_object
from playground.runtime.deploying import Deployed
from playground.runtime.host import Host
from playground.runtime.invocation import Invocation
from playground.runtime.ledger import LedgerClient
from playground.runtime.pod import Pod
from playground.runtime.revisions import RevisionInUse, in_use

DEPLOY_TIMEOUT = 120.0


class Runtime(Host):
    """A running playground without its looks. Start one with `Runtime.launch()`.

    Attributes:
        ledger: a client of the ledger, which plays the outside world.
    """

    def __init__(
        self, backend: Backend, engine: Engine, directory: Path, recording: Recording, settings: Settings
    ) -> None:
        super().__init__(backend, engine, directory, recording, settings)
        self.ledger = LedgerClient(self)
        self.at_close(self.ledger.close)

    # -- services -------------------------------------------------------------------------------------

    def deploy(self, name: str, source: str, *, breaking: bool = False, timeout: float = DEPLOY_TIMEOUT) -> Deployed:
        """Deploy a source under a name, unless exactly this source is already deployed.

        Args:
            breaking: allow a change that breaks callers or removes a handler in use.
            timeout: seconds to wait.

        Raises:
            DeployError: it was not deployed; the previous deployment stays.
            WaitTimeout: it was not deployed in time; says why.
        """
        self.check_open()
        return self.do(self.deployer.deploy(name, source, breaking=breaking), f"Deploying {name!r}", timeout)

    @property
    def services(self) -> Mapping[str, Deployed]:
        """What is deployed, by name."""
        return dict(self.deployer.services)

    @property
    def refused(self) -> dict[str, PlaygroundError]:
        """Why the latest deployment failed, by the service's name. The previous deployment stays."""
        return dict(self.deployer.refused)

    def revisions(self) -> list[RevisionInUse]:
        """The deployed revisions, and the unfinished invocations pinned to each, as Restate has them now."""
        self.check_open()
        self.look()
        with self.recording.lock:
            return in_use(self.recording.timeline)

    # -- invocations ----------------------------------------------------------------------------------

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

        Raises:
            RequestError: there is no such service or handler, or the handler does not take such a body.
            WaitTimeout: Restate did not confirm in time that it has accepted it; says why.
        """
        self.check_open()
        encode(body)  # a body that is not JSON is refused before anything else is checked
        parsed = self._parse(target, body)
        return self.do(
            self._send(parsed, body, idempotency_key, delay),
            f"Sending a request to {parsed}",
            timeout,
            "It may still be accepted; then pg.invocations lists it. With an idempotency_key, just send it again.",
        )

    async def _send(self, target: Target, body: Any, key: str | None, delay: float | None) -> Invocation:
        at = time.time()
        invocation, is_new = await self.ingress.send(target, body, idempotency_key=key, delay=delay)
        sent = {} if body is NO_BODY else {"body": as_body(body)}
        if delay and is_new:
            sent["delay"] = delay
        self.recording.append(
            Event.of("invocation.sent", at, {"invocation": invocation, "target": str(target), **sent})
        )
        return Invocation(self, invocation, str(target), is_new=is_new)

    def call(self, target: str, body: Any = NO_BODY, *, timeout: float = 30, **options: Any) -> Any:
        """Send a request, wait for it and return its result, all within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        invocation = self.send(target, body, timeout=timeout, **options)
        return invocation.result(max(0.0, deadline - time.monotonic()), of=timeout)

    def check_request(self, target: str, body: Any) -> None:
        """Check that a request can be sent.

        Raises:
            RequestError: it cannot.
        """
        self.check_open()
        self._parse(target, body)

    def _parse(self, target: str, body: Any) -> Target:
        parsed = parse_target(target, self.deployer.offered())
        check_body(parsed, body, self.deployer.offered())
        return parsed

    def invocation(self, invocation_id: str) -> Invocation:
        """The invocation with this id.

        Raises:
            RecordingError: nothing is recorded about it.
        """
        return Invocation(self, invocation_id, self.recording.invocation(invocation_id).target)

    def resolve(self, awakeable: str, value: Any = None) -> None:
        """Complete an awakeable with a value. The invocation that waits for it goes on.

        Raises:
            RequestError: this is not the id of an awakeable.
        """
        self.check_open()
        self.do(self.ingress.complete_awakeable(awakeable, value=value), f"Resolving {awakeable}")
        self.recording.append(Event.now("awakeable.completed", awakeable=awakeable, value=as_body(value)))

    def reject(self, awakeable: str, reason: str) -> None:
        """Complete an awakeable with a failure. The invocation that waits for it gets a TerminalError."""
        self.check_open()
        self.do(self.ingress.complete_awakeable(awakeable, reason=reason), f"Rejecting {awakeable}")
        self.recording.append(Event.now("awakeable.completed", awakeable=awakeable, reason=reason))

    # -- pods and the server --------------------------------------------------------------------------

    def kill_pod(self, name: str) -> Pod:
        """Kill a pod, or the pod that serves a service now. Returns it when it is gone.

        Args:
            name: a service's name ("signup") or a pod's ("signup-00001-1").

        Raises:
            PodNotFound: there is no such pod now.
        """
        self.check_open()
        with self.recording.lock:
            alive = [pod for pod in self.recording.timeline.pods.values() if pod.alive]
        named = [pod for pod in alive if pod.name == name]
        serving = [pod for pod in alive if pod.service == name and pod.phase in ("starting", "ready")]
        if not (named or serving):
            listed = ", ".join(pod.name for pod in alive) or "none"
            near = difflib.get_close_matches(name, {each for pod in alive for each in (pod.name, pod.service)}, 1, 0.5)
            raise PodNotFound(
                f"There is no pod {name!r} to kill.",
                f"{name!r} has scaled to zero." if name in self.deployer.services else f"Pods now: {listed}.",
                f'pg.kill_pod("{near[0]}")' if near else "Send a request first; a pod starts when there is work.",
            )
        return Pod(self, (named or serving)[-1].name).kill()

    def kill_server(self) -> None:
        """SIGKILL the Restate server, and wait until it is back on the same data.

        Raises:
            WaitTimeout: it did not come back in time; says why.
        """
        self.check_open()
        starts = self.recording.timeline.server_starts
        self.do(self.backend.kill_server(), "Killing the Restate server")
        if not self.wait_until(lambda: self.recording.timeline.server_starts > starts, 30):
            why, fix = self.trouble()
            raise WaitTimeout("The Restate server was killed and is not back after 30 s.", why, fix)

    # -- keys -----------------------------------------------------------------------------------------

    def read_state(self, service: str, key: str) -> dict[str, str]:
        """The K/V state of an object as Restate's server has it now: name -> JSON text.

        Raises:
            RequestError: there is no such object.
        """
        self._check_keyed(service)
        self.do(
            virtual_object.read_state(self.recording, self.admin, service, key), f"Reading the state of {service}/{key}"
        )
        return dict(self.recording.timeline.states[service, key])

    def set_state(self, service: str, key: str, values: Mapping[str, Any], *, timeout: float) -> None:
        """Replace the whole K/V state of an object, and wait until Restate has applied the change.

        Raises:
            RequestError: there is no such object, or a handler is writing its state at the same moment.
            WaitTimeout: the change is accepted, but something still holds the key's lock; says what.
        """
        self._check_keyed(service)
        new = {name: encode(value)[0] or b"" for name, value in values.items()}
        # Give up a little before `do` does, because this error says who holds the lock.
        within = timeout - min(0.5 * timeout, 0.5)
        work = virtual_object.set_state(self.recording, self.admin, service, key, new, within)
        self.do(work, f"Replacing the state of {service}/{key}", timeout)

    def edit_state(
        self,
        service: str,
        key: str,
        changes: Mapping[str, str | None],
        seen: Mapping[str, str | None],
        patience: float,
    ) -> None:
        """Change single values of a key's state, if they are still what was seen (see `virtual_object.edit_state`)."""
        self._check_keyed(service)
        work = virtual_object.edit_state(self.recording, self.admin, service, key, changes, seen, patience)
        self.do(work, f"Changing the state of {service}/{key}")

    def read_queue(self, service: str, key: str) -> tuple[str, list[str]]:
        """The invocations that hold a key's lock now and wait for it, by id. The first is empty if the lock is free.

        Raises:
            RequestError: there is no such object.
        """
        self._check_keyed(service)

        async def read() -> None:
            await self.looked()
            await virtual_object.read_queue(self.recording, self.admin, service, key)

        self.do(read(), f"Reading the queue of {service}/{key}")
        queue = self.recording.timeline.queues[service, key]
        return queue.holder, list(queue.waiting)

    def watch_key(self, service: str, key: str) -> Callable[[], None]:
        """Record a key's state and queue whenever they change. Returns a function that stops this."""
        return self.recorder.watch(service, key)

    def _check_keyed(self, service: str) -> None:
        self.check_open()
        virtual_object.check(service, self.deployer.offered())
