"""Keys of its own for every run, and what the runs return made comparable.

Two runs of the atlas must not touch the same object, so each run has a token. The keys that a clean run addressed are
known from its recording; wherever one occurs in the request, the token is appended to it. Before results are compared,
the token is removed again, and ids that differ from run to run are replaced by placeholders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

_IDS = [
    (re.compile(r"sign_1[\w-]+"), "<awakeable>"),
    (re.compile(r"prom_1[\w-]+"), "<awakeable>"),
    (re.compile(r"inv_1\w+"), "<invocation>"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uuid>"),
]
VARIES = "<varies>"


def token(number: int) -> str:
    """The token of the run with this number. All tokens have the same length."""
    return f"-run{number:05d}"


_TOKEN = re.compile(r"-run\d{5}")


def freshen(value: Any, keys: Iterable[str], number: int) -> Any:
    """A request with a run's own keys: in every string, each key that stands alone gets the run's token appended.

    Args:
        value: a JSON value, or a target.
        keys: the keys to change.
        number: the run's number.
    """
    known = sorted((key for key in keys if key), key=len, reverse=True)
    if not known:
        return value
    alone = re.compile(r"(?<![\w-])(" + "|".join(map(re.escape, known)) + r")(?![\w-])")

    def walk(node: Any) -> Any:
        if isinstance(node, str):
            return alone.sub(lambda match: match[1] + token(number), node)
        if isinstance(node, list):
            return [walk(item) for item in node]
        if isinstance(node, dict):
            return {name: walk(item) for name, item in node.items()}
        return node

    return walk(value)


def plain(value: Any, kinds: Iterable[str] = ()) -> Any:
    """A value without what differs from run to run: tokens, ids, and numbers that the ledger assigned.

    Args:
        value: a JSON value.
        kinds: kinds of effects; "email-17" becomes "email-<n>".
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    text = _TOKEN.sub("", text)
    for pattern, name in _IDS:
        text = pattern.sub(name, text)
    for kind in kinds:
        text = re.sub(rf"\b{re.escape(kind)}-\d+", f"{kind}-<n>", text)
    return json.loads(text)


def fits(expected: Any, value: Any) -> bool:
    """Whether a value is as expected, except for what varies."""
    if expected == VARIES:
        return True
    if isinstance(expected, dict) and isinstance(value, dict):
        return expected.keys() == value.keys() and all(fits(expected[name], value[name]) for name in expected)
    if isinstance(expected, list) and isinstance(value, list):
        return len(expected) == len(value) and all(fits(a, b) for a, b in zip(expected, value, strict=True))
    return bool(expected == value) and type(expected) is type(value)
