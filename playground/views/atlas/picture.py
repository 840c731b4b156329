"""The grid as a static picture: what remains of it where no kernel runs.

Like the lens's picture it is a PNG on a light ground, drawn from the same model as the page. A long sweep is
not drawn whole: the runs that deviate are, others as far as there is room, and the gaps say how many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from playground.core.text import plural
from playground.views.atlas.model import AtlasPicture, Gap, RunRow, Sign, Tone, excerpt
from playground.views.pen import PAPER, Ink, Pen, measure, tint
from playground.views.picture import BAD, FAINT, GOOD, INK, LINE, PODS, QUIET, WIDTH

MOST_HEIGHT = 1050
"""Pixels: as many rows as fit are drawn."""
EDGE, ROW, PAIR, GROUP, INDENT = 14, 21, 34, 25, 16
PLACE_LEAST, CELL_LEAST, CELL_MOST = 330, 78, 112
"""Widths: of the points' names at least, and of a column."""
INKS: dict[Tone, Ink] = {"good": GOOD, "bad": BAD, "stuck": PODS[1], "quiet": QUIET}


class Head(NamedTuple):
    """What stands above the runs that crashed in one invocation, and how deep it was called."""

    invocation: str
    level: int


def png(picture: AtlasPicture) -> bytes:
    """The picture of an atlas.

    Args:
        picture: from `model.picture`.
    """
    return _Drawing(picture).draw()


