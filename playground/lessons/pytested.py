"""Running test functions from notebook cells under pytest, in a process of its own, on several versions of a service.

A test is a function that takes a playground: `def test_it(pg)`. Under pytest, `pg` is a fixture: a separate playground
with one version of the service deployed and an empty ledger. It does not touch the notebook's playground. State is kept
from one test to the next, so tests of services with state need different keys. The functions are written to a file
unchanged, together with what they use from the notebook.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.core.paths import CHECKOUT
from playground.core.text import table
from playground.lessons.feedback import Broken, CannotCheck

PATIENCE = 180.0
"""Seconds that all tests together may take."""

CONFTEST = '''\
import json
import os
from pathlib import Path

import pytest

from playground import Playground
from playground.errors import PlaygroundError

HERE = Path(__file__).parent
PLAN = json.loads((HERE / "plan.json").read_text("utf-8"))
SERVICES = PLAN["services"]


@pytest.fixture(scope="session")
def world():
    """A playground for all tests, always on this machine: on a cluster the namespace belongs to the notebook."""
    with Playground.open("local") as playground:
        yield playground


@pytest.fixture(params=list(SERVICES))
def pg(request, world):
    """The playground with one version of the service, and an outside world that behaves and has no memory."""
    world.ledger.behave()
    world.ledger.clear()
    world.deploy(name=PLAN["name"], source=SERVICES[request.param], breaking=True)
    yield world
    for invocation in world.invocations:
        if not invocation.trace.done:
            try:
                invocation.kill()  # what one test leaves running must not disturb the next
            except PlaygroundError:
                pass


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: list(SERVICES).index(item.callspec.params["pg"]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" or report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        verdict = {
            "test": item.originalname,
            "service": item.callspec.params["pg"],
            "when": report.when,
            "passed": report.passed,
            "message": crash.message if crash else str(report.longrepr or ""),
        }
        with (HERE / "verdicts.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(verdict) + os.linesep)
        if PLAN["first"] and report.failed and verdict["service"] == list(SERVICES)[0]:
            item.session.shouldstop = "a test fails on the first service"
    return report
'''


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one test on one version of a service.

    Attributes:
        test: the name of the function.
        service: the version of the service.
        passed: whether it passed.
        message: the first lines that say why not.
    """

    test: str
    service: str
    passed: bool
    message: str


class Report:
    """The results of several tests on several versions of a service.

    Attributes:
        verdicts: one per test and version.
    """

    def __init__(self, verdicts: Iterable[Verdict]) -> None:
        self.verdicts = list(verdicts)

    def failed(self, service: str) -> list[Verdict]:
        """The tests that failed on a version."""
        return [verdict for verdict in self.verdicts if verdict.service == service and not verdict.passed]

    def __repr__(self) -> str:
        services = list(dict.fromkeys(verdict.service for verdict in self.verdicts))
        rows: dict[str, list[str]] = {}
        for verdict in self.verdicts:
            rows.setdefault(verdict.test, []).append("passed" if verdict.passed else "FAILED")
        tests = table(["test", *services], [[name, *cells] for name, cells in rows.items()])
        why = [
            f"{v.test}, {v.service}: {v.message}" if len(services) > 1 else f"{v.test}: {v.message}"
            for v in self.verdicts
            if not v.passed and v.message
        ]
        return "\n".join([tests, *([""] if why else []), *why])


