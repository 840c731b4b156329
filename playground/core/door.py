"""A way to a server: through a port, or through a Unix socket that only its owner can use.

A server in a cluster has a URL to connect to. The embedded server has Unix sockets, and its URLs are only names. A door
stands for either, and makes clients that need not know which it is.
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
"""Seconds that a blocking client waits for a server that is being restarted."""

# No door uses TLS, and loading the system's certificates would take longer than a request.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True, slots=True)
class Door:
    """A way to a server. Proxies named in the environment are ignored.

    Attributes:
        url: the base URL. With a socket, its host is only a name.
        socket: the path of the socket; None to connect to the URL.
    """

    url: str
    socket: Path | None = None

    def client(self, timeout: httpx.Timeout | float | None, *, connections: int | None = 100) -> httpx.AsyncClient:
        """A client of the server.

        Args:
            connections: the most connections at a time; None for no limit.
        """
        transport = httpx.AsyncHTTPTransport(
            uds=None if self.socket is None else str(self.socket),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=20),
            trust_env=False,
            verify=_NO_TLS,
        )
        return httpx.AsyncClient(transport=transport, base_url=self.url, timeout=timeout, trust_env=False)

    def blocking_client(self, timeout: httpx.Timeout | float | None) -> httpx.Client:
        """A client without an event loop, for any thread. It waits for a server that is being restarted."""
        transport = (
            httpx.HTTPTransport(trust_env=False, verify=_NO_TLS) if self.socket is None else _Patient(str(self.socket))
        )
        return httpx.Client(transport=transport, base_url=self.url, timeout=timeout, trust_env=False)


class _Patient(httpx.HTTPTransport):
    """A transport that waits until the server listens. (httpx's own retries leave their sockets open.)"""

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
