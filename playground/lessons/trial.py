"""A trial: what a check does with a learner's service, in the learner's own playground.

It sends real requests under keys of its own and looks at what was recorded, so all of it can be looked at
afterwards, in the lens and in the panels. A handler that raises is retried by Restate for ever; a trial
gives up on it, says what it raised, and ends the invocation.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from playground.errors import InvocationFailed, RequestError, WaitTimeout
from playground.invocation import Invocation, standing
from playground.lessons.outcome import Broken, CannotCheck, NotYet
from playground.lessons.seen import Seen
from playground.recording import Attempt, Effect, Trace
from playground.restate.ingress import NO_BODY

if TYPE_CHECKING:
    from playground.atlas import Atlas
    from playground.session import Playground

PATIENCE = 15.0
"""Seconds an invocation of a check may take."""


class Trial(Seen):
    """A learner's service, on trial.

    Attributes:
        pg: the learner's playground.
        service: the name it was deployed under.
        token: a string no other trial has, for keys.
    """

    def __init__(self, playground: Playground, service: str) -> None:
        super().__init__(playground.recording, playground)
        self.pg, self.service = playground, service
        self.token = uuid.uuid4().hex[:6]
        self._sent: list[Invocation] = []

    def key(self, name: str = "ada") -> str:
        """A key, or anything else that should be used once, that is this trial's own."""
        return f"{name}-{self.token}"

    def send(self, target: str, body: Any = NO_BODY, **options: Any) -> Invocation:
        """Send a request and return at once.

        Raises:
            Broken: the service does not offer that.
        """
        try:
            invocation = self.pg.send(target, body, **options)
        except RequestError as error:
            raise Broken(str(error)) from None
        self._sent.append(invocation)
        return invocation

    def call(self, target: str, body: Any = NO_BODY, *, failures: int = 1, **options: Any) -> Any:
        """Send a request, wait for it and return its result: `result(send(...))`."""
        return self.result(self.send(target, body, **options), failures=failures)

    def result(self, invocation: Invocation, *, failures: int = 1, patience: float = PATIENCE) -> Any:
        """What an invocation returns.

        Args:
            invocation: of this trial.
            failures: so many failed attempts in a row are fine; one more, and the handler is broken.
            patience: seconds.

        Raises:
            InvocationFailed: it ended with a terminal error: that may be what is asked for.
            Broken: its handler raises something else, again and again.
            NotYet: it does not end.
        """
        trace = invocation.trace

        def failed() -> list[Attempt]:
            """The failed attempts since the last that did not fail."""
            found: list[Attempt] = []
            for attempt in reversed(trace.attempts):
                if attempt.outcome == "running":
                    continue
                if attempt.outcome != "failed":
                    break
                found.append(attempt)
            return found

        # Restate tells whoever waits at once that it has ended; the recorder finds out only when it next asks.
        told = self.pg._engine.start(self.pg._result(invocation.id, patience))
        try:
            self.pg._wait_until(lambda: trace.done or trace.status == "paused" or len(failed()) > failures, patience)
        finally:
            told.cancel()
        if self.not_accepted(trace):
            raise self._refused(invocation)
        if not trace.done:
            with self.recording.lock:
                last = failed()[:1]
                why, _ = standing(trace)
            self._end(invocation)
            if last and last[0].failure:
                code, message = last[0].failure
                raise Broken(f"{invocation.target} raises, again and again: {message}", code=code, message=message)
            raise NotYet(f"{invocation.target} does not end. {why}", "it ends")
        try:
            return invocation.result(timeout=5)
        except WaitTimeout:
            raise self._refused(invocation) from None

    def not_accepted(self, trace: Trace) -> str:
        """Why Restate does not accept what a handler does, in its own words; empty if it does.

        A pod cannot know that: it has sent its result and is done. The server drops it, and tries again.
        """
        with self.recording.lock:
            return trace.last_failure if trace.refused and not trace.done else ""

    def _refused(self, invocation: Invocation) -> Broken:
        """Its handler came to its end, but Restate did not accept what it did: end it, and say so."""
        why = self.not_accepted(invocation.trace)
        self._end(invocation)
        return Broken(f"Restate does not accept what {invocation.target} does: {why}", message=why)

    def refuses(self, target: str, body: Any = NO_BODY, **options: Any) -> InvocationFailed | None:
        """Call a handler that should end with a terminal error; the error, or None if it returned."""
        try:
            self.call(target, body, **options)
        except InvocationFailed as error:
            return error
        return None

    def atlas(self, request: str, body: Any = NO_BODY, **options: Any) -> Atlas:
        """The crash atlas of a request, as `pg.atlas` makes it."""
        return self.pg.atlas(request, body, **options)

    def until(self, invocation: Invocation, **reached: Any) -> Invocation:
        """Wait until an invocation has come somewhere: `entry=`, or `status=`, as `Invocation.wait_for`.

        Raises:
            NotYet: it does not come there.
        """
        try:
            return invocation.wait_for(**{"timeout": 10.0, **reached})
        except WaitTimeout as error:
            place = reached.get("entry") or reached.get("status")
            raise NotYet(
                f"{invocation.target} does not come to {place!r}. {error.why}", f"it comes to {place!r}"
            ) from None

    def first_effect(self, kind: str, invocation: Invocation, *, failures: int = 4) -> Effect | None:
        """The first effect of a kind that an invocation has, as soon as it is there.

        Returns:
            The effect; None if the invocation ends, or fails more often than `failures`, before.
        """

        def decided() -> bool:
            failed = sum(attempt.outcome == "failed" for attempt in invocation.trace.attempts)
            found = self.recorded_effects(kind, invocation.trace)
            return bool(found) or invocation.trace.done or failed > failures

        self.pg._wait_until(decided, PATIENCE)
        return next(iter(self.effects(kind, invocation.trace)), None)

    def source(self) -> str:
        """The source that is deployed now.

        Raises:
            CannotCheck: none is.
        """
        deployed = self.pg.services.get(self.service)
        if deployed is None:
            raise CannotCheck(
                f"The service {self.service!r} is not deployed.", f"Run the cell with %%service {self.service}."
            )
        with self.recording.lock:
            return self.recording.timeline.revisions[deployed.revision].source

    def close(self) -> None:
        """End what the trial left running, and have the outside world behave again."""
        self.pg.ledger.behave()
        for invocation in self._sent:
            if not invocation.trace.done:
                self._end(invocation)

    @staticmethod
    def _end(invocation: Invocation) -> None:
        try:
            invocation.kill()
        except RequestError:
            pass  # it has ended meanwhile

    @staticmethod
    def pause(seconds: float) -> None:
        """Wait, for nothing in particular: what must not happen has so long not to."""
        time.sleep(seconds)
