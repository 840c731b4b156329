"""A stand-in for a Kubernetes API server: it answers with what a real one has said, as the test arranges it.

The watch events, log lines and refusals in `recordings/` were taken from a real cluster (Kubernetes 1.36, Knative
Serving 1.23); a test puts them in order, cuts connections, repeats events. This proves that we read what
Kubernetes says, and that nothing is lost or doubled when a connection breaks. It proves nothing about
Kubernetes or Knative themselves: that is what `tests/cluster` is for.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from playground.backends.knative.api import Kubernetes
from playground.backends.knative.config import ClusterConfig
from playground.backends.knative.rights import RIGHTS, role
from tests.unit.knative import rbac

RECORDINGS = Path(__file__).parent / "recordings"
CONTEXT, NAMESPACE = "stand-in", "learner"
ASKED = [
    {"apiGroups": [right.resource.group], "resources": [str(right)], "verbs": right.running.split()} for right in RIGHTS
]
"""What opening asks for, as the rules of a Role."""


def recorded(name: str) -> bytes:
    """A recording as it is."""
    return (RECORDINGS / name).read_bytes()


def recorded_events(name: str) -> list[dict[str, Any]]:
    """The events of a recorded watch."""
    return [json.loads(line) for line in recorded(name).splitlines()]


def lines(events: list[dict[str, Any]]) -> bytes:
    """Events as a watch sends them."""
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


@dataclass
class Answer:
    """One answer.

    Attributes:
        pieces: of the body, each sent by itself.
        ending: "end" ends the body properly, "cut" breaks the connection, "hold" leaves it open.
    """

    pieces: list[bytes]
    status: int = 200
    ending: str = "end"


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes


@dataclass
class ApiServer:
    """The stand-in. Answers to a path are given in order; the last one again and again.

    Attributes:
        asked: what was asked, in order, without what kr8s asks for itself.
    """

    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    _answers: dict[str, deque[Answer | Callable[[Asked], Answer]]] = field(default_factory=dict)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def answers(self, path: str, *pieces: bytes, status: int = 200, ending: str = "end") -> None:
        """Arrange one more answer to a path; "watch" is the pods' watch, "list" their list."""
        self._answers.setdefault(path, deque()).append(Answer(list(pieces), status, ending))

    def answers_with(self, path: str, answer: Callable[[Asked], Answer]) -> None:
        """Arrange one more answer to a path, which depends on what is asked."""
        self._answers.setdefault(path, deque()).append(answer)

    def lists(self, pods: list[dict[str, Any]], version: str) -> None:
        """Arrange one more list of pods."""
        told = {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": pods}
        self.answers("list", json.dumps(told).encode())

    def watches(self) -> list[str]:
        """The resource versions from which the pods were watched."""
        return [each.query["resourceVersion"] for each in self.asked if "watch" in each.query]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self._open.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            await _closed(writer)
            self._open.discard(writer)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        url = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        answer = self._answer(Asked(method, url.path, query, body))
        writer.write(f"HTTP/1.1 {answer.status} X\r\ncontent-type: application/json\r\n".encode())
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        for piece in answer.pieces:
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)
        if answer.ending == "hold":
            await reader.read()
            return False
        if answer.ending == "cut":
            writer.transport.abort()
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    def _answer(self, asked: Asked) -> Answer:
        if asked.path == "/version/":
            return Answer([b'{"major": "1", "minor": "36", "gitVersion": "v1.36.2"}'])
        self.asked.append(asked)
        key = asked.path
        if asked.path == f"/api/v1/namespaces/{NAMESPACE}/pods" and asked.method == "GET":
            key = "watch" if "watch" in asked.query else "list"
        waiting = self._answers.get(key)
        if not waiting:
            return Answer([b'{"kind": "Status", "status": "Failure", "message": "not arranged", "code": 404}'], 404)
        answer = waiting.popleft() if len(waiting) > 1 else waiting[0]
        return answer(asked) if callable(answer) else answer


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await writer.wait_closed()
    except ConnectionError:
        pass  # it was cut


@asynccontextmanager
async def stand_in(directory: Path, *, by_hand: bool = False) -> AsyncIterator[tuple[ApiServer, Kubernetes]]:
    """A stand-in, and a client of it, which does nothing that a playground does not ask for when it is opened.

    Args:
        by_hand: it may do whatever a learner may.
    """
    made = ApiServer()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = "http://{}:{}".format(*server.sockets[0].getsockname())
    config = config_of(made.url, directory)
    kubernetes = await Kubernetes.connect(config.kubeconfig, config.context, config.namespace)
    try:
        yield made, kubernetes
        rules = role() if by_hand else ASKED
        beyond = [each for each in made.asked if not rbac.allows(rules, NAMESPACE, each.method, each.path, each.query)]
        assert not beyond, "playground.backends.knative.rights lacks a right"
    finally:
        await kubernetes.aclose()
        server.close()
        await asyncio.gather(*(_closed(writer) for writer in made._open))


def config_of(url: str, directory: Path) -> ClusterConfig:
    """What leads to a cluster at a URL."""
    told = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "a-token"}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": "c", "user": "u"}}],
        "current-context": CONTEXT,
    }
    file = directory / "kubeconfig"
    file.write_text(yaml.safe_dump(told), "utf-8")
    return ClusterConfig(file, CONTEXT, NAMESPACE)
