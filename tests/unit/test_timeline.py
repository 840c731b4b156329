"""The fold: what events add up to."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from playground.errors import RecordingError
from playground.recording import Event, Recording
from playground.recording.fold import Fold
from playground.recording.timeline import awakeable_id
from playground.views import model
from playground.views.outside import outside
from playground.views.text import invocation_table, ledger_table, pods_table, summary


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
    trace = Fold(story.events).invocations["inv_1"]
    (attempt,) = trace.attempts
    assert attempt.outcome == "killed"
    assert [str(e) for e in attempt.executed] == ["Input"]
    assert [str(e) for e in attempt.cut_off] == ["Run send email"]
    assert trace.status == "backing-off"


def test_a_run_without_a_stored_result_is_executed_again() -> None:
    story = first_attempt_until_run().gone("killed").start_pod().start(2).replay("Input", "Run")
    story.tap("entry.proposed", type="ProposeRunCompletion", entry=1, value="ok")
    story.tap("entry.completed", type="Run completion", entry=1, value="ok")
    trace = Fold(story.events).invocations["inv_1"]
    assert [str(e) for e in trace.attempts[1].replayed] == ["Input"]
    assert [str(e) for e in trace.attempts[1].executed] == ["Run send email"]


def test_a_result_stored_without_the_pod_hearing_of_it_was_executed() -> None:
    story = first_attempt_until_run().tap("entry.proposed", type="ProposeRunCompletion", entry=1, value="ok")
    story.gone("killed")
    assert Fold(story.events).invocations["inv_1"].attempts[0].cut_off
    story.start_pod().start(3).replay("Input", "Run", "Run completion")
    trace = Fold(story.events).invocations["inv_1"]
    assert [str(e) for e in trace.attempts[0].executed] == ["Input", "Run send email"]
    assert [str(e) for e in trace.attempts[1].replayed] == ["Input", "Run send email"]


def test_an_awakeable_waits_is_completed_and_replayed() -> None:
    story = Story().start_pod().start(1).replay("Input")
    story.tap("attempt.suspended", entries=[], signals=[1, 17]).tap("attempt.closed")
    trace = Fold(story.events).invocations["inv_1"]
    assert (trace.status, [str(e) for e in trace.awakeables]) == ("suspended", ["Awakeable"])
    story.gone("stopped").start_pod().start(2).replay("Input", "Signal")
    story.tap("entry.executed", type="Output", entry=1, value='"done"').tap("attempt.ended").tap("attempt.closed")
    timeline = Fold(story.events)
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
    trace = Fold(story.events).invocations["inv_1"]
    assert [str(e) for e in trace.attempts[0].replayed] == ["Input", "Awakeable"]
    assert trace.entries[-1].result == '"phone"'


def test_an_end_that_was_said_but_never_stored_is_no_completion() -> None:
    story = Story().start_pod().start(1).replay("Input").tap("entry.executed", type="Output", entry=1, value="1")
    story.tap("attempt.ended").gone("killed")
    assert not Fold(story.events).invocations["inv_1"].done
    story.start_pod().start(1).replay("Input")
    assert [a.outcome for a in Fold(story.events).invocations["inv_1"].attempts] == ["killed", "running"]


def test_an_older_status_from_the_server_does_not_overrule_a_pod() -> None:
    story = Story().start_pod().start(1)
    story.events.append(Event.of("invocation.status", 0.0, {"invocation": "inv_1", "status": "pending"}))
    assert Fold(story.events).invocations["inv_1"].status == "running"
    story.events.append(Event.of("invocation.status", 9.0, {"invocation": "inv_1", "status": "paused"}))
    assert Fold(story.events).invocations["inv_1"].status == "paused"


def test_a_failed_step() -> None:
    story = first_attempt_until_run().tap("attempt.failed", code=500, message="ValueError('a bug')", entry=1)
    story.tap("attempt.closed")
    attempt = Fold(story.events).invocations["inv_1"].attempts[0]
    assert (attempt.outcome, attempt.failure) == ("failed", (500, "ValueError('a bug')"))
    assert attempt.marks["entry", 1].how == "failed"


def cells(story: Story, entry: str) -> list[str]:
    """What the table says of an entry, attempt by attempt."""
    timeline = Fold(story.events)
    table = invocation_table(timeline.invocations["inv_1"], timeline)
    (line,) = [line for line in table.partition("\nJournal mismatch")[0].splitlines() if entry in line]
    return re.split(r" {2,}", line.split(entry)[1].strip())


def test_an_effect_belongs_to_the_step_that_the_pod_names() -> None:
    story = first_attempt_until_run().tap("entry.executed", type="Run", entry=2, name="charge")
    for number, step in ((1, 2), (2, 1), (3, -1), (4, -1)):
        story.say("effect.happened", number=number, effect="email", pod=story.pod, attempt=1, step=step)
    story.say("effect.happened", number=5, effect="email", pod="somewhere", attempt=1)
    timeline = Fold(story.events)
    assert [effect.row for effect in timeline.effects] == [("entry", 2), ("entry", 1), None, None, None]
    assert [effect.invocation for effect in timeline.effects] == ["inv_1"] * 4 + [""]
    assert [effect.outside for effect in timeline.effects] == [False, False, True, True, False]
    told = outside(model.picture(timeline, "inv_1"))
    assert told[0] == "“email”, outside of any step, reached the outside world twice"
    assert "pod 1, outside of any step" in ledger_table(timeline.effects, {story.pod: "pod 1"})


def test_an_effect_that_is_heard_of_before_its_step_waits_for_it() -> None:
    story = Story().start_pod().start(1).replay("Input")
    story.say("effect.happened", number=1, effect="email", pod=story.pod, attempt=1, step=1)
    assert Fold(story.events).effects[0].row is None
    story.tap("entry.executed", type="Run", entry=1, name="send email")
    assert Fold(story.events).effects[0].row == ("entry", 1)


def test_in_an_older_recording_the_only_run_at_the_time_caused_it_and_one_of_two_is_not_guessed() -> None:
    story = first_attempt_until_run()
    story.say("effect.happened", number=1, effect="email", pod=story.pod, attempt=1, body="{}")
    story.tap("entry.executed", type="Run", entry=2, name="charge")
    story.say("effect.happened", number=2, effect="email", pod=story.pod, attempt=1)
    assert [effect.row for effect in Fold(story.events).effects] == [("entry", 1), None]


def test_a_run_that_failed_for_good_does_not_read_executed() -> None:
    failure = [402, "no money"]
    story = first_attempt_until_run().tap("entry.proposed", type="ProposeRunCompletion", entry=1, failure=failure)
    story.tap("entry.completed", type="Run completion", entry=1, failure=failure)
    story.tap("attempt.suspended", entries=[], signals=[1, 17]).tap("attempt.closed").start(3)
    story.tap("entry.replayed", type="Input", entry=0).tap("entry.replayed", type="Run", entry=1, name="send email")
    story.tap("entry.replayed", type="Run completion", entry=1, failure=failure)
    assert cells(story, "Run send email") == ["failed for good", "replayed failure"]


def test_a_run_that_will_be_tried_again_has_failed_and_then_failed_for_good() -> None:
    story = first_attempt_until_run().tap("attempt.failed", code=500, message="a bug", entry=1).tap("attempt.closed")
    story.start(2).replay("Input", "Run")
    story.tap("entry.proposed", type="ProposeRunCompletion", entry=1, failure=[500, "given up"])
    story.tap("entry.completed", type="Run completion", entry=1, failure=[500, "given up"])
    assert cells(story, "Run send email") == ["failed", "failed for good"]


@pytest.mark.parametrize("end", ["attempt.ended", "attempt.suspended"])
def test_a_step_whose_result_was_handed_over_before_the_end_is_not_cut_off(end: str) -> None:
    story = first_attempt_until_run().tap("entry.proposed", type="ProposeRunCompletion", entry=1, value="ok")
    story.tap(end).tap("attempt.closed")
    assert cells(story, "Run send email") == ["executed"]


def test_a_step_that_was_left_running_at_the_end_is_cut_off() -> None:
    story = first_attempt_until_run().tap("entry.executed", type="Output", entry=2, value="1")
    story.tap("attempt.ended").tap("attempt.closed")
    assert cells(story, "Run send email") == ["cut off"]


def mismatch(story: Story, entry: int | None) -> Story:
    """An attempt whose handler asks for something else than the journal has at an entry."""
    story.start(5).replay("Input", "Run", "Run completion", "Sleep", "Sleep completion")
    return story.tap("attempt.failed", code=570, message="journal mismatch", entry=entry).tap("attempt.closed")


def test_what_a_handler_that_does_not_fit_never_asked_for_was_not_replayed() -> None:
    story = mismatch(Story().start_pod(), 1)
    trace = Fold(story.events).invocations["inv_1"]
    assert [str(entry) for entry in trace.attempts[0].replayed] == ["Input"]
    assert cells(story, "Run send email") == ["mismatch"]
    assert cells(story, "Sleep") == ["–"]


def test_a_mismatch_is_told_even_if_a_later_attempt_fits() -> None:
    story = mismatch(Story().start_pod(), 1).start(5).replay("Input", "Run", "Run completion", "Sleep")
    story.tap("entry.replayed", type="Sleep completion", entry=2)
    story.tap("entry.executed", type="Output", entry=3, value="1").tap("attempt.ended").tap("attempt.closed")
    timeline = Fold(story.events)
    trace = timeline.invocations["inv_1"]
    assert trace.mismatches == 1
    assert summary(trace, timeline) == "completed, 2 attempts on 1 pod, 1 journal mismatch"


def test_who_ended_an_invocation() -> None:
    def aborted(failure: list[Any], story: Story | None = None) -> str:
        story = story or Story().start_pod().start(1).replay("Input")
        story.say("invocation.result", invocation="inv_1", failure=failure)
        return Fold(story.events).invocations["inv_1"].aborted

    def output(message: str) -> Story:
        story = Story().start_pod().start(1).replay("Input")
        return story.tap("entry.executed", type="Output", entry=1, failure=[409, message])

    assert aborted([409, "killed"]) == "killed"
    assert aborted([409, "cancelled"]) == "cancelled"
    assert aborted([500, "killed"]) == ""
    assert aborted([409, "a conflict"]) == ""
    assert aborted([409, "killed"], output("killed")) == ""  # the handler has raised just that
    assert aborted([409, "cancelled"], output("cancelled")) == ""
    asked = Story().start_pod().start(1).replay("Input").tap("entry.completed", type="Signal", signal=1)
    asked.tap("entry.executed", type="Output", entry=1, failure=[409, "cancelled"])
    assert aborted([409, "cancelled"], asked) == "cancelled"


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
