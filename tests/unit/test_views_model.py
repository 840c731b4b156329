"""The lens's model: what it holds of a timeline, and that deltas add up to it."""

from __future__ import annotations

import json
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from playground.recording import Event, Recording
from playground.views import model
from tests.unit.any_events import events as any_events
from tests.unit.pages import apply, arrived
from tests.unit.stories import Tale, long_day

Page = dict[str, Any]


def followed(events: list[Event], cuts: list[int], root: str) -> tuple[Page, Page]:
    """The picture a page has that got deltas at these cuts, and the one it should have."""
    recording = Recording()
    page: Page = {}
    position = 0
    for begin, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        recording.append(*events[begin:end])
        timeline = recording.timeline
        if not page:
            page, position = arrived(model.picture(timeline, root)), len(timeline.changes)
        elif delta := model.delta(timeline, root, dict.fromkeys(timeline.changes.since(position) or ()).keys()):
            apply(page, delta)
            position = len(timeline.changes)
    return page, arrived(model.picture(recording.timeline, root))


def order(picture: Page) -> dict[str, list[str]]:
    """The order of each invocation's entries: that of the journal."""
    found: dict[str, list[str]] = {}
    for key in picture["tables"]["entries"]:
        found.setdefault(key.partition("/")[0], []).append(key)
    return found


def same(page: Page, wanted: Page) -> None:
    assert page["tables"] == wanted["tables"]
    assert order(page) == order(wanted)


@given(any_events(), st.lists(st.integers(0, 40), max_size=8).map(sorted))
def test_deltas_add_up_to_the_picture(events: list[Event], cuts: list[int]) -> None:
    same(*followed(events, [min(cut, len(events)) for cut in cuts], "inv_1"))


@given(st.data())
def test_deltas_of_a_long_day_add_up_too(data: st.DataObject) -> None:
    events = long_day().events
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=20)))
    root = data.draw(st.sampled_from(["inv_s", "inv_q0", "inv_q1", "inv_nobody"]))
    same(*followed(events, cuts, root))


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_delta_may_begin_before_what_the_page_has(known: int, begin: int) -> None:
    events = long_day().events
    recording = Recording(events[:known])
    page = arrived(model.picture(recording.timeline, "inv_s"))
    begin = min(begin, len(recording.timeline.changes))
    recording.append(*events[known:])
    changes = recording.timeline.changes.since(begin) or ()
    if delta := model.delta(recording.timeline, "inv_s", dict.fromkeys(changes).keys()):
        apply(page, delta)
    same(page, arrived(model.picture(recording.timeline, "inv_s")))


def test_other_invocations_do_not_concern_it() -> None:
    recording = Recording(long_day().events)
    position = len(recording.timeline.changes)
    recording.append(Event.of("invocation.sent", 2000, {"invocation": "inv_x", "target": "User/bob/add"}))
    changes = recording.timeline.changes.since(position) or ()
    assert changes
    assert model.delta(recording.timeline, "inv_s", changes) is None


def test_a_call_that_becomes_known_late_brings_all_of_the_called_one() -> None:
    tale = Tale().deploy().pod("shop-1").send("inv_s", "Signup/signup")
    caller = tale.start("shop-1", "inv_s", "Signup/signup")
    tale.say("entry.executed", pod="shop-1", attempt=caller, type="Call", entry=1, target="User/ada/add")
    called = tale.start("shop-1", "inv_u", "User/ada/add")
    tale.end("shop-1", called)
    recording = Recording(tale.events)
    assert list(model.picture(recording.timeline, "inv_s")["tables"]["traces"]) == ["inv_s"]
    position = len(recording.timeline.changes)
    told = {"pod": "shop-1", "attempt": caller, "type": "Call invocation id", "entry": 1, "callee": "inv_u"}
    recording.append(Event.of("entry.completed", 1002, told))
    delta = model.delta(recording.timeline, "inv_s", (recording.timeline.changes.since(position) or ()))
    assert delta is not None
    assert {"inv_u/e0", "inv_u/e1"} <= set(delta["tables"]["entries"])
    assert "inv_u#1" in delta["tables"]["attempts"]


def test_only_pods_that_were_there_meanwhile() -> None:
    tale = Tale().deploy().pod("shop-1").gone("shop-1").pod("shop-2").send("inv_s", "Signup/signup")
    tale.end("shop-2", tale.start("shop-2", "inv_s", "Signup/signup")).gone("shop-2").pod("shop-3")
    pods = model.picture(Recording(tale.events).timeline, "inv_s")["tables"]["pods"]
    assert list(pods) == ["shop-2"]
    assert pods["shop-2"]["n"] == 1


def test_what_comes_from_outside_can_be_sent() -> None:
    tale = Tale().deploy().pod("shop-1").send("inv_s", "Signup/\ud800</script>")
    number = tale.start("shop-1", "inv_s", "Signup/signup\udfff")
    tale.say("entry.executed", pod="shop-1", attempt=number, type="Run", entry=1, name="\u202e" + "x" * 10_000)
    text = json.dumps(model.picture(Recording(tale.events).timeline, "inv_s"), ensure_ascii=False)
    assert text.encode("utf-8")
    assert len(text) < 3000


def many_entries(count: int) -> list[Event]:
    """One attempt with so many steps."""
    where: dict[str, Any] = {"pod": "big-1", "attempt": 1}
    events = [
        Event.of("pod.starting", 1000, {"pod": "big-1", "service": "big", "revision": "big-00001"}),
        Event.of("attempt.started", 1001, {**where, "invocation": "inv_b", "target": "Big/run", "known": 1, "id": ""}),
        Event.of("entry.replayed", 1001, {**where, "type": "Input", "entry": 0, "value": "{}", "size": 2}),
    ]
    for entry in range(1, count):
        at = 1001 + entry / 500
        step = {**where, "entry": entry}
        events += [
            Event.of("entry.executed", at, {**step, "type": "Run", "name": f"step {entry}"}),
            Event.of("entry.completed", at + 0.001, {**step, "type": "Run completion", "value": "1", "size": 1}),
        ]
    return events


def test_ten_thousand_entries() -> None:
    timeline = Recording(many_entries(10_000)).timeline
    began = time.perf_counter()
    picture = model.picture(timeline, "inv_b")
    took = time.perf_counter() - began
    assert len(json.dumps(picture)) < 1_500_000
    began = time.perf_counter()
    delta = model.delta(timeline, "inv_b", (timeline.changes.since(len(timeline.changes) - 200) or ()))
    delta_took = time.perf_counter() - began
    assert delta is not None
    assert len(json.dumps(delta)) < 20_000
    # How long they really take is for benchmarks/ to say; a machine that is busy takes several times as long.
    assert took < 5, "a picture is made at every display"
    assert delta_took < 0.5, "a delta is made ten times a second"