def run(
    tests: Iterable[Callable[..., Any]], services: Mapping[str, str], *, name: str, stop_if_first_fails: bool = False
) -> Report:
    """Run tests under pytest, each on each version of a service.

    Args:
        tests: functions that take `pg`.
        services: the sources of the versions, by their names.
        name: the name that each is deployed under.
        stop_if_first_fails: skip the other versions if a test fails on the first.

    Raises:
        CannotCheck: pytest is not installed, or did not run.
        Broken: the tests do not end.
    """
    if importlib.util.find_spec("pytest") is None:
        raise CannotCheck("pytest is not installed here.", "pip install pytest")
    with tempfile.TemporaryDirectory(prefix="playground-tests-") as folder:
        here = Path(folder)
        plan = {"name": name, "services": dict(services), "first": stop_if_first_fails}
        (here / "plan.json").write_text(json.dumps(plan), "utf-8")
        (here / "conftest.py").write_text(CONFTEST, "utf-8")
        (here / "pytest.ini").write_text("[pytest]\n", "utf-8")
        (here / "test_notebook.py").write_text(as_file(tests), "utf-8")
        printed = _pytest(here)
        verdicts = here / "verdicts.jsonl"
        if not verdicts.exists():
            raise CannotCheck("pytest did not get as far as running a test.", "\n".join(printed.splitlines()[-12:]))
        return Report(_verdicts(verdicts.read_text("utf-8")))


def as_file(tests: Iterable[Callable[..., Any]]) -> str:
    """The source of a test file with these functions, and everything they use from where they were written."""
    wanted: list[Callable[..., Any]] = list(tests)
    uses: dict[str, str] = {}
    for test in wanted:
        _collect(test, uses)
    for test in wanted:
        uses.pop(test.__name__, None)
    # Annotations do not count as used, so what they name may be missing: they must not be evaluated.
    return "\n\n".join(["from __future__ import annotations", *uses.values(), *map(source, wanted)]) + "\n"


def source(function: Callable[..., Any]) -> str:
    """A function's source as it was written, without its decorators, except for pytest's.

    Raises:
        Broken: the source cannot be found.
    """
    try:
        text = textwrap.dedent(inspect.getsource(function))
        (node,) = ast.parse(text).body
    except (OSError, TypeError, SyntaxError, ValueError):
        raise Broken(f"The source of {function.__name__} cannot be found. Write it with def, in a cell.") from None
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    lines = text.splitlines()
    kept = [
        "\n".join(lines[decorator.lineno - 1 : decorator.end_lineno])
        for decorator in node.decorator_list
        if ast.unparse(decorator).startswith("pytest.")
    ]
    return "\n".join([*kept, *lines[node.lineno - 1 :]])


def _collect(function: Callable[..., Any], uses: dict[str, str]) -> None:
    """Collect what a function uses from its module, as source: imports, functions and plain values."""
    space = getattr(function, "__globals__", {})
    for name in _names(function.__code__):
        if name in uses or name not in space or not name.isidentifier():
            continue
        value = space[name]
        if isinstance(value, types.ModuleType):
            uses[name] = f"import {value.__name__} as {name}"
        elif getattr(value, "__module__", None) not in (None, "__main__", function.__module__):
            uses[name] = f"from {value.__module__} import {getattr(value, '__name__', name)} as {name}"
        elif isinstance(value, types.FunctionType):
            uses[name] = ""  # first, so that two functions may use each other
            _collect(value, uses)
            uses[name] = source(value)
        elif isinstance(value, str | int | float | bool | list | tuple | dict | set | None):
            uses[name] = f"{name} = {value!r}"


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _names(inner)


def _pytest(here: Path) -> str:
    """Run pytest in a folder. Returns what it printed."""
    root = str(CHECKOUT)
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", str(here)],
        cwd=here,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # so that an interrupt of the kernel does not reach it; it is ended below
    )
    try:
        return process.communicate(timeout=PATIENCE)[0]
    except subprocess.TimeoutExpired:
        raise Broken(f"The tests have not ended within {PATIENCE:g} s.") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # its playgrounds end with it
            process.communicate()


def _verdicts(text: str) -> Iterator[Verdict]:
    for line in text.splitlines():
        one = json.loads(line)
        # Keep the first lines of a failed assertion. Pytest's explanation below them contains ids and times.
        lines = [
            text.strip() for text in one["message"].splitlines() if text.strip() and not text.startswith((" +", "  "))
        ]
        if len(lines) > 1 and lines[-1] in ("assert False", "assert not True"):
            lines = lines[:-1]
        message = " ".join(lines[:2]).removeprefix("AssertionError: ")
        yield Verdict(one["test"], one["service"], one["passed"], "" if one["passed"] else message)
