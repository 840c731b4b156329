"""The fold: what events add up to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from playground.errors import RecordingError
from playground.recording import Event, Recording, Timeline
from playground.recording.timeline import awakeable_id
from playground.views.text import invocation_table, pods_table


class Story:
    """Events of one pod after another, a tenth of a second apart."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.pod = ""
        self.attempt = 0

    def say(self, kind: str, **data: Any) -> Story:
        self.events.append(Event.of(kind, len(self.events) / 10, data))
        return self

    def start_pod(self) -> Story:
        self.pod, self.attempt = f"signup-00001-{int(self.pod[-1:] or 0) + 1}", 0
        self.say("pod.starting", pod=self.pod, service="signup", revision="signup-00001")
        return self.say("pod.ready", pod=self.pod)

    def start(self, known: int) -> Story:
        self.attempt += 1
        return self.tap("attempt.started", invocation="inv_1", target="Signup/signup", known=known, id="00ff")

    def tap(self, kind: str, **data: Any) -> Story:
        return self.say(kind, pod=self.pod, attempt=self.attempt, **data)

    def gone(self, how: str) -> Story:
        return self.say("pod.gone", pod=self.pod, how=how)

    def replay(self, *types: str) -> Story:
        index = -1
        for kind in types:
            if kind == "Signal":
                self.tap("entry.replayed", type=kind, signal=17)
            elif kind.endswith("completion"):
                self.tap("entry.replayed", type=kind, entry=index, value="ok")
            else:
                index += 1
                self.tap("entry.replayed", type=kind, entry=index, name="send email" if kind == "Run" else "")
        return self


def first_attempt_until_run() -> Story:
    return Story().start_pod().start(1).replay("Input").tap("entry.executed", type="Run", entry=1, name="send email")


def test_a_pod_killed_in_a_run() -> None:
    story = first_attempt_until_run().gone("killed")
    trace = Timeline(story.events).invocations["inv_1"]
    (attempt,) = trace.attempts
    assert attempt.outcome == "killed"
    assert [str(e) for e in attempt.executed] == ["Input"]
    assert [str(e) for e in attempt.cut_off] == ["Run send email"]
    assert trace.status == "backing-off"


def test_a_run_without_a_stored_result_is_executed_again() -> None:
    story = first_attempt_until_run().gone("killed").start_pod().start(2).replay("Input", "Run")
    story.tap("entry.proposed", type="ProposeRunCompletion", entry=1, value="ok")
    story.tap("entry.completed", type="Run completion", entry=1, value="ok")
    trace = Timeline(story.events).invocations["inv_1"]
    assert [str(e) for e in trace.attempts[1].replayed] == ["Input"]
    assert [str(e) for e in trace.attempts[1].executed] == ["Run send email"]


def test_a_result_stored_without_the_pod_hearing_of_it_was_executed() -> None:
    story = first_attempt_until_run().tap("entry.proposed", type="ProposeRunCompletion", entry=1, value="ok")
    story.gone("killed")
    assert Timeline(story.events).invocations["inv_1"].attempts[0].cut_off
    story.start_pod().start(3).replay("Input", "Run", "Run completion")
    trace = Timeline(story.events).invocations["inv_1"]
    assert [str(e) for e in trace.attempts[0].executed] == ["Input", "Run send email"]
    assert [str(e) for e in trace.attempts[1].replayed] == ["Input", "Run send email"]


def test_an_awakeable_waits_is_completed_and_replayed() -> None:
    story = Story().start_pod().start(1).replay("Input")
    story.tap("attempt.suspended", entries=[], signals=[1, 17]).tap("attempt.closed")
    trace = Timeline(story.events).invocations["inv_1"]
    assert (trace.status, [str(e) for e in trace.awakeables]) == ("suspended", ["Awakeable"])
    story.gone("stopped").start_pod().start(2).replay("Input", "Signal")
    story.tap("entry.executed", type="Output", entry=1, value='"done"').tap("attempt.ended").tap("attempt.closed")
    timeline = Timeline(story.events)
    trace = timeline.invocations["inv_1"]
    assert (trace.status, trace.value, trace.awakeables) == ("completed", '"done"', [])
    assert invocation_table(trace, timeline).splitlines() == [
        "Signup/signup: completed, 2 attempts on 2 pods, 1 suspension",
        "   entry      attempt 1  attempt 2",
        "─  ─────────  ─────────  ─────────",
        "   on         pod 1      pod 2",
        "0  Input      executed   replayed",
        "   Awakeable  awaited    replayed",
        "1  Output     –          executed",
        "   ended      suspended  completed",
    ]
    assert pods_table(timeline.pods.values()).splitlines()[-2:] == [
        "signup pod 1  signup-00001  stopped",
        "signup pod 2  signup-00001  ready",
    ]


