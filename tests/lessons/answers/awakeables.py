"""Other answers to the exercises of lesson 03."""

from __future__ import annotations

from playground.lessons import awakeables as lesson
from tests.lessons.answers import Right, Wrong

_SOLUTION = str(lesson.remind_once.right)


WRONG = {
    "remind_once": [
        Wrong(
            "new link",
            '        await ctx.run_typed("send reminder"',
            '        link, clicked = ctx.awakeable()\n        await ctx.run_typed("send reminder"',
            says="A new awakeable has a new id",
        ),
        Wrong(
            "outside a step",
            'await ctx.run_typed("send reminder", post, kind="reminder", address=address, link=link)',
            'post("reminder", address, link)',
            says="Outside a step it is sent again",
        ),
        Wrong(
            "ordinary error",
            'restate.TerminalError("nobody clicked")',
            'TimeoutError("nobody clicked")',
            says="raise TerminalError",
        ),
        Wrong(
            "same timer",
            "",
            _SOLUTION.replace("    first, value", "    timer = ctx.sleep(patience)\n    first, value", 1).replace(
                "timeout=ctx.sleep(patience)", "timeout=timer"
            ),
            says="the second wait needs its own",
        ),
        Wrong(
            "timer of the pod",
            "",
            _SOLUTION.replace("import os", "import asyncio\nimport os", 1).replace(
                "    first, value = await restate.select(click=clicked, timeout=ctx.sleep(patience))\n",
                "    try:\n"
                '        first, value = "click", await asyncio.wait_for(clicked, patience.total_seconds())\n'
                "    except TimeoutError:\n"
                '        first, value = "timeout", None\n',
                1,
            ),
            says="A timer of asyncio lives in the pod",
        ),
    ],
}

RIGHT: dict[str, list[Right]] = {}
