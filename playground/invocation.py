"""Handles: what a notebook holds of an invocation or a pod. They know a name and look the rest up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playground.errors import InvocationFailed, PodNotFound, RecordingError, WaitTimeout
from playground.recording import Attempt, Event, Trace
from playground.recording import Pod as RecordedPod
from playground.recording.timeline import awakeable_id
from playground.restate.admin import as_json
from playground.runtime.revisions import deployment_of, last_kept
from playground.views import text

if TYPE_CHECKING:
    from playground.restate.admin import InvocationVerb
    from playground.session import Playground

STORED_WITHIN = 5.0
"""Seconds until Restate has what a pod has told it."""


class Journal(list[dict[str, Any]]):
    """An invocation's journal as Restate's server has it, entry by entry."""

    target: str = ""

    def __repr__(self) -> str:
        return text.journal_table(self.target, self)


class Invocation:
    """One request to a handler, from the moment it was sent.

    Attributes:
        id: the invocation id, as Restate gave it.
        target: what it was sent to.
        is_new: False if its idempotency key made it the same as an earlier one.
    """

    def __init__(self, playground: Playground, invocation_id: str, target: str, *, is_new: bool = True) -> None:
        self._playground = playground
        self.id, self.target, self.is_new = invocation_id, target, is_new

    @property
    def trace(self) -> Trace:
        """All that is recorded of it."""
        return self._playground.recording.invocation(self.id)

    @property
    def status(self) -> str:
        """Restate's word: pending, scheduled, running, backing-off, suspended, paused, completed."""
        return self.trace.status

    @property
    def attempts(self) -> list[Attempt]:
        """Every attempt so far: its pod, what it replayed, what it executed, how it ended."""
        with self._playground.recording.lock:
            return list(self.trace.attempts)

    @property
    def awakeables(self) -> list[str]:
        """Ids of the awakeables it is suspended on, for `pg.resolve` and `pg.reject`."""
        with self._playground.recording.lock:
            trace = self.trace
            return [awakeable_id(trace.raw_id, int(entry.row[1])) for entry in trace.awakeables]

    @property
    def journal(self) -> Journal:
        """The journal, read from Restate's server now."""

        async def read() -> None:
            entries = await self._playground._admin.journal(self.id)
            self._playground.recording.append(Event.now("journal.read", invocation=self.id, entries=entries))

        self._playground._do(read(), f"Reading the journal of {self.target}")
        journal = Journal(self.trace.journal)
        journal.target = self.target
        return journal

    def result(self, timeout: float = 30, *, of: float | None = None) -> Any:
        """Wait until it has ended and return what the handler returned.

        Args:
            timeout: seconds to wait at most. The invocation goes on whatever the waiting does.
            of: what an error calls the time that was given, if a part of it was spent before.

        Raises:
            InvocationFailed: it ended with a terminal error.
            WaitTimeout: it has not ended; says what it is waiting for.
        """
        try:
            value, failure = self._playground._run(self._playground._result(self.id, timeout))
        except TimeoutError:
            raise self._waited(f"{self.target} has not completed within {timeout if of is None else of:g} s.") from None
        if failure is not None:
            code, message = failure
            if aborted := self.trace.aborted:
                raise InvocationFailed(
                    f"{self.target} was {aborted}.",
                    "Somebody ended it at once: its handler could not compensate."
                    if aborted == "killed"
                    else "Somebody asked it to stop, and its handler ended with that.",
                    "pg.send(…) sends the request anew; inv.restart_as_new() runs this one once more.",
                    code=code,
                    message=message,
                )
            raise InvocationFailed(
                f"{self.target} ended with a terminal error: {message}",
                f"The handler, or one it called, raised a TerminalError (code {code}); such errors are not retried.",
                "inv shows how far it came; what its pods printed is in pod.logs().",
                code=code,
                message=message,
            )
        return as_json(value)

    def wait_for(self, *, entry: str | None = None, status: str | None = None, timeout: float = 30) -> Invocation:
        """Wait until an entry has been reached, or until it has a status; returns itself.

        Args:
            entry: a step's name, a call's target, or a type: "send email", "User/ada/get", "Sleep".
                It is reached when an attempt executes it (a replay does not count).
            status: e.g. "suspended" or "completed".
            timeout: seconds.

        Raises:
            WaitTimeout: it did not come to that; says what it is waiting for instead.
        """
        if (entry is None) == (status is None):
            raise ValueError("wait_for takes either entry= or status=")

        def reached() -> bool:
            trace = self.trace
            if status is not None:
                return trace.status == status
            found = trace.entry(entry or "")
            return found is not None and any(
                (mark := attempt.marks.get(found.row)) and mark.how != "replayed" for attempt in trace.attempts
            )

        wanted = f"has status {status!r}" if status else f"reaches the entry {entry!r}"
        if not self._playground._wait_until(reached, timeout):
            raise self._waited(f"{self.target} was waited for until it {wanted}; it did not within {timeout:g} s.")
        if status == "suspended":
            with contextlib.suppress(TimeoutError):
                self._playground._run(self._stored_suspension(), STORED_WITHIN)
        return self

    async def _stored_suspension(self) -> None:
        """Wait until Restate has a suspension, too. Its pod speaks of it first; killed now, it would be tried again."""
        while self.trace.status == "suspended":
            rows = await self._playground._admin.invocations([self.id])
            if rows and rows[0]["status"] == "suspended":
                return
            await asyncio.sleep(0.02)

    def cancel(self) -> None:
        """Ask it to stop: its handler sees a TerminalError at its next await and can compensate."""
        self._act("cancel")

    def kill(self) -> None:
        """End the invocation at once, without compensation. To kill the *pod*, use `pg.kill_pod`."""
        self._act("kill")

    def pause(self) -> None:
        """Make no further attempt until it is resumed; the step that runs now may end. The pod is left alone.

        A suspended one is doing nothing. A server with virtual queues (`vqueues` among the features that it lists
        in `GET /version`; by default from 1.8 on) pauses it, too, and what it waits for does not wake it then; others
        leave it suspended, and it goes on when what it waits for is there. `inv.status` says which.
        """
        self._act("pause")

    def resume(self, revision: str | None = None) -> None:
        """Go on with it now: it was paused, suspended, or waiting for its next retry.

        Args:
            revision: move it there: a revision's name, or "latest". By default it stays where it is pinned.
                What it has in its journal must fit that revision's code.

        Raises:
            RequestError: it is completed, or it is neither paused nor suspended and so cannot be moved.
        """
        options = {}
        if revision is not None:
            options["deployment"] = deployment_of(self._playground.recording.timeline, revision)
        self._act("resume", **options)

    def restart_as_new(self, from_entry: str | int | None = None, *, revision: str = "latest") -> Invocation:
        """Run it once more, with the same input, as a new invocation; returns that.

        Args:
            from_entry: the first entry to be executed again: a step's name, a call's target, a type, or its
                number in the lens. What came before is taken over with its results. By default nothing is.
            revision: where it runs, a revision's name or "latest".

        Raises:
            RequestError: it is not completed yet, is a workflow, or has no such entry.
        """
        options: dict[str, Any] = {}
        if from_entry is not None:
            _ = self.journal  # read now, and recorded
            options["from"] = last_kept(self.trace, from_entry)
        if options.get("from") or revision != "latest":
            options["deployment"] = deployment_of(self._playground.recording.timeline, revision)
        told = self._act("restart-as-new", **options)
        again = Invocation(self._playground, told["new_invocation_id"], self.target)
        sent = {"invocation": again.id, "target": again.target, "body": self.trace.body, "restarted": self.id}
        self._playground.recording.append(Event.now("invocation.sent", **sent))
        return again

    def _act(self, verb: InvocationVerb, **options: Any) -> dict[str, Any]:
        async def act() -> dict[str, Any]:
            told = await self._playground._admin.act(self.id, verb, **options)
            await self._playground._recorder.look()
            return told

        return self._playground._do(act(), f"Asking Restate to {verb} {self.target}")

    def export(self, path: str | PathLike[str]) -> Path:
        """Write one self-contained page with the replay lens of this invocation; returns the path.

        Raises:
            RecordingError: the file cannot be written.
        """
        return self._playground.watch(self).export(path)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        return self._playground.watch(self)._repr_mimebundle_()

    def _waited(self, what: str) -> WaitTimeout:
        with self._playground.recording.lock:
            trace = self.trace
            why, fix = standing(trace)
            if trace.awakeables and trace.status == "suspended":
                fix = f"pg.resolve({self.awakeables[0]!r}, value)"
            failed = self._playground.recording.timeline.without_a_pod().values()
            if not any(attempt.outcome == "running" for attempt in trace.attempts):
                why = " ".join(
                    [why, *(f"{pod.service} has no pod, which is tried for again: {pod.reason}" for pod in failed)]
                )
        if not self._playground._backend.condition.ready:
            why, fix = self._playground._trouble()
        return WaitTimeout(what, why, fix)

    def __repr__(self) -> str:
        recording = self._playground.recording
        with recording.lock:
            return text.invocation_table(self.trace, recording.timeline)


