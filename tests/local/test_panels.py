"""What panels do, against a real server: the same calls the page makes."""

from __future__ import annotations

import time
from typing import Any

import pytest

from playground import Playground
from playground.errors import PlaygroundError, RequestError, WaitTimeout
from playground.views.panels.board import Board
from playground.views.panels.queues import key_queues
from tests.local.conftest import eventually
from tests.unit.pages import ask

pytestmark = pytest.mark.local

SHOP = """
import time
from datetime import timedelta
import restate

cart = restate.VirtualObject("Cart")

@cart.handler()
async def add(ctx: restate.ObjectContext, count: int) -> int:
    total = (await ctx.get("count") or 0) + count
    ctx.set("count", total)
    return total

@cart.handler()
async def slow(ctx: restate.ObjectContext) -> None:
    await ctx.sleep(timedelta(seconds=1))

@cart.handler()
async def steps(ctx: restate.ObjectContext) -> str:
    for number in range(3):
        await ctx.run_typed(f"step {number}", lambda: time.sleep(0.4))
    return "done"

@cart.handler()
async def wait(ctx: restate.ObjectContext) -> str:
    _, clicked = ctx.awakeable()
    return await clicked
"""


@pytest.fixture
def shop(pg: Playground) -> Playground:
    pg.deploy(name="shop", source=SHOP)
    return pg


@pytest.fixture
def board(shop: Playground) -> Board:
    return shop.dashboard()


def send(board: Board, key: str, handler: str = "add", body: str | None = "1", **more: Any) -> list[str]:
    data = {"service": "Cart", "handler": handler, "key": key, "body": body, **more}
    answer: Any = board.act("requests.send", data)
    return list(answer["invocations"])


def test_a_state_is_replaced_as_a_whole(shop: Playground) -> None:
    shop.call("Cart/ada/add", 4)
    assert shop.set_state("Cart", "ada", {"count": 7, "note": "<b>"}) == {"count": 7, "note": "<b>"}
    assert shop.call("Cart/ada/add", 1) == 8
    assert shop.set_state("Cart", "ada", {}) == {}
    with pytest.raises(RequestError, match="no virtual object"):
        shop.set_state("Nothing", "ada", {})


def test_a_new_state_waits_for_the_lock(shop: Playground) -> None:
    holder = shop.send("Cart/ada/slow")
    holder.wait_for(entry="Sleep")
    with pytest.raises(WaitTimeout, match="when the key's lock is free") as error:
        shop.set_state("Cart", "ada", {"count": 1}, timeout=0.6)
    assert "Cart/ada/slow" in error.value.why
    holder.result()
    eventually(lambda: shop.state("Cart", "ada") == {"count": 1})


def test_an_edit_changes_one_value(board: Board, shop: Playground) -> None:
    shop.set_state("Cart", "ada", {"count": 7, "note": "x"})
    where = {"service": "Cart", "key": "ada"}
    board.act("state.edit", {**where, "changes": {"count": "8"}, "seen": {"count": "7"}})
    board.act("state.edit", {**where, "changes": {"note": None, "new": "[1]"}, "seen": {"note": '"x"', "new": None}})
    assert shop.state("Cart", "ada") == {"count": 8, "new": [1]}


def test_an_edit_never_overwrites_what_was_not_seen(board: Board, shop: Playground) -> None:
    shop.set_state("Cart", "ada", {"count": 7})
    with pytest.raises(RequestError, match="not changed"):
        board.act("state.edit", {"service": "Cart", "key": "ada", "changes": {"count": "8"}, "seen": {"count": "6"}})
    assert shop.state("Cart", "ada") == {"count": 7}


def test_a_watched_key_is_recorded_as_it_changes(board: Board, shop: Playground) -> None:
    shop.call("Cart/ada/add", 4)
    assert ("Cart", "ada") not in shop.recording.timeline.states
    board.act("watch", {"service": "Cart", "key": "ada"})
    eventually(lambda: shop.recording.timeline.states.get(("Cart", "ada")) == {"count": "4"})
    shop.call("Cart/ada/add", 1)
    eventually(lambda: shop.recording.timeline.states["Cart", "ada"] == {"count": "5"})
    board.close()
    shop.call("Cart/ada/add", 1)
    time.sleep(0.5)
    assert shop.recording.timeline.states["Cart", "ada"] == {"count": "5"}


