"""The panel Outside world: what has reached the ledger, from where, and making it misbehave.

Its entries are effects and the requests that had none; those before the last clearing are gone. Which step
an effect came from is often known a moment after the effect itself: pods and the ledger are heard separately.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NotRequired, TypedDict

from playground.core.text import clean
from playground.errors import RequestError
from playground.recording import Effect, Recording, Timeline
from playground.recording.changes import Change
from playground.recording.trace import Became
from playground.views import text
from playground.views.actions import Actions
from playground.views.asked import answers
from playground.views.messages import Nothing
from playground.views.outside import misbehaviour
from playground.views.panels.panel import Clipped, Panel, Said, Whole, clip, plain

LATEST = 100
"""Entries sent to the page: the latest."""
CLIP = 300


class Faults(TypedDict, total=False):
    """How a kind misbehaves: counts of requests, -1 for all; seconds; whether nobody answers."""

    fail: int
    lose_answer: int
    slow: float
    down: bool


class KindItem(TypedDict):
    """A kind of effects: what has become of its requests, and how it misbehaves, also in words."""

    kind: str
    counts: dict[Became, int]
    faults: Faults
    told: list[str]


class LedgerEntry(TypedDict):
    """A request that reached the outside world: `at` in Unix seconds, `what` became of it; unknown texts are empty."""

    number: int
    kind: str
    at: float
    what: Became
    pod: str
    invocation: str
    target: str
    step: str
    key: str
    body: Clipped


class OfKind(TypedDict):
    """Which kind."""

    kind: str


class Misbehave(OfKind):
    """How, as it was typed: counts of requests or "all"; seconds; whether nobody answers."""

    fail: NotRequired[str]
    lose_answer: NotRequired[str]
    slow: NotRequired[str]
    down: NotRequired[bool]


class OfLedgerEntry(TypedDict):
    """Which entry, by its item's id."""

    entry: str


class LedgerPanel(Panel[KindItem | LedgerEntry]):
    """Its items are kinds of effects ("kind email") and entries ("entry 12", by their number)."""

    name = "ledger"
    title = "Outside world"

    def items(self, timeline: Timeline) -> dict[str, KindItem | LedgerEntry]:
        """One item per kind that was ever heard of, and one per entry."""
        kinds, shown = _kinds(timeline)
        return kinds | _entries(timeline, shown)

    def changed(self, timeline: Timeline, changes: Collection[Change]) -> dict[str, KindItem | LedgerEntry | None]:
        """All kinds, and the entries that something has become known of."""
        if not any(change[0] in ("effect", "faults") for change in changes):
            return {}
        kinds, shown = _kinds(timeline)
        touched = {change[1] for change in changes if change[0] == "effect"}
        first = shown[0] if shown else len(timeline.effects)
        gone = range(first) if -1 in touched else range(max(0, first - len(touched)), first)
        return {
            **kinds,
            **{_name(timeline.effects[position]): None for position in gone},
            **_entries(timeline, [position for position in shown if position in touched]),
        }

    def text(self, timeline: Timeline) -> str:
        """The table of entries, and how kinds misbehave."""
        effects = [effect for effect in timeline.effects if effect.number > timeline.forgotten]
        lines = [
            f"{clean(kind)}: {told}" for kind in sorted(timeline.faults) for told in misbehaviour(timeline.faults[kind])
        ]
        return "\n".join([text.ledger_table(effects, {name: pod.label for name, pod in timeline.pods.items()}), *lines])

    @answers("clear")
    def clear(self, actions: Actions, asked: Nothing) -> Said:
        """Forget everything that has happened."""
        actions.ledger.clear()
        return {"said": "The ledger has forgotten all entries and idempotency keys."}

    @answers("behave")
    def behave(self, actions: Actions, asked: OfKind) -> Said:
        """Let a kind behave."""
        kind = asked["kind"].strip()
        actions.ledger.misbehave(kind)
        return {"said": f"{kind} behaves again."}

    @answers("misbehave")
    def misbehave(self, actions: Actions, asked: Misbehave) -> Said:
        """Let a kind misbehave."""
        kind = asked["kind"].strip()
        fail, lose_answer = _count(asked.get("fail", "")), _count(asked.get("lose_answer", ""))
        slow, down = _seconds(asked.get("slow", "")), asked.get("down", False)
        actions.ledger.misbehave(kind, fail=fail, lose_answer=lose_answer, slow=slow, down=down)
        told = misbehaviour({"fail": fail, "lose_answer": lose_answer, "slow": slow, "down": down})
        return {"said": f"{kind}: {'; '.join(told) or 'it behaves'}."}

    @answers("whole")
    def whole(self, recording: Recording, asked: OfLedgerEntry) -> Whole:
        """What an entry's request asked for."""
        with recording.lock:
            found = [effect for effect in recording.timeline.effects if _name(effect) == asked["entry"]]
        return {"text": plain(found[-1].body) if found else ""}


