"""The ledger: what it remembers, how it honours keys, how it misbehaves, and the atlas's plans in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from playground.ledger.app import Ledger
from playground.ledger.plans import Plans
from playground.ledger.store import Faults, Store


class World:
    """A ledger in this process, and what it told."""

    def __init__(self, path: Path) -> None:
        self.told: list[dict[str, Any]] = []
        self.store = Store(path)
        self.app = Ledger(self.store, self.told.append)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://ledger") as client:
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
        async with httpx.AsyncClient(transport=transport, base_url="http://ledger") as client:
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


def test_where_a_request_comes_from_is_told(world: World) -> None:
    headers = {"x-playground-pod": "shop-1", "x-playground-attempt": "3"}
    world.ask("POST", "/email", json={}, headers=headers)
    assert (world.told[0]["pod"], world.told[0]["attempt"]) == ("shop-1", 3)


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


def test_an_effect_of_a_run_meets_its_accident() -> None:
    async def story() -> None:
        plans = Plans(lambda _: None)
        await plans.register("r", "inv_root", [{"act": "lose_answer", "effect": "email", "nth": 2}])
        await plans.begin("pod", 1, "inv_root")
        assert [plans.fault("pod", 1, "email") for _ in range(3)] == [None, "lose_answer", None]
        assert plans.fault("elsewhere", 1, "email") is None

    asyncio.run(story())
