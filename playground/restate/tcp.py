"""A loopback port for a server on a Unix socket, for programs that cannot use the socket.

A port is open to all users of this machine, and to every web page that is shown on it. So whatever is behind this port
can only be reached with the URL that was handed out: the first part of its path is a random secret, which is removed
before anything is passed on. A browser that comes here by another host name (DNS rebinding) or from another page is
refused, even if it has the secret.

Each connection carries one request, and the server is told so. So no second request can slip in behind the first.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

import httpx

from playground.core.door import Door
from playground.restate.ui import at_prefix, is_ui

MAX_HEAD = 1 << 16
"""The most bytes that the first line and the headers of a request may have."""
HEAD_TIMEOUT = 10.0
"""Seconds that a client has to send them."""
PATIENCE = 10.0
"""Seconds that a request waits for a server that is being restarted."""
LINGER = 2.0
"""Seconds that a client has to read an answer that came before it had sent everything."""
CHUNK = 1 << 16

_HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"upgrade", b"te", b"trailer"}


class TcpDoor:
    """A loopback port that leads to a Unix socket. Lives on the engine's loop.

    Args:
        behind: where it leads.
    """

    def __init__(self, behind: Door) -> None:
        assert behind.socket is not None
        self._behind, self._socket = behind, str(behind.socket)
        self._secret = secrets.token_urlsafe(24)
        self._server: asyncio.Server | None = None
        self._client: httpx.AsyncClient | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, limit=MAX_HEAD)

    @property
    def url(self) -> str:
        """The base URL for any HTTP client. Whoever has it is let in."""
        return f"http://127.0.0.1:{self._port}/{self._secret}"

    @property
    def _port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening, and close open connections."""
        if self._server is not None:
            self._server.close()
        ending = list(self._open)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            try:
                async with asyncio.timeout(HEAD_TIMEOUT):
                    head = await reader.readuntil(b"\r\n\r\n")
                request = self._let_in(head)
                method, path, _ = request.split(b" ", 2)
                if is_ui(path.decode("latin-1").partition("?")[0]):
                    writer.write(await self._ui(method.decode("latin-1"), path.decode("latin-1")))
                else:
                    with await self._connect() as inner:
                        await asyncio.get_running_loop().sock_sendall(inner, request)
                        await _pass_on(reader, writer, inner)
            except _Refused as refused:
                writer.write(refused.answer)
            await writer.drain()
            await _linger(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            pass  # client or server has gone away; the other one sees its connection closed
        finally:
            writer.close()

    def _let_in(self, head: bytes) -> bytes:
        """The head of a request as it is passed on.

        Raises:
            _Refused: it lacks the secret, or comes from another page or host name.
        """
        first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        parts = first.split(b" ")
        if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
            raise _Refused("400 Bad Request")
        method, target, version = parts
        fields = [_field(line) for line in lines]
        ours = {f"{name}:{self._port}".encode() for name in ("127.0.0.1", "localhost")}
        hosts = [value for name, value in fields if name == b"host"]
        origins = {value for name, value in fields if name == b"origin"}
        if len(hosts) != 1 or hosts[0].lower() not in ours or origins - {b"http://" + each for each in ours}:
            raise _Refused("403 Forbidden")
        prefix = f"/{self._secret}".encode()
        if not hmac.compare_digest(target[: len(prefix)], prefix):
            raise _Refused("404 Not Found")
        rest = target[len(prefix) :]
        if rest[:1] not in (b"", b"/", b"?"):
            raise _Refused("404 Not Found")
        target = rest if rest.startswith(b"/") else b"/" + rest
        kept = [name + b": " + value for name, value in fields if name not in _HOP_BY_HOP]
        return b"\r\n".join([b" ".join((method, target, version)), *kept, b"connection: close", b"", b""])

    async def _ui(self, method: str, path: str) -> bytes:
        """The answer with a file of Restate's UI, adapted to the secret in its path."""
        if self._client is None:
            self._client = self._behind.client(HEAD_TIMEOUT)
        try:
            answer = await self._client.request("HEAD" if method == "HEAD" else "GET", path)
        except httpx.TransportError:
            raise _Refused("503 Service Unavailable") from None
        prefix = f"/{self._secret}"
        body = at_prefix(answer.content, prefix)
        head = [f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}"]
        head += [f"{name}: {answer.headers[name]}" for name in ("content-type",) if name in answer.headers]
        if "location" in answer.headers:
            head.append(f"location: {prefix}{answer.headers['location']}")
        head += [f"content-length: {len(body)}", "referrer-policy: same-origin", "connection: close", "", ""]
        return "\r\n".join(head).encode("latin-1") + body

    async def _connect(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while True:
            inner = socket.socket(socket.AF_UNIX)
            inner.setblocking(False)
            try:
                await loop.sock_connect(inner, self._socket)
                return inner
            except BaseException as error:
                inner.close()
                if not isinstance(error, OSError):
                    raise
            if loop.time() > deadline:
                raise _Refused("503 Service Unavailable")
            await asyncio.sleep(0.05)


def secret_of(url: str) -> str:
    """The secret part of an address: its path."""
    return urlsplit(url).path.strip("/")


class _Refused(Exception):
    """A request that is not passed on."""

    def __init__(self, status: str) -> None:
        text = f"{status}\n".encode()
        head = f"HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {len(text)}\r\nconnection: close\r\n"
        self.answer = head.encode() + b"\r\n" + text
        super().__init__(status)


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not name or name != name.strip():  # also refuses folded lines, which only an attacker would send
        raise _Refused("400 Bad Request")
    return name.lower(), value.strip()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, inner: socket.socket) -> None:
    """Carry bytes both ways until the answer is complete or the client is gone.

    A server may answer and close before it has read the whole body. Its answer can still be read although nothing can
    be written any more. Asyncio's streams would drop the answer, so this side is a bare socket.
    """
    loop = asyncio.get_running_loop()

    async def ask() -> None:
        while data := await reader.read(CHUNK):
            await loop.sock_sendall(inner, data)

    async def answer() -> None:
        while data := await loop.sock_recv(inner, CHUNK):
            writer.write(data)
            await writer.drain()

    asking, answering = asyncio.ensure_future(ask()), asyncio.ensure_future(answer())
    try:
        await asyncio.wait((asking, answering), return_when=asyncio.FIRST_COMPLETED)
        if not asking.done() or asking.exception() is not None:  # otherwise the client is gone
            await asyncio.wait((answering,))
    finally:
        await _end((asking, answering))


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read what the client still sends: closing with unread bytes would reset the connection, and lose the answer."""
    writer.write_eof()
    async with asyncio.timeout(LINGER):
        while await reader.read(CHUNK):
            pass


async def _end(ways: Iterable[asyncio.Future[None]]) -> None:
    for way in ways:
        way.cancel()
    await asyncio.gather(*ways, return_exceptions=True)
