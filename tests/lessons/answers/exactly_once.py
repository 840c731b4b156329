"""Other answers to the exercises of lesson 06."""

from __future__ import annotations

from tests.lessons.answers import Right, Wrong

_IN_MEMORY = """
import restate

points = restate.VirtualObject("Points")
counted = set()


@points.handler()
async def earned(ctx: restate.ObjectContext, event: dict) -> int:
    total = await ctx.get("total") or 0
    name = (ctx.key(), event["source"], event["id"])
    if name not in counted:
        counted.add(name)
        total = total + event["data"]["points"]
        ctx.set("total", total)
    return total
"""

WRONG = {
    "count_each_event_once": [
        Wrong("id alone", '[event["source"], event["id"]]', '[event["id"]]', says="its source and its id together"),
        Wrong("by what it says", '[event["source"], event["id"]]', 'event["data"]', says="only source and id tell"),
        Wrong("only the latest", "[*counted, name]", "[name]", says="not only the latest"),
        Wrong("in memory", "", _IN_MEMORY, says="Keep it in the object's state"),
        Wrong(
            "never remembered", '        ctx.set("counted", [*counted, name])\n', "", says="The same event came again"
        ),
        Wrong(
            "nothing returned",
            "    return total",
            "        return total",
            says="the total is returned as it is",
        ),
    ],
}

RIGHT: dict[str, list[Right]] = {}
