"""Other answers to the exercises of lesson 01."""

from __future__ import annotations

from tests.lessons.answers import Right, Wrong

_BALANCE_EXCLUSIVE = """@account.handler()
async def balance(ctx: restate.ObjectContext)"""
_BALANCE_SHARED = """@account.handler(kind="shared")
async def balance(ctx: restate.ObjectSharedContext)"""
_REFUSE = 'raise restate.TerminalError("only what is more than nothing can be deposited")'
_CALL = "await ctx.object_call(befriended, key=other, arg=ctx.key())"
_SEND = "ctx.object_send(befriended, key=other, arg=ctx.key())"
_SET = """    friends = await ctx.get("friends") or []
    ctx.set("friends", sorted({*friends, other}))
"""

WRONG = {
    "balance_at_any_time": [
        Wrong("balance is exclusive", _BALANCE_SHARED, _BALANCE_EXCLUSIVE, says="balance is exclusive: it waits"),
        Wrong("an error that is retried", "restate.TerminalError", "ValueError", says="raises, again and again"),
        Wrong("refuses without an error", _REFUSE, "return 0", says="raise, do not return"),
        Wrong(
            "all are shared",
            "@account.handler()\nasync def deposit(ctx: restate.ObjectContext",
            '@account.handler(kind="shared")\nasync def deposit(ctx: restate.ObjectSharedContext',
            says="this handler type cannot write state",
        ),
    ],
    "befriend_each_other": [
        Wrong(
            "calls before it writes",
            f"{_SET}    {_SEND}",
            f"    {_CALL}\n{_SET}",
            says="Each holds its own lock and waits for the other's",
        ),
        Wrong("tells nobody", f"    {_SEND}\n", "", says="Who tells cem?"),
        Wrong("forgets it itself", f"{_SET}    {_SEND}", f"    {_SEND}", says="Does ada write it down?"),
        Wrong(
            "the called one is shared",
            "@person.handler()\nasync def befriended(ctx: restate.ObjectContext",
            '@person.handler(kind="shared")\nasync def befriended(ctx: restate.ObjectSharedContext',
            says="this handler type cannot write state",
        ),
    ],
}

RIGHT: dict[str, list[Right]] = {}
