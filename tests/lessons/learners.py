"""Tests as learners write them in a notebook, for the exercises that ask for one. pytest does not look in here."""

from __future__ import annotations

import json
import threading
from typing import Any

NUMBERS = [2, 2]


def expected() -> int:
    return sum(json.loads(json.dumps(NUMBERS)))


def test_two_and_two(pg: Any) -> None:
    assert pg.call("Adder/add", NUMBERS) == expected()


def test_two_and_three(pg: Any) -> None:
    # a comment that stays
    assert pg.call("Adder/add", [2, 3]) == 5, "two and three"


def test_wrong(pg: Any) -> None:
    assert pg.call("Adder/add", [1, 1]) == 3


def test_that_never_ends(pg: Any) -> None:
    threading.Event().wait()


def without_a_playground() -> None:
    pass


def test_without_a_playground() -> None:
    pass


def test_nothing_yet(pg: Any) -> None:
    pass
