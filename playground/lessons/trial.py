"""A trial: how a check tries out a learner's service, in the learner's own playground.

It sends real requests with its own keys and looks at what was recorded, so the learner can look at all of it
afterwards, in the lens and in the panels. If a handler keeps raising, Restate would retry it forever. A trial gives up
on it, says what it raised, and ends the invocation.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from playground.core.text import clean
from playground.errors import InvocationFailed, RequestError, WaitTimeout
from playground.handles import Invocation
from playground.lessons.evidence import Evidence
from playground.lessons.feedback import Broken, CannotCheck, NotYet
from playground.recording import Attempt, Effect, Trace
from playground.restate.admin import as_json
from playground.restate.ingress import NO_BODY
from playground.runtime.invocation import standing

if TYPE_CHECKING:
    from playground.atlas import Atlas
    from playground.session import Playground

PATIENCE = 15.0
"""Seconds that an invocation in a check may take."""
IN_LINE = 0.5
"""After this many seconds in the queue, an invocation really waits; one that needs no lock only passes through."""
MANY = 4
"""This many attempts may fail because the outside world misbehaves on purpose. After one more, it is hopeless."""


class Trial(Evidence):
    """A learner's service on trial.

    Attributes:
        pg: the learner's playground.
        service: the name that it was deployed under.
        token: a string for keys that no other trial has.
    """

    def __init__(self, playground: Playground, service: str) -> None:
        super().__init__(playground.recording, playground)
        self.pg, self.service = playground, service
        self.token = uuid.uuid4().hex[:6]
        self._sent: list[Invocation] = []

    def key(self, name: str = "ada") -> str:
        """A key, or anything else that must be unique, that no other trial uses."""
        return f"{name}-{self.token}"

    def send(self, target: str, body: Any = NO_BODY, **options: Any) -> Invocation:
        """Send a request and return at once.

        Raises:
            Broken: the service has no such handler.
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

    def result(
        self,
        invocation: Invocation,
        *,
        failures: int = 1,
        patience: float = PATIENCE,
        hopeless: Callable[[], bool] = lambda: False,
    ) -> Any:
        """What an invocation returns.

        Args:
            invocation: of this trial.
            failures: this many failed attempts in a row are fine; with one more, the handler is broken.
            patience: seconds.
            hopeless: whether the recording shows that it can never end.

        Raises:
            InvocationFailed: it ended with a terminal error, which may be what is asked for.
            Broken: its handler keeps raising something else.
            NotYet: it does not end.
        """
        trace = invocation.trace

        def failed() -> list[Attempt]:
            """The failed attempts since the last one that did not fail, the latest first."""
            in_a_row: list[Attempt] = []
            for attempt in reversed(trace.attempts):
                if attempt.outcome == "running":
                    continue
                if attempt.outcome != "failed":
                    break
                in_a_row.append(attempt)
            return in_a_row

        def over() -> bool:
            # When its pod is done, it is not over yet: Restate may accept the result or refuse it.
            settled = trace.settled or trace.refused or trace.status == "paused"
            return settled or len(failed()) > failures or (not trace.done and hopeless())

        # Restate tells us at once when it ends; the recorder would only find out when it next asks.
        waiting = self.pg.runtime.start(invocation.ended(patience))
        deadline = time.monotonic() + patience
        try:
            self.pg.runtime.wait_until(lambda: over() or self.ended_again(trace), patience)
            while not over() and time.monotonic() < deadline:
                _ = self.pg.revisions  # asks Restate now, which says why it is retried
                self.pg.runtime.wait_until(over, 0.1)
        finally:
            waiting.cancel()
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

    @staticmethod
    def ended_again(trace: Trace) -> bool:
        """Whether a second attempt has reached its end, so Restate did not accept the result of the first."""
        return sum(attempt.outcome in ("completed", "disconnected") for attempt in trace.attempts) > 1

    def not_accepted(self, trace: Trace) -> str:
        """Why Restate does not accept what a handler does, in Restate's words; empty if it does.

        A pod does not know that: it has sent its result and is done. The server drops the result and retries.
        """
        with self.recording.lock:
            return trace.last_failure if trace.refused and not trace.settled else ""

    def _refused(self, invocation: Invocation) -> Broken:
        """The error for a handler that ended, but whose result Restate did not accept. Also ends the invocation."""
        why = self.not_accepted(invocation.trace)
        self._end(invocation)
        return Broken(f"Restate does not accept what {invocation.target} does: {why}", message=why)

    def refuses(self, target: str, body: Any = NO_BODY, **options: Any) -> InvocationFailed | None:
        """Call a handler that should end with a terminal error. Returns the error, or None if the handler returned."""
        try:
            self.call(target, body, **options)
        except InvocationFailed as error:
            return error
        return None

    def atlas(self, request: str, body: Any = NO_BODY, **options: Any) -> Atlas:
        """The crash atlas of a request, as `pg.atlas` makes it."""
        return self.pg.atlas(request, body, **options)

    def until(self, invocation: Invocation, **reached: str) -> Invocation:
        """Wait until an invocation reaches an `entry=` or a `status=`, as with `Invocation.wait_for`.

        Raises:
            NotYet: it does not reach it.
        """
        trace, place = invocation.trace, reached.get("entry") or reached.get("status") or ""

        def there() -> bool:
            return trace.status == place or trace.entry(place) is not None

        self.pg.runtime.wait_until(lambda: there() or trace.done or self.failures(trace) > MANY, 10.0)
        try:
            return invocation.wait_for(**reached, timeout=5.0 if there() else 0.0)
        except WaitTimeout as error:
            raise NotYet(
                f"{invocation.target} does not reach {place!r}. {error.why}", f"it reaches {place!r}"
            ) from None

    def stored(self, invocation: Invocation) -> None:
        """Wait until Restate has what a pod has said of an invocation: the pod speaks a moment earlier."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with self.recording.lock:
                asked = sum(entry.row[0] == "entry" for entry in invocation.trace.entries)
            if sum(entry["type"].startswith("Command") for entry in invocation.read_journal()) >= asked:
                return
            time.sleep(0.05)

    @staticmethod
    def failures(trace: Trace) -> int:
        """How many attempts at an invocation have failed so far."""
        return sum(attempt.outcome == "failed" for attempt in trace.attempts)

    def first_effect(self, kind: str, invocation: Invocation, *, failures: int = MANY) -> Effect | None:
        """The first effect of a kind that an invocation has, as soon as it happens.

        Returns:
            The effect; None if before that the invocation ends, fails more than `failures` times or waits for somebody.
        """
        trace = invocation.trace

        def decided() -> bool:
            over = trace.done or self.failures(trace) > failures or self.waits_for_somebody(trace)
            return over or bool(self.recorded_effects(kind, trace))

        self.pg.runtime.wait_until(decided, PATIENCE)
        return next(iter(self.effects(kind, trace)), None)

    def waits_for_somebody(self, trace: Trace) -> bool:
        """Whether an invocation is suspended until somebody outside acts, so that no timer or call wakes it."""
        waits = self.waits(trace)
        return bool(waits) and all(entry.type in ("Awakeable", "GetPromise") for entry in waits)

    def last_ended_at(self, trace: Trace) -> float:
        """When the last attempt ended, according to its pod, whose report may come later than Restate's."""
        self.pg.runtime.wait_until(lambda: bool(trace.attempts) and trace.attempts[-1].ended_at is not None, 5.0)
        with self.recording.lock:
            ended = trace.attempts[-1].ended_at if trace.attempts else None
            return trace.status_at if ended is None else ended

    def named(self, effect: Effect, name: str) -> str:
        """What the body of an effect has under a name, for example the id of an awakeable.

        Raises:
            NotYet: it has no text there.
        """
        body = as_json(effect.body)
        if not isinstance(body, dict) or not isinstance(body.get(name), str):
            raise NotYet(f"The {effect.kind} carries {clean(effect.body)}", f"a {name!r} that is a text")
        return str(body[name])

    def resolve(self, awakeable: str, value: Any) -> None:
        """Complete an awakeable whose id the learner's service has given out.

        Raises:
            NotYet: it is not the id of an awakeable.
        """
        try:
            self.pg.resolve(awakeable, value)
        except RequestError as error:
            raise _no_awakeable(awakeable, error) from None

    def reject(self, awakeable: str, reason: str) -> None:
        """Complete an awakeable with a failure. See `resolve`."""
        try:
            self.pg.reject(awakeable, reason)
        except RequestError as error:
            raise _no_awakeable(awakeable, error) from None

    @staticmethod
    def pending(trace: Trace) -> bool:
        """Whether, according to Restate, an invocation has not begun."""
        return trace.status == "pending" and trace.status_at > 0 and not trace.attempts

    def waits_in_line(self, invocation: Invocation) -> bool:
        """Whether an invocation waits for its key's lock, that is, stays in the key's queue in Restate."""
        trace, since = invocation.trace, float("inf")
        service, key, _ = invocation.target.split("/")
        deadline = time.monotonic() + PATIENCE
        while (now := time.monotonic()) < deadline and not trace.attempts and not trace.done:
            if invocation.id not in self.pg.queue(service, key).waiting:
                since = float("inf")
            elif now - (since := min(since, now)) > IN_LINE:
                return True
            time.sleep(0.05)
        return False

    def source(self) -> str:
        """The source that is deployed now.

        Raises:
            CannotCheck: none is deployed.
        """
        deployed = self.pg.services.get(self.service)
        if deployed is None:
            raise CannotCheck(
                f"The service {self.service!r} is not deployed.", f"Run the cell with %%service {self.service}."
            )
        with self.recording.lock:
            return self.recording.timeline.revisions[deployed.revision].source

    def close(self) -> None:
        """End what the trial left running, and make the outside world behave again."""
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


def _no_awakeable(awakeable: str, error: RequestError) -> NotYet:
    return NotYet(f"{clean(awakeable)} was given out for somebody to answer. {error.what}", "the id of an awakeable")
