"""The course as a whole: which notebook holds which lesson, and the glossary.

A notebook belongs to the lesson that it imports, whatever its file is called:
`from playground.lessons import start_here as lesson`.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

from playground import lessons
from playground.lessons.facts import Claim, Term

_IMPORT = re.compile(r"^from playground\.lessons import (\w+) as lesson$", re.MULTILINE)
GLOSSARY = "GLOSSARY.md"


def notebooks(folder: Path) -> dict[str, Path]:
    """The notebook of each lesson in a folder, in the order of file names."""
    by_lesson = {}
    for path in sorted(folder.glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code" and (named := _IMPORT.search(cell.source)):
                by_lesson[named[1]] = path
    return by_lesson


def terms(lesson: str) -> tuple[Term, ...]:
    """The terms that a lesson introduces."""
    return getattr(lessons.load(lesson), "TERMS", ())


def claims(lesson: str) -> tuple[Claim, ...]:
    """The numbers that a lesson states about Restate's defaults."""
    return getattr(lessons.load(lesson), "CLAIMS", ())


def glossary(folder: Path) -> str:
    """The glossary as Markdown: every term of every lesson, with the lesson that introduces it."""
    where = notebooks(folder)
    entries = []
    for lesson in lessons.LESSONS:
        path = where[lesson]
        title = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0].lstrip("# ")
        for term in terms(lesson):
            page = f" [Documentation]({term.page})." if term.page else ""
            entries.append((term.name.casefold(), f"**{term.name}**: {term.meaning}{page} ([{title}]({path.name}))"))
    head = "# Glossary\n\nEvery term of the course, in plain words, with the lesson that introduces it.\n"
    return "\n".join([head, *(f"* {text}" for _, text in sorted(entries)), ""])
