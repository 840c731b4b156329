"""A check: one look at one thing, and the line that helps. `doctor` and `cluster status` are made of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """What one look at the machine found.

    Attributes:
        name: what was looked at.
        ok: True, False (a lesson cannot run), or None (a warning).
        found: what there is, in words.
        fix: the command or the line that helps; empty when ok.
    """

    name: str
    ok: bool | None
    found: str
    fix: str = ""
