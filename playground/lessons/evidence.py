"""What was recorded, in the terms of a lesson. Checks take their answers only from here."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from playground.lessons.feedback import CannotCheck
from playground.recording import Attempt, Effect, Entry, Recording, Trace

if TYPE_CHECKING:
    from playground.atlas import Atlas
    from playground.session import Playground

WAIT = 10.0
"""Seconds that a check waits for something that is in progress."""


class Evidence:
    """A recording, in the terms of a lesson.

    Attributes:
        recording: the recording.
        playground: the playground that records it; None for a recording that was loaded.
    """

    def __init__(self, recording: Recording, playground: Playground | None = None) -> None:
        self.recording, self.playground = recording, playground

    def all(self, target: str) -> list[Trace]:
        """The invocations of a target, in the order in which they were first seen. `*` stands for anything.

        Raises:
            CannotCheck: there are none.
        """
        with self.recording.lock:
            traces = [trace for trace in self.recording.invocations if fnmatchcase(trace.target, target)]
        if not traces:
            raise CannotCheck(
                f"Nothing is recorded of {target} yet.", "Run the cells between question and check first."
            )
        return traces

    def latest(self, target: str, *, status: str = "completed") -> Trace:
        """The latest invocation of a target, once it has a status.

        Raises:
            CannotCheck: there is none, or it does not have that status.
        """
        trace = self.all(target)[-1]
        if self.playground is not None:
            self.playground.runtime.wait_until(lambda: trace.status == status or trace.done, WAIT)
        if trace.status != status:
            raise CannotCheck(
                f"{trace.target} is {trace.status}; the question is about when it is {status}.",
                "Run the cells between question and check first.",
            )
        return trace

    def attempts(self, trace: Trace) -> list[Attempt]:
        """The attempts of an invocation that are recorded so far."""
        with self.recording.lock:
            return list(trace.attempts)

    def waits(self, trace: Trace) -> list[Entry]:
        """The entries that an invocation is suspended on; empty if it is not suspended."""
        with self.recording.lock:
            if trace.status != "suspended" or not trace.attempts:
                return []
            return [trace.rows[row] for row in trace.attempts[-1].waits_for if row in trace.rows]

    def how(self, trace: Trace, entry: str, attempt: int = -1) -> str:
        """What became of an entry in an attempt: executed, replayed and so on.

        Raises:
            CannotCheck: the attempt did not reach it.
        """
        with self.recording.lock:
            named = trace.entry(entry)
            chosen = trace.attempts[attempt:][:1] if named else []
            mark = chosen[0].marks.get(named.row) if named and chosen else None
        if mark is None:
            which = "last" if attempt == -1 else "first"
            raise CannotCheck(
                f"The {which} attempt at {trace.target} did not reach {entry!r}.", "Run the cells above unchanged."
            )
        return mark.how

    def first_atlas(self, request: str, target: str = "pod") -> Atlas:
        """The first crash atlas that was made of a request.

        Raises:
            CannotCheck: there is none.
        """
        atlases = self.playground.atlases if self.playground is not None else []
        first = next((atlas for atlas in atlases if (atlas.request, atlas.target) == (request, target)), None)
        if first is None:
            raise CannotCheck(
                f"No crash atlas of {request} was made yet.", "Run the cells between question and check first."
            )
        return first

    def effects(self, kind: str | None = None, of: Trace | Iterable[Trace] | None = None) -> list[Effect]:
        """The effects that really happened, without refused and repeated requests.

        Args:
            kind: e.g. "email"; by default all kinds.
            of: only effects of these invocations and of what they called; by default all.
        """
        if self.playground is not None:
            self.playground.ledger.entries()  # waits until the recording has everything the ledger has
        return self.recorded_effects(kind, of)

    def recorded_effects(self, kind: str | None = None, of: Trace | Iterable[Trace] | None = None) -> list[Effect]:
        """Like `effects`, but only those that are already recorded."""
        with self.recording.lock:
            timeline = self.recording.timeline
            roots = [of] if isinstance(of, Trace) else list(of or ())
            mine = {callee for root in roots for callee in timeline.roles(root.id)}
            return [
                effect
                for effect in timeline.effects
                if effect.became == "happened"
                and kind in (None, effect.kind)
                and (of is None or effect.invocation in mine)
                and effect.number > timeline.forgotten
            ]
