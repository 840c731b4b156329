"""How often the function of a step ran. The recording alone shows it, whatever the function does.

An attempt that asks for a `ctx.run` and does not get its result from the journal runs its function. So a step that two
attempts executed *ran twice* if the function finished both times, and *may have run twice* if it was cut off once: it
had begun, and only the outside world knows how far it got.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from playground.atlas.normalize import plain
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
        returned: in how many of them it finished.
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
        crashes: the accidents in the recording. A pod that is killed just before it sends a result does not report
            that, but the function has returned.
    """
    finished = {
        (timeline.attempts.get((event.pod, event.attempt)), event.boundary[2])
        for event in crashes
        if tuple(event.boundary[:2]) == ("out", "ProposeRunCompletion")
    }
    all_steps = []
    for trace in traces:
        for entry in trace.entries:
            marks = [(attempt, mark) for attempt in trace.attempts if (mark := attempt.marks.get(entry.row))]
            begun = [(attempt, mark) for attempt, mark in marks if mark.how in ("executed", "cut off", "failed")]
            if entry.type != "Run" or not begun:
                continue
            returned = [mark.proposed_at is not None or (attempt, entry.row[1]) in finished for attempt, mark in begun]
            all_steps.append(Step(plain(trace.target), plain(str(entry)), len(begun), sum(returned)))
    return all_steps
