"""Exercises that are a test to write: run by a real pytest, on a real service and its mutants."""

from __future__ import annotations

import importlib.util
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from playground.lessons import pytested
from playground.lessons.feedback import Broken
from playground.lessons.mutation import Bug, Test
from playground.lessons.pytested import Report, Verdict
from tests.lessons import learners

SERVICE = """
import restate

adder = restate.Service("Adder")


@adder.handler()
async def add(ctx: restate.Context, numbers: list) -> int:
    return numbers[0] + numbers[1]
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


def exercise() -> Test:
    return Test(
        "adds",
        "Test Adder/add.",
        service="adder",
        correct=SERVICE,
        bugs=[
            Bug("multiplies", "numbers[0] + numbers[1]", "numbers[0] * numbers[1]", says="Two and two is four twice."),
            Bug("forgets one", "numbers[0] + numbers[1]", "numbers[0]", says="Is the second number looked at?"),
        ],
        starter="def test_it(pg):\n    pass",
        solution=pytested.source(learners.test_two_and_three),
        hints=["one", "two", "three"],
        because="Not every sum is a product.",
    )


def written(*tests: Callable[..., Any]) -> Test:
    found = exercise()
    for test in tests:
        assert found.test(test) is test, "it stays what it is"
    return found


# -- without a server -------------------------------------------------------------------------------


def test_a_file_holds_the_tests_and_what_they_use() -> None:
    text = pytested.as_file([learners.test_two_and_two, learners.test_two_and_three])
    compiled = compile(text, "test_notebook.py", "exec")
    space: dict[str, Any] = {}
    exec(compiled, space)
    assert space["NUMBERS"] == [2, 2]
    assert space["expected"]() == 4
    assert "import json as json" in text
    assert "# a comment that stays" in text
    assert text.count("def test_two_and_two") == 1


def test_what_decorates_a_test_stays_only_if_it_is_pytests() -> None:
    def same(function: Any) -> Any:
        return function

    @same
    @pytest.mark.parametrize(
        "number",
        [1, 2],
    )
    def test_it(pg: Any, number: int) -> None:
        pass

    text = pytested.source(test_it)
    assert text.startswith("@pytest.mark.parametrize(\n")
    assert "same" not in text


def test_a_function_without_a_source() -> None:
    space: dict[str, Any] = {}
    exec("def test_it(pg):\n    pass", space)
    with pytest.raises(Broken, match="Write it with def"):
        pytested.source(space["test_it"])
    said = written(space["test_it"]).check()
    assert (said.kind, "Write it with def" in said.text) == ("error", True)


def test_a_test_that_is_not_written_yet() -> None:
    unasked = exercise()
    assert unasked.check().kind == "not attempted"
    assert "Run the cell with @lesson.adds.test" in unasked.check().text

    said = written(learners.test_nothing_yet)
    said.starter = pytested.source(learners.test_nothing_yet)
    assert said.check().kind == "not attempted"
    assert "is as it was" in said.check().text


def test_what_is_no_test() -> None:
    assert (
        "pytest only runs functions named test_..., not without_a_playground."
        in written(learners.without_a_playground).check().text
    )
    assert "takes no pg" in written(learners.test_without_a_playground).check().text


def test_another_cell_takes_the_place_of_the_one_before() -> None:
    found = written(learners.test_two_and_two)
    space: dict[str, Any] = {}
    exec(compile("def test_it(pg):\n    pass", "<another cell>", "exec"), space)
    found.test(space["test_it"])
    assert list(found._tests) == ["test_it"]


def test_the_cell_of_an_answer() -> None:
    found = exercise()
    assert found.cell(found.starter) == "@lesson.adds.test\ndef test_it(pg):\n    pass"
    assert repr(found.solution()).startswith("· Solution: adds")
    assert "@lesson.adds.test" in found.solution().code


def test_a_report_as_a_table() -> None:
    verdicts = [Verdict("test_a", "right", True, ""), Verdict("test_a", "mutant", False, "assert 2 == 1")]
    assert repr(Report(verdicts)).splitlines() == [
        "test    right   mutant",
        "──────  ──────  ──────",
        "test_a  passed  FAILED",
        "",
        "test_a, mutant: assert 2 == 1",
    ]


def test_there_is_no_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    said = written(learners.test_two_and_three).check()
    assert (said.kind, said.text) == ("cannot check", "pytest is not installed here.\npip install pytest")


def test_pytest_that_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytested, "CONFTEST", "import no_such_module\n")
    said = written(learners.test_two_and_three).check()
    assert said.kind == "cannot check"
    assert "no_such_module" in said.text


@pytest.mark.local
def test_tests_that_do_not_end_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytested, "PATIENCE", 0.5)
    said = written(learners.test_that_never_ends).check()
    assert (said.kind, said.text) == ("error", "The tests have not ended within 0.5 s.")


# -- with one ---------------------------------------------------------------------------------------


@pytest.mark.local
def test_a_test_that_finds_every_bug() -> None:
    said = written(learners.test_two_and_three).check()
    assert said.kind == "correct", said
    assert "finds “multiplies”, “forgets one”" in said.text


@pytest.mark.local
def test_a_bug_that_slips_through() -> None:
    said = written(learners.test_two_and_two).check()
    assert said.kind == "not yet"
    assert said.text.splitlines()[:3] == [
        "Observed: 1 of 2 bugs are found. Slipped through: “multiplies”.",
        "Expected: for each bug at least one test fails",
        "Two and two is four twice.",
    ]


@pytest.mark.local
def test_a_test_that_fails_where_nothing_is_wrong() -> None:
    said = written(learners.test_wrong, learners.test_two_and_three).check()
    assert said.kind == "not yet"
    assert said.text.startswith("Observed: test_wrong fails on the service as it should be. assert 2 == 3\n")


@pytest.mark.local
def test_several_tests_on_several_versions() -> None:
    versions = {"right": SERVICE, "mutant": SERVICE.replace("+", "*")}
    report = pytested.run([learners.test_two_and_two, learners.test_two_and_three], versions, name="adder")
    assert repr(report) == textwrap.dedent(
        """\
        test                right   mutant
        ──────────────────  ──────  ──────
        test_two_and_two    passed  passed
        test_two_and_three  passed  FAILED

        test_two_and_three, mutant: two and three assert 6 == 5"""
    )