def test_ten_requests_on_one_key_stand_in_its_queue(board: Board, shop: Playground) -> None:
    sent = send(board, "ada", "slow", None, times=10)
    assert len(set(sent)) == 10
    with shop.recording.lock:
        queue = key_queues(shop.recording.timeline)["Cart", "ada"]
        assert len(queue.waiting) + bool(queue.holder) + queue.done == 10
        assert len(queue.waiting) >= 8


def test_ten_requests_on_ten_keys(board: Board, shop: Playground) -> None:
    sent = send(board, "ada", spread=True)
    for invocation in sent:
        shop.invocation(invocation).result()
    assert [shop.state("Cart", f"ada-{n}")["count"] for n in (1, 10)] == [1, 1]


def test_ten_requests_with_one_idempotency_key_are_one(board: Board, shop: Playground) -> None:
    data = {"service": "Cart", "handler": "add", "key": "ada", "body": "1", "idempotencyKey": "k", "times": 10}
    answer: Any = board.act("requests.send", data)
    assert len(set(answer["invocations"])) == 1
    assert "9 of them were known by their key already" in answer["said"]
    shop.invocation(answer["invocations"][0]).result()
    assert shop.state("Cart", "ada") == {"count": 1}


def test_a_delayed_request_is_scheduled(board: Board, shop: Playground) -> None:
    (later,) = send(board, "ada", delay="60")
    assert shop.invocation(later).status == "scheduled"
    with pytest.raises(PlaygroundError, match="no delay"):
        send(board, "ada", delay="soon")


@pytest.mark.parametrize("body", ["{", '"text"'])
def test_a_body_that_does_not_fit_is_not_sent(board: Board, shop: Playground, body: str) -> None:
    with pytest.raises(RequestError):
        send(board, "ada", body=body)
    assert shop.recording.invocations == []


def test_what_is_cancelled_or_killed_before_it_begins_is_completed(board: Board, shop: Playground) -> None:
    send(board, "ada", "wait", None)
    (waiting,) = send(board, "ada")
    (later,) = send(board, "ada", delay="60")
    board.act("invocations.cancel", {"invocation": waiting})
    board.act("invocations.kill", {"invocation": later})
    eventually(lambda: shop.invocation(waiting).trace.done and shop.invocation(later).trace.done)
    assert "before it began" in str(shop.invocation(waiting).trace.failure)


def test_restates_verbs(board: Board, shop: Playground) -> None:
    (steps,) = send(board, "bob", "steps", None)
    shop.invocation(steps).wait_for(entry="step 1")
    board.act("invocations.pause", {"invocation": steps})
    shop.invocation(steps).wait_for(status="paused")
    board.act("invocations.resume", {"invocation": steps})
    assert shop.invocation(steps).result() == "done"
    (first,) = send(board, "ada", "wait", None)
    shop.invocation(first).wait_for(status="suspended")
    board.act("invocations.kill", {"invocation": first})
    eventually(lambda: shop.invocation(first).trace.done)
    answer: Any = board.act("invocations.restart-as-new", {"invocation": first})
    (again,) = answer["invocations"]
    shop.invocation(again).wait_for(status="suspended")
    (pending,) = shop.invocation(again).awakeables
    board.act("awakeables.resolve", {"awakeable": pending, "value": '"yes"'})
    assert shop.invocation(again).awakeables == []
    assert shop.invocation(again).result() == "yes"
    with pytest.raises(RequestError, match="already completed"):
        board.act("invocations.cancel", {"invocation": again})


def test_rejecting_an_awakeable(board: Board, shop: Playground) -> None:
    (sent,) = send(board, "ada", "wait", None)
    shop.invocation(sent).wait_for(status="suspended")
    board.act("awakeables.reject", {"awakeable": shop.invocation(sent).awakeables[0], "reason": "not today"})
    eventually(lambda: shop.invocation(sent).trace.failure)
    assert "not today" in str(shop.invocation(sent).trace.failure)


def test_killing_a_pod_is_not_killing_an_invocation(board: Board, shop: Playground) -> None:
    (sent,) = send(board, "ada", "slow", None)
    shop.invocation(sent).wait_for(entry="Sleep")
    (pod,) = shop.pods
    answer: Any = board.act("pods.kill", {"pod": pod.name})
    assert "on another pod" in answer["said"]
    assert shop.invocation(sent).result() is None
    assert [attempt.outcome for attempt in shop.invocation(sent).attempts] == ["killed", "completed"]


def test_an_error_in_the_page_says_what_why_and_fix(board: Board) -> None:
    answer = ask(board, "pods.kill", pod="shop-00001-9")
    assert "no pod 'shop-00001-9'" in answer["error"]
    assert "Fix:" in answer["error"]
