"""A way to a server: through a port, or through a Unix socket that is its owner's alone.

What runs in a cluster has a URL that can be dialled. The embedded server has sockets; their URLs only name what is
behind them. A door is both, and makes clients that do not have to know.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

PATIENCE = 15.0
"""Seconds a blocking client waits for a server that is just being restarted."""

# No door speaks TLS, and to load all certificates of the system takes longer than a request.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True, slots=True)
class Door:
    """A way to a server. No proxy of the environment leads there.

    Attributes:
        url: base URL; with a socket, its host is a mere name.
        socket: path of the socket; None: the URL is to be dialled.
    """

    url: str
    socket: Path | None = None

    def client(self, timeout: httpx.Timeout | float | None, *, connections: int | None = 100) -> httpx.AsyncClient:
        """A client of what is behind it.

        Args:
            connections: at a time; None: as many as are asked for.
        """
        transport = httpx.AsyncHTTPTransport(
            uds=None if self.socket is None else str(self.socket),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=20),
            trust_env=False,
            verify=_NO_TLS,
        )
        return httpx.AsyncClient(transport=transport, base_url=self.url, timeout=timeout, trust_env=False)

    def blocking_client(self, timeout: httpx.Timeout | float | None) -> httpx.Client:
        """A client for any thread without an event loop. It waits for a server that is just being restarted."""
        transport = (
            httpx.HTTPTransport(trust_env=False, verify=_NO_TLS) if self.socket is None else _Patient(str(self.socket))
        )
        return httpx.Client(transport=transport, base_url=self.url, timeout=timeout, trust_env=False)


class _Patient(httpx.HTTPTransport):
    """A transport that sends a request when somebody listens. (httpx's own retries leave their sockets open.)"""

    def __init__(self, path: str) -> None:
        super().__init__(uds=path, trust_env=False, verify=_NO_TLS)
        self._path = path

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        deadline = time.monotonic() + PATIENCE
        while not _listens(self._path) and time.monotonic() < deadline:
            time.sleep(0.05)
        return super().handle_request(request)


def _listens(path: str) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        probe.connect(path)
        return True
    return False
