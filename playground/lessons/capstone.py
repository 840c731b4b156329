"""Lesson 10: an order, from the shelf to the doorstep, whatever happens on the way."""

from __future__ import annotations

import json
import time
from typing import Any

from playground.atlas import Atlas
from playground.atlas.lab import Run
from playground.errors import AtlasError, InvocationFailed, PodNotFound
from playground.invocation import Invocation
from playground.lessons.facts import Claim, Term
from playground.lessons.outcome import Broken, NotYet
from playground.lessons.trial import Trial
from playground.lessons.write import Write, Wrong

TERMS: tuple[Term, ...] = ()
CLAIMS: tuple[Claim, ...] = ()

SERVICE = "shop"
SHELF = 3
PATIENCE = 15.0

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


# -- what the outside does --------------------------------------------------------------------------


def _order(trial: Trial, name: str, *items: str) -> dict[str, Any]:
    return {"id": trial.key(name), "items": [trial.key(item) for item in items], "amount": 30}


def _parcel(trial: Trial, invocation: Invocation) -> str:
    """The parcel's id, as soon as the carrier has it; empty if the order ends or fails before."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if shipments := trial.effects("shipment", of=invocation.trace):
            return str(json.loads(shipments[0].body)["parcel"])
        failures = sum(attempt.outcome == "failed" for attempt in invocation.attempts)
        if invocation.trace.done or failures > 4:
            break
        trial.pause(0.03)
    return ""


def _delivered(trial: Trial, invocation: Invocation, failures: int = 1) -> Any:
    """The result of an order whose carrier delivers."""
    if parcel := _parcel(trial, invocation):
        trial.pg.resolve(parcel, "TR-1")
    return trial.result(invocation, failures=failures)


def _count(trial: Trial, invocation: Invocation) -> dict[str, int]:
    """How often each effect of an order happened."""
    found = trial.effects(of=invocation.trace)
    return {kind: sum(e.kind == kind for e in found) for kind in ("payment", "shipment", "email", "refund")}


def _ends_in_failure(trial: Trial, invocation: Invocation, why: str) -> None:
    try:
        value = trial.result(invocation)
    except InvocationFailed:
        return
    raise NotYet(
        f"{why}, and Orders/place returned {value!r}",
        "it ends with a TerminalError",
        "After it has been put right, the failure has to be told: raise it again.",
    )


# -- the checks -------------------------------------------------------------------------------------


def _stock(trial: Trial) -> str:
    tea = trial.key("tea")
    for nth in range(1, SHELF + 1):
        if refused := trial.refuses(f"Stock/{tea}/reserve"):
            raise NotYet(f"piece {nth} of {SHELF} was refused: {refused.message}", "all that are there can be had")
    _refuses(trial, tea)
    if (left := trial.call(f"Stock/{tea}/left")) != 0:
        raise NotYet(
            f"after a reserve that was refused, {left} pieces are left",
            "0 pieces",
            "What a handler has set stays set when it raises. Check first, then take.",
        )
    trial.call(f"Stock/{tea}/put_back")
    if (left := trial.call(f"Stock/{tea}/reserve")) != 0:
        raise NotYet(f"one piece was put back and reserved again; reserve returned {left!r}", "0")
    cups = trial.key("cup")
    trial.call(f"Stock/{cups}/reserve")
    try:
        trial.pg.kill_pod(trial.service)
    except PodNotFound:
        pass  # it has scaled to zero: gone either way
    if (left := trial.call(f"Stock/{cups}/left")) != SHELF - 1:
        raise NotYet(
            f"one of {SHELF} was reserved and the pod was killed; now {left} are left",
            f"{SHELF - 1} are left",
            "What a pod has in its memory dies with it. Restate keeps what ctx.set sets.",
        )
    return f"{SHELF} pieces are sold, the fourth is refused, and a new pod knows it"


def _refuses(trial: Trial, item: str) -> None:
    try:
        refused = trial.refuses(f"Stock/{item}/reserve")
    except Broken as broken:
        raise NotYet(
            f"for a piece that is not there, reserve raises, again and again: {broken.message}",
            "a TerminalError",
            "Any other error is retried. Trying again does not fill the shelf.",
        ) from None
    if refused is None:
        raise NotYet(
            f"piece {SHELF + 1} of {SHELF} was sold", "a TerminalError", "Is anything left? Ask before you take."
        )


def _charged(trial: Trial) -> str:
    for name, misbehaviour, what in (
        ("calm", {}, "nothing went wrong"),
        ("lost", {"lose_answer": 1}, "the answer of a payment was lost"),
        ("refused", {"fail": 2}, "a payment was refused twice"),
    ):
        trial.pg.ledger.misbehave("payment", **misbehaviour)  # type: ignore[arg-type]
        invocation = trial.send("Orders/place", _order(trial, name, f"tea-{name}"))
        try:
            _delivered(trial, invocation, failures=4)
        except Broken as broken:
            if "422" not in broken.message:
                raise
            raise NotYet(
                "the second order's payment was rejected: its key had been used for the first order's",
                "every order is paid",
                "A key says: this is the same request as before. Two orders may not have the same.",
            ) from None
        payments = _count(trial, invocation)["payment"]
        if payments == 0:
            raise NotYet(
                f"{what}, and the order was shipped; payments: 0",
                "one payment",
                "Who caught the error? A step has to raise, so that Restate tries it again.",
            )
        if payments != 1:
            raise NotYet(
                f"{what}; payments: {payments}",
                "one payment",
                "The provider cannot tell a second try from a second payment: give both the same idempotency key.",
            )
    return "one payment for each order, also when one is refused, or its answer lost"


def _compensated(trial: Trial) -> str:
    _after_reject(trial)
    _sold_out(trial)
    _cancelled(trial)
    _cancelled_while_paying(trial)
    return "sold out, rejected, cancelled: what was taken is back, what was paid is refunded"


def _put_right(trial: Trial, invocation: Invocation, why: str, *items: str, paid: bool = True) -> None:
    counts = _count(trial, invocation)
    if paid and counts["refund"] != 1:
        raise NotYet(
            f"{why}; payments: {counts['payment']}, refunds: {counts['refund']}",
            "what was paid is refunded, once",
            "How far has the order come when it fails? Then everything up to there has to be undone.",
        )
    if not paid and counts["refund"]:
        raise NotYet(
            f"{why}; payments: {counts['payment']}, refunds: {counts['refund']}",
            "no refund, for nothing was paid",
            "Undo only what has been begun.",
        )
    for item in items:
        left = trial.call(f"Stock/{trial.key(item)}/left")
        if left < SHELF:
            raise NotYet(
                f"{why}; of {item} {left} are left",
                f"{SHELF}: what was reserved is back",
                "Each item that was reserved is to be put back when the order fails.",
            )
        if left > SHELF:
            raise NotYet(
                f"{why}; of {item} {left} are left",
                f"{SHELF}, as before",
                "Something was put back that had not been taken, or twice.",
            )
    if counts["email"]:
        raise NotYet(f"{why}, and a confirmation was mailed", "no confirmation")


def _after_reject(trial: Trial) -> None:
    why = "the carrier rejected the parcel"
    invocation = trial.send("Orders/place", _order(trial, "rejected", "pot", "cup"))
    if parcel := _parcel(trial, invocation):
        trial.pg.reject(parcel, "no such address")
    _ends_in_failure(trial, invocation, why)
    _put_right(trial, invocation, why, "pot", "cup")


def _sold_out(trial: Trial) -> None:
    why = "the second of two items was sold out"
    for _ in range(SHELF):
        trial.call(f"Stock/{trial.key('rare')}/reserve")
    if trial.refuses(f"Stock/{trial.key('rare')}/reserve") is None:
        raise NotYet("Stock sells what it does not have", "a TerminalError", "First make stock_never_oversold correct.")
    invocation = trial.send("Orders/place", _order(trial, "short", "bag", "rare"))
    if parcel := _parcel(trial, invocation):
        trial.pg.resolve(parcel, "TR-1")
    _ends_in_failure(trial, invocation, why)
    _put_right(trial, invocation, why, "bag", paid=False)
    if left := trial.call(f"Stock/{trial.key('rare')}/left"):
        raise NotYet(
            f"{why}; now {left} of it are left",
            "0, as before",
            "It was put back, but it had never been taken.",
        )


def _cancelled(trial: Trial) -> None:
    why = "the order was cancelled while it waited for the carrier"
    invocation = trial.send("Orders/place", _order(trial, "cancelled", "lid"))
    _parcel(trial, invocation)
    invocation.cancel()
    _ends_in_failure(trial, invocation, why)
    _put_right(trial, invocation, why, "lid")


def _cancelled_while_paying(trial: Trial) -> None:
    why = "the payment was made, its answer was lost, and the order was cancelled before it came"
    trial.pg.ledger.misbehave("payment", lose_answer=True)
    invocation = trial.send("Orders/place", _order(trial, "hasty", "jar"))
    deadline = time.monotonic() + PATIENCE
    while not trial.effects("payment", of=invocation.trace) and time.monotonic() < deadline:
        trial.pause(0.03)
    invocation.cancel()
    try:
        _ends_in_failure(trial, invocation, why)
    finally:
        trial.pg.ledger.behave()
    counts = _count(trial, invocation)
    if not counts["refund"]:
        raise NotYet(
            f"{why}; payments: {counts['payment']}, refunds: 0",
            "a refund",
            "When the charge is cut short you cannot know whether it went through. So note that there may be "
            "something to refund before you charge, not after.",
        )
    _put_right(trial, invocation, why, "jar")


def _survives(trial: Trial) -> str:
    order = {"id": "o-1", "items": ["tea"], "amount": 30}
    _holds(trial, order, _deliver, "the outside world misbehaves", target="ledger")
    _holds(trial, order, _reject, "the outside world misbehaves, and the carrier rejects", target="ledger")
    runs = _holds(trial, order, _deliver, "a pod is killed", most=24)
    return f"every effect exactly once: in {runs} runs with a pod killed, and whatever the outside world did"


def _deliver(run: Run) -> None:
    run.resolve(run.wait_for("shipment")["parcel"], "TR-1")


def _reject(run: Run) -> None:
    run.reject(run.wait_for("shipment")["parcel"], "no such address")


def _holds(trial: Trial, order: dict[str, Any], drive: Any, when: str, **options: Any) -> int:
    try:
        atlas: Atlas = trial.atlas("Orders/place", order, drive=drive, keys=[order["id"]], **options)
    except AtlasError as error:
        raise NotYet(f"{error.what} {error.why}", "it completes") from None
    broken = atlas.broken(effects="exactly_once")
    if not broken:
        return len(atlas)
    first = broken[0]
    wrong = [
        f"{kind}: {n} instead of {first.expected[kind]}"
        for kind, n in first.effects.items()
        if n != first.expected[kind]
    ]
    seen = "; ".join([*wrong, *first.state_diff, *([first.detail] if first.detail else [])])
    twice = [kind for kind, n in first.effects.items() if n > first.expected[kind]]
    never = [kind for kind, n in first.effects.items() if n < first.expected[kind]]
    mistake = ""
    if twice:
        mistake = f"The {twice[0]} happens again when its step is tried again. Does it have a key that stays the same?"
    elif never:
        mistake = f"The {never[0]} is given up. A step has to raise, so that Restate tries it again."
    raise NotYet(
        f"{when} ({first.points[0].name}): {seen}", "every effect exactly once, the right result and state", mistake
    )


# -- the exercises ----------------------------------------------------------------------------------

stock_never_oversold = Write(
    "stock_never_oversold",
    "Stock/reserve takes one piece off the shelf, or refuses with a TerminalError and takes none.",
    service=SERVICE,
    starter=STARTER,
    solution=SOLUTION,
    probe=_stock,
    wrong=[
        Wrong("an error that is retried", "restate.TerminalError(", "ValueError(", says="Any other error is retried"),
        Wrong(
            "takes, then checks",
            """    if left < 0:
        raise restate.TerminalError("sold out")
    ctx.set("left", left)
