"""Reading what a child says: a pipe, cut into events and log lines. Lives on the engine's loop."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
from collections.abc import Callable
from typing import Any

from playground.pod.emit import LineParser

PIPE_SIZE = 1 << 20
"""Bytes. A child must never wait for us to read what it tells; Linux's default is 64 KiB."""


class Output:
    """The reading end of a child's standard output.

    Attributes:
        write_end: file descriptor for the child; close it with `handed_over` once the child has it.
    """

    def __init__(self, take: Callable[[list[tuple[str, Any]]], None]) -> None:
        self._take = take
        self._parser = LineParser()
        self._pipe, self.write_end = os.pipe()
        if sys.platform == "linux":
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        os.set_blocking(self._pipe, False)
        asyncio.get_running_loop().add_reader(self._pipe, self._read)

    def handed_over(self) -> None:
        """The child has its end; close ours."""
        os.close(self.write_end)

    def drain(self) -> None:
        """The child has ended: take what it said last, and close."""
        while self._read():
            pass
        asyncio.get_running_loop().remove_reader(self._pipe)
        os.close(self._pipe)
        self._take(self._parser.close())

    def _read(self) -> bool:
        try:
            data = os.read(self._pipe, PIPE_SIZE)
        except BlockingIOError:
            return False
        if not data:
            asyncio.get_running_loop().remove_reader(self._pipe)
            return False
        self._take(self._parser.feed(data))
        return True
