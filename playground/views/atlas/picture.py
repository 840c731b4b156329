"""The grid as a static picture: what remains of it where no kernel runs.

Like the lens's picture it is a PNG on a light ground, drawn from the same model as the page. A long sweep is
not drawn whole: the runs that deviate are, others as far as there is room, and the gaps say how many there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from playground.views.atlas.model import Item, excerpt
from playground.views.live import Picture
from playground.views.pen import Ink, Pen, measure, tint
from playground.views.picture import BAD, FAINT, GOOD, INK, LINE, PODS, QUIET, WIDTH
from playground.views.text import plural
from playground.views.words import times

MOST = 48
"""Rows."""
EDGE, ROW, PAIR, GROUP, INDENT = 14, 21, 34, 25, 16
PLACE_LEAST, CELL_LEAST, CELL_MOST = 330, 78, 112
"""Widths: of the points' names at least, and of a column."""
STUCK = PODS[1]


def png(picture: Picture) -> bytes:
    """The picture of an atlas.

    Args:
        picture: from `model.picture`.
    """
    return _Drawing(picture).draw()


class _Drawing:
    """One picture in the making. Lengths are in pixels of the size it is shown in."""

    def __init__(self, picture: Picture) -> None:
        self.values = picture["values"]
        rows: Sequence[Item] = list(picture["tables"]["rows"].values())
        self.lines = list(_lines(excerpt(rows, MOST)))
        self.row = PAIR if any(len(row["places"]) > 1 for row in rows) else ROW
        room = WIDTH - 2 * EDGE - PLACE_LEAST
        self.kinds = self.values["kinds"][: room // CELL_LEAST - 2]
        self.more = len(self.values["kinds"]) - len(self.kinds)
        self.cell = min(CELL_MOST, room // (len(self.kinds) + 2))
        self.left = WIDTH - EDGE - self.cell * (len(self.kinds) + 2)
        self.summary = _wrapped(self.values["summary"], WIDTH - 2 * EDGE, 12)
        self.verdicts_top = 36 + 17 * len(self.summary) + 4
        self.head_top = self.verdicts_top + 28
        self.top = self.head_top + 38
        height = self.top + sum(self.tall(line) for line in self.lines) + EDGE
        self.pen = Pen(WIDTH, height)

    def tall(self, line: Item | int | str) -> int:
        """The height of a line: a row, a gap, or the head of a group."""
        return self.row if isinstance(line, dict) else GROUP

    def x(self, column: int) -> float:
        """Where a column begins: result, state, then the kinds of effects."""
        return self.left + column * self.cell

    def draw(self) -> bytes:
        self.pen.write(EDGE, 10, self.values["title"], 17, bold=True, most=WIDTH - 2 * EDGE)
        for number, line in enumerate(self.summary):
            self.pen.write(EDGE, 36 + 17 * number, line, 12, QUIET)
        self.verdicts()
        self.head()
        y = self.top
        for line in self.lines:
            if isinstance(line, dict):
                self.outcome(y, line)
            elif isinstance(line, int):
                self.pen.write(EDGE + INDENT, y + 5, f"… {plural(line, 'more point')}", 11, QUIET)
            else:
                name, level = line
                self.pen.line(EDGE, y, WIDTH - EDGE, y, LINE)
                self.pen.write(EDGE + INDENT * level, y + 6, name, 12, bold=True, most=WIDTH / 2)
            y += self.tall(line)
        self.pen.line(EDGE, y, WIDTH - EDGE, y, LINE)
        return self.pen.png()

    def verdicts(self) -> None:
        x, y = float(EDGE), self.verdicts_top
        for name, broken in self.values["verdicts"]:
            ink = BAD if broken else GOOD
            told = f"{name}: not at {broken}" if broken else name
            width = measure(told, 11) + 34
            self.pen.box(x, y, x + width, y + 20, tint(ink, 0.1), radius=10)
            if broken:
                self.pen.cross(x + 13, y + 10, 4, ink)
            else:
                self.pen.check(x + 12, y + 10, ink)
            self.pen.write(x + 24, y + 3, told, 11, INK)
            x += width + 8

    def head(self) -> None:
        y = self.head_top
        self.pen.write(EDGE, y + 14, "crashed", 11, QUIET)
        names = ["result", "state", *self.kinds]
        clean = ["", "", *(f"{times(count)} in a clean run" for count in self.values["expected"])]
        for column, (name, expected) in enumerate(zip(names, clean, strict=False)):
            self.pen.write(self.x(column) + 6, y, name, 12, bold=True, most=self.cell - 10)
            self.pen.write(self.x(column) + 6, y + 17, expected, 9.5, QUIET, most=self.cell - 4)
        if self.more:
            self.pen.write(WIDTH - EDGE, y - 14, f"{plural(self.more, 'more kind')} of effects", 10, QUIET, align="right")

    def outcome(self, y: float, row: Item) -> None:
        x = EDGE + INDENT * (row["level"] + 1)
        if row["deviates"]:
            self.pen.box(EDGE, y, WIDTH - EDGE, y + self.row, tint(BAD, 0.06))
        self.pen.line(x - 9, y, x - 9, y + self.row, LINE)
        self.pen.line(x - 12, y + self.row / 2, x - 6, y + self.row / 2, BAD if row["deviates"] else QUIET, 1.5)
        lines = [row["places"][0], *(f"then {place}" for place in row["places"][1:])]
        first = y + self.row / 2 - 7.5 * len(lines)
        for number, line in enumerate(lines):
            self.pen.write(x, first + 15 * number, line, 11.5, INK, most=self.left - x - 8)
        right = row["result"] == "right"
        self.tile(0, y, row["result"], row["result"], good=right, quiet=row["result"] == "not reached")
        state = f"differs ({len(row['diff'])})" if row["diff"] else "right"
        self.tile(1, y, "differs" if row["diff"] else "right", state, good=not row["diff"])
        for column, (count, expected) in enumerate(zip(row["counts"], self.values["expected"], strict=True), 2):
            if column - 2 < len(self.kinds):
                self.tile(column, y, min(count, 3), times(count), good=count == expected, marked=True)
        self.pen.line(EDGE, y + self.row, WIDTH - EDGE, y + self.row, FAINT)

    def tile(
        self, column: int, y: float, sign: str | int, told: str, *, good: bool, quiet: bool = False, marked: bool = False
    ) -> None:
        """A cell: its sign and its word; on a tinted ground if it is out of the ordinary."""
        x, middle = self.x(column), y + self.row / 2
        ink = QUIET if quiet else GOOD if good else STUCK if sign == "stuck" else BAD
        if not (good or quiet):
            self.pen.box(x, y + 1, x + self.cell - 4, y + self.row - 1, tint(ink, 0.16), radius=4)
        self.sign(x + 14, middle, sign, ink)
        text = told if good or quiet or not marked else f"{told} !"
        self.pen.write(x + 30, middle - 7, text, 11, QUIET if good or quiet else ink, bold=not (good or quiet), most=self.cell - 34)

    def sign(self, x: float, y: float, sign: str | int, ink: Ink) -> None:
        match sign:
            case "right":
                self.pen.check(x, y, ink)
            case "wrong":
                self.pen.cross(x, y, 4.5, ink)
            case "failed":
                self.pen.diamond(x, y, 6, ink)
            case "stuck":
                for offset in (-3, 3):
                    self.pen.box(x + offset - 1.5, y - 5, x + offset + 1.5, y + 5, ink)
            case "differs":
                for offset in (-2.5, 2.5):
                    self.pen.line(x - 5, y + offset, x + 5, y + offset, ink, 2)
                self.pen.line(x + 3, y - 6, x - 3, y + 6, ink, 1.5)
            case 0:
                self.pen.dot(x, y, 5, (255, 255, 255), ink)
                self.pen.line(x + 4, y - 4, x - 4, y + 4, ink, 1.5)
            case int(count):
                for n in range(count):
                    dx = (n - (count - 1) / 2) * 8
                    self.pen.polygon(x + dx, y, [(0, -5), (4.5, 4), (-4.5, 4)], ink)
            case _:
                self.pen.dashes(x - 6, y, x + 6, y, ink, dash=2, gap=3)


def _lines(rows: Sequence[Item | int]) -> list[Item | int | tuple[str, int]]:
    """Rows and gaps with the heads of their groups: (invocation, how deep it was called)."""
    found: list[Item | int | tuple[str, int]] = []
    group: tuple[str, int] | None = None
    for row in rows:
        if isinstance(row, dict) and group != (group := (row["group"], row["level"])):
            found.append(group)
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
