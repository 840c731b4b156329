"""What the outside world saw, and how it misbehaves, in words."""

from __future__ import annotations

from collections.abc import Mapping

from playground.core.text import duration, times
from playground.views.model import EffectItem, LensPicture


def outside(picture: LensPicture) -> list[str]:
    """What the outside world saw, step by step: "“send email” reached the outside world twice"."""
    seen: dict[str, dict[str, int]] = {}
    for effect in sorted(picture["tables"]["effects"].values(), key=lambda effect: effect["at"]):
        entry = picture["tables"]["entries"].get(f"{effect['trace']}/{effect.get('row')}")
        name = f"“{(entry and entry.get('label')) or effect['kind'] or 'an effect'}”"
        if effect.get("outside"):
            name += ", outside of any step,"
        counts = seen.setdefault(name, {"happened": 0, "repeated": 0, "refused": 0})
        counts[effect_word(effect)] += 1
    named = sorted(seen.items(), key=lambda item: -item[1]["happened"])[:2]
    return [
        f"{name} reached the outside world {times(counts['happened'])}"
        + (f", {counts['repeated']} more known by the key" if counts["repeated"] else "")
        for name, counts in named
    ]


def misbehaviour(faults: Mapping[str, float]) -> list[str]:
    """How a kind of the outside world misbehaves, one line per fault; none if it behaves. As `pg.ledger.misbehave`."""
    told = []
    if faults.get("down"):
        told.append("down: nobody answers")
    if slow := faults.get("slow"):
        told.append(f"slow: each request takes {duration(float(slow))}")
    for name, noun, what in (
        ("fail", "request", "refused before anything happens"),
        ("lose_answer", "answer", "lost, though the effect happens"),
    ):
        count = faults.get(name, 0)
        if count is True or count < 0:
            told.append(f"all {noun}s are {what}")
        elif count:
            told.append(f"the next {noun} is {what}" if count == 1 else f"the next {count} {noun}s are {what}")
    return told


def effect_word(effect: EffectItem) -> str:
    """What became of a request to the outside world: "happened", "repeated" or "refused"."""
    return "repeated" if effect.get("repeated") else "refused" if effect.get("refused") else "happened"
