"""The frame reader and the message reader, on anything that may come."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.restate import protocol
from playground.restate.protocol import FrameReader, Malformed, decode, type_name
from tests.unit.frames import frame, message, value, varint

frames_strategy = st.lists(
    st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=300), st.integers(0, 0xFFFF)), max_size=12
)


@given(frames_strategy, st.lists(st.integers(0, 4000), max_size=20))
def test_frames_are_found_wherever_the_stream_is_split(told: list[tuple[int, bytes, int]], cuts: list[int]) -> None:
    stream = b"".join(frame(kind, payload, flags) for kind, payload, flags in told)
    reader, found = FrameReader(), []
    edges = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    for start, end in pairwise(edges):
        found += reader.feed(stream[start:end])
    assert [(f.type, f.payload) for f in found] == [(kind, payload) for kind, payload, _ in told]
    assert b"".join(f.raw for f in found) == stream
    assert reader.pending == 0


@given(st.lists(st.binary(max_size=100), max_size=20))
def test_arbitrary_bytes_never_raise_and_are_never_lost(chunks: list[bytes]) -> None:
    reader = FrameReader()
    found = [f for chunk in chunks for f in reader.feed(chunk)]
    assert sum(len(f.raw) for f in found) + reader.pending == sum(map(len, chunks))


@given(st.sampled_from([*protocol.CONTROL_NAMES, *protocol.COMMAND_NAMES, 0x8000, 0x800D, 0xFBFF, 0x7777]), st.binary())
def test_any_payload_is_read_or_called_malformed(kind: int, payload: bytes) -> None:
    try:
        decode(kind, payload)
    except Malformed:
        pass


@given(st.integers(0, 2**64 - 1))
def test_numbers_survive(number: int) -> None:
    assert list(protocol.fields(varint(1 << 3) + varint(number))) == [(1, number)]


def test_a_call_recorded_from_a_real_journal() -> None:
    raw = bytes.fromhex("0a0455736572120a696e697469616c697a651a117b22757365726e616d65223a202266227d2a016650015802")
    told = decode(0x040D, raw)
    assert told.target == "User/f/initialize"
    assert told.value == b'{"username": "f"}'
    assert (told.callee_completion, told.completion) == (1, 2)


def test_what_each_message_says() -> None:
    start = message((1, b"\x01\x02"), (2, "inv_1"), (3, 4), (6, "ada"), (7, 2))
    told = decode(protocol.START, start)
    assert (told.invocation, told.key, told.extra) == ("inv_1", "ada", {"id": b"\x01\x02", "known": 4, "retries": 2})
    assert decode(0x0411, message((11, 3), (12, "send email"))).name == "send email"
    assert decode(0x8011, message((1, 3), (5, value("ok")))).value == b"ok"
    assert decode(0x800D, message((1, 2), (6, message((1, 409), (2, "cancelled"))))).failure == (409, "cancelled")
    assert decode(0xFBFF, message((2, 17), (5, value("1")))).signal == 17
    assert decode(0xFBFF, message((3, "named"))).signal == "named"
    assert decode(0x040C, message((1, 1700), (11, 1))).until == 1700
    assert decode(0x0403, message((1, "activated"), (3, value("true")))).key == "activated"
    assert decode(0x0401, message((15, message((1, 500), (2, "no"))))).failure == (500, "no")
    error = decode(protocol.ERROR, message((1, 570), (2, "mismatch"), (4, 2), (5, "step1")))
    assert (error.failure, error.name, error.extra["command"]) == ((570, "mismatch"), "step1", 2)


def test_a_failure_with_metadata() -> None:
    pairs = [(3, message((1, "sku"), (2, "42"))), (3, message((1, "shelf")))]
    failure = message((1, 418), (2, "sold out"), *pairs)
    for kind, field in ((0x800D, 6), (0xFBFF, 6), (0x0401, 15), (0x040B, 3), (protocol.PROPOSE_RUN, 15)):
        told = decode(kind, message((field, failure)))
        assert told.failure == (418, "sold out")
        assert told.extra["metadata"] == {"sku": "42", "shelf": ""}


def test_what_is_awaited_is_read_as_it_is_in_a_suspension() -> None:
    future = message((1, varint(3)), (2, varint(17)), (3, "named"))
    assert decode(protocol.AWAITING_ON, message((1, future), (2, 1))).waits_for == ([3], [17, "named"])


def test_a_suspension_in_either_version_of_the_protocol() -> None:
    packed = b"".join(map(varint, (1, 17)))
    assert decode(protocol.SUSPENSION, message((1, 3), (2, packed))).waits_for == ([3], [1, 17])
    future = message((1, varint(3)), (4, message((2, packed), (3, "named"))), (5, 1))
    assert decode(protocol.SUSPENSION, message((4, future))).waits_for == ([3], [1, 17, "named"])


@pytest.mark.parametrize(
    ("kind", "name"),
    [(0, "Start"), (0x040D, "Call"), (0x800D, "Call completion"), (0xFBFF, "Signal"), (0x7777, "0x7777")],
)
def test_names(kind: int, name: str) -> None:
    assert type_name(kind) == name
