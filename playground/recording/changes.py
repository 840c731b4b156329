"""What each event touched, in order, so that a view can ask what is new since a position.

A position is the number of changes made before it. Only the latest changes are kept. A view that has fallen
further behind takes the whole picture again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Change = tuple[Any, ...]
KEPT = 100_000
"""At least this many of the latest changes are kept."""


class Changes:
    """The latest changes; `len` counts all there ever were."""

    def __init__(self) -> None:
        self._latest: list[Change] = []
        self._before = 0

    def append(self, change: Change) -> None:
        """Add a change."""
        self._latest.append(change)
        if len(self._latest) > 2 * KEPT:
            del self._latest[:KEPT]
            self._before += KEPT

    def since(self, position: int) -> list[Change] | None:
        """The changes from a position on; None if some of them are no longer kept."""
        return self._latest[position - self._before :] if position >= self._before else None

    def __len__(self) -> int:
        return self._before + len(self._latest)

    def __iter__(self) -> Iterator[Change]:
        return iter(self._latest)
