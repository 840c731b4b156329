"""Saying where a request to the outside world comes from, as tracing instrumentation would.

A handler calls the ledger by plain httpx. The pod adds headers to such calls: its name, the attempt, and the
step, so that an effect can be drawn on the step that caused it. They are known from context variables, which
tasks and threads of the handler inherit: the tap sets the attempt's, and the SDK runs the function of each
`ctx.run` in a task of its own, in which its step is set. Calls to anybody else are left alone.

Which entry of the journal a run is follows from its turn: the handler asks for its runs in the order in which
they stand in the journal, replayed ones too. So the n-th run that the SDK was asked for in an attempt is the
n-th that the tap has seen pass.
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
"""Journal indices of the runs of the attempt that have passed, in order."""
OUTSIDE = -1
STEP: ContextVar[int | None] = ContextVar("playground_step", default=OUTSIDE)
"""Index of the run whose function is being executed; OUTSIDE if none is, None if nobody can tell."""


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
            if ATTEMPT.get() and (step := STEP.get()) is not None:  # a thread of its own knows neither
                request.headers["x-playground-step"] = str(step)

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
    _follow_steps()


def _follow_steps() -> None:
    """Set STEP wherever the SDK executes the function of a run."""
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
