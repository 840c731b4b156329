"""Fresh keys for every run, and seeing the same in what they give back.

Two runs of the atlas may not meet: each has keys of its own. The keys a clean run addressed are known from
its recording; where they stand in the request, a run's own token is put behind them. What comes back is
compared with the token taken off again, and with ids replaced that differ from run to run anyway.
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
    """The token of the run with a number; all have the same length."""
    return f"-run{number:05d}"


_TOKEN = re.compile(r"-run\d{5}")


def freshen(value: Any, keys: Iterable[str], number: int) -> Any:
    """A request with a run's own keys: in every string, a key that stands alone gets the run's token.

    Args:
        value: a JSON value, or a target.
        keys: the keys to make fresh.
        number: the run's number.
    """
    known = sorted((key for key in keys if key), key=len, reverse=True)
    if not known:
        return value
    alone = re.compile(r"(?<![\w-])(" + "|".join(map(re.escape, known)) + r")(?![\w-])")

    def walk(node: Any) -> Any:
        if isinstance(node, str):
            return alone.sub(lambda found: found[1] + token(number), node)
        if isinstance(node, list):
            return [walk(item) for item in node]
        if isinstance(node, dict):
            return {name: walk(item) for name, item in node.items()}
        return node

    return walk(value)


def plain(value: Any, kinds: Iterable[str] = ()) -> Any:
    """A value without what differs from run to run: tokens, ids, and ids the ledger gave out.

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


def mask(first: Any, second: Any) -> Any:
    """What two clean runs agree on; where they differ stands VARIES."""
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        return {name: mask(first[name], second[name]) for name in first}
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return [mask(a, b) for a, b in zip(first, second, strict=True)]
    return first if first == second else VARIES


def fits(expected: Any, value: Any) -> bool:
    """Whether a value is as expected, leaving out what varies."""
    if expected == VARIES:
        return True
    if isinstance(expected, dict) and isinstance(value, dict):
        return expected.keys() == value.keys() and all(fits(expected[name], value[name]) for name in expected)
    if isinstance(expected, list) and isinstance(value, list):
        return len(expected) == len(value) and all(fits(a, b) for a, b in zip(expected, value, strict=True))
    return bool(expected == value) and type(expected) is type(value)
