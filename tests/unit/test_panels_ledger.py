"""The panel Outside world: its items as things happen, its text, and what the page may ask for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from playground.errors import PlaygroundError, RequestError
from playground.recording import Recording, Timeline
from playground.recording.fold import Fold
from playground.views.outside import misbehaviour
from playground.views.panels import ledger
from playground.views.panels.board import Panels
from playground.views.panels.ledger import LedgerPanel
from tests.unit.pages import apply, arrived
from tests.unit.stories import Tale

PANEL = LedgerPanel()


def story() -> Tale:
    """A step whose payment is refused, then made, then asked for again; an email from nowhere; faults; a clearing."""
    tale = Tale().deploy().pod("shop-1")
    number = tale.start("shop-1", "inv_s", "Signup/signup")
    step = {"pod": "shop-1", "attempt": number}
    tale.say("entry.executed", **step, type="Run", entry=1, name="charge")
    effect: dict[str, Any] = {**step, "effect": "payment", "key": "k", "body": '{"who": "ada"}'}
    tale.say("ledger.faults", effect="payment", faults={"fail": 1, "lose_answer": 0, "slow": 0, "down": False})
    tale.say("effect.refused", number=1, **effect)
    tale.say("ledger.faults", effect="payment", faults={"fail": 0, "lose_answer": 0, "slow": 0, "down": False})
    tale.say("effect.happened", number=2, **effect).say("effect.repeated", number=3, **effect)
    tale.say("entry.proposed", **step, entry=1, value="1")
    return tale.say("effect.happened", number=4, effect="email", body="hello")


def items(timeline: Timeline) -> dict[str, Any]:
    return dict(arrived(PANEL.items(timeline)))


def test_entries_say_what_became_of_them_and_where_they_came_from() -> None:
    found = items(Fold(story().events))
    entries = [found[f"entry {number}"] for number in range(1, 5)]
    assert [entry["what"] for entry in entries] == ["refused", "happened", "repeated", "happened"]
    assert [(entry["target"], entry["step"], entry["pod"]) for entry in entries[1:]] == [
        ("Signup/signup", "Run charge", "shop pod 1"),
        ("Signup/signup", "Run charge", "shop pod 1"),
        ("", "", ""),
    ]
    assert (entries[1]["key"], entries[1]["body"]) == ("k", {"text": '{"who": "ada"}'})


def test_kinds_are_counted() -> None:
    found = items(Fold(story().events))
    assert found["kind payment"]["counts"] == {"refused": 1, "happened": 1, "repeated": 1}
    assert found["kind email"]["counts"] == {"happened": 1}
    assert found["kind payment"]["told"] == []


def test_what_is_cleared_is_gone_and_its_kind_stays() -> None:
    tale = story().say("ledger.cleared", last=4)
    assert items(Fold(tale.events)) == {
        "kind payment": {
            "kind": "payment",
            "counts": {},
            "faults": {"fail": 0, "lose_answer": 0, "slow": 0, "down": False},
            "told": [],
        },
        "kind email": {"kind": "email", "counts": {}, "faults": {}, "told": []},
    }


def test_a_picture_with_its_deltas_is_the_later_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "LATEST", 3)
    tale = story()
    for number in range(5, 12):
        tale.say("effect.happened", number=number, effect="email", body=str(number))
    tale.say("ledger.cleared", last=11).say("effect.happened", number=12, effect="email", body="new")
    for step in (1, 2, 5, 100):
        timeline = Fold()
        page: dict[str, Any] = {"tables": {"ledger": items(timeline)}}
        position = 0
        for number, event in enumerate(tale.events, 1):
            timeline.add(event)
            if number % step == 0 or number == len(tale.events):
                changes = dict.fromkeys(timeline.changes.since(position) or ())
                apply(page, {"tables": {"ledger": PANEL.changed(timeline, changes)}})
                position = len(timeline.changes)
                assert page["tables"]["ledger"] == items(timeline), number


def test_as_text() -> None:
    tale = story().say(
        "ledger.faults", effect="email", faults={"fail": 2, "lose_answer": -1, "slow": 1.5, "down": True}
    )
    assert repr(Panels(Recording(tale.events)).ledger()) == (
        "Outside world\n"
        "The outside world\n"
        "kind     what                        from        key  body\n"
        "───────  ──────────────────────────  ──────────  ───  ──────────────\n"
        'payment  refused                     shop pod 1  yes  {"who": "ada"}\n'
        'payment  happened                    shop pod 1  yes  {"who": "ada"}\n'
        'payment  repeated, nothing happened  shop pod 1  yes  {"who": "ada"}\n'
        "email    happened                    –           no   hello\n"
        "email: down: nobody answers\n"
        "email: slow: each request takes 1.5 s\n"
        "email: the next 2 requests are refused before anything happens\n"
        "email: all answers are lost, though the effect happens"
    )


def test_misbehaviour_in_words() -> None:
    assert misbehaviour({}) == []
    assert misbehaviour({"fail": 0, "lose_answer": 0, "slow": 0.0, "down": False}) == []
    assert misbehaviour({"fail": 1, "lose_answer": 1}) == [
        "the next request is refused before anything happens",
        "the next answer is lost, though the effect happens",
    ]
    assert (
        misbehaviour({"fail": True})
        == misbehaviour({"fail": -1})
        == ["all requests are refused before anything happens"]
    )


def test_hostile_texts_can_be_sent() -> None:
    bad = '<img src=x onerror="window.hacked=1">\u202e\x00\ud800' * 100
    tale = Tale().say("effect.happened", number=1, effect=bad, key=bad, body=bad, pod=bad, attempt=1)
    tale.say("ledger.faults", effect=bad, faults={"fail": 1})
    told = json.dumps(items(Fold(tale.events)), ensure_ascii=False)
    assert told.encode("utf-8")
    assert len(told) < 20_000


class FakeLedger:
    """Notes what it is told to do."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.ledger = self

    def misbehave(self, kind: str, **faults: Any) -> None:
        self.told.append((kind, faults))

    def clear(self) -> None:
        self.told.append("clear")


