"""The ledger behind real handlers: counts, misbehaviour, attribution, and its own death."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from playground import Playground
from playground.errors import PlaygroundError
from tests.local.conftest import eventually

pytestmark = pytest.mark.local

SHOP = """
import os, httpx, restate

shop = restate.Service("Shop")
URL = os.environ["LEDGER_URL"]

@shop.handler()
async def mail(ctx: restate.Context, who: str) -> str:
    async def send() -> str:
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{URL}/email", json={"to": who})
        answer.raise_for_status()
        return answer.json()["id"]
    return await ctx.run_typed("send", send)

@shop.handler()
async def pay(ctx: restate.Context, who: str) -> str:
    key = str(ctx.uuid())
    def charge() -> str:
        answer = httpx.post(f"{URL}/payment", json={"from": who}, headers={"idempotency-key": key})
        answer.raise_for_status()
        return answer.json()["id"]
    return await ctx.run_typed("charge", charge)
"""


@pytest.fixture(scope="module")
def shared() -> Iterator[Playground]:
    with Playground.open() as playground:
        playground.deploy(name="shop", source=SHOP)
        yield playground


@pytest.fixture
def pg(shared: Playground) -> Iterator[Playground]:
    shared.ledger.behave()
    shared.ledger.clear()
    yield shared
    shared.ledger.behave()


def test_a_count_right_after_a_result_is_never_too_low(pg: Playground) -> None:
    for count in range(1, 11):
        pg.call("Shop/mail", "ada")
        assert pg.ledger.count("email") == count


def test_what_is_refused_is_retried_until_it_happens(pg: Playground) -> None:
    pg.ledger.misbehave("email", fail=2)
    invocation = pg.send("Shop/mail", "ada")
    invocation.result()
    assert [attempt.outcome for attempt in invocation.attempts] == ["failed", "failed", "completed"]
    assert [entry.refused for entry in pg.ledger.entries("email")] == [True, True, False]
    assert pg.ledger.count("email") == 1


@pytest.mark.parametrize(("handler", "kind", "times"), [("mail", "email", 2), ("pay", "payment", 1)])
def test_a_lost_answer_happens_again_unless_there_is_a_key(pg: Playground, handler: str, kind: str, times: int) -> None:
    pg.ledger.misbehave(kind, lose_answer=1)
    pg.call(f"Shop/{handler}", "ada")
    assert pg.ledger.count(kind) == times


@pytest.mark.parametrize(("handler", "step"), [("mail", "send"), ("pay", "charge")])
def test_an_effect_is_known_by_pod_attempt_and_step(pg: Playground, handler: str, step: str) -> None:
    invocation = pg.send(f"Shop/{handler}", "ada")
    invocation.result()
    (entry,) = pg.ledger.entries()
    assert entry.invocation == invocation.id
    assert entry.pod == invocation.attempts[0].pod
    assert entry.row is not None
    assert str(invocation.trace.rows[entry.row]) == f"Run {step}"


def test_a_ledger_that_is_killed_comes_back_with_its_data_at_its_address(pg: Playground) -> None:
    pg.call("Shop/pay", "ada")
    url = pg.ledger.url
    port = int(url.rsplit(":", 1)[1])
    keeper = next(p for p in psutil.Process().children() if "playground.local.keeper" in " ".join(p.cmdline()))
    serving = [p for p in keeper.children() if any(c.laddr.port == port for c in p.net_connections("inet"))]
    for process in serving:
        os.kill(process.pid, signal.SIGKILL)
    pg.call("Shop/pay", "ben")
    assert pg.ledger.url == url
    eventually(lambda: pg.ledger.count("payment") == 2)


def test_a_kind_that_cannot_be(pg: Playground) -> None:
    with pytest.raises(PlaygroundError, match="refused"):
        pg.ledger.misbehave("No Kind!", fail=1)


def test_its_text_is_the_same_in_every_run(pg: Playground) -> None:
    pg.call("Shop/pay", "ada")
    words = repr(pg.ledger).splitlines()[-1].split()
    assert words[:4] == ["payment", "happened", "shop", "pod"]
    assert words[5:] == ["yes", '{"from":"ada"}']
