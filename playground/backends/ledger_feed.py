"""Recording what a ledger reports, each entry once.

A ledger first stores an entry, and then reports it. In case it died between the two, it reports everything it has each
time it starts. Only this side knows how much of that was reported before. Numbers only go up, and entries are reported
in order, so it is enough to remember the number of the latest one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from playground.backends.backend import Record
from playground.recording import Event, heard
from playground.recording.kinds import LedgerCleared, LedgerFaults, OfEffect


class LedgerFeed:
    """Records what is new in the reports of one ledger.

    Args:
        record: where events go.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._latest = self._latest_at = self._cleared = 0.0
        self._faults: dict[str, Any] = {}

    def take(self, items: Iterable[tuple[str, Any]]) -> None:
        """Record a report: items of the parsers in `playground.pod.emit`."""
        events = [heard(item, "ledger") for what, item in items if what == "event"]
        if new := [event for event in events if self._is_new(event)]:
            self._record(*new)

    def _is_new(self, event: Event) -> bool:
        match event:
            case OfEffect():
                # If its file was removed, numbers start again with 1, but at a later time.
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
