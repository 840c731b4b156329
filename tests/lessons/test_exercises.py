"""Every exercise: right answers pass, every wrong one fails with words that name the mistake."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from playground import lessons
from playground.lessons.exercise import Exercise
from playground.lessons.question import Question
from tests.lessons import answers
from tests.lessons.answers import Answer
from tests.lessons.drive import Drive, checked, courses, drive, read, text

COURSES = courses()
ALL = [(path, lesson, exercise) for path, lesson in COURSES for exercise in lessons.exercises(lesson).values()]


@pytest.fixture(scope="class")
def driven(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    """What the checks of a class's notebook have said."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("learner")))
        yield drive(request.cls.path, request.cls.lesson)


class Answers:
    """All that learners answer in one notebook. It is run once: xdist gives a whole class to one worker (loadscope)."""

    path: Path
    lesson: str

    def test_a_right_answer_is_correct(self, driven: Drive, exercise: Exercise, right: Answer) -> None:
        said = driven.said(exercise.name, right.name)
        assert said.startswith(f"✔ Correct: {exercise.name}"), said

    def test_a_wrong_answer_is_told_its_mistake(self, driven: Drive, exercise: Exercise, wrong: Answer) -> None:
        said = driven.said(exercise.name, wrong.name)
        assert said.startswith((f"✗ Not yet: {exercise.name}", f"! Error: {exercise.name}")), said
        assert wrong.says in said, said


# The last lessons take longest, so they begin first.
for notebook, module in reversed(COURSES):
    named = f"Test{module.title().replace('_', '')}"
    marks = [pytest.mark.local, pytest.mark.lessons]
    globals()[named] = type(named, (Answers,), {"path": notebook, "lesson": module, "pytestmark": marks})


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each class of answers has those to the exercises of its lesson."""
    if metafunc.cls is None:
        return
    kind, known = ("right", answers.right) if "right" in metafunc.fixturenames else ("wrong", answers.wrong)
    lesson = metafunc.cls.lesson
    given = [(exercise, each) for exercise in lessons.exercises(lesson).values() for each in known(lesson, exercise)]
    metafunc.parametrize(("exercise", kind), given, ids=[f"{exercise.name}-{each.name}" for exercise, each in given])


@pytest.mark.parametrize(("path", "lesson", "exercise"), [pytest.param(*a, id=f"{a[1]}-{a[2].name}") for a in ALL])
def test_an_exercise_is_whole(path: Path, lesson: str, exercise: Exercise) -> None:
    assert len(exercise.hints) >= 3
    assert len(set(exercise.hints)) == len(exercise.hints)
    wrong, right = answers.wrong(lesson, exercise), answers.right(lesson, exercise)
    assert len(wrong) >= 3, "at least three typical wrong answers"
    assert len({answer.name for answer in [*wrong, *right]}) == len([*wrong, *right])
    assert all(answer.says for answer in wrong)
    assert repr(exercise.solution()).startswith(f"· Solution: {exercise.name}")

    codes = [cell for cell in read(path).cells if cell.cell_type == "code"]
    blank = exercise.cell(getattr(exercise, "starter", ...))
    given = [cell.source for cell in codes if blank in cell.source]
    assert len(given) == 1, f"the notebook has the unanswered {exercise.name} once"
    checks = [cell for cell in codes if checked(cell.source) == exercise.name]
    assert len(checks) == 1, "and one check"
    assert [line.removeprefix("# ") for line in checks[0].source.splitlines()] == [
        f"lesson.{exercise.name}.{call}()" for call in ("check", "hint", "solution")
    ], "with hint and solution within reach"
    assert text(checks[0]).startswith(f"○ Not attempted: {exercise.name}"), "as committed it is unanswered, and says so"


@pytest.mark.parametrize("module", [found.name for found in pkgutil.iter_modules(answers.__path__)])
def test_answers_are_answers_to_an_exercise(module: str) -> None:
    written = {name for name, each in lessons.exercises(module).items() if not isinstance(each, Question)}
    known = import_module(f"{answers.__name__}.{module}")
    assert set(known.WRONG) == written
    assert set(known.RIGHT) <= written


def test_names_are_unique_in_the_course() -> None:
    names = [name for lesson in lessons.LESSONS for name in lessons.exercises(lesson)]
    assert len(names) == len(set(names))
    assert {lesson for _, lesson in COURSES} == set(lessons.LESSONS), "every lesson has its notebook"
