"""What a lesson says that can be looked up: terms, and claims with numbers.

A lesson's module has both, `TERMS` and `CLAIMS`, next to its exercises. The glossary is generated from the terms of all
lessons. A test compares the claims with the notebook that makes them and with the server's configuration.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    """A technical term, with the lesson that introduces it.

    Attributes:
        name: the term, which the notebook has in italics where it first occurs.
        meaning: one or two sentences that only use terms introduced before.
        page: the address of a page in the documentation, if there is one.
    """

    name: str
    meaning: str
    page: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A number that a notebook states about Restate's defaults.

    Attributes:
        says: the notebook's words, verbatim.
        page: the address of a page in the documentation, which the notebook links to.
        setting: its path in `restate-server --dump-config`, e.g. "worker.invoker.inactivity-timeout".
        value: its value there, as the server prints it, e.g. "1m".
    """

    says: str
    page: str
    setting: str
    value: str
