"""The ledger of the embedded backend: a process of its own, on a socket the backend keeps.

Handlers know its address from `LEDGER_URL`. Should it die, it is started again on the same file and
the same socket, and requests that came meanwhile wait in the backlog.
"""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

from playground.backend import Record, Settings
from playground.local.output import Output
from playground.local.processes import Processes
from playground.recording import heard


class LedgerProcess:
    """Keeps the ledger running. Lives on the engine's loop.

    Args:
        file: its SQLite file.
    """

    def __init__(self, file: Path, *, processes: Processes, settings: Settings, record: Record) -> None:
        self._file, self._processes, self._settings, self._record = file, processes, settings, record
        self._socket: socket.socket | None = None
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where handlers reach it."""
        assert self._socket is not None
        host, port = self._socket.getsockname()
        return f"http://{host}:{port}"

    async def start(self) -> None:
        """Start the process, on the same address every time."""
        if self._socket is None:
            self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        output = Output(self._take)

        def exited(_status: int) -> None:
            output.drain()
            if not self._closed:
                self._task = asyncio.get_running_loop().create_task(self.start())

        await self._processes.serve(
            "playground.ledger",
            self._file,
            env={},
            listening=self._socket.fileno(),
            log=output.write_end,
            fork=self._settings.pods == "fork",
            on_exit=exited,
        )
        output.handed_over()

    def close(self) -> None:
        """Give up the address; the process ends with its keeper."""
        self._closed = True
        if self._socket is not None:
            self._socket.close()

    def _take(self, items: list[tuple[str, Any]]) -> None:
        for what, item in items:
            if what == "event":
                self._record(heard(item, "ledger"))
