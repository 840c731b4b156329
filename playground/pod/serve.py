"""A pod's life: load, say what is offered, serve until SIGTERM, finish what is open, exit.

Restate's SDK registers a SIGTERM handler of its own on the first request and so replaces the
server's, which then never stops (knative serving waits five minutes for such a pod). The SDK has a
hook for exactly this: we register our stop there, before the first request.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.utils import wrap_app
from restate.server import install_shutdown_hook

from playground.pod import GRACE, REFUSED, http2, lines, outside
from playground.pod.emit import emit
from playground.pod.gate import Gate
from playground.pod.guard import Guard, take_secret
from playground.pod.source import Refused, discover, load_app
from playground.pod.tap import Tap


def run(source: Path, *, tapped: bool = True) -> int:
    """Serve a source file until SIGTERM; return the process's exit code.

    Args:
        source: the service's Python file.
        tapped: whether to read the service protocol (off only to measure what the tap costs).
    """
    secret = take_secret()
    outside.install()
    if tapped:
        lines.install(source.parent)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        return asyncio.run(_serve(source, tapped, secret))
    except Refused as refused:
        emit([_told("pod.refused", reason=refused.reason, text=refused.text, trace=refused.trace[-2000:])])
        return REFUSED
    except Exception:
        traceback.print_exc()
        return 1


def _told(kind: str, **data: Any) -> dict[str, Any]:
    return {"kind": kind, "at": time.time(), **data}


async def _serve(source: Path, tapped: bool, secret: str) -> int:
    http2.mend()
    app = load_app(source)
    emit([_told("pod.loaded", services=await discover(app))])
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        install_shutdown_hook(asyncio.get_running_loop(), lambda: _drain(stop), number)
    gate = Gate(os.environ["LEDGER_URL"], os.environ["POD_NAME"]) if "POD_GATED" in os.environ else None
    served: Any = Tap(app, emit, gate) if tapped else app
    if secret:
        served = Guard(served, secret)
    if gate is not None and "POD_FD" in os.environ:
        await serve_connection(served, int(os.environ["POD_FD"]))
    else:
        await hypercorn_serve(served, server_config(address()), shutdown_trigger=stop.wait, mode="asgi")
    return 0


def _drain(stop: asyncio.Event) -> None:
    if not stop.is_set():
        emit([_told("pod.draining")])  # whoever brings up pods must know that this one takes no more
        stop.set()


async def serve_connection(app: Any, fd: int) -> None:
    """Serve one connection that was accepted elsewhere, until it is closed."""
    emit([_told("pod.ready")])
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=fd))
    loop = asyncio.get_running_loop()
    wrapped = wrap_app(app, wsgi_max_body_size=0, mode="asgi")
    context = WorkerContext(None)
    serving = loop.create_task(_to_the_end(TCPServer(wrapped, loop, server_config(""), context, {}, reader, writer)))
    # Hypercorn keeps an idle connection's task for the keep-alive time, even if the peer has closed it.
    while not (serving.done() or reader.at_eof() or reader.exception()):  # noqa: ASYNC110  (nobody tells)
        await asyncio.sleep(0.1)
    await context.terminated.set()
    await serving


async def _to_the_end(connection: TCPServer) -> None:
    await connection


def address() -> str:
    """What to bind, from the environment.

    `POD_FD` is an inherited listening socket (embedded backend); `PORT` is what Knative Serving sets.
    """
    if "POD_FD" in os.environ:
        return f"fd://{os.environ['POD_FD']}"
    # In a container the pod's own network is the boundary, so every interface is right there.
    return f"0.0.0.0:{os.environ.get('PORT', '9080')}"


def server_config(bind: str) -> Config:
    """Hypercorn's settings for something Restate or a handler calls."""
    config = Config()
    config.bind = [bind]
    config.backlog = 1024
    config.loglevel = "WARNING"
    config.graceful_timeout = GRACE
    # Restate keeps a connection for five minutes and opens up to 128 streams on it; hypercorn's own
    # limits (5 s, 1000 requests, 100 streams) would cut it while it is in use.
    config.keep_alive_timeout = 600
    config.keep_alive_max_requests = 1_000_000_000
    config.h2_max_concurrent_streams = 1000
    return config
