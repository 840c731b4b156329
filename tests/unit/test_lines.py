"""Lines and mismatches, as far as they can be told without a pod."""

from __future__ import annotations

from typing import Any

from playground.pod.lines import _definition
from playground.recording.fold import Fold
from playground.recording.mismatch import Place, explain
from tests.unit.stories import Tale


class Handler:
    """Can be called, but is no function, and cannot be hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __call__(self, ctx: Any) -> None:
        """Do nothing."""


def test_a_handler_that_is_no_function_has_no_line() -> None:
    assert _definition(Handler(), "/anywhere") is None
    assert _definition(print, "/anywhere") is None


def test_who_wrote_an_entry_may_have_failed_to_fit_later_on() -> None:
    tale = Tale().deploy(source="a\nb\nc\nd\ne\n").pod("shop-1").send("inv_1", "Shop/order")
    number = tale.start("shop-1", "inv_1", "Shop/order")
    step = {"pod": "shop-1", "attempt": number}
    tale.say("entry.asked", **step, entry=1, file="shop.py", line=2).say(
        "entry.executed", **step, entry=1, type="Run", name="charge"
    )
    tale.say("entry.asked", **step, entry=2, file="shop.py", line=3)
    tale.say("attempt.failed", **step, code=570, message="mismatch", entry=2, asked="Run ship")
    tale.say("attempt.closed", **step)
    number = tale.start("shop-1", "inv_1", "Shop/order")
    step = {"pod": "shop-1", "attempt": number}
    tale.say("entry.replayed", **step, entry=1, type="Run", name="charge")
    tale.say("entry.asked", **step, entry=1, file="shop.py", line=4)
    tale.say("attempt.failed", **step, code=570, message="mismatch", entry=1, asked="Sleep")
    timeline = Fold(tale.events)
    trace = timeline.invocations["inv_1"]
    found = explain(timeline, trace, trace.attempts[1])
    assert found is not None
    assert (found.index, found.journal, found.code) == (1, "Run charge", "Sleep")
    assert (found.written, found.asked) == (Place("shop-00001", "shop.py", 2), Place("shop-00001", "shop.py", 4))
