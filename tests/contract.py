"""What a backend does for a playground, whichever it is: one suite, run on each of them.

A backend's own tests subclass `Contract` and give it a `pg`: a playground on that backend with `signup`
and `counter` deployed. Nothing here may know what a pod is made of, or how quick it is.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from playground import Playground
from playground.errors import DeployError, InvocationFailed, PodNotFound, RequestError

SIGNUP = (Path(__file__).parent / "local" / "signup.py").read_text("utf-8")

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

SHOP = """
import os, time, httpx, restate

shop = restate.Service("Shop")

def effect(kind, body):
    httpx.post(os.environ["LEDGER_URL"] + "/" + kind, json=body).raise_for_status()

@shop.handler()
async def buy(ctx: restate.Context, who: str) -> str:
    await ctx.run_typed("charge", lambda: effect("payment", {"who": who}))
    return f"thank you, {who}"

def deliver():
    while httpx.post(os.environ["LEDGER_URL"] + "/door", json={}).status_code == 502:  # as long as it is shut
        time.sleep(0.05)
    effect("parcel", {})

@shop.handler()
async def ship(ctx: restate.Context) -> str:
    await ctx.run_typed("pack", lambda: None)
    await ctx.run_typed("parcel", deliver)
    return "shipped"

@shop.handler()
async def crash(ctx: restate.Context) -> str:
    known = httpx.get(os.environ["LEDGER_URL"] + "/-/entries").json()["entries"]
    if not any(entry["kind"] == "been-here" for entry in known):
        effect("been-here", {})
        os._exit(7)
    return "done"
"""

TABLE = """\
Signup/signup: completed, 2 attempts on 2 pods, 1 suspension
   entry                     attempt 1  attempt 2
─  ────────────────────────  ─────────  ─────────
   on                        pod N      pod N
0  Input                     executed   replayed
1  Call User/pat/initialize  executed   replayed
2  Run send email            executed   replayed
   Awakeable                 awaited    replayed
