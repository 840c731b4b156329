"""A check looks at one thing and says what helps if it is wrong. `doctor` and `cluster status` consist of checks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: what was checked.
        ok: True, False (a lesson cannot run), or None (a warning).
        found: what was found, in words.
        fix: the command or the line that helps; empty if it is ok.
    """

    name: str
    ok: bool | None
    found: str
    fix: str = ""
