"""An invocation as something one can wait for and act on: it knows an id and looks the rest up."""

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
"""Seconds until Restate has what a pod has told it."""


class Invocation:
    """One request to a handler, from the moment it was sent.

    Attributes:
        id: the invocation id, as Restate gave it.
        target: what it was sent to.
        is_new: False if its idempotency key made it the same as an earlier one.
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
        """All that is recorded of it."""
        return self.recording.invocation(self.id)

    @property
    def status(self) -> str:
        """Restate's word: pending, scheduled, running, backing-off, suspended, paused, completed."""
        return self.trace.status

    @property
    def attempts(self) -> list[Attempt]:
        """Every attempt so far: its pod, what it replayed, what it executed, how it ended."""
        with self.recording.lock:
            return list(self.trace.attempts)

    @property
    def awakeables(self) -> list[str]:
        """Ids of the awakeables it is suspended on, for `pg.resolve` and `pg.reject`."""
        with self.recording.lock:
            trace = self.trace
            return [awakeable_id(trace.raw_id, int(entry.row[1])) for entry in trace.awakeables]

    def read_journal(self) -> list[dict[str, Any]]:
        """The journal as Restate's server has it now, entry by entry, which is recorded, too."""

        async def read() -> None:
            entries = await self._host.admin.journal(self.id)
            self.recording.append(Event.now("journal.read", invocation=self.id, entries=entries))

        self._host.do(read(), f"Reading the journal of {self.target}")
        return list(self.trace.journal)

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
            value, failure = self._host.run(self.ended(timeout))
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

    def wait_for(self, *, entry: str | None = None, status: str | None = None, timeout: float = 30) -> Self:
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
        if not self._host.wait_until(reached, timeout):
            raise self._waited(f"{self.target} was waited for until it {wanted}; it did not within {timeout:g} s.")
        if status == "suspended":
            with contextlib.suppress(TimeoutError):
                self._host.run(self._stored_suspension(), STORED_WITHIN)
        return self

    async def _stored_suspension(self) -> None:
        """Wait until Restate has a suspension, too. Its pod speaks of it first; killed now, it would be tried again."""
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
            options["deployment"] = deployment_of(self.recording.timeline, revision)
        self._act("resume", **options)

    def restart_as_new(self, from_entry: str | int | None = None, *, revision: str = "latest") -> Self:
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
            self.read_journal()
            options["from"] = last_kept(self.trace, from_entry)
        if options.get("from") or revision != "latest":
            options["deployment"] = deployment_of(self.recording.timeline, revision)
        told = self._act("restart-as-new", **options)
        again = type(self)(self._host, told["new_invocation_id"], self.target)
        sent = {"invocation": again.id, "target": again.target, "body": self.trace.body, "restarted": self.id}
        self.recording.append(Event.now("invocation.sent", **sent))
        return again

    def _act(self, verb: InvocationVerb, **options: Any) -> dict[str, Any]:
        async def act() -> dict[str, Any]:
            told = await self._host.admin.act(self.id, verb, **options)
            await self._host.looked()
            return told

        return self._host.do(act(), f"Asking Restate to {verb} {self.target}")

    async def ended(self, patience: float) -> tuple[str | None, tuple[int, str] | None]:
        """Wait until it has ended, and record how: its result as text, or code and message of its failure.

        For coroutines of the engine; `result` is for everybody else.

        Raises:
            TimeoutError: it has not within so many seconds.
        """
        host = self._host
        async with asyncio.timeout(patience):
            try:
                value, failure = await host.ingress.attach(self.id)
            except RequestError:
                # The ingress does not know invocations whose handler the latest revision lacks.
                value, failure = await host.admin.outcome(self.id)
        text = None if value is None else value.decode("utf-8", "replace")
        told = {"failure": list(failure)} if failure else {"value": text}
        host.recording.append(Event.now("invocation.result", invocation=self.id, **told))
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
                    [why, *(f"{pod.service} has no pod, which is tried for again: {pod.reason}" for pod in failed)]
                )
        if not self._host.condition.ready:
            why, fix = self._host.trouble()
        return WaitTimeout(what, why, fix)


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
