"""What a ledger tells is recorded once, however often it tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from playground.backends.ledger_feed import LedgerFeed
from playground.ledger.app import Ledger
from playground.ledger.store import Faults, Request, Store
from playground.recording import Event, Recording

TO_ADA, TO_EVE = Request("email", "ada"), Request("email", "eve")


class Life:
    """A ledger that dies and comes back on the same file, and the recording of it."""

    def __init__(self, file: Path) -> None:
        self.recording = Recording()
        self.feed = LedgerFeed(self.recording.append)
        self.file = file

    def begins(self) -> Ledger:
        self.store = Store(self.file)
        ledger = Ledger(self.store, self.hear, secret="x", host="ledger")
        ledger.tell_all()
        return ledger

    def hear(self, told: dict[str, Any]) -> None:
        self.feed.take([("event", {"at": 1.0, **told})])

    def kinds(self) -> list[str]:
        return [event.kind for event in self.recording.events]

    def numbers(self) -> list[int]:
        return [event.data["number"] for event in self.recording.events if event.kind.startswith("effect.")]


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path / "ledger.sqlite")


def test_what_was_written_and_not_told_is_told_at_the_next_start(life: Life) -> None:
    ledger = life.begins()
    ledger._enter(life.store.happen(TO_ADA)[0])
    life.store.happen(TO_EVE)  # it dies here
    life.begins()
    life.begins()
    assert life.numbers() == [1, 2]
    assert [effect.body for effect in life.recording.timeline.effects] == ["ada", "eve"]


def test_starts_alone_tell_nothing(life: Life) -> None:
    ledger = life.begins()
    ledger._enter(life.store.happen(TO_ADA)[0])
    life.store.set_faults("email", Faults(fail=2))
    for _ in range(5):
        life.begins()
    assert life.kinds() == ["effect.happened", "ledger.faults"]


def test_a_clearing_that_was_not_told_is_told(life: Life) -> None:
    ledger = life.begins()
    ledger._enter(life.store.happen(TO_ADA)[0])
    life.store.clear()
    life.store.happen(TO_EVE)
    for _ in range(3):
        life.begins()
    assert life.kinds() == ["effect.happened", "ledger.cleared", "effect.happened"]
    timeline = life.recording.timeline
    assert [e.body for e in timeline.effects if e.number > timeline.forgotten] == ["eve"]


def test_a_file_that_was_taken_away_begins_again(life: Life) -> None:
    ledger = life.begins()
    ledger._enter(life.store.happen(TO_ADA)[0])
    life.store.close()
    for file in life.file.parent.iterdir():
        file.unlink()
    ledger = life.begins()
    ledger._enter(life.store.happen(TO_EVE)[0])
    assert [effect.body for effect in life.recording.timeline.effects] == ["ada", "eve"]


def test_what_is_malformed_is_recorded_as_that(life: Life) -> None:
    life.hear({"kind": "effect.happened", "number": "one"})
    life.hear({"kind": "attempt.ended", "pod": "x", "attempt": 1})
    assert life.kinds() == ["event.malformed", "event.refused"]


def test_secrets_are_not_recorded() -> None:
    recording = Recording()
    recording.conceal("s3cret")
    url = "http://127.0.0.1:1/s3cret/email"
    recording.append(
        Event.now("pod.log", pod="shop", text=f"no answer: {url}"),
        Event.now("invocation.result", invocation="inv_1", failure=[500, f"503 for url {url}"]),
        Event.now("state.read", service="S", key="k", values={"at": f'"{url}"'}),
        Event.of("something.new", 1.0, {"deep": [{"s3cret": ["s3cret", 1, None]}]}),
    )
    lines = [event.to_json() for event in recording.events]
    assert "s3cret" not in "".join(lines)
    assert sum(line.count("SECRET") for line in lines) == 5
    assert recording.events[1].data["failure"][0] == 500
    plain = Event.now("pod.log", pod="shop", text="nothing")
    recording.append(plain)
    assert recording.events[-1] is plain
