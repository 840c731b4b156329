"""An invocation that can be waited for and acted on. It holds only an id, and looks up everything else."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Self

from playground.errors import InvocationFailed, RequestError, WaitTimeout
from playground.recording import Attempt, Event, Recording, Trace
from playground.recording.timeline import awakeable_id
from playground.restate.admin import InvocationVerb, as_json
from playground.runtime.host import Host
from playground.runtime.revisions import deployment_of, last_kept

STORED_WITHIN = 5.0
"""Seconds within which Restate has processed what a pod sent."""


class Invocation:
    """One request to a handler, from the moment it is sent.

    Attributes:
        id: the invocation id that Restate assigned.
        target: what it was sent to.
        is_new: False if its idempotency key belonged to an earlier one, which this then is.
    """

    def __init__(self, host: Host, invocation_id: str, target: str, *, is_new: bool = True) -> None:
        self._host = host
        self.id, self.target, self.is_new = invocation_id, target, is_new

    @property
    def recording(self) -> Recording:
        """The recording it is in."""
        return self._host.recording

    @property
    def trace(self) -> Trace:
        """Everything that is recorded about it."""
        return self.recording.invocation(self.id)

    @property
    def status(self) -> str:
        """Its status in Restate: pending, scheduled, running, backing-off, suspended, paused or completed."""
        return self.trace.status

    @property
    def attempts(self) -> list[Attempt]:
        """All attempts so far: the pod of each, what it replayed, what it executed, and how it ended."""
        with self.recording.lock:
            return list(self.trace.attempts)

    @property
    def awakeables(self) -> list[str]:
        """Ids of the awakeables it is suspended on, for `pg.resolve` and `pg.reject`."""
        with self.recording.lock:
            trace = self.trace
            return [awakeable_id(trace.raw_id, int(entry.row[1])) for entry in trace.awakeables]

    def read_journal(self) -> list[dict[str, Any]]:
        """Read and record the journal as Restate's server has it now, entry by entry."""

        async def read() -> None:
            entries = await self._host.admin.journal(self.id)
            self.recording.append(Event.now("journal.read", invocation=self.id, entries=entries))

        self._host.do(read(), f"Reading the journal of {self.target}")
        return list(self.trace.journal)

    def result(self, timeout: float = 30, *, of: float | None = None) -> Any:
        """Wait until it has ended, and return what the handler returned.

        Args:
            timeout: seconds to wait. The invocation itself goes on regardless.
            of: the timeout that an error names, if part of it was already spent.

        Raises:
            InvocationFailed: it ended with a terminal error.
            WaitTimeout: it has not ended yet; says what it is waiting for.
        """
        try:
            value, failure = self._host.run(self.ended(timeout))
        except TimeoutError:
            raise self._waited(f"{self.target} has not completed within {timeout if of is None else of:g} s.") from None
        if failure is not None:
            code, message = failure
            if aborted := self.trace.aborted:
                raise InvocationFailed(
                    f"{self.target} was {aborted}.",
                    "Somebody ended it at once, so its handler could not compensate."
                    if aborted == "killed"
                    else "Somebody asked it to stop, and its handler ended with that.",
                    "pg.send(…) sends the request again; inv.restart_as_new() runs this one again.",
                    code=code,
                    message=message,
                )
            raise InvocationFailed(
                f"{self.target} ended with a terminal error: {message}",
                f"The handler, or one it called, raised a TerminalError (code {code}); such errors are not retried.",
                "inv shows how far it got; pod.logs() has what its pods printed.",
                code=code,
                message=message,
            )
        return as_json(value)

    def wait_for(self, *, entry: str | None = None, status: str | None = None, timeout: float = 30) -> Self:
        """Wait until it has reached an entry, or has a status. Returns itself.

        Args:
            entry: a step's name, a call's target, or a type: "send email", "User/ada/get", "Sleep".
                It is reached when an attempt executes it (a replay does not count).
            status: e.g. "suspended" or "completed".
            timeout: seconds.

        Raises:
            WaitTimeout: that did not happen; says what it is waiting for instead.
        """
        if (entry is None) == (status is None):
            raise ValueError("wait_for takes either entry= or status=")

        def reached() -> bool:
            trace = self.trace
            if status is not None:
                return trace.status == status
            named = trace.entry(entry or "")
            return named is not None and any(
                (mark := attempt.marks.get(named.row)) and mark.how != "replayed" for attempt in trace.attempts
            )

        wanted = f"the status {status!r}" if status else f"the entry {entry!r}"

        def decided() -> bool:
            return reached() or (self.trace.done and self.trace.settled)

        if self._host.wait_until(decided, timeout) and not reached():
            raise WaitTimeout(
                f"{self.target} did not reach {wanted}, and cannot any more: it has completed.",
                "It ended without coming there; inv shows which way it went.",
                "pg.send(...) sends the request again; inv.result() has what it returned.",
            )
        if not reached():
            raise self._waited(f"{self.target} did not reach {wanted} within {timeout:g} s.")
        if status == "suspended":
            with contextlib.suppress(TimeoutError):
                self._host.run(self._stored_suspension(), STORED_WITHIN)
        return self

    async def _stored_suspension(self) -> None:
        """Wait until Restate has stored a suspension.

        Its pod reports it first. If the pod were killed before Restate has it, Restate would retry the attempt.
        """
        while self.trace.status == "suspended":
            rows = await self._host.admin.invocations([self.id])
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
        """Make no further attempt until it is resumed. A step that is running may finish; the pod is left alone.

        If it is suspended, a server with virtual queues (`vqueues` among the features that `GET /version` lists; on by
        default from 1.8) pauses it, and then what it waits for no longer wakes it. Other servers leave it suspended,
        and it goes on when what it waits for is there. `inv.status` says which.
        """
        self._act("pause")

    def resume(self, revision: str | None = None) -> None:
        """Make it go on now, if it is paused, suspended or waiting for its next retry.

        Args:
            revision: the revision to move it to, by name or "latest". By default it stays where it is pinned.
                Its journal must fit that revision's code.

        Raises:
            RequestError: it is completed; or it cannot be moved, because it is neither paused nor suspended.
        """
        options = {}
        if revision is not None:
            options["deployment"] = deployment_of(self.recording.timeline, revision)
        self._act("resume", **options)

    def restart_as_new(self, from_entry: str | int | None = None, *, revision: str = "latest") -> Self:
        """Run it again with the same input, as a new invocation, and return that one.

        Args:
            from_entry: the first entry to execute again: a step's name, a call's target, a type, or its number in
                the lens. Earlier entries are taken over with their results. By default everything runs again.
            revision: the revision that runs it, by name or "latest".

        Raises:
            RequestError: it is not completed yet, is a workflow, or has no such entry.
        """
        options: dict[str, Any] = {}
        if from_entry is not None:
            self.read_journal()
            options["from"] = last_kept(self.trace, from_entry)
        if options.get("from") or revision != "latest":
            options["deployment"] = deployment_of(self.recording.timeline, revision)
        answer = self._act("restart-as-new", **options)
        again = type(self)(self._host, answer["new_invocation_id"], self.target)
        sent = {"invocation": again.id, "target": again.target, "body": self.trace.body, "restarted": self.id}
        self.recording.append(Event.now("invocation.sent", **sent))
        return again

    def _act(self, verb: InvocationVerb, **options: Any) -> dict[str, Any]:
        async def act() -> dict[str, Any]:
            answer = await self._host.admin.act(self.id, verb, **options)
            await self._host.looked()
            return answer

        return self._host.do(act(), f"Asking Restate to {verb} {self.target}")

    async def ended(self, patience: float) -> tuple[str | None, tuple[int, str] | None]:
        """Wait until it has ended. Records and returns its result as text, or the code and message of its failure.

        For coroutines on the engine; everyone else uses `result`.

        Raises:
            TimeoutError: it has not ended within `patience` seconds.
        """
        host = self._host
        async with asyncio.timeout(patience):
            try:
                value, failure = await host.ingress.attach(self.id)
            except RequestError:
                # The ingress does not find an invocation whose handler is missing from the latest revision.
                value, failure = await host.admin.outcome(self.id)
        text = None if value is None else value.decode("utf-8", "replace")
        outcome = {"failure": list(failure)} if failure else {"value": text}
        host.recording.append(Event.now("invocation.result", invocation=self.id, **outcome))
        await host.recorder.caught_up(self.id)
        return text, failure

    def _waited(self, what: str) -> WaitTimeout:
        with self.recording.lock:
            trace = self.trace
            why, fix = standing(trace)
            if trace.awakeables and trace.status == "suspended":
                fix = f"pg.resolve({self.awakeables[0]!r}, value)"
            failed = self.recording.timeline.without_a_pod().values()
            if not any(attempt.outcome == "running" for attempt in trace.attempts):
                why = " ".join(
                    [why, *(f"{pod.service} has no pod; starting one is retried: {pod.reason}" for pod in failed)]
                )
        if not self._host.condition.ready:
            why, fix = self._host.trouble()
        return WaitTimeout(what, why, fix)


def standing(trace: Trace) -> tuple[str, str]:
    """What an invocation is waiting for, and what can be done about it, in words."""
    last = trace.attempts[-1] if trace.attempts else None
    if trace.status == "suspended" and last:
        waits = [str(trace.rows[row]) for row in last.waits_for if row in trace.rows]
        return (
            f"It is suspended, waiting for: {', '.join(waits) or 'something unknown'}.",
            "inv shows what it waits for. If that comes by itself: inv.result(timeout=60)",
        )
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
