"""A pod lets in who knows its secret, and tells others nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from playground.pod.guard import VARIABLE, Guard, headers, take_secret

SECRET = "s3cret-s3cret-s3cret"


def ask(app: Any, **options: Any) -> httpx.Response:
    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1") as client:
            return await client.request(**{"method": "GET", "url": "/discover", **options})

    return asyncio.run(asked())


@pytest.fixture
def passed() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def app(passed: list[dict[str, Any]]) -> Guard:
    async def behind(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"in"})

    return Guard(behind, SECRET)


@pytest.mark.parametrize("path", ["/discover", "/health", "/invoke/Shop/buy", "/", "/invoke/Shop/../../health"])
@pytest.mark.parametrize(
    "told",
    [
        {},
        {"authorization": ""},
        {"authorization": SECRET},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer {SECRET}x"},
        {"authorization": f"Bearer {SECRET[:-1]}"},
        {"authorization": f"bearer {SECRET}"},
        {"authorization": "Bearer größe".encode()},
        {"x-authorization": f"Bearer {SECRET}"},
    ],
)
def test_who_does_not_know_it_learns_nothing(app: Guard, passed: list[Any], path: str, told: Any) -> None:
    answer = ask(app, url=path, headers=told, method="POST", content=b"x" * 10_000)
    assert (answer.status_code, answer.content, dict(answer.headers)) == (403, b"", {"content-length": "0"})
    assert passed == []


def test_saying_it_twice_is_not_saying_it(app: Guard, passed: list[Any]) -> None:
    said = headers(SECRET)["authorization"]
    assert ask(app, headers=[("authorization", "x"), ("authorization", said)]).status_code == 403
    assert passed == []


def test_who_knows_it_is_let_in_and_the_handler_does_not_see_it(app: Guard, passed: list[Any]) -> None:
    answer = ask(app, headers={**headers(SECRET), "x-other": "1"})
    assert answer.text == "in"
    [scope] = passed
    assert SECRET.encode() not in b"".join(value for pair in scope["headers"] for value in pair)
    assert (b"x-other", b"1") in scope["headers"]


def test_a_websocket_is_closed(app: Guard, passed: list[Any]) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app({"type": "websocket", "path": "/", "headers": []}, None, send))
    assert (sent, passed) == ([{"type": "websocket.close"}], [])


def test_the_secret_leaves_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    assert take_secret() == SECRET
    assert take_secret() == ""
    with pytest.raises(ValueError, match="secret"):
        Guard(None, "")
