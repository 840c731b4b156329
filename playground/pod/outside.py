"""Saying where a request to the outside world comes from, as tracing instrumentation would.

A handler calls the ledger by plain httpx. The pod adds two headers to such calls, its name and the
attempt, so that an effect can be drawn on the step that caused it. The attempt is known from a context
variable that the tap sets and that tasks and threads of the handler inherit. Calls to anybody else are
left alone.
"""

from __future__ import annotations

import functools
import os
from contextvars import ContextVar
from typing import Any

import httpx

ATTEMPT: ContextVar[int] = ContextVar("playground_attempt", default=0)


def install() -> None:
    """Instrument httpx in this process."""
    ledger, pod = os.environ.get("LEDGER_URL", ""), os.environ.get("POD_NAME", "")
    if not ledger:
        return

    def where(url: httpx.URL) -> tuple[str, str, int | None]:
        return url.scheme, url.host, url.port  # as httpx normalises it: without a scheme's own port

    outside = where(httpx.URL(ledger))

    def tell(request: httpx.Request) -> None:
        if where(request.url) == outside:
            request.headers["x-playground-pod"] = pod
            request.headers["x-playground-attempt"] = str(ATTEMPT.get())

    send, send_async = httpx.Client.send, httpx.AsyncClient.send

    @functools.wraps(send)
    def told_send(self: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        tell(request)
        return send(self, request, **options)

    @functools.wraps(send_async)
    async def told_send_async(self: httpx.AsyncClient, request: httpx.Request, **options: Any) -> httpx.Response:
        tell(request)
        return await send_async(self, request, **options)

    httpx.Client.send = told_send  # type: ignore[method-assign]
    httpx.AsyncClient.send = told_send_async  # type: ignore[method-assign]
