"""The exercise engine, without a server: what is said, how answers are read, what is remembered."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from playground import lessons
from playground.errors import RecordingError
from playground.lessons import question
from playground.lessons.evidence import Evidence
from playground.lessons.exercise import Exercise
from playground.lessons.feedback import Broken, CannotCheck, Feedback, NotYet
from playground.lessons.progress import Progress, note, path, read
from playground.lessons.question import Predict, Read

RECORDINGS = Path(__file__).parents[1] / "recordings"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A learner's, who has not begun, and a recording for the questions."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(question, "RECORDINGS", RECORDINGS)
    return tmp_path


def ask(kind: type[Predict] | type[Read] = Read, **options: Any) -> Any:
    """A question about a recording; its answer is 2."""
    given = {
        "answer": 2,
        "unit": "emails",
        "observe": lambda seen: 2,
        "mistakes": {1: "One is too few.", 3: "Three is too many.", 0: "None is none."},
        "recording": "signup",
        **options,
    }
    return kind("mails", "How many emails?", hints=["cold", "warm", "hot"], because="It was cut off.", **given)


def checked(exercise: Any, answer: Any) -> Feedback:
    (exercise.predict if isinstance(exercise, Predict) else exercise.answer)(answer)
    said = exercise.check()
    assert isinstance(said, Feedback)
    return said


class Raises(Exercise):
    """An exercise whose check raises something."""

    def __init__(self, error: BaseException) -> None:
        super().__init__("raises", "?", hints=["a", "b", "c"], because="")
        self.error = error

    def _check(self) -> Feedback:
        raise self.error


# -- what is said -----------------------------------------------------------------------------------


def test_an_outcome_as_text_and_as_html() -> None:
    said = Feedback("mails", "not yet", "Observed: <b>2</b>\nExpected: 1 & no more", "if a < b:\n    pass\n")
    assert repr(said).splitlines() == [
        "✗ Not yet: mails",
        "  Observed: <b>2</b>",
        "  Expected: 1 & no more",
        "",
        "if a < b:",
        "    pass",
    ]
    bundle = said._repr_mimebundle_()
    assert bundle["text/plain"] == repr(said)
    assert "&lt;b&gt;2&lt;/b&gt;" in bundle["text/html"]
    assert "1 &amp; no more" in bundle["text/html"]
    assert "if a &lt; b:" in bundle["text/html"]
    assert "<b>2" not in bundle["text/html"], "nothing of an answer becomes markup"


def test_what_a_learner_answers_is_never_markup() -> None:
    exercise = ask(answer="twice", mistakes={"once": "No."}, unit="", options=("once", "twice"))
    exercise.answer("<script>alert(1)</script>")
    assert "<script>" not in exercise.check()._repr_html_()


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("correct", "✔ Correct: mails"),
        ("not yet", "✗ Not yet: mails"),
        ("error", "! Error: mails"),
        ("not attempted", "○ Not attempted: mails"),
        ("cannot check", "? Cannot check: mails"),
        ("hint", "· Hint: mails"),
    ],
)
def test_each_kind_has_a_word_and_a_shape(kind: Any, title: str) -> None:
    assert Feedback("mails", kind, "").title == title


@pytest.mark.parametrize(
    ("error", "kind", "lines"),
    [
        (NotYet("2 emails", "1 email", "No key?"), "not yet", ["Observed: 2 emails", "Expected: 1 email", "No key?"]),
        (NotYet("2 emails", "1 email"), "not yet", ["Observed: 2 emails", "Expected: 1 email"]),
        (Broken("it raises: nothing"), "error", ["it raises: nothing"]),
        (
            CannotCheck("Nothing is recorded.", "Run the cells."),
            "cannot check",
            ["Nothing is recorded.", "Run the cells."],
        ),
        (
            RecordingError("No such run.", "It never ran.", "Run it."),
            "cannot check",
            ["No such run.", "Why: It never ran."],
        ),
    ],
)
def test_whatever_a_check_comes_upon_is_an_outcome(error: Exception, kind: str, lines: list[str]) -> None:
    said = Raises(error).check()
    assert said.kind == kind
    assert said.text.splitlines()[: len(lines)] == lines
    assert read() == ({} if kind == "cannot check" else {"raises": kind})


def test_a_bug_of_ours_is_not_shown_as_a_wrong_answer_and_does_not_reach_the_learner() -> None:
    said = Raises(ZeroDivisionError("division by zero")).check()
    assert said.kind == "cannot check"
    assert re.match(
        r"The check itself has failed: ZeroDivisionError: division by zero \(test_engine\.py:\d+\)\n", said.text
    )
    assert "says nothing about your answer" in said.text
    assert read() == {}


def test_an_interrupt_ends_a_check_in_one_line() -> None:
    said = Raises(KeyboardInterrupt()).check()
    assert (said.kind, said.text) == ("cannot check", "It was interrupted. Run the cell again.")
    assert read() == {}


def test_hints_come_in_their_order_and_the_last_one_stays() -> None:
    exercise = ask()
    said = [exercise.hint() for _ in range(4)]
    assert [hint.kind for hint in said] == ["hint"] * 4
    assert [hint.text.splitlines()[0] for hint in said] == [
        "1 of 3: cold",
        "2 of 3: warm",
        "3 of 3: hot",
        "3 of 3: hot",
    ]
    assert ["last hint" in hint.text for hint in said] == [False, False, True, True]
    assert read() == {}, "a hint is no outcome"


def test_a_solution_says_the_answer_and_why() -> None:
    assert repr(ask().solution()) == "· Solution: mails\n  2 emails. It was cut off."
    assert repr(ask()) == "mails (read): How many emails?"
    with pytest.raises(NotImplementedError):
        Raises(NotYet("", "")).solution()


# -- how answers are read ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Predict, Read])
def test_the_way_of_a_question(kind: Any) -> None:
    exercise = ask(kind)
    blank = exercise.cell(...)
    assert blank == f"lesson.mails.{'predict' if kind is Predict else 'answer'}(...)"
    assert exercise.check().kind == "not attempted"
    assert blank in exercise.check().text
    give = exercise.predict if kind is Predict else exercise.answer
    assert give(...).kind == "not attempted"
    assert repr(give(1)) == "· Noted: mails\n  How many emails?\n  Your answer: 1 email."

    assert exercise.check().text.splitlines() == [
        "Your answer: 1 email. Recorded: 2 emails.",
        "One is too few.",
        "Stuck? lesson.mails.hint()",
    ]
    assert checked(exercise, 7).text.splitlines()[1:] == ["Stuck? lesson.mails.hint()"], "nothing is known of 7"
    assert repr(checked(exercise, 2)) == "✔ Correct: mails\n  Recorded: 2 emails.\n  It was cut off."
    assert give(...).kind == "not attempted", "an answer can be taken back"
    assert exercise.check().kind == "not attempted"


@pytest.mark.parametrize(
    ("right", "given"),
    [
        ("cut off", "  Cut   OFF "),
        (2, 2.0),
        (["pod 1", "pod 2"], ("Pod 1", "pod 2")),
        (("a",), ["A"]),
        (True, True),
    ],
)
def test_how_an_answer_is_written_does_not_matter(right: Any, given: Any) -> None:
    assert checked(ask(answer=right, observe=lambda seen: right, mistakes={}, unit=""), given).kind == "correct"


@pytest.mark.parametrize(
    ("right", "given", "says"),
    [
        (2, "2", "The answer is a whole number; '2' is a text in quotes."),
        (2, 2.5, "The answer is a whole number; 2.5 is float."),
        (2, True, "The answer is a whole number; True is True or False."),
        (2, None, "The answer is a whole number; None is NoneType."),
        ("once", 1, "The answer is a text in quotes; 1 is a whole number."),
        (["a"], "a", "The answer is a list; 'a' is a text in quotes."),
        (2, [2], "The answer is a whole number; [2] is a list."),
        (2, {"emails": 2}, "The answer is a whole number; {'emails': 2} is dict."),
        ((1, 2), 1, "The answer is 2 values; 1 is a whole number."),
        ((1, 2), [1], "The answer is 2 values; [1] is 1 value."),
        ((1, 2), (1, 2, 3), "The answer is 2 values; (1, 2, 3) is 3 values."),
        (True, 1, "The answer is True or False; 1 is a whole number."),
    ],
)
def test_an_answer_of_another_kind_is_an_error(right: Any, given: Any, says: str) -> None:
    exercise = ask(answer=right, observe=lambda seen: right, mistakes={}, unit="")
    assert (exercise.answer(given).kind, exercise.answer(given).text) == ("error", says)
    assert (exercise.check().kind, exercise.check().text) == ("error", says)


@pytest.mark.parametrize("kind", [Predict, Read])
def test_more_or_fewer_values_than_one(kind: Any) -> None:
    pair = ask(kind, answer=(1, 2), observe=lambda seen: (1, 2), mistakes={(2, 1): "Turned."}, unit="")
    give = pair.predict if kind is Predict else pair.answer
    for values in ((1, 2), ((1, 2),), ([1, 2],)):
        assert give(*values).kind == "noted"
        assert pair.check().kind == "correct", "two values are two values, in parentheses or not"
    give(2, 1)
    assert "Turned." in pair.check().text
    assert give().kind == "not attempted", "nothing is what the dots are"
    assert pair.check().kind == "not attempted"
    assert give(1, 2, 3).text == "The answer is 2 values; (1, 2, 3) is 3 values."
    assert give({"a": 1}, [2]).kind == "noted"
    assert pair.check().kind == "not yet", "whatever a value is, it is compared"

    one = ask(kind)
    give = one.predict if kind is Predict else one.answer
    assert give(1, 2).text == "The answer is a whole number; (1, 2) is 2 values."
    named = give(emails=2)
    assert (named.kind, named.text) == (
        "error",
        f"An answer has no name: lesson.mails.{one.verb}(2), without emails=.",
    )


def test_an_answer_that_is_no_option() -> None:
    exercise = ask(answer="twice", observe=lambda seen: "twice", mistakes={"once": "No."}, options=("once", "twice"))
    assert exercise.answer(...).text.splitlines()[1] == "One of: 'once', 'twice'"
    assert exercise.answer("thrice").text == "'thrice' is not one of the answers: 'once', 'twice'."
    assert checked(exercise, "TWICE").kind == "correct"


def test_what_was_recorded_is_right_even_if_it_is_not_the_usual() -> None:
    unusual = ask(observe=lambda seen: 3)
    assert checked(unusual, 3).kind == "correct"
    said = checked(unusual, 2)
    assert said.kind == "not yet"
    assert "Your answer: 2 emails. Recorded: 3 emails." in said.text
    assert "not what is usually recorded" in said.text
    assert "One is too few." not in checked(unusual, 1).text, "what is known of an answer is known of the usual run"


def test_units_and_lists_are_said_as_one_says_them() -> None:
    assert "1 email." in checked(ask(observe=lambda seen: 1), 1).text
    none = ask(answer=[], observe=lambda seen: [], mistakes={}, unit="")
    assert "Recorded: none." in checked(none, ()).text
    two = ask(answer=["a", "b"], observe=lambda seen: ["a", "b"], mistakes={}, unit="")
    assert "Recorded: a, b." in checked(two, ["a", "b"]).text


def test_a_question_is_answered_from_its_recording() -> None:
    exercise = ask(observe=lambda seen: len(seen.all("Signup/*")), answer=1)
    recorded = len(Evidence(exercise.recording).all("Signup/*"))
    assert checked(exercise, recorded).kind == "correct"


def test_nothing_to_look_at_is_no_wrong_answer() -> None:
    said = checked(ask(observe=lambda seen: len(seen.all("Nobody/*"))), 2)
    assert said.kind == "cannot check"
    assert said.text.startswith("Nothing is recorded of Nobody/* yet.")
    closed = checked(ask(Predict, recording=""), 2)
    assert closed.kind == "cannot check"
    assert closed.text.startswith("No playground is open.")
    assert read() == {}


def test_what_a_notebook_is_given_as_an_answer() -> None:
    exercise = ask()
    assert exercise.right == 2
    assert exercise.cell(1) == "lesson.mails.answer(1)"


# -- what is remembered -----------------------------------------------------------------------------


def test_progress_is_kept_and_what_was_correct_stays_so() -> None:
    exercise = ask()
    assert checked(exercise, 1).kind == "not yet"
    assert read() == {"mails": "not yet"}
    checked(exercise, "two")
    assert read() == {"mails": "error"}
    checked(exercise, 2)
    checked(exercise, 1)
    assert read() == {"mails": "correct"}
    for kind in ("cannot check", "not attempted", "noted"):
        note("other", kind)
    assert read() == {"mails": "correct"}
    assert [file.name for file in path().parent.iterdir()] == ["progress.json"], "no file is left beside it"


@pytest.mark.parametrize(
    "content", ["", '{"mails": "corr', "[1, 2]", '"x"', "null", "\x00\x01", '{"mails": 3, "a": []}']
)
def test_a_torn_file_is_no_progress_and_no_failure(content: str) -> None:
    path().parent.mkdir(parents=True)
    path().write_text(content)
    assert read() == {}
    assert checked(ask(), 2).kind == "correct"
    assert read() == {"mails": "correct"}


def test_a_file_that_is_not_text() -> None:
    path().parent.mkdir(parents=True)
    path().write_bytes(b"\xff\xfe\xfa")
    assert read() == {}


def _read_only(home: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    os.chmod(home, stat.S_IRUSR | stat.S_IXUSR)


def _a_file_in_the_way(home: Path) -> None:
    (home / "durable-playground").write_text("")


@pytest.mark.parametrize("spoil", [_read_only, _a_file_in_the_way])
def test_a_home_that_cannot_be_written_is_no_failure(home: Path, spoil: Callable[[Path], None]) -> None:
    spoil(home)
    try:
        assert checked(ask(), 2).kind == "correct"
        assert read() == {}, "nothing could be kept"
        assert lessons.progress().done == 0
    finally:
        os.chmod(home, stat.S_IRWXU)


def test_a_full_disk_leaves_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    note("mails", "correct")

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    note("other", "correct")
    assert json.loads(path().read_text()) == {"mails": "correct"}


def test_several_notebooks_at_once_never_tear_the_file() -> None:
    def learn(name: str) -> None:
        for _ in range(20):
            note(name, "not yet")
            note(name, "error")
            assert isinstance(json.loads(path().read_text()), dict)

    with ThreadPoolExecutor(4) as notebooks:
        list(notebooks.map(learn, ["n0", "n1", "n2", "n3"]))  # raises what one of them raises
    kept = read()
    assert kept, "one may overwrite what another has noted at the same moment, but the last to write is there"
    assert set(kept.values()) <= {"not yet", "error"}


def test_progress_is_shown_in_the_order_of_the_course() -> None:
    note("b", "correct")
    note("c", "error")
    note("gone", "correct")
    shown = Progress({"first_lesson": ["a", "b"], "second": ["c"]})
    assert shown.done == 1
    lines = repr(shown).splitlines()
    assert lines[0] == "1 of 3 exercises are correct."
    assert [line.split("  ")[0] for line in lines[3:]] == ["first lesson", "first lesson", "second"]
    assert ["○ not attempted" in lines[3], "✔ correct" in lines[4], "! error" in lines[5]] == [True] * 3
    bundle = shown._repr_mimebundle_()
    assert bundle["text/plain"] == repr(shown)
    assert bundle["text/html"].count("<tr>") == 4


def test_the_course_knows_its_lessons() -> None:
    assert "start_here" in repr(vars(lessons)["LESSONS"])
    assert lessons.start_here is lessons.load("start_here")
    assert list(lessons.exercises("start_here")) == ["initialize_calls", "emails_sent", "last_attempt"]
    with pytest.raises(AttributeError, match="no attribute 'no_such_lesson'"):
        _ = lessons.no_such_lesson
