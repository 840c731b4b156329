"""How a pod reports events, separately from what its code prints.

Whatever a service prints is text, no matter what it looks like. Events take a channel that its code will not hit by
accident. The variable POD_EVENTS names the channel, and is removed before the source is loaded:

* `fd:N` (embedded backend): a pipe just for events, one line of JSON each. Its number is moved out of reach of code
  that tries descriptors from 3 upwards, and processes that the service starts do not inherit it.
* `key:K` (Kubernetes): there a pod has only one log. So an event is a log line with a record separator, a signature
  made with the key, and a number that only grows. A line without these is text, and so is one that was copied from a
  log and printed again. Printed text that has no end of line yet may precede the separator.

This prevents accidents; it is not a security boundary. Code that means to forge events finds the descriptor in
/proc/self/fd, and the key in /proc/self/environ, which shows the environment as it was when the process started.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import random
import resource
import time
from collections.abc import Iterable
from typing import Any

EVENTS = "POD_EVENTS"
"""The environment variable that names the channel."""
SEPARATOR = "\x1e"
MAX_LINE = 4000
"""Bytes. Writes up to PIPE_BUF (4096 on Linux) are atomic, so that two writers cannot mix their lines."""
MAX_VALUE = 1024
"""Characters of a payload that an event carries. `size` is its full size, and the journal has all of it."""
MAX_TEXT = 1 << 13
"""Bytes of a printed line. A longer one is treated as several lines."""
MAX_RECORD = 1 << 20
"""Bytes that are kept of a line that may become an event."""

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=repr).encode


class Pipe:
    """Events as plain lines on their own descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = _out_of_reach(fd)
        os.register_at_fork(after_in_child=self._close)

    def line(self, text: str) -> str:
        """The line for an event."""
        return text

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.fd)
        self.fd = -1  # a forked copy must not report events for the pod


class Signed:
    """Events as signed lines of standard output."""

    def __init__(self, key: str) -> None:
        self.fd = 1
        self._key = key.encode()
        self._number = 0

    def line(self, text: str) -> str:
        """The line for an event."""
        # Based on the clock, so that it keeps growing if the process is restarted.
        self._number = max(self._number + 1, time.time_ns())
        return f"{SEPARATOR}{signature(self._key, self._number, text)} {self._number} {text}"


_channel: Pipe | Signed = Signed("")


def claim() -> None:
    """Open the channel that the environment names, and remove it from there. Called once, before the first event."""
    global _channel
    how, _, what = os.environ.pop(EVENTS, "key:").partition(":")
    _channel = Pipe(int(what)) if how == "fd" else Signed(what)


def emit(events: Iterable[dict[str, Any]]) -> None:
    """Report events. Never raises, because the tap must not break a service."""
    try:
        data = b"".join(_line(event) for event in events)
        while data:
            data = data[os.write(_channel.fd, data) :]
    except OSError:
        pass  # nobody is listening any more; the service goes on


def signature(key: bytes, number: int, text: str) -> str:
    """Proves that whoever wrote a line has the key."""
    return hmac.new(key, f"{number} {text}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:16]


def _line(event: dict[str, Any]) -> bytes:
    line = f"{_channel.line(_encode(event))}\n".encode("utf-8", "replace")
    if len(line) > MAX_LINE:
        # Text full of control characters grows six-fold as JSON. Shorten the long values, but keep the event.
        short = {key: value[:300] if isinstance(value, str) else value for key, value in event.items()}
        line = f"{_channel.line(_encode(short))}\n".encode("utf-8", "replace")
    return line


def _out_of_reach(fd: int) -> int:
    """Move a descriptor to a high number that nobody expects, and close the old one."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = limit if 0 < limit < 1000 else 1000
    try:
        moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, random.SystemRandom().randrange(most // 2, most - 8))
    except (OSError, ValueError):
        os.set_inheritable(fd, False)
        return fd
    os.close(fd)
    return moved


Item = tuple[str, Any]
"""("event", dict) or ("log", text)."""


class TextParser:
    """Parses what a service prints: bytes to log lines.

    `feed` returns the items of all lines that are complete, in order. A line that is not complete waits for the rest,
    but not forever: if it gets too long, it comes in pieces.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Item]:
        """Add bytes. Returns the items of all lines that they complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        items = [item for line in lines for item in self._items(line)]
        if len(self._rest) > MAX_TEXT:
            kept = self._kept(self._rest)
            items += self._text(self._rest[: len(self._rest) - kept])
            self._rest = self._rest[len(self._rest) - kept :]
        return items

    def close(self) -> list[Item]:
        """The items of a last line that was never completed."""
        line, self._rest = self._rest, b""
        return self._items(line) if line else []

    def _kept(self, _rest: bytes) -> int:
        """How many of the last bytes of a long incomplete line may be part of an event."""
        return 0

    def _items(self, line: bytes) -> list[Item]:
        return self._text(line) or [("log", "")]

    def _text(self, line: bytes) -> list[Item]:
        text = line.decode("utf-8", "replace")
        return [("log", text[start : start + MAX_TEXT]) for start in range(0, len(text), MAX_TEXT)]


class EventParser(TextParser):
    """Parses a pipe of events."""

    def _kept(self, rest: bytes) -> int:
        return len(rest)

    def _items(self, line: bytes) -> list[Item]:
        event = _event(line.decode("utf-8", "replace"))
        return super()._items(line) if event is None else [("event", event)]


class LogParser(TextParser):
    """Parses a log that contains both text and signed events."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key.encode()
        self._number = 0  # of the latest event

    def _kept(self, rest: bytes) -> int:
        length = len(rest) - rest.rfind(SEPARATOR.encode())
        return length if length <= min(len(rest), MAX_RECORD) else 0

    def _items(self, line: bytes) -> list[Item]:
        text, separator, record = line.rpartition(SEPARATOR.encode())
        event = self._verified(record) if separator else None
        if event is None:
            return super()._items(line)
        return [*self._text(text), ("event", event)]

    def _verified(self, record: bytes) -> dict[str, Any] | None:
        try:
            proof, number, text = record.decode("utf-8").split(" ", 2)
            count = int(number)
        except ValueError:
            return None
        if not hmac.compare_digest(proof.encode(), signature(self._key, count, text).encode()):
            return None
        if count <= self._number:
            return None  # a copy of an earlier line
        self._number = count
        return _event(text)


def _event(text: str) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError, RecursionError):
        event = json.loads(text)
        if isinstance(event, dict) and isinstance(event.get("kind"), str):
            return event
    return None
