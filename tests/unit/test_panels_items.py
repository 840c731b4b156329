"""What panels send to the page: items out of a timeline, and what changes do to them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from playground.recording import Recording, Timeline
from playground.recording.fold import Fold
from playground.views.panels.awakeables import AwakeablesPanel, pending
from playground.views.panels.board import Board, Panels
from playground.views.panels.invocations import InvocationsPanel
from playground.views.panels.ledger import LedgerPanel
from playground.views.panels.panel import Panel, clip, split
from playground.views.panels.pods import GONE, PodsPanel
from playground.views.panels.queues import QueuePanel, key_queues
from playground.views.panels.requests import RequestsPanel
from playground.views.panels.state import StatePanel, item_id
from tests.unit.pages import apply, arrived, ask
from tests.unit.stories import Tale, awakeable, long_day

ALL: Sequence[Panel[object]] = (
    RequestsPanel(),
    PodsPanel(),
    StatePanel(),
    QueuePanel(),
    InvocationsPanel(),
    AwakeablesPanel(),
    LedgerPanel(),
)


def whole(panel: Panel[object], timeline: Timeline) -> dict[str, Any]:
    return dict(arrived(panel.items(timeline)))


@pytest.mark.parametrize("panel", ALL, ids=lambda panel: panel.name)
def test_a_picture_with_its_deltas_is_the_later_picture(panel: Panel[object]) -> None:
    events = long_day().events
    for start in range(0, len(events), 5):
        timeline = Fold(events[:start])
        page: dict[str, Any] = {"tables": {panel.name: whole(panel, timeline)}}
        position = len(timeline.changes)
        for number, event in enumerate(events[start:], 1):
            timeline.add(event)
            if number % 3 == 0 or number == len(events) - start:
                changes = dict.fromkeys(timeline.changes.since(position) or ())
                apply(page, {"tables": {panel.name: panel.changed(timeline, changes)}})
                position = len(timeline.changes)
        final = whole(panel, timeline)
        if panel.name == "requests":  # a start for the next body is only looked up at display
            for item in (*final.values(), *page["tables"][panel.name].values()):
                item.pop("last")
        assert page["tables"][panel.name] == final


@pytest.mark.parametrize("panel", ALL, ids=lambda panel: panel.name)
def test_items_are_json(panel: Panel[object]) -> None:
    json.dumps(whole(panel, Fold(long_day().events)), allow_nan=False).encode()


def test_a_queue_has_its_holder_and_waits_in_restates_order() -> None:
    tale = long_day()
    at = next(i for i, event in enumerate(tale.events) if event.kind == "queue.read")
    queue = key_queues(Fold(tale.events[: at + 1]))["User", "ada"]
    assert queue.holder is not None
    assert queue.holder.id == "inv_q0"
    assert [trace.id for trace in queue.waiting] == ["inv_q2", "inv_q1", "inv_q3"]  # a scheduled one does not wait


def test_a_queue_moves_when_an_attempt_starts() -> None:
    tale = Tale().deploy().pod("shop-1").send("inv_a", "User/ada/add").send("inv_b", "User/ada/add")
    first = tale.start("shop-1", "inv_a", "User/ada/add")
    queue = key_queues(Fold(tale.events))["User", "ada"]
    assert (queue.holder and queue.holder.id, [t.id for t in queue.waiting], queue.done) == ("inv_a", ["inv_b"], 0)
    tale.end("shop-1", first)
    tale.start("shop-1", "inv_b", "User/ada/add")
    queue = key_queues(Fold(tale.events))["User", "ada"]
    assert (queue.holder and queue.holder.id, queue.waiting, queue.done) == ("inv_b", [], 1)


def test_shared_handlers_and_services_have_no_queue() -> None:
    tale = Tale().deploy().send("inv_a", "User/ada/get").send("inv_b", "Signup/signup")
    assert key_queues(Fold(tale.events)) == {}


def test_an_awakeable_is_pending_from_its_mail_until_it_is_completed() -> None:
    tale = Tale().deploy().pod("shop-1")
    number = tale.start("shop-1", "inv_s", "Signup/signup")
    assert pending(Fold(tale.events)) == []
    tale.mail("shop-1", number, awakeable("inv_s"))
    (mailed,) = pending(Fold(tale.events))
    assert (mailed.id, mailed.suspended, mailed.mail and mailed.mail.kind) == (awakeable("inv_s"), False, "email")
    tale.suspend("shop-1", number, 17)
    (waiting,) = pending(Fold(tale.events))
    assert waiting.suspended
    tale.say("awakeable.completed", awakeable=awakeable("inv_s"), reason="no")
    assert pending(Fold(tale.events)) == []


def test_an_awakeable_without_a_mail_is_pending_once_it_is_waited_for() -> None:
    tale = Tale().deploy().pod("shop-1")
    tale.suspend("shop-1", tale.start("shop-1", "inv_s", "Signup/signup"), 17, 18)
    assert [each.signal for each in pending(Fold(tale.events))] == [17, 18]
    tale.status("inv_s", "completed", completion_failure="killed")
    assert pending(Fold(tale.events)) == []


def test_an_id_that_only_looks_like_an_awakeables_is_none() -> None:
    tale = Tale().deploy().pod("shop-1")
    number = tale.start("shop-1", "inv_s", "Signup/signup")
    tale.mail("shop-1", number, "sign_1" + "A" * 32).mail("shop-1", number, "sign_1" + "=" * 30)
    assert pending(Fold(tale.events)) == []


def test_the_last_pods_that_went_are_shown() -> None:
    items = whole(PodsPanel(), Fold(long_day().events))
    assert sum(not item["alive"] for item in items.values()) == GONE
    assert [name for name, item in items.items() if item["alive"]] == ["shop-9"]


def test_what_can_be_done_depends_on_the_status() -> None:
    tale = Tale().deploy()
    verbs = {}
    for status in ("pending", "scheduled", "running", "backing-off", "suspended", "paused", "completed", "new to us"):
        tale.status(f"inv_{status}", status, target="Signup/signup")
    for item in whole(InvocationsPanel(), Fold(tale.events)).values():
        verbs[item["status"]] = item["verbs"]
    assert verbs["completed"] == ["restart-as-new"]
    assert "resume" in verbs["paused"]
    assert "resume" not in verbs["running"]
    assert "pause" in verbs["running"]
    assert all("kill" in verbs[status] for status in verbs if status != "completed")


def test_the_latest_revision_says_what_can_be_requested() -> None:
    items = whole(RequestsPanel(), Fold(long_day().events))
    assert list(items) == ["Signup/signup"]
    assert json.loads(items["Signup/signup"]["last"]) == {"username": "ada"}


def test_hostile_text_is_sent_as_text_and_clipped() -> None:
    hostile = '<script>alert(1)</script>\u202e"&\x00' + "\ud800"
    assert clip(hostile) == {"text": '<script>alert(1)</script>\u202e"&\x00?'}
    assert clip("x" * 1_000_000, 10) == {"text": "x" * 10, "length": 1_000_000}
    tale = Tale().deploy().pod("shop-1", hostile, "y" * 1_000_000).send("inv_1", f"User/{hostile}/add", body=hostile)
    tale.say("state.read", service="User", key=hostile, values={hostile: "z" * 1_000_000})
    tale.say("invocation.result", invocation="inv_1", failure=[500, hostile * 100_000])
    for panel in ALL:
        items = whole(panel, Fold(tale.events))
        assert len(json.dumps(items, ensure_ascii=False).encode()) < 20_000
    recording = Recording(tale.events)
    shown = hostile.replace("\ud800", "?")  # what came in is text that UTF-8 can carry
    assert len(StatePanel().whole(recording, {"service": "User", "key": shown, "name": shown})["text"]) == 1_000_000
    assert len(PodsPanel().whole(recording, {"pod": "shop-1"})["text"]) > 1_000_000
    body = InvocationsPanel().whole(recording, {"invocation": "inv_1", "part": "body"})
    assert body["text"].startswith('"<script>')


def test_targets_are_split_at_the_outer_slashes() -> None:
    assert split("Signup/signup") == ("Signup", "", "signup")
    assert split("User/a/b/c/add") == ("User", "a/b/c", "add")


def test_a_keys_id_is_what_json_stringify_says() -> None:
    assert item_id("User", 'a "b" é\n') == '["User","a \\"b\\" é\\n"]'


def test_a_board_shows_its_panels_and_follows() -> None:
    recording = Recording(long_day().events)
    board = Panels(recording).dashboard()
    picture = board.get_state()["snapshot"]
    assert set(picture["tables"]) == {panel.name for panel in ALL}
    assert picture["values"] == {"live": False}
    assert board.delta(recording.timeline, [("revision", "shop-00002")]) is not None
    assert board.delta(recording.timeline, [("journal", "inv_s")]) is None
    board.close()


def test_a_board_of_a_saved_recording_does_nothing() -> None:
    board: Board = Panels(Recording(long_day().events)).pods()
    assert "can only be looked at" in ask(board, "pods.kill", pod="shop-9")["error"]
    assert "hello" in ask(board, "pods.whole", pod="shop-1")["value"]["text"]
    board.close()