class _Drawing:
    """One picture in the making. Lengths are in pixels of the size it is shown in."""

    def __init__(self, picture: AtlasPicture) -> None:
        self.values = picture["values"]
        rows = list(picture["tables"]["rows"].values())
        self.row = PAIR if any(len(row["places"]) > 1 for row in rows) else ROW
        most = MOST_HEIGHT // self.row
        # Of a long sweep half as many: a row may bring the head of its group and a gap with it.
        self.lines = _lines(excerpt(rows, most if len(rows) <= most else most // 2))
        room = WIDTH - 2 * EDGE - PLACE_LEAST
        self.columns = self.values["columns"][1 : 1 + room // CELL_LEAST]
        self.more = len(self.values["columns"]) - 1 - len(self.columns)
        self.cell = min(CELL_MOST, room // len(self.columns))
        self.left = WIDTH - EDGE - self.cell * len(self.columns)
        self.summary = _wrapped(self.values["summary"], WIDTH - 2 * EDGE, 12)
        self.notes = [line for note in self.values["notes"] for line in _wrapped(note, WIDTH - 2 * EDGE, 11)]
        self.verdicts_top = 36 + 17 * len(self.summary) + 4
        self.head_top = self.verdicts_top + 28
        self.top = self.head_top + 38
        self.notes_top = self.top + sum(self.tall(line) for line in self.lines) + 6
        height = self.notes_top + 16 * len(self.notes) + EDGE
        self.pen = Pen(WIDTH, height)

    def tall(self, line: RunRow | Gap | Head) -> int:
        """The height of a line."""
        return self.row if isinstance(line, dict) else GROUP

    def draw(self) -> bytes:
        self.pen.write(EDGE, 10, self.values["title"], 17, bold=True, most=WIDTH - 2 * EDGE)
        for number, told in enumerate(self.summary):
            self.pen.write(EDGE, 36 + 17 * number, told, 12, QUIET)
        self.verdicts()
        self.head()
        y = self.top
        for line in self.lines:
            match line:
                case Head():
                    self.pen.line(EDGE, y, WIDTH - EDGE, y, LINE)
                    x = EDGE + INDENT * line.level
                    self.pen.write(x, y + 6, line.invocation, 12, bold=True, most=WIDTH / 2)
                case Gap():
                    deviating = f", of which {line.deviating} deviate" if line.deviating else ""
                    told = f"… {plural(line.rows, 'more point')}{deviating}"
                    self.pen.write(EDGE + INDENT, y + 5, told, 11, QUIET)
                case _:
                    self.outcome(y, line)
            y += self.tall(line)
        self.pen.line(EDGE, y, WIDTH - EDGE, y, LINE)
        for number, told in enumerate(self.notes):
            self.pen.write(EDGE, self.notes_top + 16 * number, told, 11, QUIET)
        return self.pen.png()

    def verdicts(self) -> None:
        x, y = float(EDGE), float(self.verdicts_top)
        for told, holds in self.values["verdicts"]:
            ink = GOOD if holds else BAD
            width = measure(told, 11) + 34
            self.pen.box(x, y, x + width, y + 20, tint(ink, 0.1), radius=10)
            self.sign(x + 13, y + 10, "right" if holds else "wrong", ink)
            self.pen.write(x + 24, y + 3, told, 11, INK)
            x += width + 8

    def head(self) -> None:
        self.pen.write(EDGE, self.head_top, self.values["columns"][0][0], 12, bold=True)
        for column, (name, usual) in enumerate(self.columns):
            x = self.left + column * self.cell + 6
            self.pen.write(x, self.head_top, name, 12, bold=True, most=self.cell - 10)
            self.pen.write(x, self.head_top + 17, usual, 9.5, QUIET, most=self.cell - 4)
        if self.more:
            told = f"{plural(self.more, 'more kind')} of effects"
            self.pen.write(WIDTH - EDGE, self.head_top - 14, told, 10, QUIET, align="right")

    def outcome(self, y: float, row: RunRow) -> None:
        x = EDGE + INDENT * (row["level"] + 1)
        if row["deviates"]:
            self.pen.box(EDGE, y, WIDTH - EDGE, y + self.row, tint(BAD, 0.09))
        self.pen.line(x - 9, y, x - 9, y + self.row, LINE)
        self.pen.line(x - 12, y + self.row / 2, x - 6, y + self.row / 2, BAD if row["deviates"] else QUIET, 1.5)
        lines = [row["places"][0], *(f"then {place}" for place in row["places"][1:])]
        first = y + self.row / 2 - 7.5 * len(lines)
        for number, line in enumerate(lines):
            self.pen.write(x, first + 15 * number, line, 11.5, INK, most=self.left - x - 8)
        for column, (sign, tone, told) in enumerate(row["cells"][: len(self.columns)]):
            self.tile(self.left + column * self.cell, y, sign, tone, told)
        self.pen.line(EDGE, y + self.row, WIDTH - EDGE, y + self.row, FAINT)

    def tile(self, x: float, y: float, sign: Sign, tone: Tone, told: str) -> None:
        """A cell: its sign and its text, on a tinted ground if it is out of the ordinary."""
        ink, loud = INKS[tone], tone in ("bad", "stuck")
        if loud:
            self.pen.box(x, y + 1, x + self.cell - 4, y + self.row - 1, tint(ink, 0.16), radius=4)
        middle = y + self.row / 2
        self.sign(x + 14, middle, sign, ink)
        self.pen.write(x + 30, middle - 7, told, 11, ink if loud else QUIET, most=self.cell - 34)

    def sign(self, x: float, y: float, sign: Sign, ink: Ink) -> None:
        match sign:
            case "right":
                self.pen.check(x, y, ink)
            case "wrong":
                self.pen.cross(x, y, 4.5, ink)
            case "failed":
                self.pen.diamond(x, y, 6, ink)
            case "stuck":
                for offset in (-3.0, 3.0):
                    self.pen.box(x + offset - 1.5, y - 5, x + offset + 1.5, y + 5, ink)
            case "differs":
                for offset in (-2.5, 2.5):
                    self.pen.line(x - 5, y + offset, x + 5, y + offset, ink, 2)
                self.pen.line(x + 3, y - 6, x - 3, y + 6, ink, 1.5)
            case "never":
                self.pen.dot(x, y, 5, PAPER, ink)
                self.pen.line(x + 4, y - 4, x - 4, y + 4, ink, 1.5)
            case "once" | "twice" | "often":
                for dx in {"once": (0,), "twice": (-4, 4), "often": (-8, 0, 8)}[sign]:
                    self.pen.polygon(x + dx, y, [(0, -5), (4.5, 4), (-4.5, 4)], ink)
            case _:
                self.pen.dashes(x - 6, y, x + 6, y, ink, dash=2, gap=3)


def _lines(rows: Sequence[RunRow | Gap]) -> list[RunRow | Gap | Head]:
    """Rows and gaps with the heads of their groups."""
    found: list[RunRow | Gap | Head] = []
    before: Head | None = None
    for row in rows:
        if isinstance(row, dict):
            head = Head(row["group"], row["level"])
            if head != before:
                found.append(head)
            before = head
        found.append(row)
    return found


def _wrapped(text: str, room: float, size: float) -> list[str]:
    """A text on as many lines as it needs."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and measure(longer, size) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