""",
            """    ctx.set("left", left)
    if left < 0:
        raise restate.TerminalError("sold out")
""",
            says="Check first, then take.",
        ),
        Wrong("keeps one back", "if left < 0:", "if left <= 0:", says="piece 3 of 3 was refused"),
        Wrong("sells one too many", "if left < 0:", "if left < -1:", says="Ask before you take"),
        Wrong(
            "counts in the pod's memory",
            "",
            SOLUTION.replace('await ctx.get("left")', "COUNTS.get(ctx.key())")
            .replace('ctx.set("left", left)', "COUNTS[ctx.key()] = left")
            .replace("SHELF = 3", "COUNTS = {}\nSHELF = 3"),
            says="dies with it",
        ),
    ],
    hints=[
        "What does reserve do when nothing is left?",
        "A piece that is not there will not be there at the next attempt either. Which kind of error is not retried?",
        'Before ctx.set: if left < 0, raise restate.TerminalError("sold out").',
    ],
    because="An object runs one exclusive handler per key at a time, so nobody comes between the look and the taking.",
)

order_charged_once = Write(
    "order_charged_once",
    "Every order is paid exactly once, also when the payment provider refuses for a while, or its answer is lost.",
    service=SERVICE,
    starter=STARTER,
    solution=SOLUTION,
    probe=_charged,
    wrong=[
        Wrong("no key", 'post("payment", bill, key)', 'post("payment", bill)', says="the same idempotency key"),
        Wrong(
            "another key in each attempt",
            'post("payment", bill, key)',
            'post("payment", bill, os.urandom(8).hex())',
            says="the same idempotency key",
        ),
        Wrong(
            "one key for all",
            'post("payment", bill, key)',
            'post("payment", bill, "payment")',
            says="Two orders may not have the same",
        ),
        Wrong(
            "takes a refusal for paid",
            """        await ctx.run_typed("charge", lambda: post("payment", bill, key))
