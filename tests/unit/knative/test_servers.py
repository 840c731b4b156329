"""The ways to Restate and the ledger on this machine, where no port is mapped into the cluster."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from playground.backends.knative.servers import Servers
from playground.core.settings import Settings
from playground.errors import StartError
from tests.unit.knative.apiserver import config_of, stand_in


def test_nobody_else_gets_in(tmp_path: Path) -> None:
    def start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work)

    async def run() -> None:
        async with stand_in(tmp_path) as (server, kubernetes):
            servers = Servers(
                kubernetes,
                config_of(server.url, tmp_path),
                suffix="",
                marks={},
                run="abc",
                settings=Settings(),
                record=lambda *events: None,
                start=start,
            )
            with pytest.raises(StartError, match="There is no restate in the namespace"):
                await servers.open()
            sockets = [servers.door(name).socket for name in ("ingress", "admin")]
            assert all(socket is not None and socket.is_socket() for socket in sockets)
            (directory,) = {socket.parent for socket in sockets if socket is not None}
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
            assert servers.door("ledger").socket is None
            assert servers.ledger_url.endswith(f"/{servers.secret}"), "whoever does not know it is not let in"
            await servers.close()
            assert not directory.exists()

    asyncio.run(run())
