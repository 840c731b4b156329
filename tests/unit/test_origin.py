"""What the pod adds to a handler's requests, and to which."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from playground.pod import origin


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[httpx.Request]]:
    """The requests that arrive anywhere, with the pod's instrumentation installed."""
    monkeypatch.setenv("LEDGER_URL", "http://ledger:80")
    monkeypatch.setenv("POD_NAME", "shop-1")
    monkeypatch.setattr(httpx.Client, "send", httpx.Client.send)  # put back at the end
    monkeypatch.setattr(httpx.AsyncClient, "send", httpx.AsyncClient.send)
    origin.install()
    requests: list[httpx.Request] = []
    token = origin.ATTEMPT.set(3)
    yield requests
    origin.ATTEMPT.reset(token)


def transport(heard: list[httpx.Request]) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        heard.append(request)
        return httpx.Response(200)

    return httpx.MockTransport(answer)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://ledger:80/email", True),
        ("http://ledger/email", True),
        ("http://LEDGER/email?x=1", True),
        ("http://ledger:8080/email", False),
        ("https://ledger/email", False),
        ("http://ledger.example.org/email", False),
        ("http://example.org/?from=http://ledger:80/email", False),
    ],
)
def test_only_the_ledger_is_told(heard: list[httpx.Request], url: str, told: bool) -> None:
    async def ask() -> None:
        async with httpx.AsyncClient(transport=transport(heard)) as client:
            await client.post(url)

    with httpx.Client(transport=transport(heard)) as client:
        client.post(url)
    asyncio.run(ask())
    headers = [(r.headers.get("x-playground-pod"), r.headers.get("x-playground-attempt")) for r in heard]
    assert headers == [("shop-1", "3") if told else (None, None)] * 2
