"""Other answers to the exercises of lesson 08."""

from __future__ import annotations

from playground.lessons import changing_code as lesson
from tests.lessons.answers import Right, Wrong

_EMAIL = '    await ctx.run_typed("send email", post, kind="email", username=username)\n'
_WELCOME = '    await ctx.run_typed("send welcome", post, kind="welcome", username=username)\n'
_CHECK = '    await ctx.run_typed("check name", post, kind="check", username=username)\n'

WRONG = {
    "compatible_change": [
        Wrong(
            "before what was done", "", lesson.SECOND.replace('"check name"', '"validate"'), says="asks for 'validate'"
        ),
        Wrong(
            "renames a step",
            '"send email"',
            '"send mail"',
            says="'send email' where this revision asks for 'send mail'",
        ),
        Wrong("no check", _CHECK, "", says="without a check"),
        Wrong(
            "too late",
            "",
            lesson.FIRST.replace(_WELCOME, _WELCOME + _CHECK),
            says="welcomed, and then its name was checked",
        ),
        Wrong(
            "outside a step",
            "",
            lesson.FIRST.replace(_EMAIL, '    post("check", username)\n' + _EMAIL),
            says="is done on every attempt",
        ),
        Wrong("drops a step", _EMAIL, "", says="'send email' where this revision asks for"),
    ],
}

RIGHT: dict[str, list[Right]] = {}
