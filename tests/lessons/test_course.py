"""The course's prose: short, linked, defined before use, and right about numbers."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from typing import Any

import nbformat
import pytest

from playground import lessons
from playground.backends.local.binary import find_server
from playground.cli.notebooks import FOLDER
from playground.lessons import course
from tests.lessons import answers

LESSONS = course.notebooks(FOLDER)
BOOKS = sorted(FOLDER.glob("*.ipynb"))
MOST_WORDS = 120


@cache
def cells(lesson: str, kind: str) -> list[str]:
    notebook = nbformat.read(LESSONS[lesson], as_version=4)
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def prose(lesson: str) -> str:
    return "\n\n".join(cells(lesson, "markdown"))


def flat(text: str) -> str:
    return " ".join(text.split())


def test_the_lessons_are_in_the_order_of_their_files() -> None:
    assert tuple(LESSONS) == lessons.LESSONS
    exercises = [(lesson, each) for lesson in lessons.LESSONS for each in lessons.exercises(lesson).values()]
    assert len(exercises) >= 30
    assert sum(len(answers.wrong(lesson, exercise)) for lesson, exercise in exercises) >= 90
    assert {exercise.kind for _, exercise in exercises} >= {"predict", "write", "read"}


def test_the_glossary_is_what_the_lessons_say() -> None:
    committed = (FOLDER / course.GLOSSARY).read_text("utf-8")
    assert committed == course.glossary(FOLDER), "python -m playground notebooks"


def words(markdown: str) -> int:
    without_code = re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)
    return len(re.sub(r"\]\([^)]*\)", "]", without_code).split())


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_cells_are_short_and_pictures_have_words(path: Any) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            assert words(cell.source) <= MOST_WORDS, f"{words(cell.source)} words: {cell.source[:60]}"
            assert not re.search(r"!\[\s*\]\(|<img(?![^>]*alt=)", cell.source), "a picture without its words"
        elif cell.cell_type == "code":
            assert cell.execution_count is not None, f"never executed: {cell.source[:60]}"
            for output in cell.outputs:
                assert output.output_type != "error", f"ends with a traceback: {cell.source[:60]}"
                data = output.get("data", {})
                if any(mime.startswith("image/") for mime in data):
                    assert data.get("text/plain", "").strip(), "a picture without its text"


@pytest.mark.parametrize("lesson", lessons.LESSONS)
def test_a_term_is_introduced_where_it_is_first_used(lesson: str) -> None:
    """In italics, in the lesson that defines it, and not used in an earlier one."""
    earlier = lessons.LESSONS[: lessons.LESSONS.index(lesson)]
    for term in course.terms(lesson):
        assert re.search(rf"\*{re.escape(term.name)}\w*\*", flat(prose(lesson)), re.IGNORECASE), (
            f"{term.name} is not introduced in italics"
        )
        for other in earlier:
            said = re.sub(r"`[^`]*`|\[[^\]]*\]\([^)]*\)", "", flat(prose(other)))
            # What a later lesson is about may be announced by its name: "lesson 05, Sagas".
            said = re.sub(r"(?i)lesson \d\d[^.]*\.", "", said)
            assert not re.search(rf"\b{re.escape(term.name)}\b", said), f"{term.name} is used in {other} already"


@pytest.mark.parametrize("lesson", lessons.LESSONS)
def test_a_lesson_links_what_it_states(lesson: str) -> None:
    text = prose(lesson)
    assert "https://docs.restate.dev/" in text
    for term in course.terms(lesson):
        assert not term.page or term.page in text, f"{term.name}: the notebook does not link {term.page}"
    for claim in course.claims(lesson):
        assert claim.says in flat(text), f"the notebook does not say {claim.says!r}"
        assert claim.page in text, f"the notebook does not link {claim.page}"


def all_claims() -> Iterator[Any]:
    for lesson in lessons.LESSONS:
        for claim in course.claims(lesson):
            yield pytest.param(claim, id=f"{lesson}-{claim.setting}")


@pytest.fixture(scope="module")
def configuration() -> dict[str, Any]:
    """The server's own word on its defaults."""
    dumped = subprocess.run([find_server().path, "--dump-config"], capture_output=True, text=True, check=True, env={})
    return tomllib.loads(dumped.stdout)


@pytest.mark.local
@pytest.mark.parametrize("claim", list(all_claims()))
def test_a_number_is_the_servers(configuration: dict[str, Any], claim: Any) -> None:
    found: Any = configuration
    for part in claim.setting.split("."):
        assert part in found, f"the server has no setting {claim.setting}"
        found = found[part]
    assert str(found) == claim.value