def standing(trace: Trace) -> tuple[str, str]:
    """What an invocation is waiting for, and what can be done about it."""
    last = trace.attempts[-1] if trace.attempts else None
    if trace.status == "suspended" and last:
        waits = [str(trace.rows[row]) for row in last.waits_for if row in trace.rows]
        return f"It is suspended, waiting for: {', '.join(waits) or 'something unknown'}.", "Give it what it waits for."
    if trace.status == "paused":
        failed = f" Its last attempt failed: {trace.last_failure}" if trace.last_failure else ""
        return f"It is paused: no attempt is made until it is resumed.{failed}", "inv.resume(), or inv.kill()"
    if trace.status == "backing-off":
        return f"Its last attempt failed and it is retried. Last failure: {trace.last_failure}", "pg.pods, pod.logs()"
    if last is None:
        return f"It is {trace.status}: no pod has begun with it.", "pg.pods, or pg.queue(object, key)"
    running = [entry for entry in trace.entries if (m := last.marks.get(entry.row)) and m.until is None]
    where = f", in: {running[-1]}" if running else ""
    return f"It is {trace.status} on {last.pod}{where}.", "Wait longer: inv.result(timeout=60)"


class Pod:
    """A pod: one running copy of a service's revision.

    Attributes:
        name: its name.
    """

    def __init__(self, playground: Playground, name: str) -> None:
        self._playground = playground
        self.name = name

    @property
    def service(self) -> str:
        """The service it belongs to."""
        return self._recorded.service

    @property
    def revision(self) -> str:
        """The revision it serves."""
        return self._recorded.revision

    @property
    def phase(self) -> str:
        """starting, ready, stopping, then stopped, killed, crashed, refused, or failed: it could not be started."""
        return self._recorded.phase

    def kill(self) -> Pod:
        """End it at once (SIGKILL; on Kubernetes: delete with grace period 0); returns itself when it is gone.

        Raises:
            PodNotFound: it is gone already.
        """
        if not self._recorded.alive:
            raise PodNotFound(f"The pod {self.name} is gone already ({self.phase}).", "", "pg.pods lists those alive.")
        self._playground._do(self._playground._backend.kill_pod(self.name), f"Killing the pod {self.name}")
        if not self._playground._wait_until(lambda: not self._recorded.alive, 10):
            raise WaitTimeout(f"The pod {self.name} was killed but has not gone within 10 s.", "", "pg.pods")
        return self

    def logs(self) -> str:
        """All it has printed so far."""
        with self._playground.recording.lock:
            return self._recorded.log

    @property
    def _recorded(self) -> RecordedPod:
        pod = self._playground.recording.timeline.pods.get(self.name)
        if pod is None:
            raise RecordingError(
                f"The recording holds no pod {self.name}.", "It never started here.", "pg.pods lists those alive."
            )
        return pod

    def __repr__(self) -> str:
        return f"{self._recorded.label} of {self.revision}, {self.phase}"


