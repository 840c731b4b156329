"""Write: complete or repair a handler. Checked by deploying it and observing what it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from playground.current import current
from playground.errors import InvocationFailed, PlaygroundClosed
from playground.lessons.exercise import Exercise
from playground.lessons.outcome import Broken, CannotCheck, Outcome
from playground.lessons.trial import Trial


class Write(Exercise):
    """A service to complete or to repair.

    Args:
        name, question, hints, because: see `Exercise`.
        service: the name it is deployed under.
        starter: the source the notebook has, with `%%service NAME` above it.
        solution: a source that does what is asked for.
        probe: sends requests and observes; raises `NotYet` with what it saw.
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

    def solution(self) -> Outcome:
        """A source that does what is asked for, and why."""
        told = f"Put this in place of the cell with %%service {self.service}."
        return self._outcome("solution", told, self.because, code=self._solution)

    @property
    def right(self) -> object:
        """The solution's source."""
        return self._solution

    def cell(self, answer: object) -> str:
        """The cell that deploys a source."""
        return f"%%service {self.service}\n{answer}"

    def _check(self) -> Outcome:
        try:
            trial = Trial(current(), self.service)
        except PlaygroundClosed:
            raise CannotCheck(
                "No playground is open.", "Run this notebook's first cell, then the cells below it."
            ) from None
        if refused := trial.pg.refused.get(self.service):
            return self._outcome(
                "error", f"The latest cell with %%service {self.service} was not deployed.", str(refused)
            )
        if same_source(trial.source(), self.starter):
            told = f"The cell with %%service {self.service} is as it was. Change it, run it, then check."
            return self._outcome("not attempted", self.question, told)
        try:
            seen = self._probe(trial)
        except InvocationFailed as error:
            raise Broken(f"A request that should succeed ended with a terminal error: {error.message}") from None
        finally:
            trial.close()
        return self._outcome("correct", *([f"Observed: {seen}"] if seen else []), self.because)


def same_source(one: str, other: str) -> bool:
    """Whether two sources differ in nothing but blank space at the ends of lines."""
    return [line.rstrip() for line in one.strip().splitlines()] == [
        line.rstrip() for line in other.strip().splitlines()
    ]
