"""The crash atlas: it finds what it claims to find, at the right point, and nothing else."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from playground import Playground
from playground.atlas import Atlas
from playground.errors import AtlasError, RequestError
from playground.pod.gate import boundary
from tests.local.conftest import SIGNUP

pytestmark = pytest.mark.local

REPEATS = int(os.environ.get("ATLAS_REPEATS", "2"))

PRELUDE = """
import os, httpx, restate
from datetime import timedelta
from pathlib import Path

service = restate.Service("Shop")
stock = restate.VirtualObject("Stock")

def effect(kind, who, key=None):
    headers = {"idempotency-key": key} if key else {}
    answer = httpx.post(os.environ["LEDGER_URL"] + "/" + kind, json={"who": who}, headers=headers)
    answer.raise_for_status()
    return answer.json()["id"]

@stock.handler()
async def add(ctx: restate.ObjectContext) -> int:
    count = (await ctx.get("count") or 0) + 1
    ctx.set("count", count)
    return count
"""

CORRECT = """
@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    key = str(ctx.uuid())
    await ctx.run_typed("charge", lambda: effect("payment", who, key))
    count = await ctx.object_call(add, key=who, arg=None)
    return f"{who} has {count}"
"""

WITHOUT_KEY = CORRECT.replace(", key))", "))")

OUTSIDE_OF_RUN = """
@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    effect("payment", who)
    await ctx.sleep(timedelta(milliseconds=1))
    return who
"""

BRANCHING = """
@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    been_here = Path(os.environ["LEDGER_FILE_FOR_TEST"] + who)
    if not been_here.exists():
        been_here.touch()
        await ctx.run_typed("charge", lambda: effect("payment", who))
    else:
        await ctx.sleep(timedelta(milliseconds=1))
    return who
"""

FLAG_AFTER_EFFECT = """
@stock.handler()
async def notify(ctx: restate.ObjectContext) -> None:
    if not await ctx.get("told"):
        effect("email", ctx.key())
        ctx.set("told", True)
    await ctx.sleep(timedelta(milliseconds=1))

@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    await ctx.object_call(notify, key=who, arg=None)
    return who
"""

COMPENSATING_TWICE = """
@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    key = str(ctx.uuid())
    await ctx.run_typed("charge", lambda: effect("payment", who, key))
    try:
        raise restate.TerminalError("sold out")
    except restate.TerminalError:
        await ctx.run_typed("refund", lambda: effect("refund", who))
        raise
"""

SWALLOWING = """
@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    def charge():
        try:
            return effect("payment", who)
        except httpx.HTTPStatusError as error:
            raise restate.TerminalError(str(error))
    try:
        await ctx.run_typed("charge", charge)
    except restate.TerminalError:
        pass
    return f"{who} has paid"
"""

CALLEE_NOT_IDEMPOTENT = """
@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    url = os.environ["RESTATE_INGRESS_URL"] + f"/Stock/{who}/add"
    await ctx.run_typed("add", lambda: httpx.post(url, timeout=10).json() and None)
    await ctx.object_call(count, key=who, arg=None)
    return who

@stock.handler(kind="shared")
async def count(ctx: restate.ObjectSharedContext) -> None:
    await ctx.get("count")
