"""The feedback of an exercise, in the learner's terms. A check leads to one of five kinds:

* correct;
* not yet: says what was observed and what was expected;
* error: the answer could not be tried, because it is of the wrong kind or its code raised;
* not attempted: there is no answer yet;
* cannot check: something is missing that has nothing to do with the answer, which is never called wrong then.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any, Literal

Kind = Literal["correct", "not yet", "error", "not attempted", "cannot check", "noted", "hint", "solution"]

# A shape as well as a word, so that nothing depends on colour alone.
_SHAPES = {"correct": "✔", "not yet": "✗", "error": "!", "not attempted": "○", "cannot check": "?"}


@dataclass(frozen=True, slots=True)
class Feedback:
    """What an exercise tells the learner.

    Attributes:
        exercise: its name.
        kind: one of the five kinds of a check, or "noted", "hint" or "solution".
        text: what it says, in lines separated by newlines.
        code: Python code that belongs to it; may be empty.
    """

    exercise: str
    kind: Kind
    text: str
    code: str = ""

    @property
    def title(self) -> str:
        """The first line."""
        word = self.kind[0].upper() + self.kind[1:]
        return f"{_SHAPES.get(self.kind, '·')} {word}: {self.exercise}"

    def __repr__(self) -> str:
        lines = [self.title, *(f"  {line}" for line in self.text.splitlines())]
        if self.code:
            lines += ["", self.code.rstrip()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        weight = 6 if self.kind in _SHAPES else 2
        parts = "".join(f"<p style='margin:2px 0'>{escape(line)}</p>" for line in self.text.splitlines())
        if self.code:
            parts += f"<pre style='margin:6px 0'>{escape(self.code.rstrip())}</pre>"
        style = f"border-left:{weight}px solid currentColor;padding:2px 12px;max-width:48em"
        return f"<div style='{style}'><p style='margin:2px 0'><b>{escape(self.title)}</b></p>{parts}</div>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


class CannotCheck(Exception):
    """Something is missing for a check that has nothing to do with the answer.

    Args:
        why: what is missing.
        fix: the line or the cell that provides it.
    """

    def __init__(self, why: str, fix: str = "") -> None:
        super().__init__(why)
        self.why, self.fix = why, fix


class NotYet(Exception):
    """An answer does not do what was asked for.

    Args:
        observed: what it did.
        expected: what it should have done.
        mistake: the reason, if it is known.
    """

    def __init__(self, observed: str, expected: str, mistake: str = "") -> None:
        super().__init__(observed)
        self.observed, self.expected, self.mistake = observed, expected, mistake


class Broken(Exception):
    """The learner's code raised where it should not have.

    Attributes:
        code: the error's code in Restate: 500 for a plain exception, 570 for a journal mismatch.
        message: the error's message.
    """

    def __init__(self, what: str, *, code: int = 500, message: str = "") -> None:
        super().__init__(what)
        self.code, self.message = code, message