""",
            """        def charge() -> None:
            try:
                post("payment", bill, key)
            except httpx.HTTPError:
                print("no payment this time")

        await ctx.run_typed("charge", charge)
""",
            says="Who caught the error?",
        ),
    ],
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
    probe=_compensated,
    wrong=[
        Wrong(
            "stock stays reserved",
            """        for item in reversed(reserved):
            await ctx.object_call(put_back, key=item, arg=None)
""",
            "",
            says="Each item that was reserved is to be put back",
        ),
        Wrong(
            "the money is kept",
            """        if charging:
            await ctx.run_typed("refund", lambda: post("refund", bill, key))
""",
            "",
            says="what was paid is refunded, once",
        ),
        Wrong("tells nobody", "        raise\n\n    mail", '        return "sorry"\n\n    mail', says="raise it again"),
        Wrong(
            "refunds what was never paid",
            "        if charging:\n",
            "        if True:\n",
            says="Undo only what has been begun",
        ),
        Wrong(
            "puts back what was never taken",
            """            await ctx.object_call(reserve, key=item, arg=None)
            reserved.append(item)
""",
            """            reserved.append(item)
            await ctx.object_call(reserve, key=item, arg=None)
""",
            says="it had never been taken",
        ),
        Wrong(
            "notes the charge too late",
            """        charging = True
        await ctx.run_typed("charge", lambda: post("payment", bill, key))