def test_what_the_page_may_ask_for() -> None:
    fake: Any = FakeLedger()
    said: Any = PANEL.act(
        fake, "misbehave", {"kind": " email ", "fail": "2", "lose_answer": "all", "slow": "0.5", "down": True}
    )
    assert said["said"].startswith("email: down: nobody answers; slow: each request takes 500 ms; the next 2 requests")
    PANEL.act(fake, "misbehave", {"kind": "email", "fail": "", "slow": ""})
    PANEL.act(fake, "behave", {"kind": "email"})
    PANEL.act(fake, "clear", {})
    assert fake.told == [
        ("email", {"fail": 2, "lose_answer": True, "slow": 0.5, "down": True}),
        ("email", {"fail": 0, "lose_answer": 0, "slow": 0.0, "down": False}),
        ("email", {}),
        "clear",
    ]


@pytest.mark.parametrize(
    "data", [{"fail": "-1"}, {"fail": "x"}, {"lose_answer": 1e300}, {"slow": "-1"}, {"slow": "nan"}, {"slow": ["x"]}]
)
def test_what_cannot_be(data: dict[str, Any]) -> None:
    fake: Any = FakeLedger()
    with pytest.raises(RequestError):
        PANEL.act(fake, "misbehave", {"kind": "email", **data})
    with pytest.raises(PlaygroundError):
        PANEL.act(fake, "burn", {"kind": "email"})
    assert fake.told == []


def test_the_whole_of_a_body() -> None:
    tale = Tale().say("effect.happened", number=7, effect="email", body="x" * 1000)
    recording = Recording(tale.events)
    assert items(recording.timeline)["entry 7"]["body"]["length"] == 1000
    assert PANEL.whole(recording, {"entry": "entry 7"}) == {"text": "x" * 1000}
    assert PANEL.whole(recording, {"entry": "entry 8"}) == {"text": ""}
