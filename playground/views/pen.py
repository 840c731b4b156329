"""A pen for static pictures: the few shapes and the text a view's picture is made of, on a Pillow image."""

from __future__ import annotations

import io
import unicodedata
from functools import lru_cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont

SCALE = 2
"""Pixels per unit of length: a picture is drawn at twice the size it is shown in."""
Ink = tuple[int, int, int]
PAPER: Ink = (255, 255, 255)


def tint(ink: Ink, share: float) -> Ink:
    """An ink thinned on paper."""
    red, green, blue = (round(255 - (255 - part) * share) for part in ink)
    return red, green, blue


class Pen:
    """Draws on paper of a size. Lengths are those it is shown in.

    Args:
        width, height: of the paper.
    """

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width * SCALE, height * SCALE), PAPER)
        self._draw = ImageDraw.Draw(self.image)
        self._inks: set[Ink] = {PAPER}

    def png(self) -> bytes:
        """The picture, its colours reduced to what it needs."""
        # Every ink as it is, and what it blends to at an edge. A palette made by counting pixels would wash
        # out an ink of which there is little, as of the one that warns, or tint the paper.
        dark = [ink for ink in self._inks if min(ink) < 120]
        shades = sorted({tint(ink, share) for ink in dark for share in (0.25, 0.5, 0.75)} - self._inks)
        colours = [*sorted(self._inks), *shades][:256]
        palette = Image.new("P", (1, 1))
        palette.putpalette([part for colour in colours for part in colour])
        out = io.BytesIO()
        self.image.quantize(palette=palette, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        return out.getvalue()

    def write(
        self, x: float, y: float, text: str, size: float, ink: Ink = (26, 32, 43), *, bold: bool = False,
        align: str = "left", most: float = 1e6,
    ) -> float:  # fmt: skip
        """Write one line, its top at y, cut at a width; returns where it ends."""
        self._inks.add(ink)
        text = _fitting(_writable(text), size, most)
        length = measure(text, size)
        left = x - {"left": 0.0, "middle": length / 2, "right": length}[align]
        self._draw.text(
            (left * SCALE, y * SCALE), text, ink, _font(size, _plain(text)), stroke_width=0.5 if bold else 0
        )
        return left + length

    def line(self, x1: float, y1: float, x2: float, y2: float, ink: Ink, width: float = 1) -> None:
        """A straight line."""
        self._inks.add(ink)
        self._draw.line(_scaled(x1, y1, x2, y2), ink, round(width * SCALE))

    def dashes(self, x1: float, y1: float, x2: float, y2: float, ink: Ink, dash: float = 4, gap: float = 3) -> None:
        """A dashed line, upright or level."""
        length = max(x2 - x1, y2 - y1)
        along = (1, 0) if x2 - x1 >= y2 - y1 else (0, 1)
        for start in range(0, max(0, int(length)), int(dash + gap)):
            end = min(start + dash, length)
            a, b = (x1 + along[0] * start, y1 + along[1] * start), (x1 + along[0] * end, y1 + along[1] * end)
            self.line(*a, *b, ink, 1.5)

    def box(
        self, x1: float, y1: float, x2: float, y2: float, fill: Ink, edge: Ink | None = None, radius: float = 0
    ) -> None:
        """A filled rectangle."""
        self._inks |= {fill, edge or fill}
        self._draw.rounded_rectangle(_scaled(x1, y1, max(x1, x2), max(y1, y2)), radius * SCALE, fill, edge, SCALE // 2)

    def hatch(self, x1: float, y1: float, x2: float, y2: float, ink: Ink, step: float = 8) -> None:
        """A hatched rectangle."""
        self._inks.add(ink)
        width, height = round((x2 - x1) * SCALE), round((y2 - y1) * SCALE)
        if width < 2 or height < 2:
            return
        patch = Image.new("L", (width, height), 0)
        draw = ImageDraw.Draw(patch)
        for offset in range(-height, width, round(step * SCALE)):
            draw.line((offset, height, offset + height, 0), 255, SCALE // 2 + 1)
        self.image.paste(ink, (round(x1 * SCALE), round(y1 * SCALE)), patch)

    def dot(self, x: float, y: float, radius: float, fill: Ink, edge: Ink) -> None:
        """A circle."""
        self._inks |= {fill, edge}
        self._smooth(x, y, radius + 1, lambda d, c, k: d.ellipse(
            (c - radius * k, c - radius * k, c + radius * k, c + radius * k), fill, edge, round(2 * k)))  # fmt: skip

    def cross(self, x: float, y: float, radius: float, ink: Ink) -> None:
        """A diagonal cross."""
        self._inks.add(ink)

        def draw(d: ImageDraw.ImageDraw, c: float, k: float) -> None:
            r = radius * k
            d.line((c - r, c - r, c + r, c + r), ink, round(3 * k))
            d.line((c - r, c + r, c + r, c - r), ink, round(3 * k))

        self._smooth(x, y, radius + 2, draw)

    def check(self, x: float, y: float, ink: Ink) -> None:
        """A check mark."""
        self._inks.add(ink)
        points = (-5.0, 0.0, -1.5, 4.0, 6.0, -5.0)
        self._smooth(x, y, 9, lambda d, c, k: d.line([c + p * k for p in points], ink, round(3 * k), joint="curve"))

    def polygon(self, x: float, y: float, points: list[tuple[float, float]], ink: Ink, hollow: bool = False) -> None:
        """A filled or hollow polygon around (x, y)."""
        self._inks.add(ink)

        def draw(d: ImageDraw.ImageDraw, c: float, k: float) -> None:
            outline = [(c + px * k, c + py * k) for px, py in points]
            if hollow:
                d.line([*outline, outline[0], outline[1]], ink, round(1.6 * k), joint="curve")
            else:
                d.polygon(outline, ink)

        self._smooth(x, y, max(abs(v) for point in points for v in point) + 2, draw)

    def diamond(self, x: float, y: float, radius: float, ink: Ink) -> None:
        """A square on its corner."""
        self.polygon(x, y, [(0, -radius), (radius, 0), (0, radius), (-radius, 0)], ink)

    def _smooth(self, x: float, y: float, reach: float, draw: Any) -> None:
        """Draw something small four times as large and scale it down: Pillow's own shapes have hard edges."""
        fine = 4 * SCALE
        size = round(2 * reach * SCALE) * 4
        place = (round((x - reach) * SCALE), round((y - reach) * SCALE))
        under = self.image.crop((*place, place[0] + size // 4, place[1] + size // 4))
        patch = under.resize((size, size), Image.Resampling.NEAREST)
        draw(ImageDraw.Draw(patch), size / 2, fine)
        self.image.paste(patch.resize(under.size, Image.Resampling.LANCZOS), place)


def measure(text: str, size: float) -> float:
    """How long a text is."""
    text = _writable(text)
    return float(_font(size, _plain(text)).getlength(text)) / SCALE


def _scaled(*lengths: float) -> tuple[float, ...]:
    return tuple(round(length * SCALE) for length in lengths)


@lru_cache(maxsize=64)
def _font(size: float, plain: bool) -> Any:
    """Pillow's own font has the letters of ASCII and a few signs more; others come from the system's, if any."""
    if not plain and (wide := _system_font(size)):
        return wide
    return ImageFont.load_default(size * SCALE)


@lru_cache(maxsize=64)
def _system_font(size: float) -> Any:
    for name in ("DejaVuSans.ttf", "Arial Unicode.ttf", "Arial.ttf"):
        try:
            return ImageFont.truetype(name, size * SCALE, layout_engine=ImageFont.Layout.BASIC)
        except OSError:
            continue
    return None


_OWN = "“”‘’·…"
"""Signs beyond ASCII that Pillow's own font has."""


def _plain(text: str) -> bool:
    return all(c.isascii() or c in _OWN for c in text)


@lru_cache(maxsize=4096)
def _writable(text: str) -> str:
    """A text in characters that can be drawn, on one line."""
    line = "".join(c if c.isprintable() else " " for c in text)
    if _plain(line) or _system_font(10):
        return line
    return "".join(c if c.isascii() or c in _OWN else _nearest(c) for c in line)


def _nearest(char: str) -> str:
    """é becomes e; what has nothing near it becomes "?"."""
    base = unicodedata.normalize("NFKD", char)[0]
    return base if base.isascii() and base.isprintable() else "?"


def _fitting(text: str, size: float, most: float) -> str:
    if measure(text, size) <= most:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if measure(text[:middle] + "…", size) <= most:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…" if low else ""