"""


@pytest.fixture(scope="module")
def pg() -> Iterator[Playground]:
    with Playground.open() as playground:
        yield playground


def atlas(pg: Playground, handler: str, **options: object) -> Atlas:
    pg.deploy(name="shop", source=PRELUDE + handler, breaking=True)
    return pg.atlas("Shop/buy", "ada", keys=["ada"], **options)  # type: ignore[arg-type]


def names(outcomes: list) -> list[str]:  # type: ignore[type-arg]
    return [point.name for outcome in outcomes for point in outcome.points]


def test_a_correct_handler_raises_no_alarm(pg: Playground) -> None:
    for _ in range(REPEATS):
        swept = atlas(pg, CORRECT)
        assert swept.holds(effects="exactly_once"), swept.broken(effects="exactly_once")
        assert all(outcome.crashed for outcome in swept)
        assert {outcome.result for outcome in swept} == {"right"}


def test_a_run_without_a_key_happens_twice_at_one_point(pg: Playground) -> None:
    swept = atlas(pg, WITHOUT_KEY)
    (broken,) = swept.broken(effects="exactly_once")
    assert broken.points[0].name == "after the effect of Run charge, before its result is journaled"
    assert (broken.effects, broken.twice) == ({"payment": 2}, ("payment in Shop/buy, Run charge",))
    assert swept.holds(effects="at_least_once")


def test_an_effect_outside_of_run_happens_twice_at_every_point_after_it(pg: Playground) -> None:
    swept = atlas(pg, OUTSIDE_OF_RUN)
    before = ["before it starts", "before Input is read"]
    assert names([outcome for outcome in swept if outcome.exactly_once])[:2] == before
    twice = names(swept.broken(effects="exactly_once"))
    assert "before Sleep is sent" in twice
    assert "before Output is sent" in twice
    assert not set(before) & set(twice)
    assert swept.broken(effects="exactly_once")[0].twice == ("payment in Shop/buy, outside of any step",)


def test_a_branch_on_the_outside_world_is_a_journal_mismatch(
    pg: Playground, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("branching")
    handler = BRANCHING.replace('os.environ["LEDGER_FILE_FOR_TEST"]', repr(f"{folder}/"))
    swept = atlas(pg, handler)
    stuck = {point.name: o.detail for o in swept if o.result == "stuck" for point in o.points}
    assert "journal mismatch" in stuck["after the result of Run charge is journaled"]
    assert "before it starts" not in stuck
    assert not swept.holds()


def test_a_flag_written_after_the_effect_does_not_protect_it(pg: Playground) -> None:
    swept = atlas(pg, FLAG_AFTER_EFFECT)
    twice = swept.broken(effects="exactly_once")
    assert {outcome.points[0].invocation for outcome in twice} == {"Stock/ada/notify"}
    assert "before SetState told is sent" in names(twice)
    assert "before it starts" not in names(twice)


def test_a_compensation_that_runs_twice(pg: Playground) -> None:
    swept = atlas(pg, COMPENSATING_TWICE)
    (broken,) = swept.broken(effects="exactly_once")
    assert broken.points[0].name == "after the effect of Run refund, before its result is journaled"
    assert broken.effects == {"payment": 1, "refund": 2}
    assert swept.holds(), "it fails with the same terminal error everywhere, as it should"


def test_a_swallowed_error_is_found_when_the_outside_world_refuses(pg: Playground) -> None:
    swept = atlas(pg, SWALLOWING, target="ledger")
    assert names(swept.outcomes) == ["payment is refused", "payment happens, its answer is lost"]
    assert swept.outcome("refused").effects == {"payment": 0}
    assert not swept.holds(effects="at_least_once")
    assert atlas(pg, CORRECT, target="ledger").holds(effects="exactly_once")


def test_a_callee_that_is_not_idempotent(pg: Playground) -> None:
    swept = atlas(pg, CALLEE_NOT_IDEMPOTENT)
    (broken,) = [outcome for outcome in swept if outcome.state_diff]
    assert broken.points[0].name == "after the effect of Run add, before its result is journaled"
    assert broken.state_diff == ("Stock/ada: count is 2 instead of 1",)


def test_every_frame_boundary_is_crashed_once_and_really(pg: Playground) -> None:
    pg.deploy(name="shop", source=PRELUDE + CORRECT, breaking=True)
    swept = pg.atlas("Shop/buy", "ada")
    recording = swept.recording
    first = next(trace for trace in recording.invocations if trace.target == "Shop/buy")
    # The frames of one clean run, counted from the recording without the atlas's own code.
    family = {first.id, *(entry.callee for entry in first.entries if entry.callee)}
    streams = {stream for stream, attempt in recording.timeline.attempts.items() if attempt.trace.id in family}
    frames = [
        event
        for event in recording.events
        if (event.data.get("pod"), event.data.get("attempt")) in streams
        and boundary({**event.data, "kind": event.kind})
    ]
    assert len(swept.points) == len(frames)
    assert len({(point.role, point.where, point.nth) for point in swept.points}) == len(frames)
    assert len(swept) == len(frames)
    killed = [pod for pod in recording.timeline.pods.values() if pod.phase == "killed"]
    crashed = [event for event in recording.events if event.kind == "attempt.crashed"]
    assert len(killed) == len(crashed) == len(frames)
    assert sorted(map(str, (tuple(e.data["boundary"]) for e in crashed))) == sorted(str(p.where) for p in swept.points)


def test_pairs_of_crashes_are_drawn_by_the_same_lot(pg: Playground) -> None:
    first = atlas(pg, CORRECT, depth=2, most=12, seed=7)
    second = atlas(pg, CORRECT, depth=2, most=12, seed=7)
    assert [o.points for o in first] == [o.points for o in second]
    assert len(first) == 12
    assert all(len(outcome.points) == 2 for outcome in first)
    assert first.holds(effects="exactly_once"), first.broken(effects="exactly_once")


def test_the_server_killed_at_every_point(pg: Playground) -> None:
    swept = atlas(pg, CORRECT, target="server", most=6)
    assert swept.recording.timeline.server_starts >= 6
    assert swept.holds(effects="exactly_once"), swept.broken(effects="exactly_once")


def test_the_articles_signup_is_driven_by_a_click(pg: Playground) -> None:
    source = SIGNUP.replace(
        'print("email", username, awakeable)',
        "import os, httpx; httpx.post(os.environ['LEDGER_URL'] + '/email', json={'to': username, 'id': awakeable})",
    )
    pg.deploy(name="signup", source=source)
    clicked: list[str] = []

    def drive(run: object) -> None:
        mail = run.wait_for("email")  # type: ignore[attr-defined]
        clicked.append(mail["to"])
        run.resolve(mail["id"], "clicked")  # type: ignore[attr-defined]

    swept = pg.atlas("Signup/signup", {"username": "ada"}, drive=drive)
    assert len(set(clicked)) >= len(swept)
    assert swept.holds(effects="at_least_once"), swept.broken(effects="at_least_once")
    twice = {o.points[0].name for o in swept.broken(effects="exactly_once")}
    # This click comes at once. On a busy machine it overtakes the result of the very mail it is in.
    assert twice - {"when Awakeable is completed"} == {
        "after the effect of Run send email, before its result is journaled"
    }


def test_nothing_of_a_sweep_is_left_and_the_recording_is_the_learners(pg: Playground) -> None:
    pg.deploy(name="shop", source=PRELUDE + CORRECT, breaking=True)
    before, count = _servers(), len(pg.recording.invocations)
    pg.atlas("Shop/buy", "ada")
    assert (_servers(), len(pg.recording.invocations), pg.ledger.count()) == (before, count, 0)


def test_a_sweep_given_up_is_cleaned_up(pg: Playground) -> None:
    pg.deploy(name="shop", source=PRELUDE + OUTSIDE_OF_RUN, breaking=True)
    before = _servers()

    def give_up() -> None:
        deadline = time.monotonic() + 20
        while _servers() == before and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.5)
        os.kill(os.getpid(), 2)  # Ctrl-C

    thread = threading.Thread(target=give_up)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        pg.atlas("Shop/buy", "ada", depth=2)
    thread.join()
    assert _servers() == before
    assert pg.call("Stock/bob/add") >= 1


def _servers() -> int:
    children = psutil.Process().children(recursive=True)
    return sum("restate-server" in process.name() for process in children if process.status() != "zombie")


def test_what_cannot_be_swept(pg: Playground) -> None:
    with pytest.raises(RequestError):
        pg.atlas("Shop/nothing", "ada")
    with pytest.raises(AtlasError, match="no such atlas"):
        pg.atlas("Shop/buy", "ada", depth=3)
    never = """
@service.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    raise ValueError("always")
"""
    with pytest.raises(AtlasError, match="does not complete even without an accident"):
        atlas(pg, never)