def _kinds(timeline: Timeline) -> tuple[dict[str, KindItem | LedgerEntry], list[int]]:
    """The items of all kinds, and the positions of the entries that are shown."""
    kinds: dict[str, Counter[Became]] = {kind: Counter() for kind in timeline.faults}
    kept: list[int] = []
    for position, effect in enumerate(timeline.effects):
        counts = kinds.setdefault(effect.kind, Counter())
        if effect.number > timeline.forgotten:
            counts[effect.became] += 1
            kept.append(position)
    items = {
        f"kind {plain(kind)}": _kind(kind, counts, timeline.faults.get(kind, {})) for kind, counts in kinds.items()
    }
    return {**items}, kept[-LATEST:]


def _entries(timeline: Timeline, positions: Iterable[int]) -> dict[str, KindItem | LedgerEntry]:
    effects = [timeline.effects[position] for position in positions]
    return {_name(effect): _entry(timeline, effect) for effect in effects}


def _name(effect: Effect) -> str:
    return f"entry {effect.number}"


def _kind(kind: str, counts: Counter[Became], told: Mapping[str, Any]) -> KindItem:
    faults: Faults = {}
    if "fail" in told:
        faults["fail"] = told["fail"]
    if "lose_answer" in told:
        faults["lose_answer"] = told["lose_answer"]
    if "slow" in told:
        faults["slow"] = told["slow"]
    if "down" in told:
        faults["down"] = told["down"]
    return {"kind": plain(kind[:100]), "counts": dict(counts), "faults": faults, "told": misbehaviour(told)}


def _entry(timeline: Timeline, effect: Effect) -> LedgerEntry:
    trace = timeline.invocations.get(effect.invocation)
    pod = timeline.pods.get(effect.pod)
    return {
        "number": effect.number,
        "kind": plain(effect.kind[:100]),
        "at": effect.at,
        "what": effect.became,
        "pod": plain(pod.label if pod else effect.pod),
        "invocation": effect.invocation,
        "target": plain(trace.target[:CLIP]) if trace else "",
        "step": plain(str(trace.rows[effect.row])[:CLIP]) if trace and effect.row in trace.rows else "",
        "key": plain(effect.key[:CLIP]),
        "body": clip(effect.body, CLIP),
    }


def _count(told: str) -> int | bool:
    """How many requests: nothing, a number, or "all"."""
    if told == "all":
        return True
    try:
        count = int(told or 0)
    except ValueError:
        count = -1
    if not 0 <= count < 10**9:
        raise RequestError("That is no number of requests.", "It is 0 or more, or all of them.", "For example: 2")
    return count


def _seconds(told: str) -> float:
    try:
        seconds = float(told or 0)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 600:
        raise RequestError("So slow it cannot be.", "A request takes 0 to 600 seconds.", "For example: 2")
    return seconds
