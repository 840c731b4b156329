"""Other answers to the exercises of lesson 04."""

from __future__ import annotations

from playground.lessons import signup_end_to_end as lesson
from tests.lessons.answers import Right, Wrong

_SOLUTION = str(lesson.ported_from_go.right)
_ACTIVATED = 'exist")\n    ctx.set("activated", '
_POST = "json=mail)"
_POST_KEY = 'json=mail, headers={"idempotency-key": key})'

WRONG = {
    "ported_from_go": [
        Wrong("only the key", f"{_ACTIVATED}True)", f"{_ACTIVATED}False)", says="Read what it stores"),
        Wrong("only the state", _POST_KEY, _POST, says="No email came with an idempotency-key"),
        Wrong(
            "key of the attempt",
            "",
            _SOLUTION.replace("ctx.uuid()", "uuid.uuid4()").replace("import time\n", "import time\nimport uuid\n"),
            says="Every try came with another key",
        ),
        Wrong("one key for all", "str(ctx.uuid())", '"signup-email"', says="Two users with one key"),
        Wrong(
            "one try only",
            'ctx.run_typed("send email", send_email)',
            'ctx.run_typed("send email", send_email, restate.RunOptions(max_attempts=1))',
            says="can never be activated",
        ),
    ],
}

RIGHT: dict[str, list[Right]] = {}
