"""Live widgets: what is sent to a page, when, and what a closed one leaves behind: nothing."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Collection
from typing import Any, TypedDict

import pytest

from playground.errors import RequestError
from playground.recording import Event, Recording, Timeline
from playground.recording.changes import Change
from playground.views import live
from playground.views.asked import answers
from playground.views.live import LiveWidget
from playground.views.messages import Delta, Nothing, Picture
from tests.unit.pages import apply, arrived

Values = dict[str, int]
Tables = dict[str, dict[str, int]]


class Echo(TypedDict):
    text: str


class Counter(LiveWidget[Values, Tables, Tables]):
    """Shows how many invocations there are; a delta names those that changed."""

    _esm = "export default { render() {} }"

    def __init__(self, recording: Recording) -> None:
        self.sent: list[dict[str, Any]] = []
        self.threads: set[str] = set()
        super().__init__(recording)

    def picture(self, timeline: Timeline) -> Picture[Values, Tables]:
        return {
            "values": {"count": len(timeline.invocations)},
            "tables": {"seen": dict.fromkeys(timeline.invocations, 1)},
        }

    def delta(self, timeline: Timeline, changes: Collection[Change]) -> Delta[Values, Tables] | None:
        touched = {change[1]: 1 for change in changes if change[0] == "trace"}
        return {"values": {"count": len(timeline.invocations)}, "tables": {"seen": touched}} if touched else None

    @answers("echo")
    def echo(self, asked: Echo) -> str:
        return asked["text"]

    @answers("refuse")
    def refuse(self, asked: Nothing) -> str:
        raise RequestError("It was refused.", "Because.", "Ask again.")

    @answers("break")
    def break_it(self, asked: Nothing) -> str:
        raise ZeroDivisionError("by nought")

    def send(self, content: Any, buffers: Any = None) -> None:
        if content == {"type": "here"}:
            return
        self.threads.add(threading.current_thread().name)
        self.sent.append(content)


def page_of(widget: Counter) -> dict[str, Any]:
    """A page that has just got the widget's state."""
    return dict(arrived(widget.get_state()["snapshot"]))


def hear(page: dict[str, Any], messages: list[dict[str, Any]]) -> bool:
    """Apply deltas as live.js does; False if one begins after what the page has."""
    for message in messages:
        if message["from"] > page["at"]:
            return False
        apply(page, message["data"])
        page["at"] = message["to"]
    return True


def sending(invocation: str, at: float = 1.0) -> Event:
    return Event.of("invocation.sent", at, {"invocation": invocation, "target": "A/b"})


def eventually(reached: Callable[[], object], timeout: float = 5) -> None:
    deadline = time.monotonic() + timeout
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def quick_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LINGER", 0.05)


def test_a_page_that_has_spoken_gets_each_change_once() -> None:
    recording = Recording([sending("inv_1")])
    widget = Counter(recording)
    page = page_of(widget)
    widget._receive({"type": "have", "view": "v", "at": page["at"]}, None)
    for number in (2, 3):
        recording.append(sending(f"inv_{number}"))
        eventually(lambda expected=number: len(widget.sent) == expected - 1)  # type: ignore[misc]
    assert [list(message["data"]["tables"]["seen"]) for message in widget.sent] == [["inv_2"], ["inv_3"]]
    assert hear(page, widget.sent)
    assert page["tables"]["seen"].keys() == {"inv_1", "inv_2", "inv_3"}
    assert widget.threads == {"playground-views"}
    widget.close()


def test_until_the_page_has_spoken_nothing_that_is_lost_is_missed() -> None:
    recording = Recording([sending("inv_1")])
    widget = Counter(recording)
    page = page_of(widget)
    for number in (2, 3, 4):
        recording.append(sending(f"inv_{number}"))
        eventually(lambda expected=number: widget.sent and widget.sent[-1]["data"]["values"]["count"] == expected)  # type: ignore[misc]
    assert hear(page, widget.sent[-1:]), "the view was not there for the first two"
    assert len(page["tables"]["seen"]) == 4
    widget.close()


