"""Lesson 10: an order, from the shelf to the doorstep, whatever happens on the way."""

from __future__ import annotations

from playground.lessons import capstone_checks as checks
from playground.lessons.facts import Claim, Term
from playground.lessons.write import Write

TERMS: tuple[Term, ...] = ()
CLAIMS: tuple[Claim, ...] = ()

SERVICE = "shop"

STARTER = """
import os

import httpx
import restate

SHELF = 3  # pieces of every item, to begin with

stock = restate.VirtualObject("Stock")
orders = restate.Service("Orders")


def post(kind: str, body: dict, key: str = "") -> None:
    headers = {"idempotency-key": key} if key else {}
    httpx.post(os.environ["LEDGER_URL"] + "/" + kind, json=body, headers=headers).raise_for_status()


async def on_the_shelf(ctx) -> int:
    left = await ctx.get("left")
    return SHELF if left is None else left


@stock.handler(kind="shared")
async def left(ctx: restate.ObjectSharedContext) -> int:
    return await on_the_shelf(ctx)


@stock.handler()
async def reserve(ctx: restate.ObjectContext) -> int:
    left = await on_the_shelf(ctx) - 1
    ctx.set("left", left)
    return left


@stock.handler()
async def put_back(ctx: restate.ObjectContext) -> int:
    left = await on_the_shelf(ctx) + 1
    ctx.set("left", left)
    return left


@orders.handler()
async def place(ctx: restate.Context, order: dict) -> str:
    for item in order["items"]:
        await ctx.object_call(reserve, key=item, arg=None)

    post("payment", {"order": order["id"], "amount": order["amount"]})

    parcel, delivered = ctx.awakeable(type_hint=str)
    post("shipment", {"order": order["id"], "parcel": parcel})
    tracking = await delivered

    post("email", {"order": order["id"], "tracking": tracking})
    return tracking
"""

_RESERVE = """
    left = await on_the_shelf(ctx) - 1
    ctx.set("left", left)
    return left
"""
_RESERVE_CHECKED = """
    left = await on_the_shelf(ctx) - 1
    if left < 0:
        raise restate.TerminalError("sold out")
    ctx.set("left", left)
    return left
"""
_PLACE = """
async def place(ctx: restate.Context, order: dict) -> str:
    key = str(ctx.uuid())
    bill = {"order": order["id"], "amount": order["amount"]}
    reserved, charging = [], False
    try:
        for item in order["items"]:
            await ctx.object_call(reserve, key=item, arg=None)
            reserved.append(item)

        charging = True
        await ctx.run_typed("charge", lambda: post("payment", bill, key))

        parcel, delivered = ctx.awakeable(type_hint=str)
        shipment = {"order": order["id"], "parcel": parcel}
        await ctx.run_typed("ship", lambda: post("shipment", shipment, key))
        tracking = await delivered
    except restate.TerminalError:
        if charging:
            await ctx.run_typed("refund", lambda: post("refund", bill, key))
        for item in reversed(reserved):
            await ctx.object_call(put_back, key=item, arg=None)
        raise

    mail = {"order": order["id"], "tracking": tracking}
    await ctx.run_typed("confirm", lambda: post("email", mail, key))
    return tracking
"""
SOLUTION = STARTER.replace(_RESERVE, _RESERVE_CHECKED, 1)
SOLUTION = SOLUTION[: SOLUTION.index("\nasync def place")] + _PLACE


stock_never_oversold = Write(
    "stock_never_oversold",
    "Stock/reserve takes one piece off the shelf, or refuses with a TerminalError and takes none.",
    service=SERVICE,
    starter=STARTER,
    solution=SOLUTION,
    probe=checks.stock,
    hints=[
        "What does reserve do when nothing is left?",
        "A piece that is not there will not be there at the next attempt either. Which kind of error is not retried?",
        'Before ctx.set: if left < 0, raise restate.TerminalError("sold out").',
    ],
    because="An object runs one exclusive handler per key at a time, so nothing comes between check and change.",
)

order_charged_once = Write(
    "order_charged_once",
    "Every order is paid exactly once, also when the payment provider refuses for a while, or its answer is lost.",
    service=SERVICE,
    starter=STARTER,
    solution=SOLUTION,
    probe=checks.charged,
    hints=[
        "How can the provider know that a request is a second try, and not a second order?",
        "post takes a key. It must be the same in all attempts of one order, and another for each order.",
        "key = str(ctx.uuid()) at the top; then a step: "
        'await ctx.run_typed("charge", lambda: post("payment", bill, key)).',
    ],
    because="A step is tried until it succeeds, so it happens at least once. The key makes it at most once.",
)

order_compensates = Write(
    "order_compensates",
    "When an order fails or is cancelled, what was reserved is put back, what was paid is refunded, and it fails.",
    service=SERVICE,
    starter=STARTER,
    solution=SOLUTION,
    probe=checks.compensated,
    hints=[
        "Sold out, rejected, cancelled: the handler sees each of them as the same kind of exception.",
        "except restate.TerminalError: undo in reverse order what has been done so far, then raise. "
        "Keep a list of what has been reserved.",
        "A charge that was cut short may have gone through. Note that a refund may be due before you charge; "
        "note an item after it has been reserved.",
    ],
    because="Compensations are steps and calls like all others: Restate finishes them, whatever crashes.",
)

order_survives_everything = Write(
    "order_survives_everything",
    "Whatever crashes or misbehaves: every effect of an order happens exactly once, refunds too.",
    service=SERVICE,
    starter=STARTER,
    solution=SOLUTION,
    probe=checks.survives,
    hints=[
        "Look at your own atlas of it: the cell above with pg.atlas shows which effect happens how often.",
        "What is true of the payment is true of each effect: parcel, mail, refund. Which of them has no key?",
        "Every post in a step of its own, each with the order's key. The ledger keeps keys apart by kind.",
    ],
    because="Steps make every effect happen at least once, keys at most once, and the journal brings the rest back.",
)
