"""Write: an exercise to complete or repair a handler. It is checked by observing what the deployed handler does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from playground.current import current
from playground.errors import InvocationFailed, PlaygroundClosed
from playground.lessons.exercise import Exercise
from playground.lessons.feedback import Broken, CannotCheck, Feedback
from playground.lessons.trial import Trial


class Write(Exercise):
    """An exercise to complete or repair a service.

    Args:
        name, question, hints, because: see `Exercise`.
        service: the name that it is deployed under.
        starter: the source in the notebook, with `%%service NAME` above it.
        solution: a source that does what is asked for.
        probe: sends requests and observes the result. Raises `NotYet` with what it observed.
    """

    kind = "write"

    def __init__(
        self,
        name: str,
        question: str,
        *,
        service: str,
        starter: str,
        solution: str,
        probe: Callable[[Trial], str | None],
        hints: Sequence[str],
        because: str,
    ) -> None:
        super().__init__(name, question, hints=hints, because=because)
        self.service, self.starter = service, starter.strip()
        self._solution, self._probe = solution.strip(), probe

    def solution(self) -> Feedback:
        """A source that does what is asked for, and why it does."""
        where = f"Put this in place of the cell with %%service {self.service}."
        return self._feedback("solution", where, self.because, code=self._solution)

    @property
    def right(self) -> object:
        """The solution's source."""
        return self._solution

    def cell(self, answer: object) -> str:
        """The cell that deploys a source."""
        return f"%%service {self.service}\n{answer}"

    def _check(self) -> Feedback:
        try:
            trial = Trial(current(), self.service)
        except PlaygroundClosed:
            raise CannotCheck(
                "No playground is open.", "Run this notebook's first cell, then the cells below it."
            ) from None
        if refused := trial.pg.refused.get(self.service):
            return self._feedback(
                "error", f"The latest cell with %%service {self.service} was not deployed.", str(refused)
            )
        if same_source(trial.source(), self.starter):
            todo = f"The cell with %%service {self.service} is as it was. Change it, run it, then check."
            return self._feedback("not attempted", self.question, todo)
        try:
            observed = self._probe(trial)
        except InvocationFailed as error:
            raise Broken(f"A request that should succeed ended with a terminal error: {error.message}") from None
        finally:
            trial.close()
        return self._feedback("correct", *([f"Observed: {observed}"] if observed else []), self.because)


def same_source(one: str, other: str) -> bool:
    """Whether two sources are the same, except for blank space at the ends of lines."""
    return [line.rstrip() for line in one.strip().splitlines()] == [
        line.rstrip() for line in other.strip().splitlines()
    ]
