"""The exercises: each asks for something, observes the result, and gives feedback.

An exercise is checked against what was *recorded*, never against a variable in the notebook: a prediction is compared
with the timeline; a handler gets requests, its pod is killed, its crash atlas is made. An exercise with its hints and
its solution is one object in the module of its lesson; a notebook only mentions its name. The tests also try other
answers that learners give, wrong and right (`tests/lessons/answers`). A check does not raise: every answer leads to one
of five kinds of feedback (see `feedback`), which is remembered in a file of the learner's (see `progress`).

In a notebook:

    from playground.lessons import durable_steps as lesson

    lesson.emails_sent.predict(...)      # your answer in place of the dots, before you run the next cell
    lesson.emails_sent.check()           # what was recorded?
    lesson.emails_sent.hint()            # there are at least three, and each helps more than the one before
    lesson.emails_sent.solution()
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

from playground.lessons.exercise import Exercise
from playground.lessons.progress import Progress

LESSONS: tuple[str, ...] = (
    "start_here",
    "virtual_objects",
    "durable_steps",
    "awakeables",
    "signup_end_to_end",
    "sagas",
    "exactly_once",
    "workflows",
    "changing_code",
    "testing_durable_code",
    "capstone",
)
"""The modules that hold exercises, in the order of the course."""


def load(lesson: str) -> ModuleType:
    """The module of a lesson."""
    return import_module(f"playground.lessons.{lesson}")


def exercises(lesson: str) -> dict[str, Exercise]:
    """The exercises of a lesson by name, in the order in which they are asked."""
    named = {name: value for name, value in vars(load(lesson)).items() if isinstance(value, Exercise)}
    for name, exercise in named.items():
        assert name == exercise.name, f"{lesson}.{name} calls itself {exercise.name}"
    return named


def progress() -> Progress:
    """How far you are: every exercise of the course, with its latest feedback."""
    return Progress({lesson: list(exercises(lesson)) for lesson in LESSONS})


def __getattr__(name: str) -> Any:
    if name in LESSONS:
        return load(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
