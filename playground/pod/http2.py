"""A fix for how hypercorn 0.18 treats HTTP/2 streams that begin while it is shutting down.

A pod that is being stopped accepts no new streams and finishes the open ones. Hypercorn resets a stream that is opened
meanwhile. But the client's data for that stream is often in the same packet, and hypercorn looks up the stream in a
table that does not have it. The KeyError ends the reading of the whole connection: the other attempts on it never get
another byte, and wait until the pod is killed half a minute later. So data for unknown streams is dropped here, as
HTTP/2 requires (RFC 9113, 5.1), and acknowledged as received for the flow control of the connection.
"""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import h2.events
import h2.exceptions
from hypercorn.protocol.h2 import H2Protocol


def fix_hypercorn() -> None:
    """Make hypercorn drop data for a stream that it has reset."""
    handle = H2Protocol._handle_events  # noqa: SLF001  (the only place that all events pass)

    @functools.wraps(handle)
    async def handled(self: Any, events: list[h2.events.Event]) -> None:
        for event in events:
            if isinstance(event, h2.events.DataReceived) and event.stream_id not in self.streams:
                with contextlib.suppress(h2.exceptions.ProtocolError):
                    self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                continue
            await handle(self, [event])

    H2Protocol._handle_events = handled  # type: ignore[method-assign]  # noqa: SLF001
