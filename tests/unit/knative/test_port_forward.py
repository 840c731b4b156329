"""A port-forward's own half: connections wait for a pod, bytes go both ways, and an end is an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from playground.backends.knative.api import ApiError
from playground.backends.knative.port_forward import PortForward


class Tunnel:
    """A pod's end: it answers each message with its pod's name and the message in capitals."""

    def __init__(self, pod: str) -> None:
        self.pod = pod
        self.out: asyncio.Queue[bytes | None] = asyncio.Queue()
        for first in (b"\x00\x90\x1f", b"\x01\x90\x1f"):  # each channel begins with the port's number
            self.out.put_nowait(first)

    async def send_bytes(self, message: bytes) -> None:
        assert message[0] == 0
        if message[1:] == b"die":
            self.out.put_nowait(b"\x01lost connection to pod")
            return
        self.out.put_nowait(b"\x00" + self.pod.encode() + b" " + message[1:].upper())

    async def receive_bytes(self) -> bytes:
        message = await self.out.get()
        assert message is not None
        return message


class Cluster:
    """A cluster with one pod at a time."""

    def __init__(self) -> None:
        self.pod = ""
        self.refusals = 0
        self.opened: list[str] = []

    async def ready_pod(self) -> str:
        while not self.pod:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return self.pod

    @asynccontextmanager
    async def tunnel(self, pod: str, port: int) -> AsyncIterator[Tunnel]:
        assert port == 8080
        if self.refusals:
            self.refusals -= 1
            raise ApiError(0, "no", "the pod has just gone", "")
        self.opened.append(pod)
        yield Tunnel(pod)


def forwarded(play: Callable[[Cluster, PortForward], Awaitable[None]], socket: Path | None = None) -> None:
    async def run() -> None:
        cluster: Any = Cluster()
        forward = PortForward(cluster, cluster.ready_pod, 8080)
        await forward.start(socket)
        try:
            async with asyncio.timeout(10):
                await play(cluster, forward)
        finally:
            await forward.close()

    asyncio.run(run())


async def connect(forward: PortForward) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if forward.door.socket is not None:
        return await asyncio.open_unix_connection(forward.door.socket)
    url = urlsplit(forward.door.url)
    assert url.hostname == "127.0.0.1"
    return await asyncio.open_connection(url.hostname, url.port)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes) -> bytes:
    writer.write(text)
    return await reader.read(100)


@pytest.mark.parametrize("name", ["admin.sock", None])
def test_bytes_go_both_ways_and_the_next_pod_is_found(tmp_path: Path, name: str | None) -> None:
    async def play(cluster: Cluster, forward: PortForward) -> None:
        cluster.pod = "restate-0"
        reader, writer = await connect(forward)
        assert await ask(reader, writer, b"hello") == b"restate-0 HELLO"
        assert await ask(reader, writer, b"again") == b"restate-0 AGAIN"
        cluster.pod = "restate-1"
        assert await ask(reader, writer, b"die") == b"", "what was open to a pod that died is closed"
        writer.close()
        reader, writer = await connect(forward)
        assert await ask(reader, writer, b"hello") == b"restate-1 HELLO"
        writer.close()
        assert cluster.opened == ["restate-0", "restate-1"]

    forwarded(play, tmp_path / name if name else None)


def test_a_connection_waits_for_a_pod() -> None:
    async def play(cluster: Cluster, forward: PortForward) -> None:
        cluster.refusals = 2
        reader, writer = await connect(forward)
        asking = asyncio.create_task(ask(reader, writer, b"anybody?"))
        await asyncio.sleep(0.1)
        assert not asking.done()
        cluster.pod = "ledger-abc"
        assert await asking == b"ledger-abc ANYBODY?"
        writer.close()

    forwarded(play)


def test_closing_ends_what_is_open() -> None:
    async def play(cluster: Cluster, forward: PortForward) -> None:
        cluster.pod = "restate-0"
        reader, writer = await connect(forward)
        await ask(reader, writer, b"hello")
        await forward.close()
        assert await reader.read(10) == b""
        writer.close()

    forwarded(play)
