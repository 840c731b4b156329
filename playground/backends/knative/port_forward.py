"""A way of our own to a pod's port, for clusters that map none: what `kubectl port-forward` does.

It stays while pods come and go. A connection that arrives while there is no pod waits for the next one, as it would
in a socket's backlog; one that was open when its pod died is closed.

Each connection is a websocket to the API server. The first message on each of its channels is the port's number;
after it, channel 0 carries the bytes and channel 1 an error.

kr8s has a port-forward, too. It listens on a TCP port only, which every user of the machine may connect to; a Unix
socket is its owner's alone. It takes a port at random and does not wait for a pod that is just being replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx_ws

from playground.backends.knative.api import ApiError, Kubernetes
from playground.core.door import Door

PATIENCE = 30.0
"""Seconds a connection waits for a pod."""
CHUNK = 1 << 16
DATA, ERROR = 0, 1


class PortForward:
    """Listens on this machine and leads connections to a pod.

    Args:
        pod: waits until there is a pod to lead to, and gives its name.
        port: the pod's port.

    Attributes:
        door: the way in, once it has been started.
    """

    door: Door

    def __init__(self, kubernetes: Kubernetes, pod: Callable[[], Awaitable[str]], port: int) -> None:
        self._kubernetes, self._pod, self._port = kubernetes, pod, port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self, socket: Path | None = None) -> None:
        """Listen: on this Unix socket, or on a free port of loopback, if what is behind it asks for a secret."""
        if socket is None:
            self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
            self.door = Door("http://127.0.0.1:{1}".format(*self._server.sockets[0].getsockname()))
        else:
            self._server = await asyncio.start_unix_server(self._accepted, socket)
            self.door = Door(f"http://{socket.stem}", socket)

    async def close(self) -> None:
        """Stop listening, and close what is open."""
        if self._server is not None:
            self._server.close()
        ending = list(self._open)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._lead(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        try:
            while loop.time() < deadline:
                try:
                    async with asyncio.timeout_at(deadline):
                        pod = await self._pod()
                    async with self._kubernetes.tunnel(pod, self._port) as tunnel:
                        deadline = 0  # what has been led once is never led again: bytes may have arrived
                        await _copy(tunnel, reader, writer)
                except ApiError:
                    await asyncio.sleep(0.1)
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()


async def _copy(tunnel: httpx_ws.AsyncWebSocketSession, reader: asyncio.StreamReader, writer: Any) -> None:
    """Carry bytes both ways until one side has ended."""

    async def out() -> None:
        while data := await reader.read(CHUNK):
            await tunnel.send_bytes(bytes([DATA]) + data)

    async def back() -> None:
        begun = set[int]()
        while True:
            message = await tunnel.receive_bytes()
            channel, data = message[0], message[1:]
            if channel not in begun:
                begun.add(channel)
            elif channel == ERROR:
                return
            else:
                writer.write(data)
                await writer.drain()

    ways = [asyncio.ensure_future(out()), asyncio.ensure_future(back())]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
