"""Revisions: what is pinned to which, moving an invocation to another one, and restarting from an entry."""

from __future__ import annotations

import pytest

from playground import Playground
from playground.errors import InvocationFailed, RequestError
from playground.runtime.invocation import standing
from tests.local.conftest import eventually, has_feature

pytestmark = pytest.mark.local

OLD = """
import os
import httpx
import restate

policy = restate.InvocationRetryPolicy(max_attempts=2)
signup = restate.Service("Signup", invocation_retry_policy=policy)


def effect(kind: str) -> None:
    httpx.post(os.environ["LEDGER_URL"] + "/" + kind, json={}).raise_for_status()


@signup.handler("signup")
async def run(ctx: restate.Context) -> str:
    _, clicked = ctx.awakeable()
    await ctx.run_typed("send email", effect, kind="email")
    await clicked
    await ctx.run_typed("welcome", effect, kind="welcome")
    return "old"
"""
MISFIT = OLD.replace("_, clicked", 'await ctx.run_typed("check", effect, kind="check")\n    _, clicked')
FITS = OLD.replace('"old"', '"new"')


def test_an_invocation_stays_where_it_began_until_it_is_moved(pg: Playground) -> None:
    pg.deploy(name="signup", source=OLD)
    stays, moves = (pg.send("Signup/signup").wait_for(status="suspended") for _ in range(2))
    pg.deploy(name="signup", source=MISFIT)
    assert repr(pg.revisions).splitlines()[2:] == ["signup-00001  –             2", "signup-00002  yes           0"]
    pg.resolve(stays.awakeables[0])
    assert stays.result() == "old"
    assert {attempt.revision for attempt in stays.attempts} == {"signup-00001"}

    moves.pause()
    if has_feature(pg, "vqueues"):
        moves.wait_for(status="paused")
        assert "until it is resumed" in standing(moves.trace)[0]
    else:
        assert moves.status == "suspended", "what does nothing is not paused before there are virtual queues"
    moves.resume(revision="latest")
    eventually(lambda: len(moves.attempts) > 1)
    moves.wait_for(status="paused")
    assert moves.attempts[1].revision == "signup-00002"
    failure = moves.attempts[1].failure
    assert failure is not None
    assert failure[0] == 570
    assert "send email != check" in failure[1]
    old, new = pg.revisions
    assert (old.drained, old.unfinished, new.unfinished) == (True, [], [moves.id])

    pg.deploy(name="signup", source=FITS)
    pg.resolve(moves.awakeables[0])
    assert moves.status == "paused", "a click does not wake it, and is not lost"
    moves.resume(revision="latest")
    assert moves.result() == "new"
    assert "signup-00002" in repr(moves).splitlines()[4]
    assert [each.drained for each in pg.revisions] == [True, True, False]

    with pytest.raises(RequestError, match="no revision 'signup-00009'"):
        moves.resume(revision="signup-00009")


INVOICE = """
import os
import httpx
import restate

invoice = restate.Service("Invoice")


def reserve() -> int:
    httpx.post(os.environ["LEDGER_URL"] + "/number", json={}).raise_for_status()
    return 7


def render() -> str:
    raise restate.TerminalError("no template")


@invoice.handler()
async def make(ctx: restate.Context) -> str:
    number = await ctx.run_typed("reserve", reserve)
    return f"{number}: {await ctx.run_typed('render', render)}"
"""


def test_a_restart_from_an_entry_takes_over_what_came_before(pg: Playground) -> None:
    pg.deploy(name="invoice", source=INVOICE)
    failed = pg.send("Invoice/make")
    with pytest.raises(InvocationFailed):
        failed.result()
    pg.deploy(name="invoice", source=INVOICE.replace('raise restate.TerminalError("no template")', 'return "printed"'))

    for from_entry in ("render", 2):
        again = failed.restart_as_new(from_entry=from_entry)
        assert again.result() == "7: printed"
        assert [str(entry) for entry in again.attempts[0].replayed] == ["Input", "Run reserve"]
    assert pg.ledger.count("number") == 1
    assert failed.restart_as_new().result() == "7: printed"
    assert pg.ledger.count("number") == 2

    with pytest.raises(RequestError, match="Run reserve, Run render"):
        failed.restart_as_new(from_entry="bill")
    with pytest.raises(InvocationFailed):
        failed.restart_as_new(from_entry="render", revision="invoice-00001").result()
