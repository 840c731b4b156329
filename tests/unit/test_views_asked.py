"""What a page may ask for: read by its type, before anything is done."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

import pytest

from playground.errors import RequestError
from playground.views.asked import answers, deeds, read
from playground.views.messages import Nothing


class Order(TypedDict):
    name: str
    key: str | None
    times: NotRequired[int]
    side: NotRequired[Literal["in", "out"]]
    changes: NotRequired[dict[str, str | None]]


class Shop:
    def __init__(self) -> None:
        self.sold: list[Order] = []

    @answers("sell it")
    def sell(self, discount: float, asked: Order) -> str:
        self.sold.append(asked)
        return f"{asked['name']} at {discount}"

    def steal(self, asked: Nothing) -> None:
        """Nobody may ask for that."""


class Corner(Shop):
    @answers("close")
    def close(self, asked: Nothing) -> None:
        self.sold.clear()


def test_what_was_said_is_what_is_read_and_no_more() -> None:
    said = {"name": "tea", "key": None, "times": 2, "side": "in", "changes": {"a": "1", "b": None}}
    assert read(Order, {**said, "__class__": "Shop"}) == said
    assert read(Order, {"name": "", "key": "k"}) == {"name": "", "key": "k"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", None),
        ("name", 1),
        ("key", ["k"]),
        ("times", "2"),
        ("times", True),
        ("times", 2.0),
        ("side", "up"),
        ("changes", ["a"]),
        ("changes", {"a": 1}),
    ],
)
def test_what_is_of_another_type_is_refused(name: str, value: object) -> None:
    with pytest.raises(RequestError, match=f"did not say which {name}"):
        read(Order, {"name": "tea", "key": None, name: value})


def test_what_is_missing_is_refused() -> None:
    with pytest.raises(RequestError, match="did not say which key"):
        read(Order, {"name": "tea"})


def test_only_what_a_class_answers_can_be_asked_for() -> None:
    assert deeds(Shop).keys() == {"sell it"}
    assert deeds(Corner).keys() == {"sell it", "close"}
    assert (deeds(Shop)["sell it"].asked, deeds(Shop)["sell it"].answer) == (Order, str)


def test_nothing_is_done_before_it_is_read() -> None:
    shop = Corner()
    with pytest.raises(RequestError):
        deeds(Corner)["sell it"].do(shop, 0.5, data={"name": "tea"})
    assert shop.sold == []
    assert deeds(Corner)["sell it"].do(shop, 0.5, data={"name": "tea", "key": "k"}) == "tea at 0.5"
    assert deeds(Corner)["close"].do(shop, data={}) is None
    assert shop.sold == []
