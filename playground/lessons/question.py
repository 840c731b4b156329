"""Questions: *predict* asks before a run what will be recorded; *read* asks what a recording shows.

Either way the answer is a value, which is compared with what is computed from a recording.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from playground.current import current
from playground.errors import PlaygroundClosed
from playground.lessons.evidence import Evidence
from playground.lessons.exercise import Exercise
from playground.lessons.feedback import CannotCheck, Feedback
from playground.recording import Recording

RECORDINGS = Path(__file__).parent / "recordings"


class Question(Exercise):
    """A question whose answer is in a recording.

    Args:
        name, question, hints, because: see `Exercise`.
        answer: the right answer, as it is usually recorded.
        observe: computes what was really recorded. It may raise `CannotCheck`.
        mistakes: at least three wrong answers, and what each overlooks; also an attribute.
        options: the answers to choose from, if there is a choice.
        unit: what a number counts, e.g. "emails".
        recording: the name of a recording in `recordings/` to use instead of the running playground's.
    """

    verb = ""

    def __init__(
        self,
        name: str,
        question: str,
        *,
        answer: Any,
        observe: Callable[[Evidence], Any],
        mistakes: Mapping[Any, str],
        hints: Sequence[str],
        because: str,
        options: Sequence[str] = (),
        unit: str = "",
        recording: str = "",
    ) -> None:
        super().__init__(name, question, hints=hints, because=because)
        self._expected, self._observe, self.mistakes = answer, observe, dict(mistakes)
        self._options, self._unit, self._recording = tuple(options), unit, recording
        self._answer: Any = ...

    @property
    def recording(self) -> Recording:
        """The recording it is about, if it comes with one."""
        return Recording.load(RECORDINGS / f"{self._recording}.jsonl")

    def solution(self) -> Feedback:
        """The answer as it is usually recorded, and why it is right."""
        return self._feedback("solution", f"{self._say(self._expected)}. {self.because}")

    @property
    def right(self) -> object:
        """The answer as it is usually recorded."""
        return self._expected

    def cell(self, answer: object) -> str:
        """The line that gives this answer."""
        return f"lesson.{self.name}.{self.verb}({'...' if answer is ... else repr(answer)})"

    def _give(self, values: tuple[Any, ...], named: Mapping[str, Any]) -> Feedback:
        if named:
            name, value = next(iter(named.items()))
            fix = f"An answer has no name: lesson.{self.name}.{self.verb}({value!r}), without {name}=."
            return self._feedback("error", fix)
        answer = values[0] if len(values) == 1 else values or ...
        self._answer = answer
        lines = [self.question]
        if self._options:
            lines.append(f"One of: {', '.join(map(repr, self._options))}")
        if answer is ...:
            return self._feedback("not attempted", *lines, "Write your answer in place of the dots.")
        if wrong := self._unfit(answer):
            return self._feedback("error", wrong)
        return self._feedback("noted", self.question, f"Your answer: {self._say(answer)}.")

    def _check(self) -> Feedback:
        if self._answer is ...:
            return self._feedback("not attempted", f"lesson.{self.name}.{self.verb}(...) still has its dots.")
        if wrong := self._unfit(self._answer):
            return self._feedback("error", wrong)
        recorded = self._observe(self._evidence())
        given = self._normal(self._answer)
        if given == self._normal(recorded):
            return self._feedback("correct", f"Recorded: {self._say(recorded)}.", self.because)
        lines = [f"Your answer: {self._say(self._answer)}. Recorded: {self._say(recorded)}."]
        overlooked = next((says for answer, says in self.mistakes.items() if self._normal(answer) == given), "")
        if self._normal(recorded) != self._normal(self._expected):
            lines.append("That is not what is usually recorded here. Look at the lens: what was different this time?")
        elif overlooked:
            lines.append(overlooked)
        return self._feedback("not yet", *lines, self._next_hint())

    def _evidence(self) -> Evidence:
        if self._recording:
            return Evidence(self.recording)
        try:
            playground = current()
        except PlaygroundClosed:
            raise CannotCheck(
                "No playground is open.", "Run this notebook's first cell, then the cells below it."
            ) from None
        return Evidence(playground.recording, playground)

    def _unfit(self, answer: Any) -> str:
        """Why a value cannot be an answer; empty if it can."""
        if self._options and self._normal(answer) not in map(self._normal, self._options):
            return f"{answer!r} is not one of the answers: {', '.join(map(repr, self._options))}."
        wanted, got = self._kind(self._expected), self._kind(answer)
        return "" if wanted == got else f"The answer is {wanted}; {answer!r} is {got}."

    def _kind(self, answer: Any) -> str:
        """The kind of an answer, in words. Two answers can be compared if it is the same."""
        if isinstance(answer, list | tuple):
            # A tuple has a fixed number of values; a list may have any length.
            asked = type(self._expected)
            if asked is list or (asked is not tuple and isinstance(answer, list)):
                return "a list"
            return f"{len(answer)} value{'s' * (len(answer) != 1)}"
        kind = type(self._normal(answer))
        return {int: "a whole number", str: "a text in quotes", bool: "True or False"}.get(kind, kind.__name__)

    def _normal(self, answer: Any) -> Any:
        if isinstance(answer, str):
            return " ".join(answer.casefold().split())
        if isinstance(answer, list | tuple):
            return tuple(map(self._normal, answer))
        return int(answer) if isinstance(answer, float) and answer.is_integer() else answer

    def _say(self, answer: Any) -> str:
        text = ", ".join(map(str, answer)) or "none" if isinstance(answer, list | tuple) else str(answer)
        unit = self._unit[:-1] if self._unit.endswith("s") and answer == 1 else self._unit
        return f"{text} {unit}".rstrip()


class Predict(Question):
    """A question before a run: what will be recorded?"""

    kind = verb = "predict"

    def predict(self, *answer: Any, **named: Any) -> Feedback:
        """Say what will be recorded. Call this before the run, and again if you change your mind."""
        return self._give(answer, named)


class Read(Question):
    """A question about a recording: what happened?"""

    kind, verb = "read", "answer"

    def answer(self, *answer: Any, **named: Any) -> Feedback:
        """Say what happened."""
        return self._give(answer, named)
