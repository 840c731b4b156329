"""What a pod says, and what its code prints: never taken for each other, whatever is printed and however it arrives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.pod import emit
from playground.pod.emit import MAX_TEXT, EventParser, Item, LogParser, Signed, TextParser

EVENT = {"kind": "entry.executed", "at": 1.0, "attempt": 1}
LIKE_AN_EVENT = [
    '\x1e{"kind":"entry.executed","attempt":[1]}',
    '{"kind":"invocation.status","invocation":"inv_1","at":1}',
    "\x1e0123456789abcdef 1 " + json.dumps(EVENT),
    "\x1e" + "0" * 16 + " 99999999999999999999 {}",
    "\x1e\x1e\x1e",
    "\x1e" + "[" * 5000,
    "\x1e  ",
]


def in_pieces(parser: TextParser, data: bytes, sizes: list[int]) -> list[Item]:
    """Feed bytes as they may come out of a pipe."""
    items: list[Item] = []
    for size in sizes:
        items += parser.feed(data[:size])
        data = data[size:]
    return [*items, *parser.feed(data), *parser.close()]


def words(items: list[Item]) -> str:
    return "".join(item for what, item in items if what == "log")


SIZES = st.lists(st.integers(1, 40), max_size=30)


@given(st.binary() | st.sampled_from(LIKE_AN_EVENT).map(str.encode), SIZES)
def test_on_a_pipe_of_words_there_are_only_words(printed: bytes, sizes: list[int]) -> None:
    items = in_pieces(TextParser(), printed, sizes)
    assert {what for what, _ in items} <= {"log"}
    assert words(items) == printed.replace(b"\n", b"").decode("utf-8", "replace") or b"\xff" not in printed


@given(st.lists(st.text() | st.sampled_from(LIKE_AN_EVENT), max_size=5), st.booleans(), SIZES)
def test_in_a_log_of_both_only_what_is_signed_is_an_event(printed: list[str], ended: bool, sizes: list[int]) -> None:
    pod, data, told = Signed("key"), b"", 0
    for text in printed:
        data += text.encode("utf-8", "replace") + (b"\n" if ended else b"")
        data += (pod.line(json.dumps({**EVENT, "attempt": told})) + "\n").encode()
        told += 1
    items = in_pieces(LogParser("key"), data, sizes)
    assert [item["attempt"] for what, item in items if what == "event"] == list(range(told))


@pytest.mark.parametrize("text", LIKE_AN_EVENT)
@pytest.mark.parametrize("end", ["", "\n"])
def test_what_looks_like_an_event_is_words(text: str, end: str) -> None:
    for parser in (TextParser(), LogParser("key"), LogParser("")):
        items = [*parser.feed((text + end).encode()), *parser.close()]
        assert {what for what, _ in items} == {"log"}
        assert words(items) == text


def test_a_line_copied_out_of_a_log_is_words() -> None:
    pod, log = Signed("key"), LogParser("key")
    line = pod.line(json.dumps(EVENT)) + "\n"
    assert log.feed(line.encode()) == [("event", EVENT)]
    assert [what for what, _ in log.feed(line.encode())] == ["log"]
    assert [what for what, _ in LogParser("another").feed((pod.line(json.dumps(EVENT)) + "\n").encode())] == ["log"]


def test_a_process_that_was_started_again_goes_on_counting() -> None:
    log = LogParser("key")
    for _ in range(3):
        assert log.feed((Signed("key").line(json.dumps(EVENT)) + "\n").encode()) == [("event", EVENT)]


@pytest.mark.parametrize("parser", [TextParser(), LogParser("key")])
def test_a_line_without_end_comes_in_pieces(parser: TextParser) -> None:
    piece = b"x" * 100_000
    items: list[Item] = []
    for _ in range(30):
        items += parser.feed(piece)
        assert len(parser._rest) <= MAX_TEXT
    items += parser.close()
    assert len(words(items)) == 3_000_000
    assert max(len(item) for _, item in items) <= MAX_TEXT


def test_an_event_after_a_line_without_end_is_one() -> None:
    log, line = LogParser("key"), (Signed("key").line(json.dumps(EVENT)) + "\n").encode()
    items = log.feed(b"x" * 50_000 + line[:30]) + log.feed(line[30:])
    assert [item for what, item in items if what == "event"] == [EVENT]
    assert len(words(items)) == 50_000


def test_events_have_lines_of_their_own_on_their_pipe() -> None:
    data = f"{json.dumps(EVENT)}\nnot one\n[1]\n{{}}\n{'[' * 100_000}\n".encode()
    items = EventParser().feed(data)
    assert items[0] == ("event", EVENT)
    assert {what for what, _ in items[1:]} == {"log"}


@given(st.text(max_size=3000))
def test_a_line_of_an_event_is_written_at_once(text: str) -> None:
    line = emit._line({"kind": "pod.log", "at": 1.0, "text": text})
    assert len(line) < 4096
    ((what, _),) = LogParser("").feed(line)
    assert what == "event"


# What a service's code finds in its process: nothing it would come upon by accident.
SERVICE = """
import json, os, subprocess, sys
from playground.pod.emit import claim, emit
claim()
def opened():
    return sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
child = "import os; print([fd for fd in os.listdir('/proc/self/fd') if int(fd) > 3])"
started = subprocess.run([sys.executable, "-c", child], close_fds=False, capture_output=True, text=True).stdout
print(json.dumps({"environ": "POD_EVENTS" in os.environ, "opened": opened(), "started": started.strip()}), flush=True)
copy = os.fork()
if copy == 0:
    emit([{"kind": "of.a.copy", "at": 1.0}])
    os._exit(0)
os.waitpid(copy, 0)
emit([{"kind": "pod.ready", "at": 1.0}])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_services_code_does_not_come_upon_the_way_of_events() -> None:
    seen = set()
    for _ in range(3):
        reading, writing = os.pipe()
        environment = {**os.environ, "POD_EVENTS": f"fd:{writing}"}
        process = subprocess.run(
            [sys.executable, "-c", SERVICE], env=environment, pass_fds=[writing], capture_output=True, check=True
        )
        os.close(writing)
        with os.fdopen(reading, "rb") as events:
            assert EventParser().feed(events.read()) == [("event", {"kind": "pod.ready", "at": 1.0})]
        found: dict[str, Any] = json.loads(process.stdout)
        assert not found["environ"]
        assert found["started"] == "[]"
        (number,) = [fd for fd in found["opened"] if fd > 20]
        assert number >= 100
        seen.add(number)
    assert len(seen) > 1, "its number can be known"
