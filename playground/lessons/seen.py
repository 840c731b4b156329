"""What was recorded, asked in the terms of a lesson. A question is answered from here and from nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from playground.lessons.outcome import CannotCheck
from playground.recording import Attempt, Effect, Entry, Recording, Trace

if TYPE_CHECKING:
    from playground.atlas import Atlas
    from playground.session import Playground

WAIT = 10.0
"""Seconds a check waits for what is under way."""


class Seen:
    """A recording, asked in a lesson's terms.

    Attributes:
        recording: what is asked.
        playground: the playground it is being recorded in; None for a recording that was loaded.
    """

    def __init__(self, recording: Recording, playground: Playground | None = None) -> None:
        self.recording, self.playground = recording, playground

    def all(self, target: str) -> list[Trace]:
        """The invocations of a target, in the order they were first seen. `*` stands for anything.

        Raises:
            CannotCheck: there are none.
        """
        with self.recording.lock:
            found = [trace for trace in self.recording.invocations if fnmatchcase(trace.target, target)]
        if not found:
            raise CannotCheck(
                f"Nothing is recorded of {target} yet.", "Run the cells between question and check first."
            )
        return found

    def latest(self, target: str, *, status: str = "completed") -> Trace:
        """The latest invocation of a target, once it has a status.

        Raises:
            CannotCheck: there is none, or it is not that far.
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
        """What an invocation is suspended on; nothing if it is not suspended."""
        with self.recording.lock:
            if trace.status != "suspended" or not trace.attempts:
                return []
            return [trace.rows[row] for row in trace.attempts[-1].waits_for if row in trace.rows]

    def how(self, trace: Trace, entry: str, attempt: int = -1) -> str:
        """What became of an entry in an attempt: executed, replayed …

        Raises:
            CannotCheck: the attempt did not come to it.
        """
        with self.recording.lock:
            found = trace.entry(entry)
            tried = trace.attempts[attempt:][:1] if found else []
            mark = tried[0].marks.get(found.row) if found and tried else None
        if mark is None:
            which = "last" if attempt == -1 else "first"
            raise CannotCheck(
                f"The {which} attempt at {trace.target} did not come to {entry!r}.", "Run the cells above as they are."
            )
        return mark.how

    def first_atlas(self, request: str, target: str = "pod") -> Atlas:
        """The first crash atlas that was made of a request.

        Raises:
            CannotCheck: there is none.
        """
        made = self.playground.atlases if self.playground is not None else []
        found = next((atlas for atlas in made if (atlas.request, atlas.target) == (request, target)), None)
        if found is None:
            raise CannotCheck(
                f"No crash atlas of {request} was made yet.", "Run the cells between question and check first."
            )
        return found

    def effects(self, kind: str | None = None, of: Trace | Iterable[Trace] | None = None) -> list[Effect]:
        """The effects that happened (refused and repeated ones did not).

        Args:
            kind: "email" …; all if it is not given.
            of: invocations whose own effects, or those of what they called, are meant; all if it is not given.
        """
        if self.playground is not None:
            self.playground.ledger.entries()  # waits until the recording has all that the ledger has
        return self.recorded_effects(kind, of)

    def recorded_effects(self, kind: str | None = None, of: Trace | Iterable[Trace] | None = None) -> list[Effect]:
        """Like `effects`, of those that are recorded so far."""
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
