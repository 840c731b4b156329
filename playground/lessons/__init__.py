"""The exercises: each asks for something, observes what came of it, and says so.

An exercise is checked by what was *recorded*, never by a variable of the learner's: a prediction is held
against the timeline, a handler is sent requests, its pod is killed, its crash atlas made. An exercise, its
hints and its solution are one object in one place, the module of its lesson; a notebook only mentions its
name. What else learners write, wrong and right, is tried by the tests (`tests/lessons/answers`). A check
does not raise: answers of all kinds come to one of five outcomes (see `outcome`), which are kept in a file
of the learner's (see `progress`).

In a notebook:

    from playground.lessons import durable_steps as lesson

    lesson.emails_sent.predict(...)      # an answer in place of the dots, before the next cell runs
    lesson.emails_sent.check()           # what was recorded?
    lesson.emails_sent.hint()            # three or more, each warmer than the one before
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
    """The exercises of a lesson, by name, in the order in which it asks them."""
    found = {name: value for name, value in vars(load(lesson)).items() if isinstance(value, Exercise)}
    for name, exercise in found.items():
        assert name == exercise.name, f"{lesson}.{name} calls itself {exercise.name}"
    return found


def progress() -> Progress:
    """How far you are: every exercise of the course, and what became of it so far."""
    return Progress({lesson: list(exercises(lesson)) for lesson in LESSONS})


def __getattr__(name: str) -> Any:
    if name in LESSONS:
        return load(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
