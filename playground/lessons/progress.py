"""The learner's progress: the feedback of each exercise, kept in one small file.

It holds nothing but names and kinds of feedback: {"emails_sent": "correct"}. It is never half written, because a new
file is written beside it, and then replaces it. If it cannot be written, the lesson goes on.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from playground.core.paths import data_home
from playground.core.text import table

KEPT = ("correct", "not yet", "error")
_SHAPES = {"correct": "✔ correct", "not yet": "✗ not yet", "error": "! error"}


def path() -> Path:
    """The file: PLAYGROUND_PROGRESS, or `progress.json` in the data home."""
    named = os.environ.get("PLAYGROUND_PROGRESS")
    return Path(named) if named else data_home() / "progress.json"


def read() -> dict[str, str]:
    """The kind of feedback by exercise; empty if there is no readable file."""
    try:
        kinds = json.loads(path().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: kind for name, kind in kinds.items() if kind in KEPT} if isinstance(kinds, dict) else {}


def note(exercise: str, kind: str) -> None:
    """Remember feedback. An exercise that was once correct stays correct, so trying something else costs nothing."""
    if kind not in KEPT:
        return
    known = read()
    if known.get(exercise) in (kind, "correct"):
        return
    target = path()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:  # removed even if something fails
            whole = Path(folder) / target.name
            whole.write_text(json.dumps({**known, exercise: kind}, indent=1, sort_keys=True), "utf-8")
            whole.replace(target)
    except OSError:
        pass  # the disk is full, or the home is read-only: the lesson goes on


class Progress:
    """How far the learner is.

    Args:
        course: the names of the exercises by lesson, in order.
    """

    def __init__(self, course: Mapping[str, Sequence[str]]) -> None:
        known = read()
        self._rows = [
            (lesson.replace("_", " "), name, _SHAPES.get(known.get(name, ""), "○ not attempted"))
            for lesson, names in course.items()
            for name in names
        ]

    @property
    def done(self) -> int:
        """How many exercises are correct."""
        return sum(row[2] == _SHAPES["correct"] for row in self._rows)

    def __repr__(self) -> str:
        return table(["lesson", "exercise", ""], self._rows, f"{self.done} of {len(self._rows)} exercises are correct.")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        head = "<tr><th>lesson</th><th>exercise</th><th></th></tr>"
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self._rows)
        caption = f"<p>{self.done} of {len(self._rows)} exercises are correct.</p>"
        return {"text/plain": repr(self), "text/html": f"{caption}<table>{head}{rows}</table>"}
