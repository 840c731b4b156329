"""Somebody else on the same machine, run as a program of its own: `attacker.py PORTS DIRECTORIES`, as JSON.

It becomes another user if it can, tries whatever it is told of and whatever it finds, and prints what it got.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import httpx

NOBODY = 65534
ORIGIN = {"origin": "http://evil.example"}
REQUESTS: list[tuple[str, str, dict[str, str], bytes]] = [
    ("GET", "/", {}, b""),
    ("GET", "/health", {}, b""),
    ("GET", "/restate/health", {}, b""),
    ("GET", "/discover", {"accept": "application/vnd.restate.endpointmanifest.v4+json"}, b""),
    ("POST", "/invoke/Shop/buy", {"content-type": "application/vnd.restate.invocation.v6"}, b"\0" * 8),
    ("POST", "/Shop/buy", {"content-type": "application/json", **ORIGIN}, b'"eve"'),
    ("POST", "/Shop/buy/send", {"content-type": "text/plain", **ORIGIN}, b'"eve"'),
    ("OPTIONS", "/Shop/buy", {**ORIGIN, "access-control-request-method": "POST"}, b""),
    ("POST", "/deployments", {"content-type": "application/json"}, b'{"uri": "http://127.0.0.1:1"}'),
    ("POST", "/query", {"content-type": "application/json"}, b'{"query": "SELECT * FROM sys_invocation"}'),
    ("POST", "/payment", {"content-type": "application/json"}, b'{"from": "eve"}'),
    ("OPTIONS", "/payment", {**ORIGIN, "access-control-request-method": "POST"}, b""),
    ("GET", "/-/entries", {}, b""),
    ("DELETE", "/-/entries", {}, b""),
    ("PUT", "/-/faults/payment", {"content-type": "application/json"}, b'{"down": true}'),
]


def become_somebody_else() -> bool:
    """Whether we could, and so are."""
    if os.geteuid() != 0:
        return False
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    return True


def ask(port: int, host: str) -> list[list[Any]]:
    """What each request is answered with: [[status, headers, body]]."""
    answers: list[list[Any]] = []
    with httpx.Client(trust_env=False, verify=False, timeout=20) as client:
        for method, path, headers, body in REQUESTS:
            try:
                url = f"http://127.0.0.1:{port}{path}"
                answer = client.request(method, url, headers={**headers, "host": host}, content=body)
                answers.append([answer.status_code, dict(answer.headers), answer.text])
            except httpx.TransportError:
                answers.append([0, {}, ""])
    return answers


def ask_by_http2(port: int) -> list[list[Any]]:
    """As Restate would ask: HTTP/2 from the first byte on."""
    answers: list[list[Any]] = []
    for method, path, headers, body in REQUESTS:
        connection = h2.connection.H2Connection(h2.config.H2Configuration())
        connection.initiate_connection()
        said = [(":method", method), (":path", path), (":scheme", "http"), (":authority", f"127.0.0.1:{port}")]
        connection.send_headers(1, [*said, *headers.items()], end_stream=not body)
        if body:
            connection.send_data(1, body, end_stream=True)
        answers.append(_answer(port, connection))
    return answers


def _answer(port: int, connection: h2.connection.H2Connection) -> list[Any]:
    status, headers, text = 0, dict[str, str](), b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as way:
            way.sendall(connection.data_to_send())
            while data := way.recv(65536):
                for event in connection.receive_data(data):
                    if isinstance(event, h2.events.ResponseReceived):
                        headers = {_text(name): _text(value) for name, value in event.headers or []}
                        status = int(headers.pop(":status"))
                    elif isinstance(event, h2.events.DataReceived):
                        text += event.data or b""
                    elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                        return [status, headers, text.decode("utf-8", "replace")]
                way.sendall(connection.data_to_send())
    except (OSError, h2.exceptions.ProtocolError):
        pass
    return [status, headers, text.decode("utf-8", "replace")]


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def look_into(directory: Path) -> list[str]:
    """What can be read, or connected to, below a directory: all of it, if we may."""
    found = []
    for path in [directory, *directory.rglob("*")]:
        try:
            if path.is_socket():
                with socket.socket(socket.AF_UNIX) as way:
                    way.connect(str(path))
            elif path.is_dir():
                os.listdir(path)
            else:
                path.read_bytes()
            found.append(str(path))
        except OSError:
            continue
    return found


def processes() -> dict[str, str]:
    """What anybody may read of any process: its arguments, and its environment if we may."""
    found = {}
    for entry in Path("/proc").iterdir():
        for name in ("cmdline", "environ"):
            try:
                found[str(entry / name)] = (entry / name).read_bytes().decode("utf-8", "replace")
            except OSError:
                continue
    return found


def main() -> None:
    ports, directories, known = (json.loads(argument) for argument in sys.argv[1:4])
    ask(9, "nobody"), ask_by_http2(9)  # all that is imported on the way may be in a place of root's own
    somebody_else = become_somebody_else()
    told = {
        "somebody else": somebody_else,
        "answers": {
            f"{port} as {host}": ask(port, host.replace("PORT", str(port)))
            for port in ports
            for host in ("127.0.0.1:PORT", "localhost", "evil.example:PORT")
        },
        "answers by HTTP/2": {str(port): ask_by_http2(port) for port in ports},
        "files": [path for directory in directories for path in look_into(Path(directory))],
        "paths": [path for path in known if os.access(path, os.F_OK)],
        "processes": processes(),
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
