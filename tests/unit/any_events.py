"""Strategies for any events at all: right ones, wrong ones, in any order, about the same few things."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from playground.recording import Event, heard
from playground.recording.events import KINDS, field_types

TEXTS = st.sampled_from(
    ["", "a", "b", "inv_1", "inv_2", "inv_3", "S/h", "O/k/h", "\ud800", "<b>\u202e\x00", "x" * 5000, "/", "//"]
)
COUNTS = st.sampled_from([0, 1, 2, 3, 17, 2**31, 2**53])
SIGNALS = st.sampled_from([0, 1, 17, 18, 2**32 - 1, "named", "\ud800"])
RIGHT: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "count": COUNTS,
    "index": st.sampled_from([0, 1, 2, 3, 2**32 - 1]),
    "whole": st.sampled_from([0, -9, 1, -(2**53)]),
    "flag": st.booleans(),
    "seconds": st.sampled_from([0, 0.5, 1, 1e12]),
    "signal": SIGNALS,
    "hexadecimal": st.sampled_from(["", "00ff", "0a" * 24]),
    "failure": st.tuples(st.sampled_from([0, 409, 500, 570, 2**53]), TEXTS),
    "texts": st.lists(TEXTS, max_size=3),
    "indexes": st.lists(st.sampled_from([0, 1, 2, 2**32 - 1]), max_size=3),
    "signals": st.lists(SIGNALS, max_size=3),
    "values": st.dictionaries(TEXTS, TEXTS, max_size=2),
    "services": st.lists(
        st.fixed_dictionaries(
            {"name": TEXTS, "type": st.sampled_from(["SERVICE", "VIRTUAL_OBJECT", "NEW"])},
            optional={
                "handlers": st.lists(
                    st.fixed_dictionaries({"name": TEXTS}, optional={"kind": TEXTS, "input": TEXTS}), max_size=2
                ),
            },
        ),
        max_size=2,
    ),
    "journal": st.lists(st.fixed_dictionaries({"index": COUNTS, "type": TEXTS}, optional={"name": TEXTS}), max_size=2),
    "faults": st.fixed_dictionaries({}, optional={"fail": st.integers(-1, 3), "slow": st.just(0.5)}),
    "boundary": st.tuples(TEXTS, TEXTS, st.none() | SIGNALS),
    "anything": st.none() | TEXTS | st.just({"a": [1, None, 1.5]}) | st.just(float("nan")),
}  # fmt: skip
# What means something to the folds, more often than chance would say it.
TELLING: dict[str, st.SearchStrategy[Any]] = {
    "pod": st.sampled_from(["p", "q"]),
    "attempt": st.integers(0, 2),
    "invocation": st.sampled_from(["inv_1", "inv_2", "inv_3"]),
    "callee": st.sampled_from(["", "inv_1", "inv_2", "inv_3"]),
    "parent": st.sampled_from(["", "inv_1", "inv_2"]),
    "entry": st.none() | st.integers(0, 3),
    "known": st.integers(0, 4),
    "how": st.sampled_from(["killed", "stopped", "crashed", "refused", "vanished"]),
    "status": st.sampled_from(["pending", "running", "suspended", "backing-off", "paused", "completed", "?"]),
    "type": st.sampled_from(
        ["Input", "Output", "Run", "Call", "OneWayCall", "Sleep", "Awakeable", "Signal", "Run completion",
         "Call invocation id", "Call completion", "ProposeRunCompletionAck", "?"]
    ),
    "revision": st.sampled_from(["r-00001", "r-00002"]),
    "service": st.sampled_from(["r", "S", "O"]),
}  # fmt: skip
WRONG: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 10**30, float("nan"), float("inf"), "text", [], [1], {}, {"a": 1}, [[[]]], ["a", None], 1.5]
)
TIMES = st.floats(0, 100) | st.sampled_from([0.0, 1.0, 1e12, 1_700_000_000.0])


@st.composite
def told(draw: st.DrawFn) -> dict[str, Any]:
    """The flat form of one event of any kind; now and then a field is wrong or missing."""
    kind = draw(st.sampled_from([*KINDS, "from.the.future"]))
    fields: dict[str, Any] = {"kind": kind, "at": draw(TIMES)}
    for name, holds, always in field_types(KINDS[kind]) if kind in KINDS else ():
        if always or draw(st.booleans()):
            fields[name] = draw(TELLING.get(name, RIGHT[holds]))
    if draw(st.integers(0, 9)) == 0:
        fields[draw(st.sampled_from([*fields, "new"]))] = draw(WRONG)
    return fields


@st.composite
def event(draw: st.DrawFn) -> Event:
    """One event: said by a pod or the ledger, or our own."""
    fields = draw(told())
    speaker = draw(st.sampled_from(["p", "q", "ledger", "ours", "ours", "ours"]))
    if speaker == "ours":
        at = fields.pop("at") if isinstance(fields.get("at"), float) else 1.0
        return Event.of(str(fields.pop("kind", "?")), at, fields)
    return heard(fields, "ledger") if speaker == "ledger" else heard(fields, "pod", speaker)


@st.composite
def events(draw: st.DrawFn, most: int = 40) -> list[Event]:
    """Any events; some are told twice."""
    found = draw(st.lists(event(), max_size=most))
    return found + [found[n] for n in draw(st.lists(st.integers(0, max(0, len(found) - 1)), max_size=4)) if found]
