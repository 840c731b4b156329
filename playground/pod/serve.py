"""A pod's life: load the source, report what it offers, serve until SIGTERM, finish open attempts, exit.

On the first request, Restate's SDK registers its own SIGTERM handler. That replaces the server's, which then never
stops (Knative Serving waits five minutes for such a pod). The SDK has a hook for exactly this, so we register our stop
there before the first request.
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

from playground.pod import GRACE, REFUSED, http2, lines, origin
from playground.pod.emit import emit
from playground.pod.gate import Gate
from playground.pod.guard import Guard, take_secret
from playground.pod.source import Refused, discover, load_app
from playground.pod.tap import Tap


def run(source: Path, *, tapped: bool = True) -> int:
    """Serve a source file until SIGTERM. Returns the process's exit code.

    Args:
        source: the service's Python file.
        tapped: whether to read the service protocol; off only to measure the cost of the tap.
    """
    secret = take_secret()
    origin.install()
    if tapped:
        lines.install(source.parent)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        return asyncio.run(_serve(source, tapped, secret))
    except Refused as refused:
        emit([_event("pod.refused", reason=refused.reason, text=refused.text, trace=refused.trace[-2000:])])
        return REFUSED
    except Exception:
        traceback.print_exc()
        return 1


def _event(kind: str, **data: Any) -> dict[str, Any]:
    return {"kind": kind, "at": time.time(), **data}


async def _serve(source: Path, tapped: bool, secret: str) -> int:
    http2.fix_hypercorn()
    app = load_app(source)
    emit([_event("pod.loaded", services=await discover(app))])
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
        emit([_event("pod.draining")])  # whoever starts pods must know that this one accepts no more
        stop.set()


async def serve_connection(app: Any, fd: int) -> None:
    """Serve one connection that was accepted elsewhere, until it is closed."""
    emit([_event("pod.ready")])
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=fd))
    loop = asyncio.get_running_loop()
    wrapped = wrap_app(app, wsgi_max_body_size=0, mode="asgi")
    context = WorkerContext(None)
    serving = loop.create_task(_to_the_end(TCPServer(wrapped, loop, server_config(""), context, {}, reader, writer)))
    # Hypercorn keeps an idle connection's task for the keep-alive time, even if the peer has closed it.
    while not (serving.done() or reader.at_eof() or reader.exception()):  # noqa: ASYNC110  (nothing signals it)
        await asyncio.sleep(0.1)
    await context.terminated.set()
    await serving


async def _to_the_end(connection: TCPServer) -> None:
    await connection


def address() -> str:
    """The address to bind, from the environment.

    `POD_FD` is an inherited listening socket (embedded backend). `PORT` is set by Knative Serving.
    """
    if "POD_FD" in os.environ:
        return f"fd://{os.environ['POD_FD']}"
    # In a container the pod's own network is the boundary, so it is right to bind every interface.
    return f"0.0.0.0:{os.environ.get('PORT', '9080')}"


def server_config(bind: str) -> Config:
    """Hypercorn's settings for a server that Restate or a handler calls."""
    config = Config()
    config.bind = [bind]
    config.backlog = 1024
    config.loglevel = "WARNING"
    config.graceful_timeout = GRACE
    # Restate keeps a connection for five minutes and opens up to 128 streams on it. Hypercorn's own limits (5 s, 1000
    # requests, 100 streams) would close it while it is in use.
    config.keep_alive_timeout = 600
    config.keep_alive_max_requests = 1_000_000_000
    config.h2_max_concurrent_streams = 1000
    return config
