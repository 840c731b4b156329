"""A recording as a file, and one that is over its limit."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from playground.errors import RecordingError
from playground.recording import Event, Recording, kinds
from playground.recording import changes as changes_module
from playground.recording.trace import MOST_LINES
from playground.views import model, text
from playground.views.lens import Lens, LensWidget
from playground.views.panels.board import Panels
from tests.unit.any_events import told
from tests.unit.pages import apply, arrived
from tests.unit.stories import Tale, long_day

HEADER = json.dumps({"format": "durable-playground recording", "schema": 1})


def looked_at(recording: Recording) -> None:
    """Look at everything there is in a recording."""
    assert recording.timeline.unread == []
    for trace in recording.invocations:
        assert text.invocation_table(trace, recording.timeline)
        assert model.picture(recording.timeline, trace.id)
    assert repr(recording)
    assert repr(Panels(recording).dashboard())


# -- files ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings")


def load(folder: Path, content: bytes) -> Recording | None:
    """What is read from a file with this content; None if it is refused with a reason and a way out."""
    path = folder / "run.jsonl"
    path.write_bytes(content)
    try:
        return Recording.load(path)
    except RecordingError as error:
        refusal = error
    assert refusal.what
    assert refusal.why
    assert refusal.fix
    return None


slow = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None)
lines = st.one_of(
    st.binary(max_size=30),
    told().map(lambda fields: json.dumps(fields, default=repr).encode()),
    st.sampled_from(
        [
            b"[" * 100_000,
            b'{"kind":"a","at":' + b"9" * 5000 + b"}",
            b'{"kind":"a","at":NaN}',
            b'{"kind":"pod.ready","kind":"pod.gone","at":1,"at":2,"pod":"p","how":"killed"}',
            b'{"kind":"a","at":1,"deep":' + b"[" * 500 + b"]" * 500 + b"}",
            b'{"kind":"pod.log","at":1,"pod":"p","text":"\\ud800"}',
            b"null",
            b"",
        ]
    ),
)


@slow
@given(st.lists(lines, max_size=6), st.booleans())
def test_any_file_is_readable_or_refused_with_a_reason(folder: Path, content: list[bytes], ended: bool) -> None:
    found = load(folder, b"\n".join([HEADER.encode(), *content]) + b"\n" * ended)
    if found is not None:
        looked_at(found)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_reason(folder: Path, content: bytes) -> None:
    assert load(folder, content) is None


@slow
@given(st.integers(0, 10**6), st.randoms())
def test_a_cut_and_a_reordered_file(folder: Path, cut: int, random: Any) -> None:
    whole = Recording(long_day().events).save(folder / "whole.jsonl").read_bytes()
    found = load(folder, whole[: cut % len(whole)])
    if found is not None:
        looked_at(found)
    first, *rest = whole.splitlines()
    random.shuffle(rest)
    shuffled = load(folder, b"\n".join([first, *rest]) + b"\n")
    assert shuffled is not None
    looked_at(shuffled)


def test_a_last_line_that_is_cut_off_is_left_out_and_said(folder: Path) -> None:
    path = Recording(long_day().events).save(folder / "day.jsonl")
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    cut = Recording.load(path)
    number = content.count(b"\n")
    assert len(cut.events) == len(long_day().events)  # one less, and the word that it is
    assert f"breaks off in line {number}" in repr(cut)
    again = Recording.load(cut.save(folder / "again.jsonl"))
    assert "breaks off" in repr(again)


def test_a_line_without_end_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("playground.recording.recording.MOST_LINE", 1000)
    path = folder / "long.jsonl"
    path.write_bytes(HEADER.encode() + b"\n" + b'{"kind":"a","at":1,"x":"' + b"x" * 2000 + b'"}\n')
    with pytest.raises(RecordingError, match="damaged in line 2"):
        Recording.load(path)


@pytest.mark.parametrize("schema", [2, 99, "1", None, 1.5, True, [1]])
def test_a_newer_schema_is_said_to_be_one(folder: Path, schema: Any) -> None:
    path = folder / "newer.jsonl"
    path.write_text(json.dumps({"format": "durable-playground recording", "schema": schema}) + "\n")
    with pytest.raises(RecordingError, match="newer playground"):
        Recording.load(path)


def test_saving_that_fails_leaves_the_old_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Recording(long_day().events).save(tmp_path / "run.jsonl")
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordingError, match="No space left"):
        Recording().save(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["run.jsonl"]


# -- over the limit ---------------------------------------------------------------------------------------


def busy(tale: Tale, first: int, last: int) -> Tale:
    """Invocations that have each printed, done something outside and ended, on pods of ten each."""
    for number in range(first, last):
        pod = f"shop-{number // 10 + 1}"
        if number % 10 == 0:
            tale.pod(pod, "hello")
        tale.send(f"inv_{number}", "Signup/signup", body={"n": number})
        attempt = tale.start(pod, f"inv_{number}", "Signup/signup")
        tale.say("effect.happened", number=number + 1, effect="email", pod=pod, attempt=attempt, body="x" * 300)
        tale.end(pod, attempt).say("invocation.result", invocation=f"inv_{number}", value='"ok"')
        if number % 10 == 9:
            tale.gone(pod)
    return tale


def test_over_its_limit_the_oldest_that_have_ended_go_and_it_says_so() -> None:
    tale = Tale().deploy().pod("old-1").send("inv_open", "User/ada/add", body=1)
    tale.start("old-1", "inv_open", "User/ada/add")
    busy(tale, 0, 300)
    recording = Recording(limit=200_000)
    for event in tale.events:
        recording.append(event)
        _ = recording.timeline
    timeline = recording.timeline
    assert len(recording.events) < len(tale.events) / 2
    kept = list(timeline.invocations)
    assert kept[0] == "inv_open"  # nobody lets go of what may still be waited for
    assert kept[1:] == [f"inv_{n}" for n in range(300 - len(kept) + 1, 300)]
    assert "old-1" in timeline.pods
    assert len(timeline.pods) < 25
    assert len(timeline.effects) == 300  # the outside world's count stands
    assert timeline.dropped["invocations"] == 301 - len(kept)
    assert "Dropped to stay under 200,000 bytes" in repr(recording)
    assert f"{301 - len(kept):,} invocations" in repr(recording)
    assert sum(isinstance(event, kinds.RecordingDropped) for event in recording.events) >= 1
    assert len(recording) > len(tale.events)  # positions go on
    looked_at(recording)
    with pytest.raises(RecordingError, match="holds no invocation"):
        recording.invocation("inv_0")


def test_a_recording_that_has_let_go_is_saved_and_loaded(folder: Path) -> None:
    recording = Recording(busy(Tale().deploy(), 0, 200).events, limit=150_000)
    _ = recording.timeline
    loaded = Recording.load(recording.save(folder / "less.jsonl"))
    assert loaded.events == recording.events
    assert "Dropped" in repr(loaded)
    assert [trace.id for trace in loaded.invocations] == [trace.id for trace in recording.invocations]
    looked_at(loaded)


def test_who_reads_since_a_position_survives_that() -> None:
    recording = Recording(limit=100_000)
    heard: list[Event] = []
    position = 0
    events = busy(Tale().deploy(), 0, 200).events
    for event in events:
        recording.append(event)
        heard += recording.since(position)
        position = len(recording)
        _ = recording.timeline
    assert [event for event in heard if not isinstance(event, kinds.RecordingDropped)] == events
    assert recording.since(position) == []
    assert recording.since(0) == list(recording.events)


def test_a_page_follows_a_recording_that_lets_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes_module, "KEPT", 200)
    tale = busy(Tale().deploy(), 0, 100)
    recording = Recording(tale.events[:400], limit=10**9)
    board = Panels(recording).invocations()
    page = board.get_state()["snapshot"]
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(board, "send", lambda content, buffers=None: sent.append(content))
    recording.limit = 50_000
    recording.append(*tale.events[400:])
    board.flush()
    (message,) = sent
    assert message["whole"]
    assert message["from"] == 0
    now = board.picture(recording.timeline)["tables"]["invocations"]
    assert message["data"]["tables"]["invocations"] == now
    assert page["tables"]["invocations"].keys() - now.keys()  # what the page has to take away
    board.close()


def test_an_invocation_that_is_let_go_disappears_from_panels() -> None:
    tale = busy(Tale().deploy(), 0, 100)
    recording = Recording(tale.events, limit=10**9)
    board = Panels(recording).dashboard()
    timeline = recording.timeline
    page, position = arrived(board.picture(timeline)), len(timeline.changes)
    recording.limit = 200_000
    timeline = recording.timeline
    changes = timeline.changes.since(position)
    assert changes is not None
    apply(page, board.delta(timeline, dict.fromkeys(changes).keys()) or {})
    now = board.picture(timeline)
    assert now["tables"]["invocations"]
    for name in ("invocations", "pods", "awakeables"):
        assert page["tables"][name].keys() == now["tables"][name].keys(), name
    board.close()


def test_a_lens_whose_invocation_is_let_go_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    tale = busy(Tale().deploy(), 0, 100)
    recording = Recording(tale.events, limit=10**9)
    widget = LensWidget(recording, "inv_0")
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(widget, "send", lambda content, buffers=None: sent.append(content))
    recording.limit = 50_000
    recording.append(Event.now("server.ready"))
    widget.flush()
    assert not sent  # what the page has is all there will ever be
    widget.close()


def test_a_lens_of_what_was_let_go_says_so_when_it_is_shown_again() -> None:
    recording = Recording(busy(Tale().deploy(), 0, 100).events, limit=10**9)
    lens = Lens(recording, "inv_0")
    recording.limit = 50_000
    assert "has dropped the oldest" in repr(lens)
    assert lens._repr_mimebundle_() == ({"text/plain": repr(lens)}, {})


def test_a_pod_that_prints_without_end_keeps_its_latest_lines() -> None:
    recording = Recording([Event.now("pod.starting", pod="p")], limit=20_000_000)
    for number in range(60_000):
        recording.append(Event.now("pod.log", pod="p", text=f"line {number}"))
    pod = recording.timeline.pods["p"]
    assert len(pod.logs) <= MOST_LINES
    assert pod.logs[-1] == "line 59999"
    assert pod.logs_dropped + len(pod.logs) == 60_000
    assert pod.log.startswith(f"({pod.logs_dropped:,} earlier lines are not kept)")
    assert len(recording.events) < 30_000
    assert "lines" in repr(recording)


def test_one_endless_line_is_cut() -> None:
    recording = Recording([Event.now("pod.starting", pod="p"), Event.now("pod.log", pod="p", text="x" * 10_000_000)])
    assert len(recording.timeline.pods["p"].log) <= 1_000_000


def test_readings_are_kept_once_a_key() -> None:
    recording = Recording(limit=100_000)
    for number in range(1000):
        recording.append(Event.now("state.read", service="S", key="k", values={"n": str(number)}))
    assert recording.timeline.states["S", "k"] == {"n": "999"}
    assert len(recording.events) < 200
