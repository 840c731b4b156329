"""One run of the atlas: what is sent, and what the learner's `drive=`, `accept=` and `effects=` see of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from playground.atlas.family import Families
from playground.atlas.normalize import freshen, token
from playground.recording import Effect, Trace
from playground.restate.admin import as_json
from playground.restate.ingress import NO_BODY
from playground.runtime.invocation import Invocation
from playground.runtime.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Request:
    """What the atlas sends, and the keys in it that every run replaces by its own."""

    target: str
    body: Any
    keys: frozenset[str] = frozenset()

    def fresh(self, number: int) -> tuple[str, Any]:
        """Target and body for a run, with the run's own keys."""
        body = self.body if self.body is NO_BODY else freshen(self.body, self.keys, number)
        service, *rest = self.target.split("/")
        return "/".join([service, *(freshen(part, self.keys, number) for part in rest[:-1]), *rest[-1:]]), body


class Run:
    """One run of the atlas, as the learner's callables see it.

    Attributes:
        invocation: the root's handle, in the lab.
        number: the run's number.
    """

    def __init__(
        self, lab: Runtime, families: Families, invocation: Invocation, number: int, keys: frozenset[str]
    ) -> None:
        self._lab, self._families, self._keys = lab, families, keys
        self.invocation, self.number = invocation, number
        self.deadline = 0.0

    def fresh(self, text: str) -> str:
        """A target or key of the request as it is in this run: "ada" -> "ada-run00007"."""
        return str(freshen(text, self._keys, self.number))

    def wait_for(self, kind: str) -> Any:
        """Wait until an effect of this run is in the ledger. Returns its body (parsed, if it is JSON).

        Raises:
            TimeoutError: it did not happen before the run ended.
        """
        effects: list[Effect] = []

        def there() -> bool:
            effects[:] = [effect for effect in self.effects() if effect.kind == kind and not effect.refused]
            return bool(effects) or self.invocation.trace.done

        if not self._lab.wait_until(there, max(0.0, self.deadline - time.monotonic())) or not effects:
            raise TimeoutError(f"no {kind} happened")
        return as_json(effects[0].body)

    def effects(self) -> list[Effect]:
        """The effects of this run so far."""
        with self._lab.recording.lock:
            timeline = self._lab.recording.timeline
            mine = self._families.of(self.invocation.id).roles
            return [e for e in timeline.effects if e.invocation in mine or token(self.number) in e.body + e.key]

    @property
    def traces(self) -> list[Trace]:
        """The invocations of this run, callers first, without those scheduled for later."""
        with self._lab.recording.lock:
            invocations = self._lab.recording.timeline.invocations
            return [invocations[invocation] for invocation in self._families.of(self.invocation.id).roles]

    @property
    def strangers(self) -> list[Trace]:
        """Invocations that a handler made through the ingress, with this run's token in their key or request."""
        return self._families.strangers(token(self.number))

    def resolve(self, awakeable: str, value: Any = None) -> None:
        """Complete an awakeable with a value."""
        self._lab.resolve(awakeable, value)

    def reject(self, awakeable: str, reason: str) -> None:
        """Complete an awakeable with a failure."""
        self._lab.reject(awakeable, reason)

    def call(self, target: str, body: Any = NO_BODY) -> Any:
        """Call a handler in the lab. Keys of the request are replaced by this run's own."""
        return self._lab.call(self.fresh(target), body if body is NO_BODY else freshen(body, self._keys, self.number))


Drive = Callable[[Run], None]
Count = Callable[[Run], Mapping[str, int]]
"""Counts effects that the ledger does not see: kind -> how often it happened in this run."""


def objects_of(traces: Iterable[Trace]) -> list[tuple[str, str]]:
    """The objects that invocations addressed, each once: (service, key)."""
    objects = {}
    for trace in traces:
        service, *rest = trace.target.split("/")
        if len(rest) >= 2:
            objects[service, "/".join(rest[:-1])] = True
    return list(objects)
