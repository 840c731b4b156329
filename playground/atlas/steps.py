"""How often the function of a step was run: told by the recording alone, whatever the function does.

An attempt that asks for a `ctx.run` and does not get its result from the journal runs its function. So a step
that two attempts executed *ran twice* if both times the function came to its end, and *may have run twice* if
one was cut off: it had begun, and how far it came only the outside world knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from playground.atlas.fresh import plain
from playground.recording import Timeline, Trace
from playground.recording.kinds import AttemptCrashed, AttemptHeld

Accident = AttemptCrashed | AttemptHeld


@dataclass(frozen=True, slots=True)
class Step:
    """One `ctx.run` of an invocation.

    Attributes:
        target: the invocation's.
        name: the step's, as in "Run charge".
        begun: in how many attempts its function began.
        returned: in how many of them it came to its end.
    """

    target: str
    name: str
    begun: int
    returned: int

    def __str__(self) -> str:
        return f"{self.target}, {self.name}"


def steps(traces: Iterable[Trace], timeline: Timeline, crashes: Iterable[Accident]) -> list[Step]:
    """The steps of invocations, in order.

    Args:
        timeline: folded from the recording.
        crashes: accidents of the recording: a pod that is killed where a result is about to be handed
            over has not told so, but the function has returned.
    """
    handed_over = {
        (timeline.attempts.get((event.pod, event.attempt)), event.boundary[2])
        for event in crashes
        if tuple(event.boundary[:2]) == ("out", "ProposeRunCompletion")
    }
    found = []
    for trace in traces:
        for entry in trace.entries:
            marks = [(attempt, mark) for attempt in trace.attempts if (mark := attempt.marks.get(entry.row))]
            begun = [(attempt, mark) for attempt, mark in marks if mark.how in ("executed", "cut off", "failed")]
            if entry.type != "Run" or not begun:
                continue
            returned = [
                mark.proposed_at is not None or (attempt, entry.row[1]) in handed_over for attempt, mark in begun
            ]
            found.append(Step(plain(trace.target), plain(str(entry)), len(begun), sum(returned)))
    return found
