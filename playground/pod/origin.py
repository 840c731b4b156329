"""The origin of requests to the outside world: pod, attempt and step, added as headers, as tracing would do it.

A handler calls the ledger with plain httpx. The pod adds headers to such calls: its name, the attempt and the step, so
that an effect can be drawn on the step that caused it. These come from context variables, which the handler's tasks and
threads inherit. The tap sets the one for the attempt. The SDK runs the function of each `ctx.run` in a task of its own,
where the one for the step is set. Calls to anybody else are left alone.

Which journal entry a run is follows from its position: a handler asks for its runs in the order of the journal,
including replayed ones. So the n-th run that the SDK is asked for in an attempt is the n-th that the tap has seen pass.
"""

from __future__ import annotations

import functools
import os
from contextvars import ContextVar
from typing import Any

import httpx
from restate.server_context import ServerInvocationContext
from restate.vm import VMWrapper

ATTEMPT: ContextVar[int] = ContextVar("playground_attempt", default=0)
RUNS: ContextVar[list[int] | None] = ContextVar("playground_runs", default=None)
"""Journal indices of the attempt's runs that have passed, in order."""
OUTSIDE = -1
STEP: ContextVar[int | None] = ContextVar("playground_step", default=OUTSIDE)
"""Index of the run whose function is being executed; OUTSIDE if there is none, None if unknown."""


def install() -> None:
    """Instrument httpx in this process."""
    ledger, pod = os.environ.get("LEDGER_URL", ""), os.environ.get("POD_NAME", "")
    if not ledger:
        return

    def where(url: httpx.URL) -> tuple[str, str, int | None]:
        return url.scheme, url.host, url.port  # httpx leaves out a scheme's default port

    ledger_at = where(httpx.URL(ledger))

    def add_headers(request: httpx.Request) -> None:
        if where(request.url) == ledger_at:
            request.headers["x-playground-pod"] = pod
            request.headers["x-playground-attempt"] = str(ATTEMPT.get())
            # A thread that the handler has started itself knows neither.
            if ATTEMPT.get() and (step := STEP.get()) is not None:
                request.headers["x-playground-step"] = str(step)

    send, send_async = httpx.Client.send, httpx.AsyncClient.send

    @functools.wraps(send)
    def send_with_headers(self: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        add_headers(request)
        return send(self, request, **options)

    @functools.wraps(send_async)
    async def send_async_with_headers(
        self: httpx.AsyncClient, request: httpx.Request, **options: Any
    ) -> httpx.Response:
        add_headers(request)
        return await send_async(self, request, **options)

    httpx.Client.send = send_with_headers  # type: ignore[method-assign]
    httpx.AsyncClient.send = send_async_with_headers  # type: ignore[method-assign]
    _follow_steps()


def _follow_steps() -> None:
    """Set STEP whenever the SDK executes the function of a run."""
    ask, execute = VMWrapper.sys_run, ServerInvocationContext.create_run_coroutine

    @functools.wraps(ask)
    def asked(self: Any, name: str) -> Any:
        run = ask(self, name)
        turns = vars(self).setdefault("_playground_turns", {})
        turns[run.handle] = len(turns)
        return run

    @functools.wraps(execute)
    async def executed(self: Any, handle: int, *rest: Any, **named: Any) -> Any:
        turn, runs = vars(self.vm).get("_playground_turns", {}).get(handle), RUNS.get()
        STEP.set(runs[turn] if runs is not None and turn is not None and turn < len(runs) else None)
        return await execute(self, handle, *rest, **named)

    VMWrapper.sys_run = asked  # type: ignore[method-assign]
    ServerInvocationContext.create_run_coroutine = executed  # type: ignore[method-assign]
