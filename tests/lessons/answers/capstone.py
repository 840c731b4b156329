"""Other answers to the exercises of lesson 10."""

from __future__ import annotations

from playground.lessons import capstone as lesson
from tests.lessons.answers import Right, Wrong

_SOLUTION = str(lesson.stock_never_oversold.right)


WRONG = {
    "stock_never_oversold": [
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
            _SOLUTION.replace('await ctx.get("left")', "COUNTS.get(ctx.key())")
            .replace('ctx.set("left", left)', "COUNTS[ctx.key()] = left")
            .replace("SHELF = 3", "COUNTS = {}\nSHELF = 3"),
            says="dies with it",
        ),
    ],
    "order_charged_once": [
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
            says="Two orders must not share one",
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
    "order_compensates": [
        Wrong(
            "stock stays reserved",
            """        for item in reversed(reserved):
            await ctx.object_call(put_back, key=item, arg=None)
""",
            "",
            says="Each item that was reserved must be put back",
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
    "order_survives_everything": [
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
}

RIGHT: dict[str, list[Right]] = {}
