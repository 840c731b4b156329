"""A pod that is being stopped finishes what is open, whatever else arrives on the same connection."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
from hypercorn.asyncio import serve

from playground.pod import http2
from playground.pod.serve import server_config

HEADERS = [(":method", "POST"), (":path", "/"), (":scheme", "http"), (":authority", "pod")]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what it is given, piece by piece, until the end."""
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        await send({"type": "http.response.body", "body": event["body"], "more_body": event["more_body"]})
        if not event["more_body"]:
            return


class Client:
    """An HTTP/2 client whose every packet is its user's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.h2.initiate_connection()
        self._arrived: list[h2.events.Event] = []

    async def flush(self) -> None:
        self._writer.write(self.h2.data_to_send())
        await self._writer.drain()

    async def until(self, kind: type[h2.events.Event], stream: int) -> Any:
        """Read until something has arrived on a stream; everything that arrives is kept."""
        async with asyncio.timeout(5):
            while True:
                for event in self._arrived:
                    if isinstance(event, kind) and getattr(event, "stream_id", None) == stream:
                        self._arrived.remove(event)
                        return event
                data = await self._reader.read(65536)
                assert data, "the connection was closed"
                self._arrived += self.h2.receive_data(data)
                await self.flush()


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_stream_that_begins_too_late_harms_none_that_is_open(pieces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from hypercorn.protocol.h2 import H2Protocol

    monkeypatch.setattr(H2Protocol, "_handle_events", H2Protocol._handle_events)
    http2.fix_hypercorn()

    async def drained() -> None:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            port = listening.getsockname()[1]
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(echo, server_config(f"127.0.0.1:{port}"), shutdown_trigger=stop.wait))
        for _ in range(100):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except OSError:
                await asyncio.sleep(0.05)
        client = Client(reader, writer)
        client.h2.send_headers(1, HEADERS)
        client.h2.send_data(1, b"early")
        await client.flush()
        assert (await client.until(h2.events.DataReceived, 1)).data == b"early"
        stop.set()
        await asyncio.sleep(0.1)  # the server takes that in
        for number in range(pieces):
            client.h2.send_headers(3 + 2 * number, HEADERS)
            client.h2.send_data(3 + 2 * number, b"late")  # in one packet
        await client.flush()
        await client.until(h2.events.StreamReset, 3)
        client.h2.send_data(1, b"still here", end_stream=True)
        await client.flush()
        assert (await client.until(h2.events.DataReceived, 1)).data == b"still here"
        await client.until(h2.events.StreamEnded, 1)
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(5):
            await serving

    asyncio.run(drained())
