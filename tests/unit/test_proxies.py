"""Loopback goes through no proxy, and everything else as before."""

from __future__ import annotations

import urllib.request

import httpx
import pytest

from playground.core.proxies import exempt_loopback, not_exempt

PROXY = "http://proxy.example:3128"
OURS = "127.0.0.1,localhost,::1"


def test_without_a_proxy_nothing_is_changed() -> None:
    environment = {"no_proxy": ".corp", "HTTP_PROXY": ""}
    exempt_loopback(environment=environment)
    assert environment == {"no_proxy": ".corp", "HTTP_PROXY": ""}
    assert not_exempt(environment) == []


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, OURS),
        ({"no_proxy": ""}, OURS),
        ({"NO_PROXY": ".corp, 10.0.0.0/8"}, f".corp,10.0.0.0/8,{OURS}"),
        ({"no_proxy": ".corp"}, f".corp,{OURS}"),
        ({"no_proxy": "a", "NO_PROXY": "b,a"}, f"a,b,{OURS}"),
        ({"no_proxy": "localhost"}, "localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "*"}, "*"),
    ],
)
def test_what_is_exempt_is_extended_in_both_spellings(name: str, before: dict[str, str], after: str) -> None:
    environment = {name: PROXY, **before}
    exempt_loopback(environment=environment)
    assert environment == {name: PROXY, "no_proxy": after, "NO_PROXY": after}
    assert not_exempt(environment) == []
    exempt_loopback(environment=environment)
    assert environment["no_proxy"] == after, "a second playground adds nothing"


def test_another_address_of_loopback_is_exempt_if_it_is_one() -> None:
    environment = {"HTTPS_PROXY": PROXY}
    exempt_loopback("https://127.0.0.7:6443", "https://cluster.example", "https://[::1]:6443", environment=environment)
    assert environment["NO_PROXY"] == f"{OURS},127.0.0.7"


def test_clients_of_a_handler_take_the_proxy_for_all_but_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # nobody is there
    exempt_loopback()
    assert urllib.request.proxy_bypass("127.0.0.1")
    assert not urllib.request.proxy_bypass("restate.dev")
    with httpx.Client() as client:

        def way(url: str) -> httpx.BaseTransport:
            return client._transport_for_url(httpx.URL(url))

        assert (
            way("http://127.0.0.1:8080/email") is way("http://localhost/") is way("http://[::1]/") is client._transport
        )
        assert way("http://restate.dev/") is not client._transport
