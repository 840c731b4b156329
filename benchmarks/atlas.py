"""How quick the crash atlas is: `python -m benchmarks atlas`."""

from __future__ import annotations

import time

from benchmarks.measure import table
from playground import Playground

SIGNUP = """
import os, httpx, restate

user = restate.VirtualObject("User")

@user.handler()
async def initialize(ctx: restate.ObjectContext, new: dict) -> None:
    if await ctx.get("user") is not None:
        raise restate.TerminalError("the user was already initialized")
    ctx.set("user", new)
    ctx.set("activated", False)

@user.handler()
async def activate(ctx: restate.ObjectContext) -> None:
    if await ctx.get("user") is None:
        raise restate.TerminalError("the user doesn't exist")
    ctx.set("activated", True)

signup_service = restate.Service("Signup")

@signup_service.handler()
async def signup(ctx: restate.Context, new: dict) -> str:
    await ctx.object_call(initialize, key=new["username"], arg=new)
    awakeable, clicked = ctx.awakeable()
    mail = {"to": new["username"], "link": awakeable}
    await ctx.run_typed("send email", lambda: httpx.post(os.environ["LEDGER_URL"] + "/email", json=mail) and None)
    await clicked
    await ctx.object_call(activate, key=new["username"], arg=None)
    return f"The new user {new['username']} is signed up and activated"
"""
STEPS = """
import restate

steps = restate.Service("Steps")

@steps.handler()
async def run(ctx: restate.Context, count: int) -> int:
    for n in range(count):
        await ctx.run_typed(f"step {n}", lambda: None)
    return count
"""


def run() -> str:
    """Sweep signup with more and fewer runs at a time, and handlers of more and fewer steps."""
    rows = [("sweep", "points", "seconds", "points/s")]
    with Playground.open() as pg:
        pg.deploy(name="signup", source=SIGNUP)
        pg.deploy(name="steps", source=STEPS)
        for concurrency in (1, 5, 10, 20):
            began = time.perf_counter()
            points = len(pg.atlas("Signup/signup", {"username": "ada"}, concurrency=concurrency))
            took = time.perf_counter() - began
            name = f"the article's signup, {concurrency} at a time"
            rows.append((name, str(points), f"{took:.1f}", f"{points / took:.1f}"))
        for count in (5, 10, 20, 40):
            began = time.perf_counter()
            points = len(pg.atlas("Steps/run", count))
            took = time.perf_counter() - began
            rows.append((f"{count} steps, 10 at a time", str(points), f"{took:.1f}", f"{points / took:.1f}"))
    return table(rows)
