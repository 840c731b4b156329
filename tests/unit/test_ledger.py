"""The ledger: what it remembers, how it honours keys, how it misbehaves, and the atlas's plans in it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest

from playground.ledger.app import Ledger
from playground.ledger.plans import Plans
from playground.ledger.store import Faults, Store
from playground.recording import Event
from playground.recording.fold import Fold

BASE = "http://ledger:8080/s3cret"


class World:
    """A ledger in this process, and what it told."""

    def __init__(self, path: Path) -> None:
        self.told: list[dict[str, Any]] = []
        self.store = Store(path)
        self.app = Ledger(self.store, self.told.append, secret="s3cret", host="ledger")
        with contextlib.suppress(sqlite3.Error):
            self.app.tell_all()  # as at its start

    def ask(self, method: str, path: str, *, base: str = BASE, **options: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=base) as client:
                return await client.request(method, path, **options)

        return asyncio.run(asked())

    def post(self, kind: str, body: Any, key: str = "") -> httpx.Response:
        return self.ask("POST", f"/{kind}", json=body, headers={"idempotency-key": key} if key else {})

    def kinds(self) -> list[str]:
        return [event["kind"] for event in self.told]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "ledger.sqlite")
    yield made
    made.store.close()


def test_without_a_key_the_same_request_happens_twice(world: World) -> None:
    first, second = world.post("email", {"to": "ada"}), world.post("email", {"to": "ada"})
    assert (first.json()["id"], second.json()["id"]) == ("email-1", "email-2")
    assert world.kinds() == ["effect.happened", "effect.happened"]


def test_with_a_key_it_happens_once_and_is_answered_alike(world: World) -> None:
    first, second = world.post("email", {"to": "ada"}, "k"), world.post("email", {"to": "ada"}, "k")
    assert first.json() == second.json()
    assert world.kinds() == ["effect.happened", "effect.repeated"]
    assert world.post("payment", {"to": "ada"}, "k").json()["id"] == "payment-3", "a key belongs to its kind"


def test_a_key_with_another_body_is_an_error(world: World) -> None:
    world.post("email", {"to": "ada"}, "k")
    assert world.post("email", {"to": "eve"}, "k").status_code == 422
    assert world.kinds() == ["effect.happened"]


def test_a_key_whose_first_request_is_worked_on_is_a_conflict(world: World) -> None:
    world.store.set_faults("email", Faults(slow=0.2))

    async def both() -> list[int]:
        transport = httpx.ASGITransport(app=world.app)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            headers = {"idempotency-key": "k"}
            answers = await asyncio.gather(*(client.post("/email", json={}, headers=headers) for _ in range(2)))
        return sorted(answer.status_code for answer in answers)

    assert asyncio.run(both()) == [200, 409]
    assert world.kinds() == ["effect.happened"]


def test_it_refuses_loses_answers_and_is_down_as_told(world: World) -> None:
    world.ask("PUT", "/-/faults/email", json={"fail": 2})
    assert [world.post("email", {}, "k").status_code for _ in range(3)] == [503, 503, 200]
    world.ask("PUT", "/-/faults/email", json={"lose_answer": 1})
    assert [world.post("email", {}, "k2").status_code for _ in range(2)] == [504, 200]
    world.ask("PUT", "/-/faults/email", json={"down": True})
    assert world.post("email", {}).status_code == 502
    assert world.post("sms", {}).status_code == 200
    world.ask("PUT", "/-/faults/email", json={"fail": -1})
    assert [world.post("email", {}).status_code for _ in range(3)] == [503] * 3
    happened = [event["effect"] for event in world.told if event["kind"] == "effect.happened"]
    assert happened == ["email", "email", "sms"], "a lost answer happened once, and its retry with the key did not"


def test_what_it_remembers_outlives_it(tmp_path: Path) -> None:
    first = World(tmp_path / "ledger.sqlite")
    first.post("email", {"to": "ada"}, "k")
    first.store.set_faults("sms", Faults(fail=1))
    first.store.close()
    second = World(tmp_path / "ledger.sqlite")
    assert second.post("email", {"to": "ada"}, "k").json()["id"] == "email-1"
    assert second.post("sms", {}).status_code == 503
    assert [entry["what"] for entry in second.ask("GET", "/-/entries").json()["entries"]] == [
        "happened",
        "repeated",
        "refused",
    ]
    second.ask("DELETE", "/-/entries")
    assert second.ask("GET", "/-/entries").json()["entries"] == []
    assert second.ask("GET", "/-/entries/last").json() == {"last": 3}, "numbers go on after a clearing"
    second.store.close()


def test_what_it_does_not_take(world: World) -> None:
    assert world.ask("POST", "/No Kind!", json={}).status_code == 404
    assert world.ask("GET", "/email").status_code == 404
    assert world.ask("POST", "/email", content=b"x" * (2 << 20)).status_code == 413
    assert world.ask("PUT", "/-/faults/email", json={"burn": True}).status_code == 400
    assert world.ask("POST", "/email", content=b"\xff\xfe").status_code == 200


def test_a_body_that_is_no_utf8_is_kept_as_text(world: World) -> None:
    world.ask("POST", "/email", content=b"\xff")
    assert world.told[0]["body"] == "\ufffd"
    assert world.ask("GET", "/-/entries").json()["entries"][0]["body"] == "\ufffd"


@pytest.mark.parametrize(
    "faults",
    [
        {"fail": -2},
        {"fail": 1.5},
        {"fail": True},
        {"lose_answer": "x"},
        {"slow": -1},
        {"slow": 1e9},
        {"slow": None},
        {"down": 1},
        [],
        ["fail"],
        1,
    ],
)
def test_faults_that_cannot_be(world: World, faults: Any) -> None:
    assert world.ask("PUT", "/-/faults/email", json=faults).status_code == 400
    assert world.store.faults("email") == Faults()
    assert world.post("email", {}).status_code == 200


def test_slow_is_before_the_effect(world: World) -> None:
    world.ask("PUT", "/-/faults/email", json={"slow": 0.1})
    began = time.time()
    world.post("email", {})
    assert world.told[-1]["at"] - began >= 0.1


def let_in(scope: dict[str, Any]) -> dict[str, Any]:
    return {**scope, "headers": [(b"host", b"ledger:8080")]}


def test_half_a_request_is_none(world: World) -> None:
    async def cut_off() -> list[Any]:
        messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": b'{"to": ', "more_body": True},
            {"type": "http.disconnect"},
        ]
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return messages.pop(0)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await world.app(let_in({"type": "http", "method": "POST", "path": "/s3cret/email"}), receive, send)
        return sent

    assert asyncio.run(cut_off()) == []
    assert world.told == []


def test_how_a_kind_misbehaves_is_told_as_it_changes(world: World) -> None:
    world.ask("PUT", "/-/faults/email", json={"fail": 2})
    world.post("email", {})
    world.post("sms", {})
    world.ask("PUT", "/-/faults/email", json={"fail": -1})
    world.post("email", {})
    told = [event["faults"]["fail"] for event in world.told if event["kind"] == "ledger.faults"]
    assert told == [2, 1, -1], "each time it changes, and only then"


def test_a_ledger_on_a_used_file_tells_what_it_has(tmp_path: Path) -> None:
    first = World(tmp_path / "ledger.sqlite")
    first.post("email", "before")
    first.ask("DELETE", "/-/entries")
    first.post("email", "after", "k")
    first.post("email", "after", "k")
    first.ask("PUT", "/-/faults/sms", json={"slow": 2})
    first.store.close()
    second = World(tmp_path / "ledger.sqlite")
    second.app.tell_all()
    assert second.kinds() == ["ledger.cleared", "effect.happened", "effect.repeated", "ledger.faults"]
    # A recording that knew all of it knows no more; one that knew nothing knows as much.
    for before in (first.told, []):
        timeline = Fold(Event.of(e["kind"], e.get("at", 0.0), e) for e in [*before, *second.told])
        known = [effect for effect in timeline.effects if effect.number > timeline.forgotten]
        assert [(effect.number, effect.became) for effect in known] == [(2, "happened"), (3, "repeated")]
        assert timeline.faults["sms"]["slow"] == 2
    second.ask("DELETE", "/-/entries")
    second.store.close()
    third = World(tmp_path / "ledger.sqlite")
    third.app.tell_all()
    assert third.told[0] == {"kind": "ledger.cleared", "last": 3}
    third.store.close()


def test_a_new_ledger_tells_nothing(world: World) -> None:
    world.app.tell_all()
    assert world.told == []


def test_where_a_request_comes_from_is_told(world: World) -> None:
    headers = {"x-playground-pod": "shop-1", "x-playground-attempt": "3"}
    world.ask("POST", "/email", json={}, headers=headers)
    assert (world.told[0]["pod"], world.told[0]["attempt"]) == ("shop-1", 3)


@pytest.mark.parametrize("attempt", [b"\xb2", b"-1", b"x", b"", b"9" * 400])
def test_an_attempt_that_is_none_breaks_nothing(world: World, attempt: bytes) -> None:
    answer = world.ask("POST", "/email", json={}, headers={b"x-playground-attempt": attempt})
    assert answer.status_code == 200


def test_a_plan_is_used_up_once_at_its_place() -> None:
    async def story() -> None:
        told: list[dict[str, Any]] = []
        plans = Plans(told.append)
        kill = {"act": "kill", "role": "0.1", "boundary": ["out", "Run", 2], "nth": 2}
        await plans.register("r", "inv_root", [kill])
        assert await plans.begin("pod", 1, "inv_root") is None, "it is planned for another role"
        await plans.callee("inv_root", 1, "inv_called")
        assert await plans.begin("pod", 2, "inv_called") == kill
        plans.end("inv_called", 1)  # an attempt that passed the place once
        again = await plans.begin("pod", 3, "inv_called")
        assert again is not None
        assert again["nth"] == 1
        assert await plans.arrive("inv_root") == "go"
        assert await plans.arrive("inv_called") == "kill"
        assert await plans.arrive("inv_called") == "go"
        assert await plans.begin("pod", 4, "inv_called") is None

    asyncio.run(story())


def test_a_pod_that_asks_too_early_waits_for_its_caller() -> None:
    async def story() -> None:
        plans = Plans(lambda _: None)
        kill = {"act": "kill", "role": "0.1", "boundary": ["in", "Start", None], "nth": 1}
        await plans.register("r", "inv_root", [kill])
        asked = asyncio.create_task(plans.begin("pod", 1, "inv_called"))
        await asyncio.sleep(0.05)
        assert not asked.done()
        await plans.callee("inv_root", 1, "inv_called")
        assert await asked == kill

    asyncio.run(story())


def test_of_two_accidents_the_second_is_counted_after_the_first() -> None:
    async def story() -> None:
        plans = Plans(lambda _: None)
        start = {"act": "kill", "role": "0", "boundary": ["in", "Start", None], "nth": 1}
        end = {"act": "kill", "role": "0", "boundary": ["out", "End", None], "nth": 2}
        await plans.register("r", "inv_root", [start, end])
        assert await plans.begin("pod", 1, "inv_root") == start
        assert await plans.arrive("inv_root") == "kill"
        assert await plans.begin("pod", 2, "inv_root") == end, "what was passed before the first does not count"
        plans.end("inv_root", 1)
        assert (await plans.begin("pod", 3, "inv_root") or {})["nth"] == 1

    asyncio.run(story())


def test_a_frame_is_held_until_the_server_is_killed() -> None:
    async def story() -> None:
        told: list[dict[str, Any]] = []
        plans = Plans(told.append)
        kill = {"act": "server", "role": "0", "boundary": ["out", "End", None], "nth": 1}
        await plans.register("r", "inv_root", [kill])
        await plans.begin("pod", 1, "inv_root")
        held = asyncio.create_task(plans.arrive("inv_root"))
        await asyncio.sleep(0.02)
        assert (told, held.done()) == ([{"kind": "plan.hold", "run": "r"}], False)
        plans.release("another")
        plans.release("r")
        assert await held == "held"

    asyncio.run(story())


def test_what_belongs_to_no_run_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("playground.ledger.plans.PATIENCE", 0.05)

    async def story() -> list[float]:
        plans = Plans(lambda _: None)
        took = []
        for attempt in (1, 2):
            began = time.monotonic()
            assert await plans.begin("pod", attempt, "inv_foreign") is None
            took.append(time.monotonic() - began)
        assert await plans.arrive("inv_foreign") == "go"
        plans.end("inv_foreign", 1)
        await plans.callee("inv_foreign", 1, "inv_other")
        return took

    first, second = asyncio.run(story())
    assert first >= 0.05 > second


def test_a_run_that_is_over_is_forgotten() -> None:
    async def story() -> None:
        plans = Plans(lambda _: None)
        kill = {"act": "kill", "role": "0", "boundary": ["out", "End", None], "nth": 1}
        await plans.register("r", "inv_root", [kill])
        await plans.register("s", "inv_other", [kill])
        plans.forget("r")
        plans.forget("r")
        assert await plans.arrive("inv_root") == "go"
        assert await plans.arrive("inv_other") == "kill"

    asyncio.run(story())


def test_the_gate_asks_over_http(world: World) -> None:
    def ask(what: str, **told: Any) -> Any:
        return world.ask("POST", f"/-/gate/{what}", json=told).json()["answer"]

    kill = {"act": "kill", "role": "0.3", "boundary": ["out", "End", None], "nth": 1}
    assert world.ask("POST", "/-/plans", json={"run": "r", "root": "inv_root", "accidents": [kill]}).status_code == 204
    assert ask("begin", pod="pod", attempt=1, invocation="inv_root") is None
    assert ask("callee", invocation="inv_root", entry=3, callee="inv_called") is None
    assert ask("begin", pod="pod", attempt=2, invocation="inv_called") == kill
    assert ask("end", invocation="inv_called", passed=0) is None
    assert ask("arrive", invocation="inv_called") == "kill"
    assert world.ask("POST", "/-/plans/r/forget").status_code == 204


def test_an_effect_of_a_run_meets_its_accident() -> None:
    async def story() -> None:
        plans = Plans(lambda _: None)
        await plans.register("r", "inv_root", [{"act": "lose_answer", "effect": "email", "nth": 2}])
        await plans.begin("pod", 1, "inv_root")
        assert [plans.fault("pod", 1, "email") for _ in range(3)] == [None, "lose_answer", None]
        assert plans.fault("elsewhere", 1, "email") is None

    asyncio.run(story())


@pytest.mark.parametrize(
    "base",
    [
        "http://ledger:8080",
        "http://ledger:8080/",
        "http://ledger:8080/s3cre",
        "http://ledger:8080/s3crets",
        "http://ledger:8080/S3CRET",
        "http://ledger:8080/x/s3cret",
        "http://ledger:8080/%C3%A9",
        "http://evil.example/s3cret",
        "http://ledger.evil.example:8080/s3cret",
        "http://127.0.0.1.evil.example/s3cret",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/email"),
        ("OPTIONS", "/email"),
        ("GET", "/-/entries"),
        ("DELETE", "/-/entries"),
        ("PUT", "/-/faults/email"),
        ("POST", "/-/gate/begin"),
        ("POST", "/-/plans"),
    ],
)
def test_who_does_not_know_the_address_gets_nothing_and_changes_nothing(
    world: World, base: str, method: str, path: str
) -> None:
    world.post("email", {"to": "ada"})
    told = list(world.told)
    answer = world.ask(method, path, base=base, json={"fail": 3}, headers={"origin": "http://evil.example"})
    assert answer.status_code == 404
    assert "ada" not in answer.text
    assert "s3cret" not in answer.text
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert (world.told, world.store.last(), world.store.all_faults()) == (told, 1, {})


@pytest.mark.parametrize("host", ["ledger", "LEDGER:80", "127.0.0.1:9", "localhost", "[::1]:8080"])
def test_its_own_names_and_those_of_loopback_are_right(world: World, host: str) -> None:
    assert world.ask("POST", "/email", headers={"host": host}, json={}).status_code == 200


def test_no_other_origin_is_let_in(world: World) -> None:
    answer = world.ask("POST", "/email", json={}, headers={"origin": "http://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_kind_that_behaves_again_is_told_at_the_next_start_too(world: World) -> None:
    world.ask("PUT", "/-/faults/email", json={"fail": 2})
    world.store.set_faults("email", Faults())  # it dies before it tells
    world.told.clear()
    Ledger(world.store, world.told.append, secret="", host="").tell_all()
    assert world.told == [{"kind": "ledger.faults", "effect": "email", "faults": asdict(Faults())}]
    assert world.store.all_faults() == {}


def full(path: Path, world: World) -> None:
    pages = world.store._db.execute("PRAGMA page_count").fetchone()[0]
    world.store._db.execute(f"PRAGMA max_page_count = {pages}")


def locked(path: Path, world: World) -> None:
    world.store._db.execute("PRAGMA busy_timeout = 100")
    world.holder = sqlite3.connect(path, isolation_level=None)  # type: ignore[attr-defined]
    world.holder.execute("BEGIN IMMEDIATE")  # type: ignore[attr-defined]


def damaged(path: Path, world: World) -> None:
    world.store.close()
    for file in path.parent.glob("ledger.sqlite*"):
        file.unlink()
    path.write_bytes(b"not a database, and long enough to be seen as none" * 20)


def in_the_way(path: Path, world: World) -> None:
    world.store.close()
    for file in path.parent.glob("ledger.sqlite*"):
        file.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("harm", "words", "fix"),
    [
        (full, "is full", "Free some space"),
        (locked, "Another program", "Close that program"),
        (damaged, "is damaged", "mv '"),
        (in_the_way, "cannot be used", "can write to it"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_to_be_that(
    tmp_path: Path, world: World, harm: Any, words: str, fix: str
) -> None:
    world.post("email", {"to": "ada"}, "k0")
    world.told.clear()
    harm(tmp_path / "ledger.sqlite", world)
    for number in range(20):  # of a full file some pages may have room
        answer = world.post("email", {"to": "ada" * 1000}, f"k{number + 1}")
        if answer.status_code != 200:
            break
    assert answer.status_code == 507
    assert words in answer.json()["error"]
    assert fix in answer.json()["fix"]
    assert len(world.told) == number, "what is not written is not told"


def test_a_file_that_can_be_used_again_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.mkdir()
    world = World(path)
    assert world.post("email", {}).status_code == 507
    path.rmdir()
    assert world.post("email", {}).status_code == 200
    assert world.kinds() == ["effect.happened"]
    world.store.close()
