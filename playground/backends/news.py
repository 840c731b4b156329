"""What a ledger tells, recorded once.

A ledger writes an entry down, then tells it; should it die between the two, it tells it at its next start, for then
it tells all it has. Nobody but the recording's side knows how much of that was heard before. Numbers only go up, and
entries are told in their order, so what has been heard is all up to one number: that is all there is to remember.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from playground.backends.backend import Record
from playground.recording import Event, heard
from playground.recording.kinds import LedgerCleared, LedgerFaults, OfEffect


class News:
    """Records what is new of what one ledger tells.

    Args:
        record: where events go.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._latest = self._latest_at = self._cleared = 0.0
        self._faults: dict[str, Any] = {}

    def take(self, items: Iterable[tuple[str, Any]]) -> None:
        """Record what it has said: items of `playground.pod.emit.LineParser`."""
        told = [heard(item, "ledger") for what, item in items if what == "event"]
        if new := [event for event in told if self._is_new(event)]:
            self._record(*new)

    def _is_new(self, event: Event) -> bool:
        match event:
            case OfEffect():
                # A file that was taken away begins again with 1, but later.
                if event.number <= self._latest and event.at <= self._latest_at:
                    return False
                self._latest, self._latest_at = event.number, event.at
            case LedgerCleared():
                if event.last <= self._cleared:
                    return False
                self._cleared = event.last
            case LedgerFaults():
                if self._faults.get(event.effect) == event.faults:
                    return False
                self._faults[event.effect] = event.faults
        return True
