"""Events: what happened, when, and who says so. Everything the playground shows is folded from them.

Each kind is a dataclass with typed fields (see `kinds`; docs/events.md lists them all). Events come from pods, the
ledger, files, Restate's admin API and the playground itself, and all of them enter through this module:

* `heard` reads what a pod or the ledger says, and never raises. A value of the wrong type turns it into an
  `event.malformed`. Something the speaker has no say in, such as a pod reporting on another pod, turns it into an
  `event.refused`. Both are recorded with the original text, and change nothing else.
* `saved` reads a line of a file.
* `Event.of` and `Event.now` make the playground's own events.

A kind that this version does not know becomes an `Unknown` event, and a field that it does not know is kept in
`more`. Both survive saving and loading. Times are Unix seconds on the clock of whoever says it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar, dataclass_transform, get_type_hints

from playground.recording.checks import Check, Wrong, anything, count, flag, index, seconds, text, whole

Speaker = Literal["pod", "ledger", "backend", "client", "admin API", "anybody"]
"""Who says so: a pod's tap or gate, the ledger, the backend, the playground's user, or Restate's admin API."""
NOTHING: Mapping[str, Any] = MappingProxyType({})
CONCEALED = "SECRET"
MOST_KEPT = 1000
"""Characters that are kept of something malformed."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened.

    Attributes:
        at: when, Unix seconds.
        more: its fields that this version does not know.
    """

    KIND: ClassVar[str] = ""
    BY: ClassVar[Speaker] = "anybody"

    at: float
    more: Mapping[str, Any] = field(default_factory=lambda: NOTHING, kw_only=True)

    @property
    def kind(self) -> str:
        """What happened, e.g. "attempt.started"."""
        return self.KIND

    @property
    def data(self) -> dict[str, Any]:
        """Its fields by name, without those that hold only a default."""
        known = {
            name: value
            for name, default in _shapes[type(self)].defaults
            if (value := getattr(self, name)) is not default and value != default
        }
        return {**known, **self.more}

    @classmethod
    def of(cls, kind: str, at: float, data: Mapping[str, Any] = NOTHING, /) -> Event:
        """An event of the playground's own, from its fields."""
        return _guarded({**data, "kind": kind, "at": at}, "anybody")

    @classmethod
    def now(cls, kind: str, /, **data: Any) -> Event:
        """An event of the playground's own that happens now."""
        return cls.of(kind, time.time(), data)

    @property
    def length(self) -> int:
        """About how many bytes its values take."""
        total = _size(self.more) if self.more else 0
        for name in _shapes[type(self)].long:
            value = getattr(self, name)
            if value:
                total += len(value) if isinstance(value, str) else _size(value)
        return total

    def without(self, secrets: Iterable[str]) -> Event:
        """The same event with these texts replaced by SECRET."""
        changed = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if (concealed := _without(value, secrets)) is not value:
                changed[each.name] = concealed
        return replace(self, **changed) if changed else self

    def to_json(self) -> str:
        """The event as one line of JSON."""
        return json.dumps({"kind": self.kind, "at": self.at, **self.data}, default=repr)


@dataclass(frozen=True, slots=True)
class Unknown(Event):
    """An event of a kind that this version does not know. All its fields are in `more`."""

    kind: str = field()


class _Shape(NamedTuple):
    """The fields of a kind: how each is checked, which are required, their defaults, and which may be long."""

    checks: dict[str, Check]
    required: frozenset[str]
    defaults: tuple[tuple[str, Any], ...]
    long: tuple[str, ...]


_shapes: dict[type[Event], _Shape] = {Unknown: _Shape({}, frozenset(), (), ())}
_SHORT = (count, index, whole, flag, seconds)
KINDS: dict[str, type[Event]] = {}
"""All kinds that this version knows, by name, in the order of docs/events.md."""
E = TypeVar("E", bound=Event)


@dataclass_transform(frozen_default=True)
def event(kind: str, by: Speaker) -> Callable[[type[E]], type[E]]:
    """Turn a class into the dataclass of a kind.

    Args:
        by: who says it.
    """

    def make(cls: type[E]) -> type[E]:
        event_class = dataclass(frozen=True, slots=True)(cls)
        event_class.KIND, event_class.BY = kind, by
        hints = get_type_hints(event_class, include_extras=True)
        own = [each for each in fields(event_class) if each.name not in ("at", "more")]
        _shapes[event_class] = _Shape(
            {each.name: hints[each.name].__metadata__[0] for each in own},
            frozenset(each.name for each in own if each.default is each.default_factory is MISSING),
            tuple((e.name, e.default if e.default_factory is MISSING else e.default_factory()) for e in own),
            tuple(each.name for each in own if hints[each.name].__metadata__[0] not in _SHORT),
        )
        KINDS[kind] = event_class
        return event_class

    return make


