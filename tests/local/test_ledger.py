"""The ledger behind real handlers: counts, misbehaviour, attribution, and its own death."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
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


def test_all_requests_refused_until_it_behaves(pg: Playground) -> None:
    pg.ledger.misbehave("email", fail=True)
    invocation = pg.send("Shop/mail", "ada")
    eventually(lambda: sum(entry.refused for entry in pg.ledger.entries("email")) >= 3)
    assert not invocation.trace.done
    pg.ledger.behave()
    invocation.result()
    assert pg.ledger.count("email") == 1


def test_down_and_slow(pg: Playground) -> None:
    pg.ledger.misbehave("email", down=True)
    invocation = pg.send("Shop/mail", "ada")
    eventually(lambda: any(attempt.outcome == "failed" for attempt in invocation.attempts))
    assert pg.ledger.entries() == [], "nobody is there to write anything down"
    pg.ledger.misbehave("email", slow=0.3)
    invocation.result()
    assert pg.ledger.count("email") == 1
    mark = invocation.attempts[-1].marks[invocation.trace.entries[1].row]
    assert mark.until is not None
    assert mark.until - mark.at >= 0.3


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
    kill_ledger(pg)
    pg.call("Shop/pay", "ben")
    assert pg.ledger.url == url
    eventually(lambda: pg.ledger.count("payment") == 2)


def test_what_was_in_the_ledger_is_there_after_opening_it_again(tmp_path: Path) -> None:
    for _ in range(2):
        with Playground.open(data_dir=tmp_path / "data") as again:
            httpx.post(f"{again.ledger.url}/email", json={"to": "ada"}, headers={"idempotency-key": "k"})
            assert again.ledger.count("email") == 1
            again.ledger.misbehave("payment", fail=3)
    with Playground.open(data_dir=tmp_path / "data") as again:
        assert [entry.became for entry in again.ledger.entries()] == ["happened", "repeated"]
        assert again.recording.timeline.faults["payment"]["fail"] == 3
        again.ledger.clear()
    with Playground.open(data_dir=tmp_path / "data") as again:
        assert again.ledger.entries() == []


def test_anybody_reaches_it_by_plain_http(pg: Playground) -> None:
    answer = httpx.post(f"{pg.ledger.url}/email", json={"to": "ada"})
    assert answer.json() == {"id": f"email-{pg.ledger.entries()[-1].number}", "kind": "email"}
    (entry,) = pg.ledger.entries()
    assert (entry.pod, entry.attempt, entry.invocation) == ("", 0, "")


def test_a_kind_that_cannot_be(pg: Playground) -> None:
    with pytest.raises(PlaygroundError, match="refused"):
        pg.ledger.misbehave("No Kind!", fail=1)


def test_its_text_is_the_same_in_every_run(pg: Playground) -> None:
    pg.call("Shop/pay", "ada")
    words = repr(pg.ledger).splitlines()[-1].split()
    assert words[:4] == ["payment", "happened", "shop", "pod"]
    assert words[5:] == ["yes", '{"from":"ada"}']


def test_a_ledger_that_is_killed_again_and_again_loses_nothing_and_tells_nothing_twice(pg: Playground) -> None:
    before = len(pg.recording)
    url, sent = pg.ledger.url, 0
    with httpx.Client(timeout=20) as client:
        while sent < 90:
            if sent % 15 == 0:
                kill_ledger(pg)
            try:
                client.post(
                    f"{url}/email", json={"n": sent}, headers={"idempotency-key": f"n-{sent}"}
                ).raise_for_status()
            except httpx.TransportError:
                continue  # it was killed meanwhile: said again, with the same key
            sent += 1
    entries = pg.ledger.entries("email")
    assert [entry.body for entry in entries if entry.became == "happened"] == [f'{{"n":{n}}}' for n in range(90)]
    numbers = [event.data["number"] for event in pg.recording.since(before) if event.kind.startswith("effect.")]
    assert numbers == sorted(set(numbers)), "each once, in order"
    assert len(numbers) == len(entries)


def kill_ledger(pg: Playground) -> None:
    port = httpx.URL(pg.ledger.url).port
    keeper = next(p for p in psutil.Process().children() if "playground.backends.local.keeper" in " ".join(p.cmdline()))
    for process in keeper.children():
        with contextlib.suppress(psutil.NoSuchProcess):  # an idle pod is stopped meanwhile
            if any(c.laddr.port == port and c.status == psutil.CONN_LISTEN for c in process.net_connections("inet")):
                os.kill(process.pid, signal.SIGKILL)
