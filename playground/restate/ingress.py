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
        ready: waits until the server is ready. A request that could not connect is sent again after that.
    """

    def __init__(self, door: Door, ready: Callable[[], Awaitable[None]]) -> None:
        self._ready = ready
        # Waiting for a result has its own deadline.
        self._client = door.client(httpx.Timeout(None, connect=5), connections=None)

    async def send(
        self, target: Target, body: Any, *, idempotency_key: str | None = None, delay: float | None = None
    ) -> tuple[str, bool]:
        """Send a request. Returns (invocation id, whether it is new) once Restate has accepted it.

        Args:
            body: a JSON value, or NO_BODY.
            idempotency_key: requests with the same key become one invocation.
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
                f"It is unknown whether Restate has accepted the request to {target}.",
                f"The connection broke before the answer arrived: {type(error).__name__}.",
                "If it has, pg.invocations lists it. A request with an idempotency_key can safely be sent again.",
            ) from error
        if answer.status_code not in (200, 202):
            raise refusal(
                f"Restate did not accept the request to {target}.", answer, "pg.services shows what can be called now."
            )
        accepted = answer.json()
        return accepted["invocationId"], accepted.get("status") != "PreviouslyAccepted"

    async def attach(self, invocation: str) -> tuple[bytes | None, tuple[int, str] | None]:
        """Wait until an invocation ends. Returns (result, None) or (None, (code, message)).

        Raises:
            RequestError: Restate does not know this invocation.
        """
        while True:
            try:
                answer = await self._request("GET", f"/restate/invocation/{quote(invocation, safe='')}/attach")
            except RequestError:
                raise
            except httpx.TransportError:
                await asyncio.sleep(0.05)  # the server died while we waited, but the invocation did not
                continue
            if answer.is_success:
                return answer.content, None
            failure = _json(answer)
            if failure.get("source") == "ingress":
                raise refusal(
                    f"The result of {invocation} is not available.", answer, "pg.invocations lists what is known."
                )
            return None, (int(failure.get("code", answer.status_code)), str(failure.get("message", answer.text)))

    async def complete_awakeable(self, awakeable: str, *, value: Any = NO_BODY, reason: str | None = None) -> None:
        """Resolve an awakeable with a value, or reject it with a reason.

        Raises:
            RequestError: this is not the id of an awakeable.
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
                await asyncio.sleep(0.05)  # the server died before it answered; a second completion changes nothing
        if not answer.is_success:
            raise refusal(f"{awakeable!r} cannot be completed.", answer, "Take the id from inv.awakeables.")

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        while True:
            await self._ready()
            try:
                return await self._client.request(method, path, **options)
            except httpx.ConnectError:
                await asyncio.sleep(0.05)  # the request never arrived, so it is safe to send it again


def encode(body: Any) -> tuple[bytes | None, dict[str, str]]:
    """A body as bytes, with its header. A body that is bytes already is passed on unchanged.

    Raises:
        RequestError: it cannot be written as JSON.
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
            f"Requests carry JSON, and this cannot be written as JSON: {error}.",
            "Send dicts, lists, strings, numbers, booleans or None.",
        ) from error


def refusal(what: str, answer: httpx.Response, fix: str = "") -> RequestError:
    """An error that quotes Restate's answer."""
    message = _json(answer).get("message", answer.text)
    return RequestError(what, f"Restate says: {message} ({answer.status_code})", fix)


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        value = answer.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