def field_types(kind: type[Event]) -> list[tuple[str, str, bool]]:
    """A kind's fields: (name, what it holds, whether it is required)."""
    shape = _shapes[kind]
    return [(name, check.__name__, name in shape.required) for name, check in shape.checks.items()]


def heard(message: Any, by: Speaker, pod: str = "") -> Event:
    """The event that somebody outside reports. Never raises.

    Args:
        message: the event as it came in, whatever that may be.
        by: who says it. Only what this speaker has a say in counts.
        pod: the speaker's name, if it is a pod. It can say nothing about other pods.
    """
    if not isinstance(message, dict):
        return _not_taken("event.malformed", message, by, pod, "not a table of fields")
    name = message.get("kind")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is not None and kind.BY not in (by, "anybody"):
        return _not_taken("event.refused", message, by, pod, f"only the {kind.BY} may say this")
    if by == "pod":
        if message.get("pod", pod) != pod:
            return _not_taken("event.refused", message, by, pod, "a pod may only speak of itself")
        message = {**message, "pod": pod}
    return _guarded(message, by, pod)


def saved(message: Any) -> Event:
    """An event read back from a file; `event.malformed` if a field has the wrong type.

    Raises:
        Wrong: it is not an event at all.
    """
    if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
        raise Wrong("an event needs a kind and a time")
    try:
        seconds(message.get("at"))
    except Wrong:
        raise Wrong("an event needs a kind and a time") from None
    return _guarded(message, "anybody")


def _guarded(message: Mapping[str, Any], by: Speaker, pod: str = "") -> Event:
    try:
        return _read(message)
    except Wrong as wrong:
        return _not_taken("event.malformed", message, by, pod, str(wrong))


def _read(message: Mapping[str, Any]) -> Event:
    name, at = message.get("kind"), seconds(message.get("at"))
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        given = {text(n): anything(value) for n, value in message.items() if n not in ("kind", "at")}
        return Unknown(at, text(name), more=given)
    checks, required, *_ = _shapes[kind]
    taken: dict[str, Any] = {}
    more: dict[str, Any] = {}
    for name, value in message.items():
        check = checks.get(name)
        if check is None:
            if name not in ("kind", "at"):
                more[text(name)] = anything(value)
        elif value is not None:
            try:
                taken[name] = check(value)
            except Wrong as wrong:
                raise Wrong(f"{name}: {wrong}") from None
    if not required <= taken.keys():
        raise Wrong(f"{min(required - taken.keys())}: missing")
    return kind(at, **taken, more=more) if more else kind(at, **taken)


def _size(value: Any) -> int:
    if isinstance(value, str):
        return 50 + len(value)
    if isinstance(value, Mapping):
        return 64 + sum(100 + _size(name) + _size(each) for name, each in value.items())
    if isinstance(value, list | tuple):
        return 56 + sum(8 + _size(each) for each in value)
    return 32


def _without(value: Any, secrets: Iterable[str]) -> Any:
    """A value with some texts replaced by SECRET; the value itself if it holds none of them."""
    if isinstance(value, str):
        for secret in secrets:
            if secret in value:
                value = value.replace(secret, CONCEALED)
    elif isinstance(value, Mapping):
        clean = {_without(name, secrets): _without(each, secrets) for name, each in value.items()}
        return value if clean == value else clean
    elif isinstance(value, list | tuple):
        cleaned = [_without(each, secrets) for each in value]
        return value if cleaned == list(value) else type(value)(cleaned)
    return value


def _not_taken(kind: str, message: Any, by: str, pod: str, why: str) -> Event:
    try:
        original = json.dumps(message, default=repr)[:MOST_KEPT]
    except (ValueError, TypeError, RecursionError):
        original = f"(a {type(message).__name__} that is not JSON)"
    at = message.get("at") if isinstance(message, Mapping) else None
    try:
        at = seconds(at)
    except Wrong:
        at = time.time()
    details: dict[str, Any] = {"by": by, "pod": text(pod), "why": why, "original": original}
    return KINDS[kind](at, **details)