def test_the_first_completion_of_an_awakeable_counts() -> None:
    story = Story().start_pod().start(2).replay("Input")
    story.tap("entry.replayed", type="Signal", signal=17, value='"phone"')
    story.tap("entry.completed", type="Signal", signal=17, value='"laptop"')
    trace = Timeline(story.events).invocations["inv_1"]
    assert [str(e) for e in trace.attempts[0].replayed] == ["Input", "Awakeable"]
    assert trace.entries[-1].result == '"phone"'


def test_an_end_that_was_said_but_never_stored_is_no_completion() -> None:
    story = Story().start_pod().start(1).replay("Input").tap("entry.executed", type="Output", entry=1, value="1")
    story.tap("attempt.ended").gone("killed")
    assert not Timeline(story.events).invocations["inv_1"].done
    story.start_pod().start(1).replay("Input")
    assert [a.outcome for a in Timeline(story.events).invocations["inv_1"].attempts] == ["killed", "running"]


def test_an_older_status_from_the_server_does_not_overrule_a_pod() -> None:
    story = Story().start_pod().start(1)
    story.events.append(Event.of("invocation.status", 0.0, {"invocation": "inv_1", "status": "pending"}))
    assert Timeline(story.events).invocations["inv_1"].status == "running"
    story.events.append(Event.of("invocation.status", 9.0, {"invocation": "inv_1", "status": "paused"}))
    assert Timeline(story.events).invocations["inv_1"].status == "paused"


def test_a_failed_step() -> None:
    story = first_attempt_until_run().tap("attempt.failed", code=500, message="ValueError('a bug')", entry=1)
    story.tap("attempt.closed")
    attempt = Timeline(story.events).invocations["inv_1"].attempts[0]
    assert (attempt.outcome, attempt.failure) == ("failed", (500, "ValueError('a bug')"))
    assert attempt.marks["entry", 1].how == "failed"


def test_an_effect_belongs_to_the_run_that_was_running() -> None:
    story = first_attempt_until_run()
    story.say("effect.happened", number=1, effect="email", pod=story.pod, attempt=1, body="{}")
    story.say("effect.happened", number=2, effect="email", pod="somewhere", attempt=1)
    first, second = Timeline(story.events).effects
    assert (first.invocation, first.row) == ("inv_1", ("entry", 1))
    assert (second.invocation, second.row) == ("", None)


def test_a_saved_recording_keeps_what_it_does_not_know(tmp_path: Path) -> None:
    events = [
        Event.of("from.the.future", 1.5, {"new": {"deep": [1, "\u2028\ud800"]}}),
        Event.of("pod.log", 2.0, {"text": "a\nb"}),
    ]
    path = Recording(events).save(tmp_path / "run.jsonl")
    assert list(Recording.load(path).events) == events


def test_recordings_that_cannot_be_read(tmp_path: Path) -> None:
    def problem(text: str | None) -> RecordingError:
        path = tmp_path / "run.jsonl"
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
        with pytest.raises(RecordingError) as raised:
            Recording.load(path)
        assert raised.value.fix
        return raised.value

    header = json.dumps({"format": "durable-playground recording", "schema": 1})
    assert "could not be read" in problem(None).what
    assert "is not a recording" in problem("").what
    assert "is not a recording" in problem('{"a": 1}\n').what
    assert "newer playground" in problem(header.replace("1", "99")).what
    assert "damaged in line 2" in problem(f'{header}\n{{"kind": 3}}\n{{"kind": "a", "at": 1}}\n').what
    cut = tmp_path / "cut.jsonl"
    cut.write_text(f'{header}\n{{"kind": "a", "at": 1}}\n{{"kind": "b", "a')
    assert [event.kind for event in Recording.load(cut).events] == ["a", "recording.cut"]
    with pytest.raises(RecordingError, match="could not be saved"):
        Recording().save(tmp_path / "nowhere" / "run.jsonl")
    with pytest.raises(RecordingError, match="holds no invocation"):
        Recording().invocation("inv_1")


def test_an_awakeables_id_as_restate_makes_it() -> None:
    # Measured: the id a handler printed, and the id in the Start frame of its invocation.
    raw = "dc330a175892afef3c6fc6d709f9b911e835ff395cbba25a"
    assert awakeable_id(raw, 17) == "sign_13DMKF1iSr-88b8bXCfm5Eeg1_zlcu6JaAAAAEQ"
