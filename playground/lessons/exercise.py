"""What all exercises have in common: a name, hints, a solution, a check, and where the outcome goes."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

from playground.errors import PlaygroundError
from playground.lessons.outcome import Broken, CannotCheck, NotYet, Outcome
from playground.lessons.progress import note


def _unforeseen(error: Exception) -> list[str]:
    """What is said of an error that a check has not foreseen."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return [
        f"The check itself has failed: {type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})",
        "Whether your answer is right is still open. Please report this line.",
    ]


class Exercise:
    """Something a learner is asked for.

    Args:
        name: unique in the course; also the name of the variable that holds it.
        question: what is asked for, in one or two sentences.
        hints: at least three, each warmer than the one before.
        because: why the solution is the solution.
    """

    kind = ""
    blank = "..."
    """How a notebook asks for the answer, unanswered."""

    def __init__(self, name: str, question: str, *, hints: Sequence[str], because: str) -> None:
        self.name, self.question, self.because = name, question, because
        self.hints = tuple(hints)
        self._hinted = 0

    # -- what a learner calls ---------------------------------------------------------------------

    def check(self) -> Outcome:
        """Hold the answer against what is observed. Changes nothing that was deployed or recorded.

        It does not raise. What a check has not foreseen is told as such, and never as a wrong answer.
        """
        try:
            outcome = self._check()
        except NotYet as found:
            lines = [f"Observed: {found.observed}", f"Expected: {found.expected}", *filter(None, [found.mistake])]
            outcome = self._outcome("not yet", *lines, self._next_hint())
        except Broken as broken:
            outcome = self._outcome("error", str(broken))
        except CannotCheck as missing:
            outcome = self._outcome("cannot check", missing.why, *([missing.fix] if missing.fix else []))
        except PlaygroundError as error:
            outcome = self._outcome("cannot check", str(error))
        except KeyboardInterrupt:
            outcome = self._outcome("cannot check", "It was interrupted. Run the cell again.")
        except Exception as error:
            outcome = self._outcome("cannot check", *_unforeseen(error))
        note(self.name, outcome.kind)
        return outcome

    def hint(self) -> Outcome:
        """The next hint; after the last one, that again."""
        self._hinted = min(self._hinted + 1, len(self.hints))
        more = "" if self._hinted < len(self.hints) else "That was the last hint. After it there is solution()."
        told = f"{self._hinted} of {len(self.hints)}: {self.hints[self._hinted - 1]}"
        return self._outcome("hint", told, *([more] if more else []))

    def solution(self) -> Outcome:
        """The answer, and why it is the answer."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{self.name} ({self.kind}): {self.question}"

    # -- what notebooks and tests use ---------------------------------------------------------------

    @property
    def right(self) -> object:
        """The solution, in the form of an answer."""
        raise NotImplementedError

    def cell(self, answer: object) -> str:
        """The source of the cell that gives an answer."""
        raise NotImplementedError

    # -- inside -------------------------------------------------------------------------------------

    def _check(self) -> Outcome:
        raise NotImplementedError

    def _outcome(self, kind: str, *lines: str, code: str = "") -> Outcome:
        return Outcome(self.name, kind, "\n".join(lines), code)  # type: ignore[arg-type]

    def _next_hint(self) -> str:
        return f"Stuck? lesson.{self.name}.hint()"
