"""Test: write a test. Checked by running it, on a service as it should be and on others with a bug each.

A test is worth what it finds. So the learner's passes where nothing is wrong, and fails for every mutant: a copy
of the service with one bug put in. The outcome says which bug slipped through.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from playground.lessons import pytested
from playground.lessons.exercise import Exercise, WrongAnswer
from playground.lessons.outcome import NotYet, Outcome
from playground.lessons.write import Wrong, same_source

RIGHT = "as it should be"
F = TypeVar("F", bound=Callable[..., Any])


class Test(Exercise):
    """A test to write.

    Args:
        name, question, hints, because: see `Exercise`.
        service: the name the service is deployed under.
        correct: its source, with nothing wrong.
        bugs: what to put in it, one at a time, for the mutants; `says` is what is told of one that slipped through.
        starter: the test the notebook has, with `@lesson.NAME.test` above it.
        solution: a test that finds all bugs.
        wrong: tests that do not, at least three.
    """

    __test__ = False  # for pytest
    kind = "test"

    def __init__(
        self,
        name: str,
        question: str,
        *,
        service: str,
        correct: str,
        bugs: Sequence[Wrong],
        starter: str,
        solution: str,
        wrong: Sequence[WrongAnswer],
        hints: Sequence[str],
        because: str,
    ) -> None:
        super().__init__(name, question, hints=hints, because=because)
        self._service, self._correct, self._bugs = service, correct, tuple(bugs)
        self.starter, self._solution, self._wrong = starter.strip(), solution.strip(), list(wrong)
        self._tests: dict[str, Callable[..., Any]] = {}
        self._cell = ""

    def test(self, function: F) -> F:
        """Decorates a test. All tests decorated in one cell are checked together; the latest such cell counts."""
        cell = function.__code__.co_filename
        if cell != self._cell:
            self._cell, self._tests = cell, {}
        self._tests[function.__name__] = function
        return function

    def solution(self) -> Outcome:
        """A test that finds all bugs, and why it does."""
        told = f"Put this in place of the cell with @lesson.{self.name}.test."
        return self._outcome("solution", told, self.because, code=self.cell(self._solution))

    @property
    def wrong(self) -> list[WrongAnswer]:
        """The tests it knows that miss something."""
        return [WrongAnswer(wrong.name, str(wrong.answer).strip(), wrong.says) for wrong in self._wrong]

    @property
    def right(self) -> object:
        """The solution's source."""
        return self._solution

    def cell(self, answer: object) -> str:
        """The cell that holds a test."""
        return f"@lesson.{self.name}.test\n{answer}"

    def _check(self) -> Outcome:
        if not self._tests:
            told = f"Run the cell with @lesson.{self.name}.test, then check."
            return self._outcome("not attempted", self.question, told)
        tests = list(self._tests.values())
        if len(tests) == 1 and same_source(pytested.source(tests[0]), self.starter):
            told = f"The test under @lesson.{self.name}.test is as it was. Change it, run its cell, then check."
            return self._outcome("not attempted", self.question, told)
        for test in tests:
            if not test.__name__.startswith("test"):
                return self._outcome("error", f"pytest runs what is called test_...; this is {test.__name__}.")
            if "pg" not in inspect.signature(test).parameters:
                return self._outcome("error", f"{test.__name__} takes no pg. It is to test the playground it is given.")
        versions = {RIGHT: self._correct, **{bug.name: bug.source(self._correct) for bug in self._bugs}}
        report = pytested.run(tests, versions, name=self._service, stop_if_first_fails=True)
        if alarm := report.failed(RIGHT):
            raise NotYet(
                f"{alarm[0].test} fails on the service as it should be. {alarm[0].message}".rstrip(),
                "it passes there",
                "A test that fails where nothing is wrong is soon switched off.",
            )
        slipped = [bug for bug in self._bugs if not report.failed(bug.name)]
        names = ", ".join(f"“{bug.name}”" for bug in slipped)
        if slipped:
            raise NotYet(
                f"{len(self._bugs) - len(slipped)} of {len(self._bugs)} bugs are found. Slipped through: {names}.",
                "for each bug at least one test fails",
                slipped[0].says,
            )
        found = ", ".join(f"“{bug.name}”" for bug in self._bugs)
        return self._outcome("correct", f"Observed: it passes as it should, and finds {found}.", self.because)
