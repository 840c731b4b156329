"""Text and tables for people, as notebooks show and nbval compares them.

The text is the same in every run that does the same. Columns are aligned by characters, so a table is readable in any
fixed-width font. Text from outside loses its control characters here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

NONE = "–"
MAX_CELL = 60
_ID = re.compile(r"\b(sign_1|prom_1|inv_1)[\w-]+")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> str:
    """Align rows under a head. Cells are cut after 60 characters and lose their control characters."""
    cells = [[clean(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join([*([title] if title else []), *lines])


def clean(text: object) -> str:
    """Text from outside as one short, harmless line: without control or direction marks, and with ids shortened."""
    line = one_line(text)
    return line if len(line) <= MAX_CELL else line[: MAX_CELL - 1] + "…"


def one_line(text: object) -> str:
    """Text from outside as one harmless line of any length."""
    return _ID.sub(r"\1…", "".join(c if c.isprintable() else " " for c in str(text)))


def plural(count: int, noun: str) -> str:
    """ "1 pod", "2 pods"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(seconds: float) -> str:
    """A duration for people: "3.2 ms", "410 ms", "2.4 s", "38 s", "2 min 5 s". As in `static/moment.js`."""
    s = max(0.0, seconds)
    if s < 0.00995:
        return f"{_trim(s * 1e3, 1)} ms"
    if s < 0.9995:
        return f"{round(s * 1e3)} ms"
    if s < 9.995:
        return f"{_trim(s, 2)} s"
    if s < 99.95:
        return f"{_trim(s, 1)} s"
    minutes, rest = divmod(round(s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def times(count: int) -> str:
    """ "never", "once", "twice", "3 times"."""
    return ("never", "once", "twice")[count] if count < 3 else f"{count} times"


def _trim(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"