""",
            """        await ctx.run_typed("charge", lambda: post("payment", bill, key))
        charging = True
""",
            says="before you charge, not after",
        ),
    ],
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
    probe=_survives,
    wrong=[
        Wrong("two confirmations", 'post("email", mail, key)', 'post("email", mail)', says="The email happens again"),
        Wrong(
            "two parcels",
            'post("shipment", shipment, key)',
            'post("shipment", shipment)',
            says="The shipment happens again",
        ),
        Wrong("two refunds", 'post("refund", bill, key)', 'post("refund", bill)', says="The refund happens again"),
        Wrong(
            "mails if it can",
            """    await ctx.run_typed("confirm", lambda: post("email", mail, key))
""",
            """    def confirm() -> None:
        try:
            post("email", mail, key)
        except httpx.HTTPError:
            print("no mail today")

    await ctx.run_typed("confirm", confirm)
""",
            says="The email is given up",
        ),
    ],
    hints=[
        "Look at your own atlas of it: the cell above with pg.atlas shows which effect happens how often.",
        "What is true of the payment is true of each effect: parcel, mail, refund. Which of them has no key?",
        "Every post in a step of its own, each with the order's key. The ledger keeps keys apart by kind.",
    ],
    because="Steps make every effect happen at least once, keys at most once, and the journal brings the rest back.",
)