class Pods(list[Pod]):
    """Pods that are there now, in the order they started.

    Args:
        failed: those that could not be started, one per revision that has no pod for that reason.
    """

    def __init__(self, pods: Iterable[Pod] = (), failed: Iterable[RecordedPod] = ()) -> None:
        super().__init__(pods)
        self._failed = list(failed)

    def __repr__(self) -> str:
        return text.pods_table([pod._recorded for pod in self], self._failed)


class State(dict[str, Any]):
    """An object's K/V state: name -> value. A copy; the object does not change with it."""

    service: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return text.state_table(self.service, self.key, self)


class Queue:
    """A key's lock and queue at one moment.

    Attributes:
        holder: the invocation id that holds the lock; empty if it is free.
        waiting: the invocation ids that wait, in order.
    """

    def __init__(self, playground: Playground, service: str, key: str, holder: str, waiting: list[str]) -> None:
        self._playground = playground
        self.service, self.key, self.holder, self.waiting = service, key, holder, waiting

    def __len__(self) -> int:
        return len(self.waiting)

    def __repr__(self) -> str:
        named = [self._name(invocation) for invocation in (self.holder, *self.waiting)]
        return text.queue_table(self.service, self.key, named[0], named[1:])

    def _name(self, invocation: str) -> str:
        trace = self._playground.recording.timeline.invocations.get(invocation)
        return trace.target if trace else invocation


class Service:
    """A deployed service: its latest revision and what it offers.

    Attributes:
        name: as given to `%%service` or `pg.deploy`.
        revision: the revision that serves new requests.
        services: the Restate services in it: [{"name", "type", "handlers"}].
        is_new: False if the source was unchanged and nothing was deployed.
    """

    def __init__(self, name: str, revision: str, services: list[dict[str, Any]], *, is_new: bool) -> None:
        self.name, self.revision, self.services, self.is_new = name, revision, services, is_new

    def __repr__(self) -> str:
        shown = text.services_table(self.name, self.revision, self.services)
        return shown if self.is_new else f"{shown}\nThe source is unchanged; nothing was deployed."


def parsed(values: dict[str, str]) -> dict[str, Any]:
    """State values as what their JSON stands for."""
    return {name: as_json(value) for name, value in values.items()}
