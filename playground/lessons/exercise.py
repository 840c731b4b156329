"""What all exercises have in common: a name, hints, a solution, and a check whose feedback is remembered."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

from playground.errors import PlaygroundError
from playground.lessons.feedback import Broken, CannotCheck, Feedback, NotYet
from playground.lessons.progress import note


def _unexpected(error: Exception) -> list[str]:
    """Feedback for an error that a check did not expect."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return [
        f"The check itself has failed: {type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})",
        "That says nothing about your answer. Please report this line.",
    ]


class Exercise:
    """Something a learner is asked for.

    Args:
        name: unique in the course; also the name of the variable that holds it.
        question: what is asked for, in one or two sentences.
        hints: at least three, each more helpful than the one before.
        because: why the solution is right.
    """

    kind = ""
    blank = "..."
    """What a notebook has in place of an answer."""

    def __init__(self, name: str, question: str, *, hints: Sequence[str], because: str) -> None:
        self.name, self.question, self.because = name, question, because
        self.hints = tuple(hints)
        self._hinted = 0

    # -- what a learner calls ---------------------------------------------------------------------

    def check(self) -> Feedback:
        """Compare the answer with what is observed. Changes nothing that was deployed or recorded.

        It does not raise. An error that the check did not expect is reported as such, and never as a wrong answer.
        """
        try:
            feedback = self._check()
        except NotYet as wrong:
            lines = [f"Observed: {wrong.observed}", f"Expected: {wrong.expected}", *filter(None, [wrong.mistake])]
            feedback = self._feedback("not yet", *lines, self._next_hint())
        except Broken as broken:
            feedback = self._feedback("error", str(broken))
        except CannotCheck as missing:
            feedback = self._feedback("cannot check", missing.why, *([missing.fix] if missing.fix else []))
        except PlaygroundError as error:
            feedback = self._feedback("cannot check", str(error))
        except KeyboardInterrupt:
            feedback = self._feedback("cannot check", "It was interrupted. Run the cell again.")
        except Exception as error:
            feedback = self._feedback("cannot check", *_unexpected(error))
        note(self.name, feedback.kind)
        return feedback

    def hint(self) -> Feedback:
        """The next hint. After the last one, the last one again."""
        self._hinted = min(self._hinted + 1, len(self.hints))
        more = "" if self._hinted < len(self.hints) else "That was the last hint. Next there is solution()."
        hint = f"{self._hinted} of {len(self.hints)}: {self.hints[self._hinted - 1]}"
        return self._feedback("hint", hint, *([more] if more else []))

    def solution(self) -> Feedback:
        """The answer, and why it is right."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{self.name} ({self.kind}): {self.question}"

    # -- what notebooks and tests use ---------------------------------------------------------------

    @property
    def right(self) -> object:
        """The solution in the form of an answer."""
        raise NotImplementedError

    def cell(self, answer: object) -> str:
        """The source of a cell that gives this answer."""
        raise NotImplementedError

    # -- inside -------------------------------------------------------------------------------------

    def _check(self) -> Feedback:
        raise NotImplementedError

    def _feedback(self, kind: str, *lines: str, code: str = "") -> Feedback:
        return Feedback(self.name, kind, "\n".join(lines), code)  # type: ignore[arg-type]

    def _next_hint(self) -> str:
        return f"Stuck? lesson.{self.name}.hint()"
