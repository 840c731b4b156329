"""Reading what a child says: a pipe, cut into events and log lines. Lives on the engine's loop."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from playground.errors import StartError
from playground.pod.emit import LineParser

PIPE_SIZE = 1 << 18
"""Bytes. A child must never wait for us to read what it tells; Linux's default is 64 KiB. All pipes of a user
together may have 64 MiB."""
READ = 1 << 20


class Output:
    """The reading end of a child's standard output. Within a `with` block, the end to write to is there, too.

    Attributes:
        write_end: file descriptor for the child.

    Raises:
        StartError: this process may not open any more files.
    """

    def __init__(self, take: Callable[[list[tuple[str, Any]]], None]) -> None:
        self._take = take
        self._parser = LineParser()
        try:
            self._pipe, self.write_end = os.pipe()
        except OSError as error:
            raise no_files(error) from error
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # more than the user's share; a smaller one does, too
                fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        os.set_blocking(self._pipe, False)
        asyncio.get_running_loop().add_reader(self._pipe, self._read)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.write_end)  # the child has it now, or there is none
        if error is not None:
            self.drain()

    def drain(self) -> None:
        """The child has ended: take what it said last, and close."""
        while self._read():
            pass
        asyncio.get_running_loop().remove_reader(self._pipe)
        os.close(self._pipe)
        self._take(self._parser.close())

    def _read(self) -> bool:
        try:
            data = os.read(self._pipe, READ)
        except BlockingIOError:
            return False
        if not data:
            asyncio.get_running_loop().remove_reader(self._pipe)
            return False
        self._take(self._parser.feed(data))
        return True


def no_files(error: OSError) -> StartError:
    """A process cannot be started for want of something that this process lacks."""
    return StartError(
        "A process could not be started.",
        f"{type(error).__name__}: {error}",
        "Close what keeps files open, or allow more of them before Jupyter starts: ulimit -n 4096",
    )
