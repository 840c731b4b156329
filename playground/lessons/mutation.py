"""Test: an exercise to write a test. It is checked by running the test on a correct service and on mutants of it.

A test is worth what it finds. So the learner's test must pass on the correct service, and fail for every mutant, which
is a copy of the service with one bug in it. The feedback says which bug slipped through.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from playground.lessons import pytested
from playground.lessons.exercise import Exercise
from playground.lessons.feedback import Feedback, NotYet
from playground.lessons.write import same_source

RIGHT = "as it should be"
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Bug:
    """A change to a service that makes a mutant of it.

    Attributes:
        name: what is wrong, in a few words.
        instead: a text that occurs exactly once in the service's source.
        has: what the mutant has in its place.
        says: the feedback if no test finds the mutant.
    """

    name: str
    instead: str
    has: str
    says: str

    def put_into(self, source: str) -> str:
        """The mutant's source."""
        assert source.count(self.instead) == 1, f"{self.name}: the source must have {self.instead!r} exactly once"
        return source.replace(self.instead, self.has)


class Test(Exercise):
    """An exercise to write a test.

    Args:
        name, question, hints, because: see `Exercise`.
        service: the name that the service is deployed under.
        correct: its source, without a bug.
        bugs: the bugs of the mutants.
        starter: the test in the notebook, with `@lesson.NAME.test` above it.
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
        """Decorate a test. All tests that are decorated in one cell are checked together. The latest cell counts."""
        cell = function.__code__.co_filename
        if cell != self._cell:
            self._cell, self._tests = cell, {}
        self._tests[function.__name__] = function
        return function

    def solution(self) -> Feedback:
        """A test that finds all bugs, and why it does."""
        where = f"Put this in place of the cell with @lesson.{self.name}.test."
        return self._feedback("solution", where, self.because, code=self.cell(self._solution))

    @property
    def right(self) -> object:
        """The solution's source."""
        return self._solution

    def cell(self, answer: object) -> str:
        """The cell that holds a test."""
        return f"@lesson.{self.name}.test\n{answer}"

    def _check(self) -> Feedback:
        if not self._tests:
            todo = f"Run the cell with @lesson.{self.name}.test, then check."
            return self._feedback("not attempted", self.question, todo)
        tests = list(self._tests.values())
        if len(tests) == 1 and same_source(pytested.source(tests[0]), self.starter):
            todo = f"The test under @lesson.{self.name}.test is as it was. Change it, run its cell, then check."
            return self._feedback("not attempted", self.question, todo)
        for test in tests:
            if not test.__name__.startswith("test"):
                return self._feedback("error", f"pytest only runs functions named test_..., not {test.__name__}.")
            if "pg" not in inspect.signature(test).parameters:
                return self._feedback("error", f"{test.__name__} takes no pg, the playground to test.")
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
        bugs = ", ".join(f"“{bug.name}”" for bug in self._bugs)
        return self._feedback("correct", f"Observed: it passes as it should, and finds {bugs}.", self.because)
