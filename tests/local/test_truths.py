"""What a recording says is what has happened: which step did it, who ended it, what failed for good."""

from __future__ import annotations

import pytest

from playground import Playground
from playground.errors import InvocationFailed

SOURCE = """
import asyncio
import os
import threading

import httpx
import restate

LEDGER = os.environ["LEDGER_URL"]
acts = restate.Service("Acts")


async def post(kind: str, wait: float = 0.0) -> str:
    async with httpx.AsyncClient() as client:
        await asyncio.sleep(wait)
        (await client.post(f"{LEDGER}/{kind}", json={})).raise_for_status()
    return kind


def blocking(kind: str) -> str:
    httpx.post(f"{LEDGER}/{kind}", json={}).raise_for_status()
    return kind


@acts.handler()
async def together(ctx: restate.Context) -> str:
    await post("outside")
    await ctx.run_typed("first", post, kind="before")
    slow = ctx.run_typed("slow", post, kind="slow", wait=0.3)
    quick = ctx.run_typed("quick", blocking, kind="quick")
    await restate.gather(slow, quick)
    _, promise = ctx.awakeable()
    await promise
    await ctx.run_typed("last", lambda: blocking("after"))
    return "done"


@acts.handler()
async def fails(ctx: restate.Context) -> str:
    async def charge() -> str:
        raise restate.TerminalError("no money", 402)

    try:
        await ctx.run_typed("charge", charge)
    except restate.TerminalError:
        pass
    _, promise = ctx.awakeable()
    await promise
    return "sorry"


@acts.handler()
async def waits(ctx: restate.Context) -> str:
    _, promise = ctx.awakeable()
    return await promise


@acts.handler()
async def raises(ctx: restate.Context) -> str:
    raise restate.TerminalError("killed", 409)
"""


@pytest.fixture
def acts(pg: Playground) -> Playground:
    pg.deploy(name="acts", source=SOURCE)
    return pg


def test_each_effect_is_told_of_the_step_that_caused_it(acts: Playground) -> None:
    invocation = acts.send("Acts/together").wait_for(status="suspended")
    acts.resolve(invocation.awakeables[0])
    assert invocation.result() == "done"
    caused: dict[str, str | None] = {}
    for effect in acts.ledger.entries():
        assert effect.invocation == invocation.id
        caused.setdefault(effect.kind, effect.row and str(invocation.trace.rows[effect.row]))
        assert effect.outside is (effect.kind == "outside")
    assert caused == {
        "outside": None,
        "before": "Run first",
        "slow": "Run slow",
        "quick": "Run quick",
        "after": "Run last",
    }
    assert acts.ledger.count("outside") == 2  # a replay runs it again


def test_a_step_that_failed_for_good_says_so(acts: Playground) -> None:
    invocation = acts.send("Acts/fails").wait_for(status="suspended")
    acts.resolve(invocation.awakeables[0])
    assert invocation.result() == "sorry"
    row = next(line for line in repr(invocation).splitlines() if "Run charge" in line)
    assert row.split("Run charge")[1].split("  ") != []
    assert "failed for good" in row
    assert "replayed failure" in row


def test_a_killed_invocation_was_killed_by_somebody(acts: Playground) -> None:
    invocation = acts.send("Acts/waits").wait_for(status="suspended")
    invocation.kill()
    with pytest.raises(InvocationFailed, match="was killed") as raised:
        invocation.result()
    assert "TerminalError" not in str(raised.value)
    assert repr(invocation).splitlines()[0].startswith("Acts/waits: killed, ")


def test_a_cancelled_invocation_that_does_not_catch_it(acts: Playground) -> None:
    invocation = acts.send("Acts/waits").wait_for(status="suspended")
    invocation.cancel()
    with pytest.raises(InvocationFailed, match="was cancelled") as raised:
        invocation.result()
    assert "TerminalError" not in str(raised.value)
    assert repr(invocation).splitlines()[0].startswith("Acts/waits: cancelled, ")


def test_a_handler_that_raises_what_looks_like_a_kill_has_raised_it(acts: Playground) -> None:
    with pytest.raises(InvocationFailed, match="terminal error: killed"):
        acts.call("Acts/raises")


CHANGES_ITS_MIND = """
import restate

fickle = restate.Service("Fickle")
tries = 0


@fickle.handler()
async def run(ctx: restate.Context) -> str:
    global tries
    tries += 1
    await ctx.run_typed("same", lambda: "a")
    await ctx.run_typed("right" if tries != 2 else "wrong", lambda: "b")
    await ctx.run_typed("third", lambda: "c")
    _, promise = ctx.awakeable()
    await promise
    return "done"
"""


def test_a_handler_that_does_not_fit_its_journal_once_is_told_for_ever(pg: Playground) -> None:
    pg.deploy(name="fickle", source=CHANGES_ITS_MIND)
    invocation = pg.send("Fickle/run").wait_for(status="suspended")
    pod = invocation.attempts[-1].pod
    pg.resolve(invocation.awakeables[0])
    assert invocation.result() == "done"
    first, second, third = invocation.attempts
    assert {attempt.pod for attempt in (first, second, third)} == {pod}, "the handler counts in one pod"
    assert (second.mismatch, third.mismatch) == (True, False)
    assert [str(entry) for entry in second.replayed] == ["Input", "Run same"]
    assert "delivered" in next(line for line in repr(invocation).splitlines() if "Awakeable" in line)
    assert [str(entry) for entry in third.replayed if entry.type == "Run"] == ["Run same", "Run right", "Run third"]
    assert "1 journal mismatch" in repr(invocation).splitlines()[0]
