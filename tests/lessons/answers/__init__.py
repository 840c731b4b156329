"""Answers that learners give beside the solution: wrong ones, with what the check has to say, and other right ones.

There is one module for each lesson. Its `WRONG` and `RIGHT` hold, by exercise, sources for what is written in a
notebook. Wrong answers to a question are not in here: they are the question's own mistakes, which its check tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from playground.lessons.exercise import Exercise
from playground.lessons.question import Question


@dataclass(frozen=True, slots=True)
class Variant:
    """A source, told as what it has in place of something in the solution.

    Attributes:
        name: what is wrong or different, in a word or two.
        instead: text of the solution, exactly once in there; empty: `has` is the whole source.
        has: what it has there.
    """

    name: str
    instead: str
    has: str

    def source(self, solution: str) -> str:
        """The whole source."""
        if not self.instead:
            return self.has.strip()
        assert solution.count(self.instead) == 1, f"{self.name}: {self.instead!r} is in the solution not exactly once"
        return solution.replace(self.instead, self.has).strip()


@dataclass(frozen=True, slots=True)
class Right(Variant):
    """A source that does what is asked for, in another way."""


@dataclass(frozen=True, slots=True)
class Wrong(Variant):
    """A source that learners write, and that does not do what is asked for.

    Attributes:
        says: words that the check has to say: they name the mistake.
    """

    says: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What is tried in a notebook.

    Attributes:
        name: what is wrong or different about it; "solution" for the exercise's own.
        answer: a value, or a source.
        says: words of what the check says to it, if it is wrong.
    """

    name: str
    answer: object
    says: str = ""


SOLUTION = "solution"


def wrong(lesson: str, exercise: Exercise) -> list[Answer]:
    """The wrong answers to an exercise."""
    if isinstance(exercise, Question):
        return [Answer(repr(answer), answer, says) for answer, says in exercise.mistakes.items()]
    known = import_module(f"{__name__}.{lesson}").WRONG.get(exercise.name, [])
    return [Answer(each.name, each.source(str(exercise.right)), each.says) for each in known]


def right(lesson: str, exercise: Exercise) -> list[Answer]:
    """The right answers to an exercise; its own solution is the last."""
    others: list[Answer] = []
    if not isinstance(exercise, Question):
        known = import_module(f"{__name__}.{lesson}").RIGHT.get(exercise.name, [])
        others = [Answer(each.name, each.source(str(exercise.right))) for each in known]
    return [*others, Answer(SOLUTION, exercise.right)]
