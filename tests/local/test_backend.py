"""What a backend does for a playground: deploy, redeploy, kill, suspend, scale to zero, wake, state, queue, logs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from playground import Playground
from playground.errors import StartError
from tests.local.conftest import SIGNUP, eventually

pytestmark = pytest.mark.local

COUNTER = """
import sys, time
import restate

counter = restate.VirtualObject("Counter")

@counter.handler()
async def add(ctx: restate.ObjectContext, seconds: float) -> int:
    await ctx.run_typed("think", lambda: time.sleep(seconds))
    count = (await ctx.get("count") or 0) + VERSION
    ctx.set("count", count)
    print("counted to", count)
    print("and said so", file=sys.stderr)
    return count

@counter.handler(kind="shared")
async def get(ctx: restate.ObjectSharedContext) -> int:
    return await ctx.get("count") or 0
"""


def counter(version: int) -> str:
    return COUNTER.replace("VERSION", str(version))


@pytest.fixture(scope="module")
def pg() -> Iterator[Playground]:
    with Playground.open(idle_window=0.7, inactivity_timeout=0.7) as playground:
        playground.deploy(name="signup", source=SIGNUP)
        playground.deploy(name="counter", source=counter(1))
        yield playground


def test_from_zero_to_one_and_back(pg: Playground) -> None:
    pg.wait_for(pods=0)
    assert repr(pg.pods) == "no pods: scaled to zero"
    assert pg.call("Counter/zero/add", 0) == 1
    (pod,) = pg.pods
    assert (pod.service, pod.revision, pod.phase) == ("counter", "counter-00001", "ready")
    pg.wait_for(pods=0)
    assert pod.phase == "stopped", "an idle pod is asked to stop, and stops within a moment"
    recorded = pg.recording.timeline.pods[pod.name]
    stopping = next(e for e in pg.recording.events if e.kind == "pod.stopping" and e.data["pod"] == pod.name)
    assert recorded.gone_at is not None
    assert recorded.gone_at - stopping.at < 5  # the SIGTERM trap would hold it for its whole grace period


def test_a_pod_that_works_is_not_stopped(pg: Playground) -> None:
    assert pg.call("Counter/busy/add", 2.0) == 1  # much longer than the idle window
    attempts = next(trace.attempts for trace in pg.recording.invocations if trace.target == "Counter/busy/add")
    assert {attempt.pod for attempt in attempts} == {attempts[0].pod}


def test_waiting_costs_no_pod_and_waking_replays(pg: Playground) -> None:
    waiting = pg.send("Signup/signup", {"username": "ada"}).wait_for(status="suspended")
    pg.wait_for(pods=0)
    pg.resolve(waiting.awakeables[0], "clicked")
    assert waiting.result() == "The new user ada is signed up and activated"
    first, second = waiting.attempts
    assert first.pod != second.pod
    assert [str(entry) for entry in second.replayed] == [
        "Input",
        "Call User/ada/initialize",
        "Run send email",
        "Awakeable",
    ]
    assert [str(entry) for entry in second.executed] == ["Call User/ada/activate", "Output"]
    assert pg.state("User", "ada") == {"user": {"username": "ada"}, "activated": True}


def test_a_rejected_awakeable_is_a_terminal_error(pg: Playground) -> None:
    waiting = pg.send("Signup/signup", {"username": "eve"}).wait_for(status="suspended")
    pg.reject(waiting.awakeables[0], "the link has expired")
    with pytest.raises(Exception, match="the link has expired"):
        waiting.result()
    assert waiting.trace.failure == (500, "the link has expired")


def test_unchanged_source_makes_no_revision(pg: Playground) -> None:
    again = pg.deploy(name="signup", source=SIGNUP)
    assert (again.revision, again.is_new) == ("signup-00001", False)
    assert "unchanged" in repr(again)


def test_work_finishes_on_the_revision_it_began_on(pg: Playground) -> None:
    old = pg.send("Counter/two/add", 1.0).wait_for(entry="think")
    second = pg.deploy(name="counter", source=counter(100))
    assert second.revision == "counter-00002"
    assert pg.call("Counter/other/add", 0) == 100, "new requests go to the new revision"
    pg.kill_pod(old.attempts[0].pod)
    assert old.result() == 1, "even after its pod was killed, the old one finishes on the old revision"
    assert {pg.recording.timeline.pods[attempt.pod].revision for attempt in old.attempts} == {"counter-00001"}
    eventually(lambda: {pod.revision for pod in pg.pods} <= {"counter-00002"})
    assert pg.call("Counter/two/add", 0) == 101


def test_one_key_is_served_one_at_a_time_and_the_queue_shows_it(pg: Playground) -> None:
    sent = [pg.send("Counter/queued/add", 0.4) for _ in range(4)]
    sent[0].wait_for(entry="think")
    queue = pg.queue("Counter", "queued")
    assert queue.holder == sent[0].id
    assert queue.waiting == [invocation.id for invocation in sent[1:]]
    assert repr(queue).splitlines()[3:] == [
        "holds the lock  Counter/queued/add",
        "waits, 1.       Counter/queued/add",
        "waits, 2.       Counter/queued/add",
        "waits, 3.       Counter/queued/add",
    ]
    assert sent[1].status == "pending"
    assert pg.call("Counter/queued/get") == 0, "a shared handler does not wait for the lock"
    results = [invocation.result() for invocation in sent]
    step = results[0]
    assert results == [step, step * 2, step * 3, step * 4]
    assert repr(pg.queue("Counter", "queued")).endswith("free, nobody waits")


def test_the_same_idempotency_key_is_the_same_invocation(pg: Playground) -> None:
    first = pg.send("Counter/once/add", 0, idempotency_key="k1")
    again = pg.send("Counter/once/add", 0, idempotency_key="k1")
    assert (first.is_new, again.is_new) == (True, False)
    assert again.id == first.id
    assert again.result() == first.result()
    assert pg.state("Counter", "once")["count"] == first.result()


def test_a_delayed_request_is_scheduled(pg: Playground) -> None:
    began = time.monotonic()
    delayed = pg.send("Counter/later/add", 0, delay=1.0)
    delayed.wait_for(status="scheduled")
    delayed.result()
    assert time.monotonic() - began > 0.9


def test_cancel_lets_a_handler_end_and_kill_does_not(pg: Playground) -> None:
    cancelled = pg.send("Signup/signup", {"username": "bob"}).wait_for(status="suspended")
    cancelled.cancel()
    with pytest.raises(Exception, match=r"(?i)cancel"):
        cancelled.result()
    assert [str(entry) for entry in cancelled.attempts[-1].replayed][-1] == "Cancel"
    killed = pg.send("Signup/signup", {"username": "cyd"}).wait_for(status="suspended")
    attempts = len(killed.attempts)
    killed.kill()
    with pytest.raises(Exception, match=r"(?i)kill"):
        killed.result()
    assert len(killed.attempts) == attempts


def test_what_a_pod_prints_is_its_log(pg: Playground) -> None:
    pg.call("Counter/loud/add", 0)
    pod = pg.pods[-1]
    eventually(lambda: "counted to" in pod.logs() and "and said so" in pod.logs())
    assert '"kind"' not in pod.logs(), "what the tap tells is no log"


def test_the_journal_is_the_servers(pg: Playground) -> None:
    waiting = pg.send("Signup/signup", {"username": "dan"}).wait_for(status="suspended")
    types = [entry["type"] for entry in waiting.journal]
    assert types == [
        "Command: Input",
        "Command: Call",
        "Notification: CallInvocationId",
        "Notification: Call",
        "Command: Run",
        "Notification: Run",
    ]
    assert waiting.attempts[0].known_entries == 1
    assert [entry.callee for entry in waiting.trace.entries if entry.type == "Call"] == [
        trace.id for trace in pg.recording.invocations if trace.target == "User/dan/initialize"
    ]


def test_a_pod_that_ends_itself_has_crashed_and_the_work_goes_on(pg: Playground, tmp_path: Path) -> None:
    source = f"""
import os, restate
from pathlib import Path
bad = restate.Service("Bad")

@bad.handler()
async def step(ctx: restate.Context) -> str:
    if not Path({str(tmp_path / "been-here")!r}).exists():
        Path({str(tmp_path / "been-here")!r}).touch()
        os._exit(7)
    return "done"
"""
    pg.deploy(name="bad", source=source)
    invocation = pg.send("Bad/step")
    assert invocation.result() == "done"
    assert [attempt.outcome for attempt in invocation.attempts] == ["crashed", "completed"]


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
