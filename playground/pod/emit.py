"""How a pod tells the outside what happens in it: JSON text sequences on standard output.

Each event is one line, a record separator (U+001E) followed by a JSON object (RFC 7464), written by
one `write` straight to the file descriptor. So a handler's own prints share the stream without
getting in the way: whatever stands before a separator, or on a line without one, is log text. A
pod's log on Kubernetes has the same form.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

SEPARATOR = "\x1e"
MAX_LINE = 4000
"""Bytes. Writes up to PIPE_BUF (4096 on Linux) are atomic: two writers cannot mix their lines."""
MAX_VALUE = 1024
"""Characters of a payload an event carries; `size` tells the whole, the journal has it."""

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=repr).encode


def emit(events: Iterable[dict[str, Any]], fd: int = 1) -> None:
    """Write events to standard output; never raises, for the tap may not break a service."""
    try:
        data = b"".join(_line(event) for event in events)
        while data:
            data = data[os.write(fd, data) :]
    except OSError:
        pass  # nobody listens any more; the service goes on


def _line(event: dict[str, Any]) -> bytes:
    line = f"{SEPARATOR}{_encode(event)}\n".encode("utf-8", "replace")
    if len(line) > MAX_LINE:
        # Text full of control characters grows six-fold as JSON. Cut what is long, keep what is told.
        short = {key: value[:300] if isinstance(value, str) else value for key, value in event.items()}
        line = f"{SEPARATOR}{_encode(short)}\n".encode("utf-8", "replace")
    return line


class LineParser:
    """The other end: bytes of a pod's log to events and log text.

    `feed` returns ("event", dict) and ("log", text) items in order. Bytes that end in the middle of a
    line wait for the rest. What looks like an event but is not JSON is log text.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[str, Any]]:
        """Add bytes, return the items of all lines completed by them."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [item for line in lines for item in self._items(line)]

    def close(self) -> list[tuple[str, Any]]:
        """The items of a last line that never got its end."""
        line, self._rest = self._rest, b""
        return self._items(line) if line else []

    def _items(self, line: bytes) -> list[tuple[str, Any]]:
        text, separator, record = line.decode("utf-8", "replace").partition(SEPARATOR)
        if not separator:
            return [("log", text)]
        items: list[tuple[str, Any]] = [("log", text)] if text else []
        try:
            event = json.loads(record)
            if not isinstance(event, dict) or not isinstance(event.get("kind"), str):
                raise ValueError("not an event")
            items.append(("event", event))
        except ValueError:
            items.append(("log", record))
        return items
