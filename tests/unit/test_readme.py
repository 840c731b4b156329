"""The README tells all there is to set and to run: what it leaves out does not exist for a newcomer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from playground.__main__ import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
VARIABLES = {
    name
    for path in (ROOT / "playground").rglob("*.py")
    for name in re.findall(r"""["'](PLAYGROUND_[A-Z_]+)["']""", path.read_text())
}


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_every_variable_is_told(name: str) -> None:
    assert f"| `{name}` |" in README


def test_every_command_is_told_and_no_other() -> None:
    commands = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    commands |= {group.name or "" for group in app.registered_groups}
    section = README.partition("## Commands")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == commands


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "notebooks/INSTRUCTOR.md", "docs/cluster.md"])
def test_what_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"`(?:make (\w+)[^`]*)`", text) + re.findall(r"^make (\w+)", text, re.MULTILINE)
    assert named
    assert set(named) <= targets
    for path in re.findall(r"(?:tests|playground)/[\w/]+\.py", text):
        if "NAME" not in path:  # that is yours to choose
            assert (ROOT / path).is_file(), path
