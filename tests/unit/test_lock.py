"""requirements.txt is the one lock: it pins what pyproject.toml asks for, and names no place."""

from __future__ import annotations

import ast
import importlib.metadata
import itertools
import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.txt").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", LOCK, re.MULTILINE))


def asked_for() -> list[Requirement]:
    lines = [*PROJECT["dependencies"], *itertools.chain(*PROJECT["optional-dependencies"].values())]
    return [each for each in map(Requirement, lines) if each.name != PROJECT["name"]]


def test_every_direct_dependency_is_locked_within_its_range() -> None:
    for wanted in asked_for():
        locked = PINS.get(wanted.name)
        assert locked, f"{wanted.name} is not in requirements.txt: run `make lock`"
        assert wanted.specifier.contains(locked), f"{wanted} is locked at {locked}: run `make lock`"


def test_what_others_may_have_too_is_a_range() -> None:
    assert [str(each) for each in asked_for() if "==" in str(each.specifier)] == []


def test_the_lock_holds_pins_only() -> None:
    lines = [line for line in LOCK.splitlines() if line and not line.lstrip().startswith("#")]
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.+]+( ; .+)?", line)] == []


def test_the_server_version_is_pinned_in_one_place() -> None:
    from playground.restate.version import SERVER_VERSION

    pinned = re.compile(rf"(?<![\d.]){re.escape(SERVER_VERSION)}(?![\d.])")
    places = [
        path.relative_to(ROOT).as_posix()
        for folder in ("playground", "tests", ".ci", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in {".py", ".toml", ".cfg", ".sh", ".js", ""}
        and path.is_file()
        and pinned.search(path.read_text())
    ]
    assert places == ["playground/restate/version.py"]


def test_what_the_code_imports_is_locked() -> None:
    providers = importlib.metadata.packages_distributions()
    locked = {_canonical(name) for name in PINS}
    missing = {}
    for path in sorted((ROOT / "playground").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            named = [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            named += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for module in {name.split(".")[0] for name in named} - sys.stdlib_module_names - {"playground"}:
                if not locked & {_canonical(name) for name in providers.get(module, [])}:
                    missing[module] = path.name
    assert missing == {}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
