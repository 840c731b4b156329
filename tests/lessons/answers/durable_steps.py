"""Other answers to the exercises of lesson 02."""

from __future__ import annotations

from tests.lessons.answers import Right, Wrong

_OPTIONS = ", restate.RunOptions(max_attempts=3, initial_retry_interval=timedelta(milliseconds=50))"
_NO_ADDRESS = """        if "@" not in to:
            raise restate.TerminalError(f"{to} is no address")
"""
_LETTER = 'await ctx.run_typed("send letter", lambda: post("letter", to))'
_KEY = "str(ctx.uuid())"

WRONG = {
    "letter_instead": [
        Wrong("no limit", _OPTIONS, "", says="Nothing limits the attempts at this step"),
        Wrong("three retries", "max_attempts=3", "max_attempts=4", says="max_attempts counts the first attempt, too"),
        Wrong("gives up at once", "max_attempts=3", "max_attempts=1", says="three attempts are allowed"),
        Wrong("the letter is no step", _LETTER, 'post("letter", to)', says="the letter is a step, too"),
        Wrong("nobody catches", "except restate.TerminalError", "except KeyError", says="ended with a terminal error"),
        Wrong(
            "retries the unmendable", "restate.TerminalError(f", "ValueError(f", says="that error should be terminal"
        ),
        Wrong("takes any address", _NO_ADDRESS, "", says="Look at the address before you send"),
    ],
    "send_once": [
        Wrong("no key", ', headers={"idempotency-key": key}', "", says="The requests had no key"),
        Wrong("one key for each person", _KEY, "to", says="Both requests used the same key"),
        Wrong("always the same key", _KEY, '"bill"', says="Both requests used the same key"),
        Wrong(
            "a new key for each try",
            f'key = {_KEY}\n    await ctx.run_typed("send email", lambda: send_email(to, key))',
            'await ctx.run_typed("send email", lambda: send_email(to, os.urandom(8).hex()))',
            says="Each attempt had a key of its own",
        ),
    ],
}

RIGHT: dict[str, list[Right]] = {}
