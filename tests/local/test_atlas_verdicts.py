"""The atlas's verdicts: never green for want of anything observed, never red for what is legal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from playground import Playground
from playground.atlas import Atlas
from playground.errors import AtlasError, NothingObserved
from tests.local.test_atlas import PRELUDE

pytestmark = pytest.mark.local

CLOSING = "after the effect of Run {}, before its result is journaled"


@pytest.fixture(scope="module")
def pg() -> Iterator[Playground]:
    with Playground.open() as playground:
        yield playground


def sweep(pg: Playground, handler: str, **options: Any) -> Atlas:
    pg.deploy(name="shop", source=f"import asyncio, random, time\n{PRELUDE}{handler}", breaking=True)
    return pg.atlas("Shop/buy", "ada", keys=["ada"], **options)


def places(outcomes: list[Any]) -> list[str]:
    return [f"{point.invocation}: {point.name}" for outcome in outcomes for point in outcome.points]


# -- what was not observed is not claimed -------------------------------------------------------------


def appending(file: Path) -> str:
    return f"""
@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    def append() -> None:
        with open({str(file)!r}, "a") as out:
            out.write(who + "\\n")
    await ctx.run_typed("append", append)
    return who
"""


def test_an_effect_that_nobody_observes_is_not_claimed_to_happen_once(pg: Playground, tmp_path: Path) -> None:
    swept = sweep(pg, appending(tmp_path / "lines"))
    assert swept.holds()
    with pytest.raises(NothingObserved, match="LEDGER_URL"):
        swept.holds(effects="exactly_once")
    with pytest.raises(NothingObserved, match=r"one ran twice at 1 point"):
        swept.broken(effects="at_least_once")
    (broken,) = swept.broken(steps="exactly_once")
    assert places([broken]) == ["Shop/buy: " + CLOSING.format("append")]
    assert (broken.ran_twice, broken.perhaps_twice) == (("Shop/buy, Run append",), ())
    assert swept.deviates(broken)
    assert "Effects: none was observed" in repr(swept)
    assert "one ran twice" in repr(swept)
    assert "effects" not in " ".join(swept.rests_on[2:])


def test_effects_that_the_ledger_does_not_see_can_be_counted(pg: Playground, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    swept = sweep(
        pg, appending(file), effects=lambda run: {"line": file.read_text().splitlines().count(run.fresh("ada"))}
    )
    (broken,) = swept.broken(effects="exactly_once")
    assert (broken.effects, broken.expected) == ({"line": 2}, {"line": 1})
    assert "Effects: effects=" in swept.rests_on


NO_STEP = """
@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    await ctx.sleep(timedelta(milliseconds=1))
    return who
"""


def test_without_steps_and_effects_neither_is_claimed(pg: Playground) -> None:
    swept = sweep(pg, NO_STEP)
    assert swept.holds()
    for claim in ({"effects": "exactly_once"}, {"steps": "exactly_once"}):
        with pytest.raises(NothingObserved):
            swept.holds(**claim)  # type: ignore[arg-type]
    assert swept.coverage == f"{len(swept.points)} of {len(swept.points)} points"
    nothing = sweep(pg, NO_STEP, target="ledger")
    assert len(nothing) == 0
    with pytest.raises(NothingObserved, match="no run reached"):
        nothing.holds()


PARALLEL = """
@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    async def slowly() -> None:
        await asyncio.sleep(0.4)
    await restate.gather(ctx.run_typed("quick", lambda: None), ctx.run_typed("slow", slowly))
    return who
"""


def test_a_step_that_was_cut_off_may_have_run_twice(pg: Playground) -> None:
    swept = sweep(pg, PARALLEL)
    assert swept.holds()
    outcome = swept.outcome(CLOSING.format("quick"))
    assert outcome.ran_twice == ("Shop/buy, Run quick",)
    assert outcome.perhaps_twice == ("Shop/buy, Run slow",)


# -- one-way sends ------------------------------------------------------------------------------------

CHAIN = """
@stock.handler()
async def pack(ctx: restate.ObjectContext) -> None:
    ctx.object_send(ship, key=ctx.key(), arg=None)

@stock.handler()
async def ship(ctx: restate.ObjectContext) -> None:
    await ctx.run_typed("ship", lambda: effect("shipment", ctx.key()))
    ctx.set("shipped", True)

@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    ctx.object_send(pack, key=who, arg=None)
    return who
