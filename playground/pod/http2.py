"""Mends how hypercorn 0.18 treats HTTP/2 streams that begin while it is shutting down.

A pod that is stopped accepts no more streams, and finishes those that are open. Hypercorn resets a stream that is
opened meanwhile; but the client's data for it is often in the same packet, and is then looked for in a table that
does not have it. That KeyError ends the reading of the whole connection. The attempts on it are never given another
byte, and wait until the pod is killed, half a minute later. So data for streams that are not there is dropped here,
as HTTP/2 asks for (RFC 9113, 5.1), and counted as received, for the connection's flow control.
"""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import h2.events
import h2.exceptions
from hypercorn.protocol.h2 import H2Protocol


def mend() -> None:
    """Have hypercorn drop what arrives for a stream that it has reset."""
    handle = H2Protocol._handle_events  # noqa: SLF001  (the only place where the events pass)

    @functools.wraps(handle)
    async def handled(self: Any, events: list[h2.events.Event]) -> None:
        for event in events:
            if isinstance(event, h2.events.DataReceived) and event.stream_id not in self.streams:
                with contextlib.suppress(h2.exceptions.ProtocolError):
                    self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                continue
            await handle(self, [event])

    H2Protocol._handle_events = handled  # type: ignore[method-assign]  # noqa: SLF001
