"""The ledger of the embedded backend: a process of its own, on a socket that the backend owns.

Handlers find its address in `LEDGER_URL`. If it dies, it is restarted on the same file and the same socket, and the
requests that arrive meanwhile wait in the backlog. If that fails, it is reported and retried with growing delays.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import socket
from pathlib import Path

from playground.backends.backend import Record
from playground.backends.ledger_feed import LedgerFeed
from playground.backends.local.output import Output, no_files
from playground.backends.local.pods import backoff, reason
from playground.backends.local.processes import Processes
from playground.core.settings import Settings
from playground.errors import PlaygroundClosed
from playground.recording import Event

STEADY = 5.0
"""A process that has run for this many seconds before it ends does not count as one that failed to start."""


class LedgerProcess:
    """Keeps the ledger running. Lives on the engine's loop.

    Args:
        file: the ledger's SQLite file.
    """

    def __init__(self, file: Path, *, processes: Processes, settings: Settings, record: Record) -> None:
        self._file, self._processes, self._settings, self._record = file, processes, settings, record
        self._secret = secrets.token_urlsafe()
        self._feed = LedgerFeed(record)
        self._socket: socket.socket | None = None
        self._closed = False
        self._failures = 0  # in a row
        self._started_at = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Its address for handlers."""
        assert self._socket is not None
        host, port = self._socket.getsockname()
        return f"http://{host}:{port}/{self._secret}"

    async def start(self) -> None:
        """Start the process, on the same address every time.

        Raises:
            StartError, PlaygroundClosed: it could not be started.
        """
        if self._socket is None:
            try:
                self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
            except OSError as error:
                raise no_files(error) from error
        with Output(self._feed.take) as output:
            await self._processes.serve(
                "playground.ledger",
                self._file,
                env={"LEDGER_URL": self.url},
                listening=self._socket.fileno(),
                output=output,
                fork=self._settings.pods == "fork",
                on_exit=lambda status: self._exited(output, status),
            )
        self._started_at = asyncio.get_running_loop().time()

    def close(self) -> None:
        """Give up the address. The process ends with its keeper."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
        if self._socket is not None:
            self._socket.close()

    def _exited(self, output: Output, status: int) -> None:
        output.drain()
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        self._failures = 0 if loop.time() - self._started_at > STEADY else self._failures + 1
        self._record(Event.now("ledger.gone", exit=status))
        self._task = loop.create_task(self._bring_back())

    async def _bring_back(self) -> None:
        for failures in itertools.count(self._failures):
            await asyncio.sleep(backoff(failures))
            try:
                await self.start()
            except PlaygroundClosed:
                return
            except Exception as error:
                self._record(Event.now("ledger.failed", reason=reason(error)))
            else:
                return
