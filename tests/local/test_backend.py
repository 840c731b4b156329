"""The embedded backend fits the seam; and what only processes can show."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from playground import Playground
from playground.errors import StartError
from tests.contract import Contract, deploy_all

pytestmark = pytest.mark.local


@pytest.fixture(scope="module")
def pg() -> Iterator[Playground]:
    with Playground.open(idle_window=0.7) as playground:
        deploy_all(playground)
        yield playground


class TestLocalBackend(Contract):
    """The suite, on processes of this machine."""


def test_a_pod_whose_process_could_not_be_started_is_tried_for_again(
    pg: Playground, monkeypatch: pytest.MonkeyPatch
) -> None:
    pg.wait_for(pods=0)
    processes = pg._backend._processes  # type: ignore[attr-defined]
    serve, refusals = processes.serve, [1, 2]

    async def short_of_processes(*args: object, **options: object) -> int:
        if refusals:
            refusals.pop()
            raise StartError("A process could not be started.", "BlockingIOError", "")
        return int(await serve(*args, **options))

    monkeypatch.setattr(processes, "serve", short_of_processes)
    assert pg.call("Counter/short/add", 0) >= 1
    assert not refusals


def test_a_signal_from_a_terminal_is_a_kill_like_any_other(pg: Playground) -> None:
    invocation = pg.send("Counter/terminal/add", 1.0).wait_for(entry="think")
    name = invocation.attempts[0].pod
    process = next(p for a in pg._backend._activators.values() for p in a.pods if p.name == name)  # type: ignore[attr-defined]
    assert psutil.Process(process.pid).name().startswith("python")
    os.kill(process.pid, signal.SIGKILL)
    invocation.result()
    assert invocation.attempts[0].outcome == "killed"
