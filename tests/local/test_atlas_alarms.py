"""The atlas raises no false alarm: what is legal is right in every sweep, and what is wrong is wrong in every one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from playground import Playground
from playground.errors import AtlasError
from tests.local.test_atlas_verdicts import NO_STEP, places, sweep

pytestmark = pytest.mark.local

TIMES = 3


@pytest.fixture(scope="module")
def pg() -> Iterator[Playground]:
    with Playground.open() as playground:
        yield playground


# -- what is legal is not wrong -----------------------------------------------------------------------

RACE = """
@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    async def answer(name: str) -> str:
        await asyncio.sleep(random.random() / 20)
        return name
    match await restate.select(
        one=ctx.run_typed("one", answer, name="one"), other=ctx.run_typed("other", answer, name="other")
    ):
        case [winner, _]:
            await ctx.object_call(win, key=who, arg=winner)
            return winner

@stock.handler()
async def win(ctx: restate.ObjectContext, winner: str) -> None:
    ctx.set("winner", winner)
    await ctx.run_typed("prize", lambda: effect("prize-" + winner, ctx.key(), ctx.key()))
"""
TIMEOUT = """
@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    match await restate.select(
        answer=ctx.object_call(add, key=who, arg=None), timeout=ctx.sleep(timedelta(seconds=0.25))
    ):
        case ["answer", count]:
            return f"{who} has {count}"
        case _:
            return f"{who} waits"
"""


@pytest.mark.parametrize("handler", [RACE, TIMEOUT], ids=["race", "timeout"])
def test_a_race_has_the_same_verdict_in_every_sweep(pg: Playground, handler: str) -> None:
    for _ in range(TIMES):
        swept = sweep(pg, handler)
        assert swept.holds(), [(places([o]), o.detail, o.state_diff) for o in swept.broken()]
        if handler is RACE:
            assert swept.holds(effects="exactly_once"), swept.broken(effects="exactly_once")


ROLLING = """
@service.handler()
async def buy(ctx: restate.Context, who: str) -> dict:
    roll = await ctx.run_typed("roll", lambda: random.randint(1, 6))
    at = await ctx.run_typed("at", lambda: time.time())
    return {"who": who, "roll": roll, "at": at}
"""


def test_what_differs_in_every_run_is_not_compared(pg: Playground) -> None:
    for _ in range(TIMES):
        swept = sweep(pg, ROLLING)
        assert swept.holds(), [o.detail for o in swept.broken()]
        assert "Not compared, because it differs in every run: result" in swept.rests_on


def test_the_learner_may_say_what_is_right(pg: Playground) -> None:
    fair = sweep(pg, ROLLING, accept=lambda result: result["who"] == "ada" and 1 <= result["roll"] <= 6)
    assert fair.holds()
    assert "Result: right if accept= accepts it" in fair.rests_on
    keys = set()

    def accept(result: Any, run: Any) -> bool:
        keys.add(run.fresh("ada"))
        return bool(result == "ada")

    assert sweep(pg, NO_STEP, accept=accept).holds()
    assert len(keys) > 3
    assert sweep(pg, NO_STEP, accept=["ada", "bob"]).holds()
    with pytest.raises(AtlasError, match="accept= rejects what it returns without a crash"):
        sweep(pg, NO_STEP, accept=["bob"])


# -- no false alarm -----------------------------------------------------------------------------------

SENDING = """
@stock.handler()
async def mail(ctx: restate.ObjectContext) -> None:
    key = str(ctx.uuid())
    await ctx.run_typed("mail", lambda: effect("email", ctx.key(), key))

@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    key = str(ctx.uuid())
    ctx.object_send(mail, key=who, arg=None)
    await ctx.run_typed("charge", lambda: effect("payment", who, key))
    ctx.object_send(add, key=who, arg=None)
    return who
"""
GATHERING = """
@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    one, other = str(ctx.uuid()), str(ctx.uuid())
    await restate.gather(
        ctx.run_typed("charge", lambda: effect("payment", who, one)),
        ctx.run_typed("mail", lambda: effect("email", who, other)),
    )
    return who
"""
SAGA = """
@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    undo = []
    key = str(ctx.uuid())
    def sold_out() -> None:
        raise restate.TerminalError("sold out")
    try:
        undo.append("payment")
        await ctx.run_typed("charge", lambda: effect("payment", who, key))
        await ctx.run_typed("reserve", sold_out)
    except restate.TerminalError:
        for kind in reversed(undo):
            await ctx.run_typed("undo " + kind, lambda kind=kind: effect("undo-" + kind, who, key + kind))
        raise
    return who
"""


@pytest.mark.parametrize("handler", [SENDING, GATHERING, SAGA], ids=["sending", "gathering", "saga"])
def test_a_correct_handler_raises_no_alarm_whenever_it_is_swept(pg: Playground, handler: str) -> None:
    for _ in range(TIMES):
        swept = sweep(pg, handler)
        broken = swept.broken(effects="exactly_once")
        assert not broken, [(places([o]), o.detail, o.effects, o.twice, o.state_diff) for o in broken]


IN_A_CALLEE = """
@stock.handler()
async def mail(ctx: restate.ObjectContext) -> None:
    effect("email", ctx.key())
    ctx.set("told", True)

@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    ctx.object_send(mail, key=who, arg=None)
    return who
"""
IN_A_BRANCH = GATHERING.replace(", other))", "))")


@pytest.mark.parametrize("handler", [IN_A_CALLEE, IN_A_BRANCH], ids=["outside of run", "without key"])
def test_an_effect_that_happens_twice_is_found_whenever_it_is_swept(pg: Playground, handler: str) -> None:
    for _ in range(TIMES):
        swept = sweep(pg, handler)
        assert any(outcome.effects["email"] > 1 for outcome in swept.broken(effects="exactly_once"))
        assert not any(outcome.effects.get("payment", 1) != 1 for outcome in swept)
