"""The static picture of the lens: what remains of it where no kernel runs.

A PNG, because that is what survives GitHub's and nbviewer's sanitisers. It is drawn from the lens's model by
the lens's own rules (layout.py), as things are now, on a light ground, at twice the size it is shown in. Only
the font that comes with Pillow is used for plain text, so the same run looks the same on every machine.
"""

from __future__ import annotations

from playground.core.text import clean, duration
from playground.recording import Timeline
from playground.views import layout, model, text
from playground.views.model import AttemptItem, EffectItem, EntryItem, LensPicture, LensPod, MarkItem
from playground.views.outside import effect_word, outside
from playground.views.pen import PAPER, Ink, Pen, measure, tint

WIDTH = 900
"""Pixels it is meant to be shown in."""
SIDE, LEFT, END = 196, 12, 26
ROW, LANE, HEAD = 34, 18, 116
HEAD_ROWS, TAIL_ROWS = 24, 8
"""Of a long journal, the first and the last entries."""

INK, QUIET, LINE, FAINT = (26, 32, 43), (86, 96, 112), (216, 221, 228), (238, 240, 244)
BAD, GOOD = (191, 69, 0), (10, 117, 87)
_BROKEN = ("killed", "crashed", "failed", "disconnected")
PODS: tuple[Ink, ...] = ((11, 99, 196), (118, 55, 173), (10, 117, 87), (138, 90, 0))
_LEGEND = (
    *("executed now", "replayed from the journal", "killed; a step: cut off", "failed", "suspended"),
    *("reached the outside world", "known by its key", "refused", "cold start", "stopped"),
)


def png(timeline: Timeline, invocation: str) -> bytes:
    """The picture of an invocation as it is now. Hold the recording's lock."""
    trace = timeline.invocations[invocation]
    drawing = _Drawing(model.picture(timeline, invocation), invocation)
    return drawing.draw(clean(trace.target), text.summary(trace, timeline))