def test_a_page_that_missed_something_says_what_it_has_and_gets_the_rest() -> None:
    recording = Recording([sending("inv_1")])
    widget = Counter(recording)
    page = page_of(widget)
    widget._receive({"type": "have", "view": "v", "at": page["at"]}, None)
    for number in (2, 3):
        recording.append(sending(f"inv_{number}"))
        eventually(lambda expected=number: len(widget.sent) == expected - 1)  # type: ignore[misc]
    assert not hear(page, widget.sent[1:])
    widget._receive({"type": "have", "view": "v", "at": page["at"]}, None)
    assert hear(page, widget.sent[2:])
    assert len(page["tables"]["seen"]) == 3
    widget.close()


def test_a_reloaded_page_gets_the_picture_of_that_moment() -> None:
    recording = Recording([sending("inv_1")])
    widget = Counter(recording)
    recording.append(sending("inv_2"))
    assert page_of(widget)["values"] == {"count": 2}
    widget.close()


def test_what_does_not_concern_a_view_is_not_sent() -> None:
    recording = Recording()
    widget = Counter(recording)
    widget._receive({"type": "have", "view": "v", "at": 0}, None)
    recording.append(Event.of("pod.starting", 1, {"pod": "a"}))
    recording.append(sending("inv_1"))
    eventually(lambda: widget.sent)
    assert widget.sent[0]["from"] == 0
    assert widget.sent[0]["to"] == len(recording.timeline.changes)
    widget.close()


def test_at_most_ten_deltas_a_second() -> None:
    recording = Recording()
    widget = Counter(recording)
    began = time.monotonic()
    count = 0
    while time.monotonic() - began < 1.0:
        count += 1
        recording.append(sending(f"inv_{count}"))
        time.sleep(0.001)
    eventually(lambda: widget.sent[-1]["data"]["values"]["count"] == count)
    assert 3 <= len(widget.sent) <= 12
    widget.close()


def test_an_action_is_answered_and_an_error_is_said() -> None:
    widget = Counter(Recording())
    for name in ("echo", "refuse", "break"):
        widget._receive({"type": "act", "view": "v", "id": name, "name": name, "data": {"text": "hello"}}, None)
    assert widget.sent[0] == {"type": "answer", "id": "echo", "value": "hello"}
    assert widget.sent[1]["error"] == "It was refused.\nWhy: Because.\nFix: Ask again."
    assert widget.sent[2]["error"] == "ZeroDivisionError: by nought"
    widget.close()


def test_fifty_lenses_opened_and_closed_leave_nothing() -> None:
    recording = Recording()
    widgets = [Counter(recording) for _ in range(50)]
    assert len(recording._listeners) == 50
    recording.append(sending("inv_1"))
    eventually(lambda: all(widget.sent for widget in widgets))
    assert [thread.name for thread in threading.enumerate()].count("playground-views") == 1
    for widget in widgets[:25]:
        widget.close()
    for widget in widgets[25:]:  # their cells were cleared: only the page says so
        widget._receive({"type": "have", "view": "v", "at": 0}, None)
        widget._receive({"type": "closed", "view": "v"}, None)
    assert recording._listeners == []
    eventually(lambda: "playground-views" not in [thread.name for thread in threading.enumerate()])


def test_a_view_that_comes_back_is_served_again() -> None:
    recording = Recording()
    widget = Counter(recording)
    widget._receive({"type": "have", "view": "v", "at": 0}, None)
    widget._receive({"type": "closed", "view": "v"}, None)
    recording.append(sending("inv_1"))
    widget._receive({"type": "have", "view": "w", "at": 0}, None)
    assert widget.sent[-1]["data"]["values"] == {"count": 1}
    assert len(recording._listeners) == 1
    widget.close()


def test_one_of_two_views_may_go() -> None:
    recording = Recording()
    widget = Counter(recording)
    for view in ("v", "w"):
        widget._receive({"type": "have", "view": view, "at": 0}, None)
    widget._receive({"type": "closed", "view": "v"}, None)
    assert len(recording._listeners) == 1
    widget.close()


def test_nothing_keeps_a_closed_widget() -> None:
    recording = Recording()
    widgets = [Counter(recording)]
    recording.append(sending("inv_1"))
    eventually(lambda: widgets[0].sent)
    gone = weakref.ref(widgets[0])
    widgets.pop().close()
    eventually(lambda: gc.collect() is not None and gone() is None)
    recording.append(sending("inv_2"))