3  Call User/pat/activate    –          executed
4  Output                    –          executed
   ended                     suspended  completed"""

DOUBLED = "Shop/buy: after the effect of Run charge, before its result is journaled"


def counter(version: int) -> str:
    return COUNTER.replace("VERSION", str(version))


def deploy_all(pg: Playground) -> None:
    """What the suite finds deployed."""
    pg.deploy(name="signup", source=SIGNUP)
    pg.deploy(name="counter", source=counter(1))


def eventually(reached: Callable[[], object], timeout: float = 60) -> None:
    """Wait until something holds; fail if it does not in time."""
    deadline = time.monotonic() + timeout
    while not reached():
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.02)


class Contract:
    """The suite. Its tests share a playground, and each leaves it working.

    Attributes:
        deploying: seconds in which a deployment is surely done.
    """

    deploying = 3.0

    # -- scale to zero, wake -------------------------------------------------------------------------

    def test_from_zero_to_one_and_back(self, pg: Playground) -> None:
        pg.wait_for(pods=0, timeout=60)
        assert repr(pg.pods) == "no pods: scaled to zero"
        assert pg.call("Counter/zero/add", 0) == 1
        (pod,) = pg.pods
        assert (pod.service, pod.revision, pod.phase) == ("counter", "counter-00001", "ready")
        pg.wait_for(pods=0, timeout=60)
        assert pod.phase == "stopped", "an idle pod is asked to stop, and stops within a moment"
        recorded = pg.recording.timeline.pods[pod.name]
        stopping = next(e for e in pg.recording.events if e.kind == "pod.stopping" and e.data["pod"] == pod.name)
        assert recorded.gone_at is not None
        assert recorded.gone_at - stopping.at < 5  # the SIGTERM trap would hold it for its whole grace period

    def test_a_pod_that_works_is_not_stopped(self, pg: Playground) -> None:
        assert pg.call("Counter/busy/add", pg.settings.idle_window + 2.0) == 1
        attempts = next(trace.attempts for trace in pg.recording.invocations if trace.target == "Counter/busy/add")
        assert {attempt.pod for attempt in attempts} == {attempts[0].pod}

    def test_waiting_costs_no_pod_and_waking_replays(self, pg: Playground) -> None:
        waiting = pg.send("Signup/signup", {"username": "ada"}).wait_for(status="suspended")
        (row,) = pg.runtime.run(pg.runtime.admin.invocations([waiting.id]))
        assert row["status"] == "suspended", "a pod says so before Restate knows; the wait is for both"
        pg.wait_for(pods=0, timeout=60)
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

    def test_a_rejected_awakeable_is_a_terminal_error(self, pg: Playground) -> None:
        waiting = pg.send("Signup/signup", {"username": "eve"}).wait_for(status="suspended")
        pg.reject(waiting.awakeables[0], "the link has expired")
        with pytest.raises(InvocationFailed, match="the link has expired"):
            waiting.result()
        assert waiting.trace.failure == (500, "the link has expired")

    # -- deploy, redeploy ------------------------------------------------------------------------------

    def test_unchanged_source_makes_no_revision(self, pg: Playground) -> None:
        again = pg.deploy(name="signup", source=SIGNUP)
        assert (again.revision, again.is_new) == ("signup-00001", False)
        assert "unchanged" in repr(again)

    def test_a_source_that_cannot_be_served_leaves_what_was_deployed(self, pg: Playground) -> None:
        with pytest.raises(DeployError) as error:
            pg.deploy(name="signup", source="import restate\ndef broken(:\n")
        assert "(line 2)" in error.value.what
        with pytest.raises(DeployError, match="ZeroDivisionError"):
            pg.deploy(name="other", source="import restate\n1 / 0\n")
        with pytest.raises(DeployError, match="defines no"):
            pg.deploy(name="other", source="import restate\n")
        assert pg.call("User/nobody/get") is None
        assert pg.services["signup"].revision == "signup-00001"
        assert "other" not in pg.services

    def test_a_source_that_ends_its_process_is_told_at_once(self, pg: Playground) -> None:
        began = time.monotonic()
        with pytest.raises(DeployError, match="ended while it was starting") as error:
            pg.deploy(name="other", source="import os\nprint('my last words', flush=True)\nos._exit(3)\n")
        assert "my last words" in error.value.why
        assert time.monotonic() - began < 20

    def test_work_finishes_on_the_revision_it_began_on(self, pg: Playground) -> None:
        old = pg.send("Counter/two/add", self.deploying).wait_for(entry="think")
        second = pg.deploy(name="counter", source=counter(100))
        assert second.revision == "counter-00002"
        assert pg.call("Counter/other/add", 0) == 100, "new requests go to the new revision"
        pg.kill_pod(old.attempts[0].pod)
        assert old.result() == 1, "even after its pod was killed, the old one finishes on the old revision"
        assert {pg.recording.timeline.pods[attempt.pod].revision for attempt in old.attempts} == {"counter-00001"}
        eventually(lambda: {pod.revision for pod in pg.pods if pod.service == "counter"} <= {"counter-00002"})
        assert pg.call("Counter/two/add", 0) == 101

    # -- kill, replay ----------------------------------------------------------------------------------

    def test_a_killed_pod_is_gone_and_the_work_goes_on_elsewhere(self, pg: Playground) -> None:
        pg.deploy(name="shop", source=SHOP)  # with a pod: that one comes from zero is another test
        pg.ledger.misbehave("door", down=True)  # the step lasts until the pod is killed, however late that is heard of
        invocation = pg.send("Shop/ship").wait_for(entry="parcel")
        killed = pg.kill_pod("shop")
        assert killed.phase == "killed"
        with pytest.raises(PodNotFound):
            killed.kill()
        pg.ledger.misbehave("door")
        assert invocation.result(timeout=60) == "shipped"
        first, second = invocation.attempts[:2]
        assert first.outcome == "killed"
        assert first.pod != second.pod
        assert [str(entry) for entry in second.replayed] == ["Input", "Run pack"]
        assert [str(entry) for entry in second.executed] == ["Run parcel", "Output"]
        time.sleep(1.5)
        assert pg.ledger.count("parcel") == 1, "it was killed before its effect; alive, it would have made a second"

    def test_a_pod_that_ends_itself_has_crashed_and_the_work_goes_on(self, pg: Playground) -> None:
        pg.deploy(name="shop", source=SHOP)
        invocation = pg.send("Shop/crash")
        assert invocation.result(timeout=60) == "done"
        assert [attempt.outcome for attempt in invocation.attempts] == ["crashed", "completed"]

    def test_a_killed_server_is_brought_back_on_its_data(self, pg: Playground) -> None:
        waiting = pg.send("Signup/signup", {"username": "max"}).wait_for(status="suspended")
        running = pg.send("Counter/server/add", 1.0).wait_for(entry="think")
        pg.kill_server()
        assert running.result(timeout=60) == pg.state("Counter", "server")["count"]
        assert pg.state("User", "max") == {"user": {"username": "max"}, "activated": False}
        pg.resolve(waiting.awakeables[0])
        assert waiting.result() == "The new user max is signed up and activated"

    # -- state, queue, requests -------------------------------------------------------------------------

    def test_one_key_is_served_one_at_a_time_and_the_queue_shows_it(self, pg: Playground) -> None:
        sent = [pg.send("Counter/queued/add", 0.6) for _ in range(4)]
        # At once: where pods are heard of late, the first may be done by the time its step is recorded.
        queue = pg.queue("Counter", "queued")
        assert queue.holder == sent[0].id
        assert queue.waiting == [invocation.id for invocation in sent[1:]]
        assert repr(queue).splitlines()[3:] == [
            "holds the lock  Counter/queued/add",
            "waits, 1.       Counter/queued/add",
            "waits, 2.       Counter/queued/add",
            "waits, 3.       Counter/queued/add",
        ]
        sent[3].wait_for(status="pending")
        assert pg.call("Counter/queued/get") == 0, "a shared handler does not wait for the lock"
        results = [invocation.result() for invocation in sent]
        step = results[0]
        assert results == [step, step * 2, step * 3, step * 4]
        assert repr(pg.queue("Counter", "queued")).endswith("free, nobody waits")

    def test_the_same_idempotency_key_is_the_same_invocation(self, pg: Playground) -> None:
        first = pg.send("Counter/once/add", 0, idempotency_key="k1")
        again = pg.send("Counter/once/add", 0, idempotency_key="k1")
        assert (first.is_new, again.is_new) == (True, False)
        assert again.id == first.id
        assert again.result() == first.result()
        assert pg.state("Counter", "once")["count"] == first.result()

    def test_a_state_set_from_outside(self, pg: Playground) -> None:
        pg.set_state("Counter", "outside", {"count": 41})
        assert pg.call("Counter/outside/get") == 41

    def test_a_delayed_request_is_scheduled(self, pg: Playground) -> None:
        began = time.monotonic()
        delayed = pg.send("Counter/later/add", 0, delay=1.0)
        delayed.wait_for(status="scheduled")
        delayed.result()
        assert time.monotonic() - began > 0.9

    def test_cancel_lets_a_handler_end_and_kill_does_not(self, pg: Playground) -> None:
        cancelled = pg.send("Signup/signup", {"username": "bob"}).wait_for(status="suspended")
        cancelled.cancel()
        with pytest.raises(InvocationFailed, match=r"(?i)cancel"):
            cancelled.result()
        assert [str(entry) for entry in cancelled.attempts[-1].replayed][-1] == "Cancel"
        killed = pg.send("Signup/signup", {"username": "cyd"}).wait_for(status="suspended")
        attempts = len(killed.attempts)
        killed.kill()
        with pytest.raises(InvocationFailed, match=r"(?i)kill"):
            killed.result()
        assert len(killed.attempts) == attempts

    def test_a_request_that_cannot_be_is_refused(self, pg: Playground) -> None:
        with pytest.raises(RequestError, match="mean 'Signup'"):
            pg.send("Sinup/signup", {})
        with pytest.raises(PodNotFound):
            pg.kill_pod("nobody")

    # -- what is told ----------------------------------------------------------------------------------

    def test_what_a_pod_prints_is_its_log(self, pg: Playground) -> None:
        invocation = pg.send("Counter/loud/add", 0)
        invocation.result()
        pod = next(pod for pod in pg.pods if pod.name == invocation.attempts[-1].pod)
        eventually(lambda: "counted to" in pod.logs() and "and said so" in pod.logs())
        assert '"kind"' not in pod.logs(), "what the tap tells is no log"

    def test_the_journal_is_the_servers(self, pg: Playground) -> None:
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

    def test_an_effect_is_known_by_pod_attempt_and_step(self, pg: Playground) -> None:
        pg.deploy(name="shop", source=SHOP)
        pg.ledger.clear()
        invocation = pg.send("Shop/buy", "lea")
        assert invocation.result() == "thank you, lea"
        (effect,) = pg.ledger.entries("payment")
        assert (effect.invocation, effect.pod) == (invocation.id, invocation.attempts[0].pod)
        assert effect.row is not None
        assert str(invocation.trace.rows[effect.row]) == "Run charge"
        pg.ledger.misbehave("payment", fail=2)
        pg.send("Shop/buy", "lou").result()
        assert [effect.refused for effect in pg.ledger.entries("payment")] == [False, True, True, False]

    def test_tables_read_the_same_on_every_backend(self, pg: Playground) -> None:
        invocation = pg.send("Signup/signup", {"username": "pat"}).wait_for(status="suspended")
        pg.wait_for(pods=0, timeout=60)
        pg.resolve(invocation.awakeables[0], "x")
        invocation.result()
        # How many pods there were before is another matter: the tests share the playground.
        assert numberless(repr(invocation)) == numberless(TABLE)

    # -- the atlas -------------------------------------------------------------------------------------

    def test_the_atlas_kills_a_pod_at_every_point(self, pg: Playground) -> None:
        pg.deploy(name="shop", source=SHOP)
        before = len(pg.recording)
        atlas = pg.atlas("Shop/buy", "ann")
        assert atlas.holds()
        doubled = atlas.broken(effects="exactly_once")
        assert [str(point) for outcome in doubled for point in outcome.points] == [DOUBLED]
        assert not any(event.kind == "attempt.crashed" for event in pg.recording.since(before))
        assert pg.call("Shop/buy", "after") == "thank you, after"


def numberless(table: str) -> str:
    """A table without its pods' numbers, and the room they take."""
    return re.sub(r"pod (\d+|N) *", "pod N ", table)
