"""A pod's log through all that can happen to its connection: every line once, in order."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from playground.backends.knative import logs
from playground.backends.knative.logs import PodLog
from playground.pod.emit import LogParser, Signed
from tests.unit.knative.apiserver import NAMESPACE, Answer, ApiServer, Asked, recorded, stand_in

LOG = recorded("talk.log")
LINES = LOG.splitlines(keepends=True)
PATH = f"/api/v1/namespaces/{NAMESPACE}/pods/talk/log"
PLAIN = b"".join(line.partition(b" ")[2] for line in LINES) + b"\n"
"""What the container wrote; its very last line never got its end."""
NOT_STARTED = json.dumps(
    {"kind": "Status", "message": 'container "user" in pod "talk" is waiting to start: ContainerCreating', "code": 400}
).encode()
UNKNOWN = (
    b'{"kind": "Status", "message": "the server could not find the requested resource ( pods/log talk)", "code": 404}'
)
NOT_FOUND = b'{"kind": "Status", "message": "pods \\"talk\\" not found", "code": 404}'


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PAUSE", 0.01)


def read(directory: Path, arrange: Callable[[ApiServer], None], answers: int) -> tuple[bytes, ApiServer]:
    """What is read of a log; the container has ended when so many answers have been given."""

    async def run() -> tuple[bytes, ApiServer]:
        taken: list[bytes] = []
        async with stand_in(directory) as (server, kubernetes):
            arrange(server)
            log = PodLog(kubernetes, "talk", "user", taken.append, lambda: len(server.asked) >= answers)
            async with asyncio.timeout(20):
                await log.follow()
            return b"".join(taken), server

    return asyncio.run(run())


def test_a_log_is_read_to_its_end(tmp_path: Path) -> None:
    got, server = read(tmp_path, lambda server: server.answers(PATH, LOG), 1)
    assert got == PLAIN
    assert server.asked[0].query == {"container": "user", "follow": "true", "timestamps": "true"}


def test_it_is_waited_for_until_the_container_has_started(tmp_path: Path) -> None:
    def arrange(server: ApiServer) -> None:
        server.answers(PATH, NOT_STARTED, status=400)
        server.answers(PATH, NOT_STARTED, status=400)
        server.answers(PATH, LOG)

    assert read(tmp_path, arrange, 3)[0] == PLAIN


def test_a_pod_that_the_kubelet_does_not_know_yet_is_not_gone(tmp_path: Path) -> None:
    def arrange(server: ApiServer) -> None:
        server.answers(PATH, UNKNOWN, status=404)
        server.answers(PATH, LOG)

    assert read(tmp_path, arrange, 2)[0] == PLAIN


def test_a_pod_that_is_gone_has_no_log_any_more(tmp_path: Path) -> None:
    def arrange(server: ApiServer) -> None:
        server.answers(PATH, *LINES[:10], ending="cut")
        server.answers(PATH, NOT_FOUND, status=404)

    got, _ = read(tmp_path, arrange, 2)
    assert got == b"".join(line.partition(b" ")[2] for line in LINES[:10])


@pytest.mark.parametrize("seed", range(25))
def test_wherever_it_breaks_every_line_is_read_once(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    breaks = sorted(chance.sample(range(1, len(LOG)), chance.randint(1, 4)))

    def until(end: int | None, ending: str) -> Callable[[Asked], Answer]:
        return lambda asked: Answer([LOG[_from(asked.query.get("sinceTime")) : end]], ending=ending)

    def arrange(server: ApiServer) -> None:
        for at in breaks:
            server.answers_with(PATH, until(at, chance.choice(["cut", "end"])))
        server.answers_with(PATH, until(None, "end"))

    got, _ = read(tmp_path, arrange, len(breaks) + 1)
    assert got == PLAIN


def _from(since: str | None) -> int:
    """Where a server begins that is asked for what was said since a second."""
    if since is None:
        return 0
    position = 0
    for line in LINES:
        if line[:19].decode() >= since[:19]:
            break
        position += len(line)
    return position


def test_lines_of_both_outputs_may_be_out_of_order(tmp_path: Path) -> None:
    first = b"2026-11-24T08:04:18.200000002Z out\n2026-11-24T08:04:18.200000001Z err\n"
    second = b"2026-11-24T08:04:18.200000001Z late\n"  # written later, stamped earlier, by the other output

    def arrange(server: ApiServer) -> None:
        server.answers(PATH, first, ending="cut")
        server.answers(PATH, first, second)

    assert read(tmp_path, arrange, 2)[0] == b"out\nerr\nlate\n"


def test_equal_lines_are_as_many_as_they_are(tmp_path: Path) -> None:
    line = b"2026-11-24T08:04:18.2Z again\n"

    def arrange(server: ApiServer) -> None:
        server.answers(PATH, line * 2, ending="cut")
        server.answers(PATH, line * 3)

    assert read(tmp_path, arrange, 2)[0] == b"again\n" * 3


def test_the_kubelets_own_words_are_not_the_pods(tmp_path: Path) -> None:
    def arrange(server: ApiServer) -> None:
        server.answers(PATH, LINES[0], b'rpc error: code = NotFound desc = an error occurred: "abc": not found\n')

    assert read(tmp_path, arrange, 1)[0] == LINES[0].partition(b" ")[2]


def test_events_and_prints_come_apart_again(tmp_path: Path) -> None:
    got, _ = read(tmp_path, lambda server: server.answers(PATH, LOG), 1)
    pod = Signed("key")
    signed = [pod.line(line) if line.startswith("{") else line for line in got.decode().replace("\x1e", "").split("\n")]
    items = LogParser("key").feed("\n".join(signed).encode())
    assert [item["entry"] for what, item in items if what == "event"] == [n for n in range(60) if n % 3]
    said = [item for what, item in items if what == "log"]
    assert said[:2] == ["said 0", "said 3"]
    assert said[-1] == "no end"
