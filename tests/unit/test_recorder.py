"""The recorder where pods are heard of later than Restate: their own word comes first, if it comes in time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from playground.recording import Event, Recording
from playground.runtime.recorder import Recorder

STARTED = {"pod": "p", "attempt": 1, "invocation": "inv_1", "target": "S/h", "known": 1, "retries": 0, "id": "00"}


class Admin:
    """Restate's word on one invocation."""

    def __init__(self, status: str, **more: Any) -> None:
        self.row = {"id": "inv_1", "target": "S/h", "status": status, **more}

    async def unfinished(self) -> list[dict[str, Any]]:
        return [self.row] if self.row["status"] != "completed" else []

    async def invocations(self, ids: list[str]) -> list[dict[str, Any]]:
        return [self.row] if "inv_1" in ids else []


def run(admin: Admin, lag: float, *said: Event) -> tuple[list[str], float]:
    """What is recorded as its status at once, and how long catching up took."""

    async def looking() -> tuple[list[str], float]:
        recording = Recording([Event.now("invocation.sent", invocation="inv_1", target="S/h"), *said])
        recorder = Recorder(recording, admin, lag=lag)  # type: ignore[arg-type]
        await recorder.look()
        told = [event.data["status"] for event in recording.events if event.kind == "invocation.status"]
        began = time.monotonic()
        await recorder.caught_up("inv_1")
        took = time.monotonic() - began
        recorder.close()
        return told, took

    return asyncio.run(looking())


def attempt(end: str) -> list[Event]:
    whose = {"pod": "p", "attempt": 1}
    return [
        Event.now("attempt.started", **STARTED),
        Event.now(end, entries=[], signals=[17], **whose),
        Event.now("attempt.closed", **whose),
    ]


@pytest.mark.parametrize("status", ["suspended", "completed"])
def test_restates_word_is_held_back_until_the_pods_have_had_time(status: str) -> None:
    assert run(Admin(status), 0.0)[0] == [status]
    told, took = run(Admin(status), 0.3)
    assert told == []
    assert took >= 0.3


def test_once_the_pod_has_said_so_nothing_is_held_back() -> None:
    assert run(Admin("suspended"), 5.0, *attempt("attempt.suspended"))[0] == ["suspended"]
    told, took = run(Admin("completed"), 5.0, *attempt("attempt.ended"))
    assert told in ([], ["completed"])
    assert took < 1


def test_what_only_restate_can_know_is_told_at_once() -> None:
    assert run(Admin("backing-off"), 5.0)[0] == ["backing-off"]
    assert run(Admin("completed", completion_failure="killed"), 0.1)[0] == ["completed"]


def test_one_that_was_killed_ends_without_a_word() -> None:
    whose = {"pod": "p", "attempt": 1}
    said = [
        Event.now("attempt.started", **STARTED),
        Event.now("attempt.closed", **whose),
        Event.now("invocation.result", invocation="inv_1", failure=[409, "killed"]),
    ]
    assert run(Admin("completed"), 5.0, *said)[1] < 1


def test_a_server_that_is_behind_a_suspension_is_asked_again() -> None:
    assert run(Admin("ready"), 0.0, *attempt("attempt.suspended"))[0] == []
    earlier = [Event.of(event.kind, event.at - 1, event.data) for event in attempt("attempt.suspended")]
    assert run(Admin("ready"), 0.0, *earlier)[0] == ["ready"]


def told(recording: Recording) -> tuple[str, bool, bool]:
    """Its status, whether Restate has settled it, and whether it has refused an end."""
    trace = recording.timeline.invocations["inv_1"]
    return trace.status, trace.settled, trace.refused


def test_an_end_that_only_a_pod_told_is_asked_for_until_restate_confirms_it() -> None:
    async def looking() -> None:
        recording = Recording(
            [Event.now("invocation.sent", invocation="inv_1", target="S/h"), *attempt("attempt.ended")]
        )
        admin = Admin("backing-off", last_failure="RT0017")
        recorder = Recorder(recording, admin, lag=0.0)  # type: ignore[arg-type]
        assert told(recording) == ("completed", False, False)
        await recorder.look()
        assert told(recording) == ("backing-off", False, True)
        again = [Event.of(event.kind, event.at, {**event.data, "attempt": 2}) for event in attempt("attempt.ended")]
        recording.append(*again)
        assert told(recording) == ("running", False, True)  # what the pod says it has said before
        admin.row["status"] = "completed"
        await recorder.look()
        assert told(recording) == ("completed", True, True)
        recorder.close()

    asyncio.run(looking())


def test_an_end_that_restate_confirms_is_neither_recorded_nor_asked_for_again() -> None:
    async def looking() -> None:
        earlier = [Event.of(event.kind, event.at - 1, event.data) for event in attempt("attempt.ended")]
        recording = Recording(earlier)
        admin = Admin("completed")
        recorder = Recorder(recording, admin, lag=0.0)  # type: ignore[arg-type]
        await recorder.look()
        admin.row["status"] = "backing-off"
        await recorder.look()
        assert len(recording.events) == len(earlier)
        recorder.close()

    asyncio.run(looking())


def test_a_server_that_still_runs_what_a_pod_calls_done_is_no_news() -> None:
    assert run(Admin("running"), 0.0, *attempt("attempt.ended"))[0] == []
