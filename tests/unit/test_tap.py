"""The tap: bytes pass unchanged whatever they are, and what passes is told."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from playground.pod.tap import Tap
from playground.restate import protocol
from tests.unit.frames import frame, message, value

START = frame(protocol.START, message((1, b"\x01"), (2, "inv_1"), (3, 3), (6, "ada")))
INPUT = frame(0x0400, message((14, value('{"n": 1}'))))
CALL = frame(0x040D, message((1, "User"), (2, "get"), (5, "ada"), (10, 1), (11, 2)))
CALLEE = frame(0x800E, message((1, 1), (16, "inv_2")))
CALLED = frame(0x800D, message((1, 2), (5, value("42"))))
RUN = frame(0x0411, message((11, 3), (12, "send email")))
PROPOSED = frame(protocol.PROPOSE_RUN, message((1, 3), (14, "ok")))
STORED = frame(0x8011, message((1, 3), (5, value("ok"))))
OUTPUT = frame(0x0401, message((14, value("done"))))
END = frame(protocol.END)


def serve(received: list[bytes], sent: list[bytes], path: str = "/invoke/Signup/signup") -> dict[str, Any]:
    """Run one ASGI request through a tap; returns what passed and what was told."""
    told: list[dict[str, Any]] = []
    passed_in: list[bytes] = []
    passed_out: list[bytes] = []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        for _ in received:
            passed_in.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for body in sent:
            await send({"type": "http.response.body", "body": body, "more_body": True})

    chunks = iter(received)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": next(chunks), "more_body": True}

    async def send(event: Any) -> None:
        if event["type"] == "http.response.body":
            passed_out.append(event["body"])

    asyncio.run(Tap(app, told.extend)({"type": "http", "path": path}, receive, send))
    return {"in": passed_in, "out": passed_out, "told": told}


def test_a_run_is_told_step_by_step() -> None:
    result = serve([START + INPUT + CALL[:5], CALL[5:] + CALLEE + CALLED], [RUN, PROPOSED])
    assert [event["kind"] for event in result["told"]] == [
        "attempt.started",
        "entry.replayed",
        "entry.replayed",
        "entry.replayed",
        "entry.completed",  # three entries were known; what comes after them is new
        "entry.executed",
        "entry.proposed",
        "attempt.closed",
    ]
    started, given_input, call, callee, called, run, proposed, _ = result["told"]
    assert (started["invocation"], started["target"], started["known"]) == ("inv_1", "Signup/ada/signup", 3)
    assert (given_input["type"], given_input["entry"], given_input["value"]) == ("Input", 0, '{"n": 1}')
    assert (call["target"], call["entry"]) == ("User/ada/get", 1)
    assert (callee["callee"], callee["entry"]) == ("inv_2", 1)
    assert (called["value"], called["entry"]) == ("42", 1)
    assert (run["name"], run["entry"]) == ("send email", 2)
    assert (proposed["entry"], proposed["value"]) == (2, "ok")


@given(st.lists(st.binary(max_size=60), max_size=8), st.lists(st.binary(max_size=60), max_size=8))
def test_arbitrary_bytes_pass_unchanged_both_ways(received: list[bytes], sent: list[bytes]) -> None:
    result = serve(received, sent)
    assert result["in"] == received
    assert result["out"] == sent
    assert result["told"][-1]["kind"] == "attempt.closed"


@given(st.lists(st.integers(0, 400), max_size=10))
def test_valid_frames_after_unknown_ones_are_still_told(cuts: list[int]) -> None:
    stream = START + frame(0x7ABC, b"\xff\xff\xff") + frame(protocol.START, b"\xff") + INPUT
    edges = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    chunks = [stream[a:b] for a, b in pairwise(edges)]
    kinds = [event["kind"] for event in serve(chunks, [OUTPUT + END])["told"]]
    assert kinds == [
        "attempt.started",
        "frame.unknown",
        "frame.unknown",
        "entry.replayed",
        "entry.executed",
        "attempt.ended",
        "attempt.closed",
    ]


def test_other_requests_are_not_told() -> None:
    assert serve([b"x"], [b"y"], path="/discover")["told"] == []
