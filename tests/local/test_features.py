"""What differs between this release of Restate and the next: the same is shown under both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from playground import Playground
from playground.errors import InvocationFailed, StartError
from tests.contract import numberless
from tests.local.conftest import eventually, has_feature

pytestmark = pytest.mark.local

SOURCE = """
import time
import restate

wharf = restate.Service("Wharf")
crane = restate.VirtualObject("Crane")

@wharf.handler("wait")
async def wait(ctx: restate.Context) -> str:
    await ctx.run_typed("moor", lambda: None)
    return await ctx.signal("tide", type_hint=str)

@wharf.handler()
async def tell(ctx: restate.Context, ship: str) -> None:
    ctx.resolve_signal(ship, "tide", "high")

@wharf.handler()
async def sink(ctx: restate.Context) -> None:
    raise restate.TerminalError("a leak", status_code=418, metadata={"deck": "3"})

@crane.handler()
async def lift(ctx: restate.ObjectContext, seconds: float) -> None:
    await ctx.run_typed("lift", lambda: time.sleep(seconds))

@crane.handler()
async def hang(ctx: restate.ObjectContext) -> None:
    _, let_go = ctx.awakeable()
    await let_go

@crane.handler(kind="shared")
async def look(ctx: restate.ObjectSharedContext) -> None:
    await ctx.signal("never")
"""

WAITING = """\
Wharf/wait: suspended, 1 attempt on 1 pod, 1 suspension
   entry        attempt 1
─  ───────────  ─────────
   on           pod 1
0  Input        executed
1  Run moor     executed
   Signal tide  awaited
   ended        suspended"""


@pytest.fixture(scope="module", params=["", "vqueues,protocol-v7"], ids=["this", "next"])
def pg(request: pytest.FixtureRequest) -> Iterator[Playground]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_RESTATE_FEATURES", request.param)
        with Playground.open(inactivity_timeout=0.3) as playground:
            for name in ("vqueues", "protocol_v7"):
                assert has_feature(playground, name) == bool(request.param)
            playground.deploy(name="wharf", source=SOURCE)
            yield playground


def test_the_protocol_is_the_one_that_was_asked_for(pg: Playground) -> None:
    sent = pg.send("Wharf/sink")
    with pytest.raises(InvocationFailed):
        sent.result()
    sql = f"SELECT pinned_service_protocol_version AS v FROM sys_invocation_status WHERE id = '{sent.id}'"
    (row,) = pg.runtime.run(pg.runtime.admin.query(sql))
    assert row["v"] == (7 if has_feature(pg, "protocol_v7") else 6)


def test_a_signal_is_shown_by_its_name(pg: Playground) -> None:
    waiting = pg.send("Wharf/wait").wait_for(status="suspended")
    assert numberless(repr(waiting)) == numberless(WAITING)
    tell = pg.send("Wharf/tell", waiting.id)
    assert waiting.result() == "high"
    assert [str(entry) for entry in waiting.attempts[-1].replayed] == ["Input", "Run moor", "Signal tide"]
    assert "SendSignal tide" in [str(entry) for entry in tell.trace.entries]


def test_what_a_terminal_error_says_besides_is_recorded(pg: Playground) -> None:
    failed = pg.send("Wharf/sink")
    eventually(lambda: failed.trace.done)
    attempt = failed.attempts[0]
    (output,) = (
        event
        for event in pg.recording.events
        if event.kind == "entry.executed" and event.data["type"] == "Output" and event.data["pod"] == attempt.pod
        if event.at >= attempt.started_at
    )
    assert (output.data["failure"], output.data["metadata"]) == ((418, "a leak"), {"deck": "3"})


def test_who_holds_a_lock_in_every_state(pg: Playground) -> None:
    look, later = pg.send("Crane/big/look"), pg.send("Crane/big/lift", 0.0, delay=600)
    hangs = pg.send("Crane/big/hang").wait_for(status="suspended")
    waits = [pg.send("Crane/big/lift", 0.0) for _ in range(3)]
    ids = [invocation.id for invocation in waits]
    queue = pg.queue("Crane", "big")
    assert (queue.holder, queue.waiting) == (hangs.id, ids), "neither a shared handler nor a later one waits"
    pg.runtime.run(pg.runtime.admin.set_state("Crane", "big", {"n": b"1"}))
    assert pg.queue("Crane", "big").waiting == ids, "a new state is no invocation"
    pg.resolve(hangs.awakeables[0])
    waits[-1].result()
    queue = pg.queue("Crane", "big")
    assert (queue.holder, queue.waiting) == ("", [])
    eventually(lambda: pg.state("Crane", "big") == {"n": 1})
    look.kill()
    later.kill()


def test_a_holder_between_two_attempts_still_holds(pg: Playground) -> None:
    lifts = pg.send("Crane/small/lift", 3.0).wait_for(entry="lift")
    waits = pg.send("Crane/small/lift", 0.0)
    pg.kill_pod("wharf")
    while len(lifts.attempts) < 2:
        queue = pg.queue("Crane", "small")
        assert (queue.holder, queue.waiting) == (lifts.id, [waits.id])
    waits.result()


def test_a_suspended_invocation_is_paused_where_that_can_be(pg: Playground) -> None:
    hangs = pg.send("Crane/idle/hang").wait_for(status="suspended")
    hangs.pause()
    can = has_feature(pg, "vqueues")
    assert hangs.status == ("paused" if can else "suspended")
    assert pg.queue("Crane", "idle").holder == hangs.id
    pg.resolve(hangs.awakeables[0])
    if can:
        hangs.resume()
    assert hangs.result() is None


def test_a_feature_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_RESTATE_FEATURES", "vqueues, warp")
    with pytest.raises(StartError, match="not switched on: warp"):
        Playground.open()
