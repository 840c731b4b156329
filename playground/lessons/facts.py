"""What a lesson says that can be looked up: terms, and claims with numbers.

A lesson's module keeps both, `TERMS` and `CLAIMS`, next to its exercises. The glossary is generated from the terms of
all lessons; a test holds the claims against the notebook that makes them and against the server's configuration.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    """A word of the field's, in the lesson that introduces it.

    Attributes:
        name: the word, as the notebook has it in italics where it first occurs.
        meaning: one or two sentences, in words that were introduced before.
        page: address of the page of the documentation, if there is one.
    """

    name: str
    meaning: str
    page: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A number that a notebook states about Restate's defaults.

    Attributes:
        says: the notebook's words, verbatim.
        page: address of the page of the documentation; the notebook links it.
        setting: path in `restate-server --dump-config`: "worker.invoker.inactivity-timeout".
        value: what that has there, as the server prints it: "1m".
    """

    says: str
    page: str
    setting: str
    value: str
