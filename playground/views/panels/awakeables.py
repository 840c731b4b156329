"""The panel Awakeables: what invocations wait for, shown as the mail with the link to be clicked.

An awakeable is known in two ways: an attempt was suspended on it; or, earlier, its id is in an effect
that reached the outside world, such as the mail that was sent. From an id one can tell whose it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

from playground.errors import RequestError
from playground.recording import Effect, Recording, Timeline, Trace
from playground.recording.changes import Change
from playground.recording.timeline import awakeable_id, parse_awakeable
from playground.restate.protocol import FIRST_AWAKEABLE
from playground.views import text
from playground.views.actions import Actions
from playground.views.asked import answers
from playground.views.panels.panel import Clipped, Panel, Said, Whole, clip, plain

_ID = re.compile(r"sign_1[A-Za-z0-9_-]{8,120}")


@dataclass(frozen=True, slots=True)
class Pending:
    """An awakeable that nobody has completed yet.

    Attributes:
        id: what `pg.resolve` and `pg.reject` take.
        trace: the invocation that made it.
        signal: its number in that invocation; the first is 17.
        mail: the effect its id was in, if any.
    """

    id: str
    trace: Trace
    signal: int
    mail: Effect | None

    @property
    def suspended(self) -> bool:
        """Whether its invocation is suspended on it now."""
        last = self.trace.attempts[-1] if self.trace.attempts else None
        return bool(last and self.trace.status == "suspended" and ("signal", self.signal) in last.waits_for)


def pending(timeline: Timeline) -> list[Pending]:
    """The awakeables to be completed, in the order of the invocations that made them."""
    mails = _mails(timeline)
    found = []
    for trace in timeline.invocations.values():
        if trace.done or not trace.raw_id:
            continue
        sent = mails.get(trace.raw_id, {})
        signals = {int(entry.row[1]) for entry in trace.awakeables}
        signals |= {signal for signal in sent if not _completed(trace, signal)}
        found += [Pending(awakeable_id(trace.raw_id, s), trace, s, sent.get(s)) for s in sorted(signals)]
    return found


def _mails(timeline: Timeline) -> dict[str, dict[int, Effect]]:
    """The latest effect that carried each awakeable's id: by raw invocation id, then by signal."""
    found: dict[str, dict[int, Effect]] = {}
    for effect in timeline.effects:
        for name in _ID.findall(effect.body):
            raw_id, signal = parse_awakeable(name)
            if raw_id and signal >= FIRST_AWAKEABLE:
                found.setdefault(raw_id, {})[signal] = effect
    return found


def _completed(trace: Trace, signal: int) -> bool:
    marks = (attempt.marks.get(("signal", signal)) for attempt in trace.attempts)
    return signal in trace.clicked or any(mark is not None and mark.how != "awaited" for mark in marks)


class Mail(TypedDict):
    """The effect that an awakeable's id was in; `at` in Unix seconds."""

    kind: str
    at: float
    body: Clipped


class AwakeableItem(TypedDict):
    """An awakeable that nobody has completed yet; `number` counts those of its invocation, from 1."""

    invocation: str
    target: Clipped
    number: int
    suspended: bool
    mail: Mail | None


class OfAwakeable(TypedDict):
    """Which awakeable, by its id."""

    awakeable: str


class Resolve(OfAwakeable):
    """With which value, as JSON; none if it is empty."""

    value: NotRequired[str]


class Reject(OfAwakeable):
    """For which reason."""

    reason: NotRequired[str]


class AwakeablesPanel(Panel[AwakeableItem]):
    """Its items are pending awakeables, by id."""

    name = "awakeables"
    title = "Awakeables"

    def items(self, timeline: Timeline) -> dict[str, AwakeableItem]:
        """One item per pending awakeable."""
        return {each.id: _item(each) for each in pending(timeline)}

    def changed(self, timeline: Timeline, changes: Collection[Change]) -> dict[str, AwakeableItem | None]:
        """All of them; those are gone that an invocation may have waited for and does no more."""
        if not any(change[0] in ("trace", "attempt", "effect") for change in changes):
            return {}
        now = self.items(timeline)
        items: dict[str, AwakeableItem | None] = {**now}
        for touched in {change[1] for change in changes if change[0] in ("trace", "attempt")}:
            if trace := timeline.invocations.get(touched):
                items.update(dict.fromkeys(_all(trace) - now.keys()))
        return items

    def text(self, timeline: Timeline) -> str:
        """What waits, and for what."""
        rows = [
            (each.trace.target, each.signal - FIRST_AWAKEABLE + 1, each.mail.kind if each.mail else "")
            for each in pending(timeline)
        ]
        return text.awakeables_table(rows)

    @answers("resolve")
    def resolve(self, actions: Actions, asked: Resolve) -> Said:
        """Complete one with a value."""
        actions.resolve(asked["awakeable"], _value(asked.get("value", "")))
        return {"said": "The awakeable is resolved: what waits for it goes on."}

    @answers("reject")
    def reject(self, actions: Actions, asked: Reject) -> Said:
        """Complete one with a failure."""
        actions.reject(asked["awakeable"], asked.get("reason") or "rejected")
        return {"said": "The awakeable is rejected: what waits for it gets a TerminalError."}

    @answers("whole")
    def whole(self, recording: Recording, asked: OfAwakeable) -> Whole:
        """The whole mail."""
        raw_id, signal = parse_awakeable(asked["awakeable"])
        with recording.lock:
            mail = _mails(recording.timeline).get(raw_id, {}).get(signal)
        return {"text": plain(mail.body) if mail else ""}


def _item(each: Pending) -> AwakeableItem:
    mail = each.mail
    return {
        "invocation": each.trace.id,
        "target": clip(each.trace.target, 300),
        "number": each.signal - FIRST_AWAKEABLE + 1,
        "suspended": each.suspended,
        "mail": None if mail is None else {"kind": plain(mail.kind[:100]), "at": mail.at, "body": clip(mail.body)},
    }


def _all(trace: Trace) -> set[str]:
    """Every awakeable of an invocation that the page may have been told of."""
    signals = [int(row[1]) for row in trace.rows if row[0] == "signal" and isinstance(row[1], int)]
    known = {signal for signal in (*signals, *trace.clicked) if signal >= FIRST_AWAKEABLE}
    return {awakeable_id(trace.raw_id, signal) for signal in known} if trace.raw_id else set()


def _value(typed: str) -> Any:
    if not typed:
        return None
    try:
        return json.loads(typed)
    except ValueError as error:
        raise RequestError("The value is not JSON.", f"{error}.", 'Text stands in quotes: "like this".') from error
