"""The embedded backend fits the seam; and what only processes can show."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from playground import Playground
from playground.errors import StartError
from tests.contract import Contract, deploy_all, eventually

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
    processes = pg.runtime.backend._processes  # type: ignore[attr-defined]
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
    process = next(p for a in pg.runtime.backend._activators.values() for p in a.pods if p.name == name)  # type: ignore[attr-defined]
    assert psutil.Process(process.pid).name().startswith("python")
    os.kill(process.pid, signal.SIGKILL)
    invocation.result()
    assert invocation.attempts[0].outcome == "killed"


SLOW = """
import os, time
import restate

slow = restate.Service("Slow")

def step(until: str) -> str:
    while until and not os.path.exists(until):
        print("not yet")
        time.sleep(0.02)
    return until

@slow.handler()
async def work(ctx: restate.Context, until: str) -> str:
    return await ctx.run_typed("step", step, until=until)
"""


def test_a_pod_that_was_asked_to_end_from_outside_keeps_nobody_waiting(pg: Playground, tmp_path: Path) -> None:
    """It accepts no more, so the address is watched again while it finishes, however long that takes."""
    pg.deploy(name="slow", source=SLOW)
    held = pg.send("Slow/work", str(tmp_path / "until")).wait_for(entry="step")
    (pod,) = (pod for pod in pg.pods if pod.service == "slow")
    activator = pg.runtime.backend._activators[pod.revision]  # type: ignore[attr-defined]
    (process,) = activator.pods
    os.kill(process.pid, signal.SIGTERM)
    eventually(
        lambda: not any(each.status == psutil.CONN_LISTEN for each in psutil.Process(process.pid).net_connections())
    )
    # Restate may use a connection that is open already; the one who comes by a new one is not refused, and is served.
    host, port = activator.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as caller:
        caller.sendall(b"GET /health HTTP/1.1\r\nhost: slow\r\nconnection: close\r\n\r\n")
        assert caller.recv(100).startswith(b"HTTP/1.1 ")
    assert psutil.pid_exists(process.pid), "another has answered"
    assert pod.phase == "stopping"
    # What the one that ends still says is not taken for work of the one that is idle.
    eventually(lambda: activator.pods == [process])
    (tmp_path / "until").touch()
    assert held.result(timeout=60) == str(tmp_path / "until")
    pg.wait_for(pods=0, timeout=60)


CALLS_LATE = """
import asyncio
import restate

late = restate.VirtualObject("Late")

@late.handler()
async def go(ctx: restate.ObjectContext) -> str:
    await ctx.run_typed("wait", asyncio.sleep, delay=1.0)
    return await ctx.object_call(other, key="other", arg=None)

@late.handler()
async def other(ctx: restate.ObjectContext) -> str:
    return "done"
"""


def test_a_pod_that_is_stopped_while_its_handler_calls_another_loses_no_attempt(pg: Playground) -> None:
    """The call goes to the pod that is draining, on the connection that carries the caller's attempt."""
    pg.deploy(name="late", source=CALLS_LATE)
    for key in "abc":
        invocation = pg.send(f"Late/{key}/go").wait_for(entry="wait")
        name = invocation.attempts[0].pod
        process = next(p for a in pg.runtime.backend._activators.values() for p in a.pods if p.name == name)  # type: ignore[attr-defined]
        os.kill(process.pid, signal.SIGTERM)
        assert invocation.result(timeout=20) == "done"
        assert [attempt.outcome for attempt in invocation.attempts if attempt.outcome != "suspended"] == ["completed"]
