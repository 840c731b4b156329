"""Other answers to the exercises of lesson 07."""

from __future__ import annotations

from playground.lessons import workflows as lesson
from tests.lessons.answers import Right, Wrong

_SOLUTION = str(lesson.approval.right)
_POLLS = _SOLUTION.replace("import os\n", "import datetime\nimport os\n").replace(
    '    decision = await ctx.promise("decision", type_hint=str)\n',
    """    while (decision := await ctx.promise("decision", type_hint=str).peek()) is None:
        await ctx.sleep(datetime.timedelta(seconds=0.2))
""",
)

WRONG = {
    "approval": [
        Wrong(
            "does not wait", 'await ctx.promise("decision", type_hint=str)\n', '"approved"\n', says="nobody was asked"
        ),
        Wrong(
            "another name",
            '    promise = ctx.promise("decision", type_hint=str)',
            '    promise = ctx.promise("decided", type_hint=str)',
            says="run waits for the promise 'decision', decide completes 'decided'",
        ),
        Wrong(
            "second decision fails",
            """    try:
        await promise.resolve(decision)
    except restate.TerminalError:
        pass  # somebody was first
""",
            "    await promise.resolve(decision)\n",
            says="A promise can be completed once",
        ),
        Wrong("returns its own", "    return await promise", "    return decision", says="not what was decided"),
        Wrong(
            "waits on both sides",
            "        await promise.resolve(decision)",
            "        await promise",
            says="decide waits for the promise as well",
        ),
        Wrong(
            "writes state",
            "        await promise.resolve(decision)",
            '        await promise.resolve(decision)\n        ctx.set("status", decision)',
            says="Only run may",
        ),
        Wrong("keeps the status", '    ctx.set("status", decision)\n', "", says="set the status when it is decided"),
        Wrong("asks again and again", "", _POLLS, says="asks again and again"),
    ],
}

RIGHT: dict[str, list[Right]] = {}
