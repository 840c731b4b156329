"""How a pod tells the outside what happens in it, apart from what its code prints.

What a service prints is its words, whatever they look like: log lines. Events come by a way that its code does
not come upon by accident. The variable POD_EVENTS names it, and is gone before the source is loaded:

* `fd:N` (embedded backend): a pipe of their own, one line of JSON per event. Its number is moved out of reach
  of whoever counts upwards from 3, and processes that the service starts do not inherit it.
* `key:K` (Kubernetes): a pod has one log there. So an event is a line of it that begins with a record separator,
  a signature made with the key, and a number that only grows: a line without one, or one that was copied out
  of a log and printed again, is words. Words that lack their end of line may stand before it.

This keeps apart what is said by accident; it is no wall. Code that is out to forge events finds the descriptor in
/proc/self/fd and the key in /proc/self/environ, which shows a process's environment as it was at the start.
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
"""Environment variable: the way events go."""
SEPARATOR = "\x1e"
MAX_LINE = 4000
"""Bytes. Writes up to PIPE_BUF (4096 on Linux) are atomic: two writers cannot mix their lines."""
MAX_VALUE = 1024
"""Characters of a payload an event carries; `size` tells the whole, the journal has it."""
MAX_WORDS = 1 << 13
"""Bytes of a line of words; a longer one is taken for several."""
MAX_RECORD = 1 << 20
"""Bytes of what may yet become an event."""

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=repr).encode


class Pipe:
    """Events as plain lines on a descriptor of their own."""

    def __init__(self, fd: int) -> None:
        self.fd = _out_of_reach(fd)
        os.register_at_fork(after_in_child=self._close)

    def line(self, text: str) -> str:
        """An event's line."""
        return text

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.fd)
        self.fd = -1  # a copy of the pod is not the pod


class Signed:
    """Events as signed lines of standard output."""

    def __init__(self, key: str) -> None:
        self.fd = 1
        self._key = key.encode()
        self._number = 0

    def line(self, text: str) -> str:
        """An event's line."""
        # A clock's time: it goes on growing if the process is started again.
        self._number = max(self._number + 1, time.time_ns())
        return f"{SEPARATOR}{signature(self._key, self._number, text)} {self._number} {text}"


_way: Pipe | Signed = Signed("")


def claim() -> None:
    """Take over the way that the environment names, and take it out of there. Called once, before anything is said."""
    global _way
    how, _, what = os.environ.pop(EVENTS, "key:").partition(":")
    _way = Pipe(int(what)) if how == "fd" else Signed(what)


def emit(events: Iterable[dict[str, Any]]) -> None:
    """Tell events; never raises, for the tap may not break a service."""
    try:
        data = b"".join(_line(event) for event in events)
        while data:
            data = data[os.write(_way.fd, data) :]
    except OSError:
        pass  # nobody listens any more; the service goes on


def signature(key: bytes, number: int, text: str) -> str:
    """What proves that whoever wrote a line has the key."""
    return hmac.new(key, f"{number} {text}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:16]


def _line(event: dict[str, Any]) -> bytes:
    line = f"{_way.line(_encode(event))}\n".encode("utf-8", "replace")
    if len(line) > MAX_LINE:
        # Text full of control characters grows six-fold as JSON. Cut what is long, keep what is told.
        short = {key: value[:300] if isinstance(value, str) else value for key, value in event.items()}
        line = f"{_way.line(_encode(short))}\n".encode("utf-8", "replace")
    return line


def _out_of_reach(fd: int) -> int:
    """Give a descriptor a high number that nobody expects; the old one is closed."""
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


class Words:
    """The other end of what a service prints: bytes to log lines.

    `feed` returns the items of all lines completed by some bytes, in order. Bytes that end in the middle of a
    line wait for the rest, but not for ever: a line without end comes in pieces.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Item]:
        """Add bytes, return the items of all lines completed by them."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        items = [item for line in lines for item in self._items(line)]
        if len(self._rest) > MAX_WORDS:
            kept = self._kept(self._rest)
            items += self._words(self._rest[: len(self._rest) - kept])
            self._rest = self._rest[len(self._rest) - kept :]
        return items

    def close(self) -> list[Item]:
        """The items of a last line that never got its end."""
        line, self._rest = self._rest, b""
        return self._items(line) if line else []

    def _kept(self, _rest: bytes) -> int:
        """How many of the last bytes of a long unfinished line may belong to something that is no words."""
        return 0

    def _items(self, line: bytes) -> list[Item]:
        return self._words(line) or [("log", "")]

    def _words(self, line: bytes) -> list[Item]:
        text = line.decode("utf-8", "replace")
        return [("log", text[start : start + MAX_WORDS]) for start in range(0, len(text), MAX_WORDS)]


class Events(Words):
    """The other end of a pipe of events."""

    def _kept(self, rest: bytes) -> int:
        return len(rest)

    def _items(self, line: bytes) -> list[Item]:
        event = _event(line.decode("utf-8", "replace"))
        return super()._items(line) if event is None else [("event", event)]


class Log(Words):
    """The other end of a log that has both: words, and events signed with a key."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key.encode()
        self._number = 0  # of the latest event

    def _kept(self, rest: bytes) -> int:
        length = len(rest) - rest.rfind(SEPARATOR.encode())
        return length if length <= min(len(rest), MAX_RECORD) else 0

    def _items(self, line: bytes) -> list[Item]:
        words, separator, record = line.rpartition(SEPARATOR.encode())
        event = self._proven(record) if separator else None
        if event is None:
            return super()._items(line)
        return [*self._words(words), ("event", event)]

    def _proven(self, record: bytes) -> dict[str, Any] | None:
        try:
            proof, number, text = record.decode("utf-8").split(" ", 2)
            count = int(number)
        except ValueError:
            return None
        if not hmac.compare_digest(proof.encode(), signature(self._key, count, text).encode()):
            return None
        if count <= self._number:
            return None  # it was said before, and is told again
        self._number = count
        return _event(text)


def _event(text: str) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError, RecursionError):
        event = json.loads(text)
        if isinstance(event, dict) and isinstance(event.get("kind"), str):
            return event
    return None