"""


def test_the_callee_of_a_one_way_send_belongs_to_the_run(pg: Playground) -> None:
    swept = sweep(pg, CHAIN)
    assert {point.invocation for point in swept.points} == {"Shop/buy", "Stock/ada/pack", "Stock/ada/ship"}
    assert {point.role for point in swept.points} == {"0", "0.1", "0.1.1"}
    assert swept.holds(), swept.broken()
    (broken,) = swept.broken(effects="exactly_once")
    assert places([broken]) == ["Stock/ada/ship: " + CLOSING.format("ship")]
    assert broken.twice == ("shipment in Stock/ada/ship, Run ship",)


LATER = """
@stock.handler()
async def remind(ctx: restate.ObjectContext) -> None:
    effect("reminder", ctx.key())

@stock.handler()
async def doze(ctx: restate.ObjectContext) -> None:
    await ctx.sleep(timedelta(days=2))
    effect("reminder", ctx.key())

@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    ctx.object_send(remind, key=who, arg=None, send_delay=timedelta(days=1))
    ctx.object_send(doze, key="doze-" + who, arg=None)
    ctx.object_send(add, key=who, arg=None, send_delay=timedelta(seconds=0.3))
    return who
"""


def test_what_is_sent_for_later_is_not_stuck_and_said_to_be_untried(pg: Playground) -> None:
    swept = sweep(pg, LATER)
    assert swept.holds(), swept.broken()
    assert "Not tried: Stock/ada/remind, sent with a delay of 24 h 0 min" in swept.rests_on
    assert "Not tried: Stock/doze-ada/doze, what comes after its timer of 48 h 0 min" in swept.rests_on
    tried = {point.invocation for point in swept.points}
    assert {"Stock/ada/add", "Stock/doze-ada/doze"} <= tried
    assert "Stock/ada/remind" not in tried


SLEEPING = """
@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    await ctx.sleep(timedelta({}))
    return who
"""


def test_a_timer_longer_than_patience_is_said_to_be_one(pg: Playground) -> None:
    with pytest.raises(AtlasError) as day:
        sweep(pg, SLEEPING.format("days=1"))
    assert "waits for its timer until" in day.value.why
    assert "stuck" not in str(day.value)
    assert "patience=864" in day.value.fix
    with pytest.raises(AtlasError, match=r"patience="):
        sweep(pg, SLEEPING.format("seconds=20"), patience=5)
    assert sweep(pg, SLEEPING.format("seconds=17"), patience=90, most=2).holds()


# -- a journal that did not fit -----------------------------------------------------------------------


def test_a_mismatch_that_heals_is_still_one(pg: Playground, tmp_path: Path) -> None:
    healing = f"""
@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    file = Path({str(tmp_path)!r}) / who
    attempts = len(file.read_text()) if file.exists() else 0
    file.write_text("x" * (attempts + 1))
    await ctx.run_typed("other" if attempts == 1 else "charge", lambda: None)
    await ctx.sleep(timedelta(milliseconds=1))
    return who
"""
    swept = sweep(pg, healing)
    healed = swept.outcome("after the result of Run charge is journaled")
    assert healed.result == "mismatch"
    assert "did not fit the journal (570)" in healed.detail
    assert not swept.holds()


RANDOM_STATE = """
@stock.handler()
async def pay(ctx: restate.ObjectContext) -> str:
    ctx.set("limit", random.randint(1, 1_000_000))
    return "paid"

@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    return await ctx.object_call(pay, key=who, arg=None)
"""


def test_random_numbers_outside_of_the_journal_are_found(pg: Playground) -> None:
    swept = sweep(pg, RANDOM_STATE)
    assert not swept.holds()
    assert {o.result for o in swept.broken()} <= {"stuck", "mismatch"}


# -- calls that are not in the journal ----------------------------------------------------------------

INGRESS = """
@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    url = os.environ["RESTATE_INGRESS_URL"] + f"/Stock/{who}/add/send"
    headers = KEY
    await ctx.run_typed("add", lambda: httpx.post(url, timeout=10, headers=headers).raise_for_status() and None)
    return who
"""


def test_a_call_through_the_ingress_is_seen(pg: Playground) -> None:
    swept = sweep(pg, INGRESS.replace("KEY", "{}"))
    (broken,) = swept.broken(effects="exactly_once")
    assert broken.effects == {"Stock/ada/add, through the ingress": 2}
    assert broken.state_diff == ("Stock/ada: count is 2 instead of 1",)
    assert any("ingress: Stock/ada/add; a retry calls it again, and no crash" in line for line in swept.rests_on)
    keyed = sweep(pg, INGRESS.replace("KEY", '{"idempotency-key": who}'))
    assert keyed.holds(effects="exactly_once"), keyed.broken(effects="exactly_once")
