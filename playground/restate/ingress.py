"""Restate's ingress: where clients send requests, wait for results and complete awakeables.

https://docs.restate.dev/services/invocation/http
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx

from playground.core.door import Door
from playground.errors import RequestError
from playground.restate.target import Target

NO_BODY: Any = object()
"""No body at all, which is not the same as the JSON value null."""


class Ingress:
    """A client of the ingress. Lives on the engine's loop.

    Args:
        door: the way to it.
        ready: waits until the server is ready; a request that could not even connect is sent again after it.
    """

    def __init__(self, door: Door, ready: Callable[[], Awaitable[None]]) -> None:
        self._ready = ready
        # Waiting for a result has a deadline of its own.
        self._client = door.client(httpx.Timeout(None, connect=5), connections=None)

    async def send(
        self, target: Target, body: Any, *, idempotency_key: str | None = None, delay: float | None = None
    ) -> tuple[str, bool]:
        """Have a request accepted; returns (invocation id, whether it is a new invocation).

        Args:
            body: anything JSON can say, or NO_BODY.
            idempotency_key: requests with the same key are one invocation.
            delay: seconds until it starts.

        Raises:
            RequestError: Restate refused it.
        """
        content, headers = encode(body)
        if idempotency_key is not None:
            headers["idempotency-key"] = idempotency_key
        params = {"delay": f"{round(delay * 1000)}ms"} if delay else {}
        try:
            answer = await self._request(
                "POST", f"/{target.path}/send", content=content, headers=headers, params=params
            )
        except httpx.TransportError as error:
            raise RequestError(
                f"It is not known whether Restate has accepted the request to {target}.",
                f"The connection broke before the answer came: {type(error).__name__}.",
                "pg.invocations lists it if it has. With an idempotency_key it can be sent again without harm.",
            ) from error
        if answer.status_code not in (200, 202):
            raise refusal(
                f"Restate did not accept the request to {target}.", answer, "pg.services shows what takes requests now."
            )
        told = answer.json()
        return told["invocationId"], told.get("status") != "PreviouslyAccepted"

    async def attach(self, invocation: str) -> tuple[bytes | None, tuple[int, str] | None]:
        """Wait until an invocation ends; returns (result, None) or (None, (code, message)).

        Raises:
            RequestError: Restate knows no such invocation.
        """
        while True:
            try:
                answer = await self._request("GET", f"/restate/invocation/{quote(invocation, safe='')}/attach")
            except RequestError:
                raise
            except httpx.TransportError:
                await asyncio.sleep(0.05)  # the server died while we waited; the invocation did not
                continue
            if answer.is_success:
                return answer.content, None
            told = _json(answer)
            if told.get("source") == "ingress":
                raise refusal(
                    f"The result of {invocation} cannot be had.", answer, "pg.invocations lists what is known."
                )
            return None, (int(told.get("code", answer.status_code)), str(told.get("message", answer.text)))

    async def complete_awakeable(self, awakeable: str, *, value: Any = NO_BODY, reason: str | None = None) -> None:
        """Resolve an awakeable with a value, or reject it with a reason.

        Raises:
            RequestError: it is not an awakeable's id.
        """
        if reason is None:
            content, headers = encode(None if value is NO_BODY else value)
            path = f"/restate/awakeables/{quote(awakeable, safe='')}/resolve"
        else:
            content, headers = reason.encode(), {"content-type": "text/plain"}
            path = f"/restate/awakeables/{quote(awakeable, safe='')}/reject"
        while True:
            try:
                answer = await self._request("POST", path, content=content, headers=headers)
                break
            except httpx.TransportError:
                await asyncio.sleep(0.05)  # the server died before it answered; of two completions the first counts
        if not answer.is_success:
            raise refusal(f"{awakeable!r} cannot be completed.", answer, "Take the id from inv.awakeables.")

    async def close(self) -> None:
        """Close connections."""
        await self._client.aclose()

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        while True:
            await self._ready()
            try:
                return await self._client.request(method, path, **options)
            except httpx.ConnectError:
                await asyncio.sleep(0.05)  # it never arrived, so sending it again is safe


def encode(body: Any) -> tuple[bytes | None, dict[str, str]]:
    """A body as bytes with its header; bytes are passed on as they are.

    Raises:
        RequestError: JSON cannot say it.
    """
    if body is NO_BODY:
        return None, {}
    if isinstance(body, bytes):
        return body, {"content-type": "application/octet-stream"}
    try:
        return json.dumps(body).encode(), {"content-type": "application/json"}
    except (TypeError, ValueError) as error:
        raise RequestError(
            "The body cannot be sent.",
            f"Requests carry JSON, and JSON cannot say it: {error}.",
            "Send dicts, lists, strings, numbers, booleans or None.",
        ) from error


def refusal(what: str, answer: httpx.Response, fix: str = "") -> RequestError:
    """An error out of what Restate answered."""
    told = _json(answer)
    return RequestError(what, f"Restate says: {told.get('message', answer.text)} ({answer.status_code})", fix)


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        told = answer.json()
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
