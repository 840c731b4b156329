"""Reading the output of a child: one pipe for what it prints, one for its events. Lives on the engine's loop."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self

from playground.errors import StartError
from playground.pod.emit import EventParser, Item, TextParser

PIPE_SIZE = 1 << 18
"""Bytes. A child must never wait for us to read its events. Linux's default is 64 KiB, and all pipes of a user
together may have 64 MiB."""
READ = 1 << 20


class Output:
    """The reading ends of a child's two pipes. Within a `with` block, the writing ends are open too.

    Attributes:
        printed: the file descriptor for the child's standard output and error.
        events: the file descriptor for its events. Nothing it prints goes there.

    Raises:
        StartError: this process cannot open any more files.
    """

    def __init__(self, take: Callable[[list[Item]], None]) -> None:
        self._take = take
        self._ends: dict[int, TextParser] = {}
        try:
            events, self.events = os.pipe()
            self._ends[events] = EventParser()
            try:
                printed, self.printed = os.pipe()
            except OSError:
                _close(events, self.events)
                raise
        except OSError as error:
            raise no_files(error) from error
        self._ends[printed] = TextParser()
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # the user has used up that limit; a smaller pipe will do
                fcntl.fcntl(events, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        for end in self._ends:
            os.set_blocking(end, False)
            asyncio.get_running_loop().add_reader(end, self._read, end)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _close(self.events, self.printed)  # the child has them now, or it did not start
        if error is not None:
            self.drain()

    def drain(self) -> None:
        """Read what is left after the child has ended, and close."""
        ends, self._ends = self._ends, {}
        for end, parser in ends.items():
            asyncio.get_running_loop().remove_reader(end)
            try:
                while data := self._data(end):
                    self._take(parser.feed(data))
                self._take(parser.close())
            finally:
                os.close(end)

    def close(self) -> None:
        """Close without reading what is left."""
        ends, self._ends = self._ends, {}
        for end in ends:
            asyncio.get_running_loop().remove_reader(end)
            os.close(end)

    def _read(self, end: int) -> None:
        data = self._data(end)
        if data:
            self._take(self._ends[end].feed(data))
        elif data is not None:
            asyncio.get_running_loop().remove_reader(end)

    def _data(self, end: int) -> bytes | None:
        """What can be read now; None if there is nothing yet."""
        try:
            return os.read(end, READ)
        except BlockingIOError:
            return None


def _close(*fds: int) -> None:
    for fd in fds:
        os.close(fd)


def no_files(error: OSError) -> StartError:
    """The error for a process that cannot be started because this one lacks something it needs, such as files."""
    return StartError(
        "A process could not be started.",
        f"{type(error).__name__}: {error}",
        "Close what keeps files open, or allow more before you start Jupyter: ulimit -n 4096",
    )
