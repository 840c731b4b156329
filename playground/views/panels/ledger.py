"""The panel Outside world: what has reached the ledger, from where, and making it misbehave.

Its entries are effects and the requests that had none; those before the last clearing are gone. Which step
an effect came from is often known a moment after the effect itself: pods and the ledger are heard separately.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from playground.core.text import clean
from playground.errors import RequestError
from playground.recording import Effect, Recording, Timeline
from playground.views import text
from playground.views.actions import Actions
from playground.views.outside import misbehaviour
from playground.views.panels.panel import Change, Data, Item, Panel, clip, plain, wanted

LATEST = 100
"""Entries sent to the page: the latest."""
CLIP = 300


class LedgerPanel(Panel):
    """Its items are kinds of effects ("kind email") and entries ("entry 12", by their number)."""

    name = "ledger"
    title = "Outside world"

    def items(self, timeline: Timeline, changes: Collection[Change] | None) -> dict[str, Item | None]:
        """One item per kind that was ever heard of, and one per entry."""
        if changes is not None and not any(change[0] in ("effect", "faults") for change in changes):
            return {}
        kinds: dict[str, Counter[str]] = {kind: Counter() for kind in timeline.faults}
        kept: list[int] = []
        for position, effect in enumerate(timeline.effects):
            counts = kinds.setdefault(effect.kind, Counter())
            if effect.number > timeline.forgotten:
                counts[effect.became] += 1
                kept.append(position)
        items: dict[str, Item | None] = {
            f"kind {plain(kind)}": _kind(kind, counts, timeline.faults.get(kind, {})) for kind, counts in kinds.items()
        }
        shown = kept[-LATEST:]
        touched: Collection[int] = shown
        if changes is not None:
            touched = {change[1] for change in changes if change[0] == "effect"}
            first = shown[0] if shown else len(timeline.effects)
            gone = range(first) if -1 in touched else range(max(0, first - len(touched)), first)
            items.update({_name(timeline.effects[position]): None for position in gone})
        items.update({_name(timeline.effects[n]): _entry(timeline, timeline.effects[n]) for n in shown if n in touched})
        return items

    def text(self, timeline: Timeline) -> str:
        """The table of entries, and how kinds misbehave."""
        effects = [effect for effect in timeline.effects if effect.number > timeline.forgotten]
        lines = [
            f"{clean(kind)}: {told}" for kind in sorted(timeline.faults) for told in misbehaviour(timeline.faults[kind])
        ]
        return "\n".join([text.ledger_table(effects, {name: pod.label for name, pod in timeline.pods.items()}), *lines])

    def act(self, actions: Actions, verb: str, data: Data) -> Any:
        """`misbehave` or `behave`, one kind; `clear` everything that has happened."""
        if verb == "clear":
            actions.ledger.clear()
            return {"said": "The ledger has forgotten all entries and idempotency keys."}
        kind = wanted(data, "kind").strip()
        if verb == "behave":
            actions.ledger.misbehave(kind)
            return {"said": f"{kind} behaves again."}
        if verb == "misbehave":
            faults: Mapping[str, Any] = {
                "fail": _count(data.get("fail")),
                "lose_answer": _count(data.get("lose_answer")),
                "slow": _seconds(data.get("slow")),
                "down": data.get("down") is True,
            }
            actions.ledger.misbehave(kind, **faults)
            return {"said": f"{kind}: {'; '.join(misbehaviour(faults)) or 'it behaves'}."}
        return super().act(actions, verb, data)

    def whole(self, recording: Recording, data: Data) -> str:
        """What an entry's request asked for."""
        with recording.lock:
            found = [effect for effect in recording.timeline.effects if _name(effect) == wanted(data, "entry")]
        return plain(found[-1].body) if found else ""


def _name(effect: Effect) -> str:
    return f"entry {effect.number}"


def _kind(kind: str, counts: Counter[str], faults: Mapping[str, Any]) -> Item:
    return {"kind": plain(kind[:100]), "counts": dict(counts), "faults": faults, "told": misbehaviour(faults)}


def _entry(timeline: Timeline, effect: Effect) -> Item:
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


def _count(told: Any) -> int | bool:
    """How many requests: nothing, a number, or "all"."""
    if told == "all":
        return True
    try:
        count = int(told or 0)
    except (TypeError, ValueError):
        count = -1
    if not 0 <= count < 10**9:
        raise RequestError("That is no number of requests.", "It is 0 or more, or all of them.", "For example: 2")
    return count


def _seconds(told: Any) -> float:
    try:
        seconds = float(told or 0)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds <= 600:
        raise RequestError("So slow it cannot be.", "A request takes 0 to 600 seconds.", "For example: 2")
    return seconds
