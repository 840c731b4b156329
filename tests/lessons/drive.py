"""Run a notebook as learners would who try every wrong answer they know, and then the right ones.

A committed notebook is unanswered. Here every answer's cell is given the solution, and before each check stand all
other answers, each followed by a check of its own. It runs in a real kernel, from the top to the last check, once; so
an answer is checked at the very place, and in the very state, in which a learner would be.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from playground import lessons
from playground.cli.notebooks import FOLDER, by_sockets
from playground.lessons import course
from playground.lessons.exercise import Exercise
from tests.lessons import answers

CELL_TIMEOUT = 120


@dataclass
class Drive:
    """What the checks said.

    Attributes:
        outcomes: (exercise, an answer's name) -> the text of the outcome.
        broken: what ended the run before its time; empty if nothing did.
    """

    outcomes: dict[tuple[str, str], str] = field(default_factory=dict)
    broken: str = ""

    def said(self, exercise: str, answer: str) -> str:
        """What the check said to an answer; a test whose answer was not come to fails."""
        if (exercise, answer) not in self.outcomes:
            pytest.fail(f"the run did not come to this answer: {self.broken or 'no check of it is in the notebook'}")
        return self.outcomes[exercise, answer]


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def courses() -> list[tuple[Path, str]]:
    """Notebooks with exercises: (path, lesson module)."""
    return [(path, lesson) for lesson, path in course.notebooks(FOLDER).items() if lesson in lessons.LESSONS]


def drive(path: Path, lesson: str) -> Drive:
    """Run a notebook with all its exercises' answers, wrong and right."""
    notebook = answered(read(path), lesson)
    found = Drive()
    try:
        with tempfile.TemporaryDirectory() as folder:
            client = NotebookClient(
                notebook,
                timeout=CELL_TIMEOUT,
                kernel_name="python3",
                config=by_sockets(folder),
                resources={"metadata": {"path": str(path.parent)}},
            )
            client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        found.broken = str(error)
    for cell in notebook.cells:
        if (who := cell.metadata.get("answer")) and cell.outputs:
            found.outcomes[tuple(who)] = text(cell)
    return found


def answered(notebook: Any, lesson: str) -> Any:
    """The notebook with the solutions in, and for each check all answers, each with a check of its own."""
    exercises = lessons.exercises(lesson)
    cells = []
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    last = max(at for at, cell in enumerate(codes) if checked(cell.source))
    for cell in codes[: last + 1]:
        if (name := checked(cell.source)) is None:
            cells.append(_code(_with_solutions(cell.source, exercises)))
            continue
        exercise = exercises[name]
        for each in [*answers.wrong(lesson, exercise), *answers.right(lesson, exercise)]:
            cells += [_code(exercise.cell(each.answer)), _code(f"lesson.{name}.check()", name, each.name)]
    return nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)


def checked(source: str) -> str | None:
    """The exercise that a cell checks."""
    found = re.match(r"lesson\.(\w+)\.check\(\)", source)
    return found[1] if found else None


def _with_solutions(source: str, exercises: dict[str, Exercise]) -> str:
    for exercise in exercises.values():
        if exercise.kind != "write":
            source = source.replace(exercise.cell(...), exercise.cell(exercise.right))
    return source


def _code(source: str, *answer: str) -> Any:
    return nbformat.v4.new_code_cell(source, metadata={"answer": list(answer)} if answer else {})


def text(cell: Any) -> str:
    """What a cell shows in the end, as text: a check that makes an atlas shows its progress before."""
    for output in cell.outputs[-1:]:
        return str(output.get("text") or output.get("data", {}).get("text/plain") or output.get("evalue", ""))
    return ""
