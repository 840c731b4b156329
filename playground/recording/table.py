"""The table of all kinds of events: `python -m playground.recording.table > docs/events.md`."""

from __future__ import annotations

from playground.recording.events import KINDS, field_types


def table() -> str:
    """The text of docs/events.md."""
    lines = [
        "# Events",
        "",
        "A recording is a list of events, and everything that is shown is folded from them. A saved recording has one",
        "event per line, as JSON: `kind`, `at` (Unix seconds on the clock of whoever says it), and the fields below.",
        "Fields in bold are always there. A reader keeps kinds and fields that it does not know. This page is",
        "generated from `playground/recording/kinds.py`.",
        "",
        "| kind | said by | fields | meaning |",
        "|---|---|---|---|",
    ]
    for name, kind in KINDS.items():
        columns = ", ".join(f"**{each}**" if always else each for each, _, always in field_types(kind))
        meaning = (kind.__doc__ or "").partition("\n")[0].replace("|", "\\|")
        lines.append(f"| {name} | {kind.BY} | {columns or '–'} | {meaning} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(table(), end="")