class _Drawing:
    """One picture in the making. Lengths are in pixels of the size it is shown in."""

    def __init__(self, picture: LensPicture, root: str) -> None:
        tables = picture["tables"]
        self.picture, self.root = picture, root
        self.pods: list[tuple[str, LensPod]] = sorted(tables["pods"].items(), key=lambda pod: pod[1]["at"])
        self.lanes = layout.lanes(self.pods)
        self.effects: list[EffectItem] = sorted(tables["effects"].values(), key=lambda effect: effect["at"])
        self.attempts = layout.attempts_of(picture, root)
        self.began, self.ended = layout.span(picture)
        self.axis = layout.axis(picture, [root])
        rows = [(key.partition("/")[2], item) for key, item in tables["entries"].items() if key.startswith(f"{root}/")]
        self.left_out = max(0, len(rows) - HEAD_ROWS - TAIL_ROWS)
        self.rows: list[tuple[str, EntryItem | None]] = list(rows)
        if self.left_out:
            self.rows = [*rows[:HEAD_ROWS], ("", None), *rows[-TAIL_ROWS:]]
        self.lanes_top = 62
        self.outside_top = self.lanes_top + max(1, len(set(self.lanes.values()))) * LANE + 18
        self.heads_top = self.outside_top + (20 if self.effects else 2)
        self.rows_top = self.heads_top + 46
        self.rows_end = self.rows_top + max(1, len(self.rows)) * ROW
        self.height = self.rows_end + 52
        self.pen = Pen(WIDTH, self.height)

    def x(self, time: float) -> float:
        return SIDE + LEFT + self.axis.at(time) * (WIDTH - SIDE - LEFT - END)

    def draw(self, title: str, summary: str) -> bytes:
        end = self.pen.write(14, 10, title, 17, bold=True, most=WIDTH / 2)
        told = " · ".join([summary.replace(", ", " · "), *outside(self.picture)])
        self.pen.write(end + 14, 14, told, 12, QUIET, most=WIDTH - end - 28)
        self.behind()
        self.time_axis()
        self.pod_lanes()
        self.outside_world()
        self.heads()
        for position, (row, entry) in enumerate(self.rows):
            self.row(self.rows_top + position * ROW, row, entry)
        self.legend()
        return self.pen.png()

    # -- parts ------------------------------------------------------------------------------------------

    def behind(self) -> None:
        for began, ended, count in layout.pod_counts((pod for _, pod in self.pods), self.began, self.ended):
            if not count and self.x(ended) - self.x(began) > 2:
                self.pen.hatch(self.x(began), self.lanes_top - 4, self.x(ended), self.rows_end, LINE)
        for attempt in self.attempts:
            left, right = self.x(attempt["at"]), self.x(self.end_of(attempt))
            self.pen.box(
                left, self.rows_top - 4, max(right, left + 2), self.rows_end, tint(self.colour(attempt), 0.09), radius=5
            )

    def time_axis(self) -> None:
        self.pen.write(SIDE + LEFT, 44, "0", 10, QUIET, align="middle")
        width = WIDTH - SIDE - LEFT - END
        last, told = self.x(self.began), "0"
        for pixel in range(80, width, 80):
            time = self.axis.time(pixel / width)
            x = self.x(time)
            if x - last < 50 or time >= self.ended:
                continue
            label = duration(time - self.began)
            if label == told:
                label = f"{time - self.began:.3f} s"
            last, told = x, label
            self.pen.write(x, 44, label, 10, QUIET, align="middle")
            self.pen.line(x, self.lanes_top - 2, x, self.rows_end, FAINT)
        for n in range(len(self.rows) + 1):
            y = self.rows_top + n * ROW
            self.pen.line(14, y, WIDTH - 14, y, FAINT)

    def pod_lanes(self) -> None:
        self.pen.write(14, self.lanes_top, "Pods", 12, bold=True)
        revisions = ", ".join(dict.fromkeys(pod["revision"] for _, pod in self.pods))
        self.pen.write(14, self.lanes_top + 15, f"revision {revisions}" if revisions else "", 10, QUIET, most=SIDE - 24)
        for name, pod in self.pods:
            gone = min(pod.get("gone", self.ended), self.ended)
            left, right = self.x(max(pod["at"], self.began)), self.x(gone)
            ready = self.x(min(max(pod.get("ready", gone), self.began), gone))
            top, colour = self.lanes_top + self.lanes[name] * LANE, PODS[(pod["n"] - 1) % 4]
            self.pen.box(left, top, max(right, left + 3), top + 13, tint(colour, 0.2), colour, radius=3)
            if ready - left > 2:
                self.pen.hatch(left + 1, top + 1, ready, top + 12, colour, step=4)
                self.pen.line(ready, top, ready, top + 13, colour)
            room = right - ready
            self.pen.write(
                ready + 5, top + 1, f"pod {pod['n']}" if room > 42 else str(pod["n"]) if room > 14 else "", 10
            )
            if pod.get("gone", self.ended + 1) <= self.ended:
                self.pod_end(right, top + 6, pod["phase"])
        steps = layout.pod_counts((pod for _, pod in self.pods), self.began, self.ended)
        bottom = self.outside_top - 4
        for began, ended, count in steps:
            left, right = self.x(began), self.x(ended)
            self.pen.line(left, bottom, right, bottom, QUIET if count else LINE, width=1.5)
            if right - left > 60 and not count:
                self.pen.write(
                    (left + right) / 2, bottom - 13, f"0 pods, {duration(ended - began)}", 10, INK, align="middle"
                )
            elif right - left > 8:
                self.pen.write((left + right) / 2, bottom - 13, str(count), 10, QUIET, align="middle")
        self.pen.write(SIDE - 6, bottom - 13, "number of pods", 10, QUIET, align="right")

    def pod_end(self, x: float, y: float, phase: str) -> None:
        if phase in ("killed", "crashed"):
            self.pen.dashes(x, y, x, self.rows_end, BAD)
            self.pen.cross(x, y, 5, BAD)
        elif phase == "refused":
            self.pen.diamond(x, y, 5, BAD)
        else:
            self.pen.box(x - 5, y - 5, x + 5, y + 5, QUIET)
        self.pen.write(x + 9, y - 6, phase, 10, BAD if phase in ("killed", "crashed") else QUIET)

    def outside_world(self) -> None:
        if not self.effects:
            return
        self.pen.write(14, self.outside_top, "Outside world", 12, QUIET)
        for position, effect in enumerate(self.effects):
            x = self.x(effect["at"])
            self.triangle(x, self.outside_top + 8, effect_word(effect))
            later = self.effects[position + 1 :]
            if not later or self.x(later[0]["at"]) - x > 70:
                self.pen.write(x + 9, self.outside_top + 2, effect["kind"], 10, BAD, most=80)

    def heads(self) -> None:
        self.pen.write(14, self.rows_top - 20, "Journal", 12, QUIET)
        limit = float(WIDTH - 8)
        bands = [self.x(attempt["at"]) for attempt in self.attempts]
        for number, attempt in reversed(list(enumerate(self.attempts, 1))):
            told, colour = self.told(number, attempt), self.colour(attempt)
            # A head may begin left of its narrow band if what it says would not fit, and if there is room.
            earlier = bands[number - 2] + HEAD if number > 1 else SIDE
            left = max(SIDE, min(bands[number - 1], max(limit - max(128, measure(told, 10) / 2 + 34), earlier)))
            room = limit - left - 8
            if room < 12:
                continue
            limit = left
            lines = _wrap(told, room - 5)
            width = max(measure(line, 10) for line in lines) + 8
            self.pen.box(
                left + 2, self.heads_top, left + min(width, room), self.heads_top + 18 + 12 * len(lines), PAPER
            )
            name = (
                f"attempt {number} on pod {self.ordinal(attempt)}"
                if room > 112
                else f"attempt {number}"
                if room > 60
                else str(number)
            )
            self.pen.write(left + 5, self.heads_top + 3, name, 12, colour, bold=True, most=room)
            ink = BAD if attempt["outcome"] in _BROKEN else QUIET
            for n, line in enumerate(lines):
                self.pen.write(left + 5, self.heads_top + 18 + 12 * n, line, 10, ink, most=room - 5)

    def told(self, number: int, attempt: AttemptItem) -> str:
        hows = [mark[0] for _, entry in self.all_entries() if (mark := entry["marks"].get(str(number)))]
        parts = [f"{hows.count(how)} {how}" for how in ("replayed", "executed") if how in hows]
        mismatch = attempt["outcome"] == "failed" and (attempt.get("failure") or [0])[0] == 570
        outcome: str = "journal mismatch" if mismatch else attempt["outcome"]
        for _, entry in self.all_entries():
            if entry["marks"].get(str(number), [""])[0] in ("cut off", "failed"):
                outcome += f" in “{entry.get('label') or entry['type']}”"
                break
        return ", ".join([*parts, outcome])

    def row(self, top: float, row: str, entry: EntryItem | None) -> None:
        if entry is None:
            self.pen.write(SIDE / 2, top + 10, f"… {self.left_out} more entries …", 11, QUIET, align="middle")
            return
        label = entry.get("label") or (entry.get("failure") or ["", ""])[1]
        label = label or (entry.get("in", "") if entry["type"] in ("Input", "Output") else entry.get("out", ""))
        self.pen.write(34, top + 5, row[1:] if row.startswith("e") else "·", 10, QUIET, align="right")
        self.pen.write(44, top + 3, entry["type"], 12, bold=True)
        self.pen.write(44, top + 18, label, 11, QUIET, most=SIDE - 54)
        y = top + ROW / 2
        for number, attempt in enumerate(self.attempts, 1):
            if row in attempt.get("waits", ()) and attempt["outcome"] == "suspended":
                self.wait(y, number, attempt)
            if mark := entry["marks"].get(str(number)):
                self.mark(y, entry, attempt, mark)
        for effect in self.effects:
            if effect["trace"] == self.root and effect.get("row") == row:
                self.triangle(self.x(effect["at"]), top + 5, effect_word(effect), small=True)

    def mark(self, y: float, entry: EntryItem, attempt: AttemptItem, mark: MarkItem) -> None:
        how, at, *rest = mark
        colour, end = self.colour(attempt), self.x(self.end_of(attempt))
        until = self.x(rest[0]) if rest and rest[0] is not None else end
        failed = entry["type"] in ("Run", "Call") and "failure" in entry and bool(rest) and rest[0] is not None
        if how == "replayed":
            x = self.x(attempt["at"]) + 10
            self.pen.dot(x, y, 5.5, PAPER, BAD if failed else colour)
            return
        x = self.x(at)
        if how == "awaited":
            return
        if until - x > 2 and entry["type"] == "Sleep":
            self.pen.dashes(x, y, until, y, colour, dash=2, gap=3)
        elif until - x > 2:
            self.pen.box(x, y - 3.5, until, y + 3.5, tint(colour, 0.45), radius=3)
            if until - x > 44 and rest and rest[0] is not None:
                self.pen.write(until - 2, y + 5, duration(rest[0] - at), 9, QUIET, align="right")
        self.pen.dot(x, y, 6, colour, colour)
        if how == "cut off":
            self.pen.cross(until, y, 7, BAD)
        elif how == "failed" or failed:
            self.pen.diamond(until, y, 7, BAD)
        elif entry["type"] == "Output" and attempt["outcome"] == "completed":
            self.pen.diamond(x + 15, y, 6, BAD) if entry.get("failure") else self.pen.check(x + 15, y, GOOD)

    def wait(self, y: float, number: int, attempt: AttemptItem) -> None:
        left = self.x(self.end_of(attempt))
        right = self.x(self.attempts[number]["at"] if number < len(self.attempts) else self.ended)
        colour = self.colour(attempt)
        self.pen.dashes(left, y, right, y, colour, dash=2, gap=3)
        for offset in (-3, 3):
            self.pen.box(left + offset - 1.5, y - 8, left + offset + 1.5, y + 8, colour)

    def legend(self) -> None:
        x, y = 20.0, self.rows_end + 16.0
        for name in _LEGEND:
            if x + 14 + measure(name, 10.5) > WIDTH - 14:
                x, y = 20.0, y + 18
            self.sign(name, x, y)
            x = self.pen.write(x + 12, y - 6, name, 10.5, QUIET) + 20

    def sign(self, name: str, x: float, y: float) -> None:
        if name == "executed now":
            self.pen.dot(x, y, 5.5, PODS[0], PODS[0])
        elif name == "replayed from the journal":
            self.pen.dot(x, y, 5, PAPER, PODS[0])
        elif name == "killed; a step: cut off":
            self.pen.cross(x, y, 5.5, BAD)
        elif name == "failed":
            self.pen.diamond(x, y, 6, BAD)
        elif name == "suspended":
            for offset in (-3, 3):
                self.pen.box(x + offset - 1.5, y - 6, x + offset + 1.5, y + 6, PODS[1])
        elif name == "cold start":
            self.pen.hatch(x - 7, y - 5, x + 6, y + 6, PODS[0], step=4)
        elif name == "stopped":
            self.pen.box(x - 5, y - 5, x + 5, y + 5, QUIET)
        else:
            self.triangle(x, y, {"known by its key": "repeated", "refused": "refused"}.get(name, "happened"))

    def triangle(self, x: float, y: float, word: str, small: bool = False) -> None:
        reach = 4.5 if small else 5.5
        points = [(0, -reach), (reach, reach * 0.8), (-reach, reach * 0.8)]
        if word == "refused":
            points = [(px, -py) for px, py in points]
        self.pen.polygon(x, y, points, BAD, hollow=word != "happened")

    # -- what they have in common -----------------------------------------------------------------------

    def all_entries(self) -> list[tuple[str, EntryItem]]:
        prefix = f"{self.root}/"
        return [(key, item) for key, item in self.picture["tables"]["entries"].items() if key.startswith(prefix)]

    def ordinal(self, attempt: AttemptItem) -> int:
        pod = self.picture["tables"]["pods"].get(attempt["pod"])
        return pod["n"] if pod else 0

    def colour(self, attempt: AttemptItem) -> Ink:
        return PODS[(max(1, self.ordinal(attempt)) - 1) % 4]

    def end_of(self, attempt: AttemptItem) -> float:
        return attempt.get("end", self.ended)


def _wrap(told: str, room: float) -> list[str]:
    """A list in words on at most two lines, broken after a comma."""
    if measure(told, 10) <= room:
        return [told]
    parts = told.split(", ")
    for kept in range(len(parts) - 1, 0, -1):
        line = ", ".join(parts[:kept]) + ","
        if measure(line, 10) <= room:
            return [line, ", ".join(parts[kept:])]
    return [told]
