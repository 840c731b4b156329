"""Test: write a test. Checked by running it, on a service as it should be and on others with a bug each.

A test is worth what it finds. So the learner's passes where nothing is wrong, and fails for every mutant: a copy
of the service with one bug put in. The outcome says which bug slipped through.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from playground.lessons import pytested
from playground.lessons.exercise import Exercise
from playground.lessons.outcome import NotYet, Outcome
from playground.lessons.write import same_source

RIGHT = "as it should be"
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Bug:
    """What is put into a service to make a mutant of it.

    Attributes:
        name: what is wrong with it, in a word or two.
        instead: text of the service's source, exactly once in there.
        has: what the mutant has there.
        says: what is told of a mutant that no test finds.
    """

    name: str
    instead: str
    has: str
    says: str

    def put_into(self, source: str) -> str:
        """The mutant's source."""
        assert source.count(self.instead) == 1, f"{self.name}: {self.instead!r} is in the source not exactly once"
        return source.replace(self.instead, self.has)


class Test(Exercise):
    """A test to write.

    Args:
        name, question, hints, because: see `Exercise`.
        service: the name the service is deployed under.
        correct: its source, with nothing wrong.
        bugs: what to put in it, one at a time, for the mutants.
        starter: the test the notebook has, with `@lesson.NAME.test` above it.
        solution: a test that finds all bugs.
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
        bugs: Sequence[Bug],
        starter: str,
        solution: str,
        hints: Sequence[str],
        because: str,
    ) -> None:
        super().__init__(name, question, hints=hints, because=because)
        self._service, self._correct, self._bugs = service, correct, tuple(bugs)
        self.starter, self._solution = starter.strip(), solution.strip()
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
        versions = {RIGHT: self._correct, **{bug.name: bug.put_into(self._correct) for bug in self._bugs}}
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
