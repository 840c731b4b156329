"""Other answers to the exercises of lesson 05."""

from __future__ import annotations

from playground.lessons import sagas as lesson
from tests.lessons.answers import Right, Wrong

_SOLUTION = str(lesson.compensate_in_time.right)


def _late(source: str, *kinds: str) -> str:
    """The source, with some bookings noted after their steps."""
    lines = source.splitlines(keepends=True)
    for kind in kinds:
        note = next(at for at, line in enumerate(lines) if line.strip() == f'booked.append("{kind}")')
        lines[note : note + 2] = lines[note + 1], lines[note]
    return "".join(lines)


WRONG = {
    "compensate_in_time": [
        Wrong(
            "only the hotel", "", _late(_SOLUTION, "flight", "payment"), says="flight happened, and nothing undid it"
        ),
        Wrong("in order of booking", "reversed(booked)", "booked", says="what was booked last is undone first"),
        Wrong("error swallowed", "        raise\n    return", "    return", says="raise the error again"),
        Wrong(
            "finally",
            "",
            _SOLUTION.replace("except restate.TerminalError", "finally").replace("        raise\n", ""),
            says="A trip that succeeds must not be undone",
        ),
        Wrong(
            "asks for ever",
            "restate.RunOptions(max_attempts=1)",
            "restate.RunOptions()",
            says="Leave ONE_TRY where it is",
        ),
    ],
}

RIGHT: dict[str, list[Right]] = {}
