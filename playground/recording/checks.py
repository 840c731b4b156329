"""What a field of an event may hold. Every value is checked once, when the event comes in (see `events`).

A type is an annotation that carries its check: in `Annotated[int, count]` the type checker reads the first
half, and `events` calls the second. A check returns the value as the folds will see it, and rejects what would
surprise them. A bool is not a number, and neither is NaN. Text must be valid UTF-8. Numbers must fit JavaScript.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

MOST = 2**53
"""The largest number that JavaScript in a page counts to exactly."""
INDEX = 2**32
"""The service protocol numbers entries and signals with 32 bits."""
LATEST = 1e12
"""Unix seconds; about 32,000 years from now."""
DEEPEST = 50
"""A value nested deeper than this is not kept."""
TOO_DEEP = "(nested too deeply to be recorded)"

Check = Callable[[Any], Any]


class Wrong(ValueError):
    """A value of the wrong type for its field."""


def text(value: Any) -> str:
    """Text. Lone surrogates, which JSON can smuggle in, become question marks."""
    if not isinstance(value, str):
        raise Wrong("not text")
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def count(value: Any) -> int:
    """A number of things."""
    if type(value) is not int or not 0 <= value <= MOST:
        raise Wrong("not a count")
    return value


def index(value: Any) -> int:
    """A place in a journal."""
    if type(value) is not int or not 0 <= value < INDEX:
        raise Wrong("not an index")
    return value


def whole(value: Any) -> int:
    """A whole number."""
    if type(value) is not int or not -MOST <= value <= MOST:
        raise Wrong("not a whole number")
    return value


def flag(value: Any) -> bool:
    """Yes or no."""
    if not isinstance(value, bool):
        raise Wrong("neither true nor false")
    return value


def seconds(value: Any) -> float:
    """A time or a duration."""
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value <= LATEST:
        raise Wrong("not a number of seconds")
    return float(value)


def signal(value: Any) -> int | str:
    """A signal's number, or its name."""
    return text(value) if isinstance(value, str) else index(value)


def hexadecimal(value: Any) -> str:
    """Bytes, as hexadecimal text."""
    try:
        bytes.fromhex(text(value))
    except ValueError:
        raise Wrong("not hexadecimal") from None
    return str(value)


def failure(value: Any) -> tuple[int, str]:
    """A failure's code and message."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise Wrong("not a code and a message")
    return count(value[0]), text(value[1])


def _many(check: Check, values: Any) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple):
        raise Wrong("not a list")
    return tuple(check(value) for value in values)


def texts(value: Any) -> tuple[str, ...]:
    """Several texts."""
    return _many(text, value)


def indexes(value: Any) -> tuple[int, ...]:
    """Several places in a journal."""
    return _many(index, value)


def signals(value: Any) -> tuple[int | str, ...]:
    """Several signals."""
    return _many(signal, value)


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Wrong("not a table")
    return {text(name): anything(each) for name, each in value.items()}


def values(value: Any) -> dict[str, str]:
    """State values, as text, by name."""
    return {name: text(each) for name, each in _table(value).items()}


def services(value: Any) -> list[dict[str, Any]]:
    """Restate services, each with a name, a type and named handlers."""
    return list(_many(_service, value))


def _service(value: Any) -> dict[str, Any]:
    service = _table(value)
    handlers = [_texts_of(_table(each), "name", "kind", "input") for each in _many(_table, service.get("handlers", ()))]
    text(service.get("type"))
    return {**_texts_of(service, "name", "type"), "handlers": handlers}


def _texts_of(fields: dict[str, Any], name: str, *others: str) -> dict[str, Any]:
    text(fields.get(name))
    return {**fields, **{each: text(fields[each]) for each in (name, *others) if fields.get(each) is not None}}


def journal(value: Any) -> list[dict[str, Any]]:
    """A journal's entries as the admin API returns them, each with an index and a type."""
    return list(_many(_journal_entry, value))


def _journal_entry(value: Any) -> dict[str, Any]:
    entry = _texts_of(_table(value), "type", "name", "target", "key", "value")
    entry["index"] = index(entry.get("index"))
    for name, check in (("failure", failure), ("signal", signal), ("completion", index)):
        if entry.get(name) is not None:
            entry[name] = check(entry[name])
    return entry


def faults(value: Any) -> dict[str, Any]:
    """How one kind of effect misbehaves in the outside world."""
    by_name = _table(value)
    for name, check in (("fail", whole), ("lose_answer", whole), ("slow", seconds), ("down", flag)):
        if name in by_name:
            by_name[name] = check(by_name[name])
    return by_name


def boundary(value: Any) -> tuple[str, str, int | str | None]:
    """A place before a frame (see `playground.pod.gate`)."""
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise Wrong("not a boundary")
    return text(value[0]), text(value[1]), None if value[2] is None else signal(value[2])


def anything(value: Any) -> Any:
    """Any value, unless it is nested too deeply to be real data."""
    if isinstance(value, str | int | float | None):
        return value
    level = [value]
    for _ in range(DEEPEST):
        level = [
            each
            for above in level
            for each in (above.values() if isinstance(above, dict) else above)
            if isinstance(each, dict | list | tuple)
        ]
        if not level:
            return value
    return TOO_DEEP


Text = Annotated[str, text]
MaybeText = Annotated[str | None, text]
Count = Annotated[int, count]
MaybeCount = Annotated[int | None, count]
MaybeIndex = Annotated[int | None, index]
MaybeWhole = Annotated[int | None, whole]
Flag = Annotated[bool, flag]
Seconds = Annotated[float, seconds]
MaybeSignal = Annotated[int | str | None, signal]
Hex = Annotated[str, hexadecimal]
MaybeFailure = Annotated[tuple[int, str] | None, failure]
Texts = Annotated[tuple[str, ...], texts]
Indexes = Annotated[tuple[int, ...], indexes]
Signals = Annotated[tuple[int | str, ...], signals]
Values = Annotated[dict[str, str], values]
Services = Annotated[list[dict[str, Any]], services]
Journal = Annotated[list[dict[str, Any]], journal]
FaultsOf = Annotated[dict[str, Any], faults]
Boundary = Annotated[tuple[str, str, int | str | None], boundary]
Anything = Annotated[Any, anything]
