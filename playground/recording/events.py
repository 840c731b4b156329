"""The one currency of the project: an event says that something happened, when, and who says so.

Everything that is ever shown is folded from events, and only from them. Each kind is a dataclass with typed
fields (see `kinds`; docs/events.md is the table of them). Events come from pods, the ledger, files, Restate's
admin API and the playground itself, and all of them come in here, through one boundary:

* `heard` reads what a pod or the ledger says, and never raises. A value of a wrong type makes it an
  `event.malformed`; what the speaker may not say, such as a pod's word on another pod, an `event.refused`. Both
  are recorded with the original and change nothing else.
* `saved` reads a line of a file.
* `Event.of` and `Event.now` make the playground's own.

A kind this version does not know is an `Unknown` event, and a field it does not know is kept in `more`: both
survive being saved and loaded. Times are Unix seconds on the clock of whoever says it.
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
"""Who says an event: a pod's tap or gate, the ledger, the backend, who uses the playground, Restate's admin API."""
NOTHING: Mapping[str, Any] = MappingProxyType({})
CONCEALED = "SECRET"
MOST_KEPT = 1000
"""Characters of something malformed that are kept."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened.

    Attributes:
        at: when, Unix seconds.
        more: fields of it that this version does not know.
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
        """Its fields as a table, those left out that say nothing."""
        told = {
            name: value
            for name, default in _shapes[type(self)].defaults
            if (value := getattr(self, name)) is not default and value != default
        }
        return {**told, **self.more}

    @classmethod
    def of(cls, kind: str, at: float, data: Mapping[str, Any] = NOTHING, /) -> Event:
        """An event of ours, from its fields."""
        return _guarded({**data, "kind": kind, "at": at}, "anybody")

    @classmethod
    def now(cls, kind: str, /, **data: Any) -> Event:
        """An event of ours, of this moment."""
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
        """The same event, with SECRET in the place of these texts."""
        changed = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if (concealed := _without(value, secrets)) is not value:
                changed[each.name] = concealed
        return replace(self, **changed) if changed else self

    def to_json(self) -> str:
        """The event's flat form, one line of JSON."""
        return json.dumps({"kind": self.kind, "at": self.at, **self.data}, default=repr)


@dataclass(frozen=True, slots=True)
class Unknown(Event):
    """A kind this version does not know; all its fields are in `more`."""

    kind: str = field()


class _Shape(NamedTuple):
    """A kind's own fields: how each is checked, which have to be there, what they are if not; which may be long."""

    checks: dict[str, Check]
    required: frozenset[str]
    defaults: tuple[tuple[str, Any], ...]
    long: tuple[str, ...]


_shapes: dict[type[Event], _Shape] = {Unknown: _Shape({}, frozenset(), (), ())}
_SHORT = (count, index, whole, flag, seconds)
KINDS: dict[str, type[Event]] = {}
"""All kinds this version knows, by name, in the order of the table."""
E = TypeVar("E", bound=Event)


@dataclass_transform(frozen_default=True)
def event(kind: str, by: Speaker) -> Callable[[type[E]], type[E]]:
    """Make a class the dataclass of a kind.

    Args:
        by: who says it.
    """

    def make(cls: type[E]) -> type[E]:
        made = dataclass(frozen=True, slots=True)(cls)
        made.KIND, made.BY = kind, by
        hints = get_type_hints(made, include_extras=True)
        own = [each for each in fields(made) if each.name not in ("at", "more")]
        _shapes[made] = _Shape(
            {each.name: hints[each.name].__metadata__[0] for each in own},
            frozenset(each.name for each in own if each.default is each.default_factory is MISSING),
            tuple((e.name, e.default if e.default_factory is MISSING else e.default_factory()) for e in own),
            tuple(each.name for each in own if hints[each.name].__metadata__[0] not in _SHORT),
        )
        KINDS[kind] = made
        return made

    return make


def field_types(kind: type[Event]) -> list[tuple[str, str, bool]]:
    """A kind's fields: (name, what it holds, whether it is always there)."""
    shape = _shapes[kind]
    return [(name, check.__name__, name in shape.required) for name, check in shape.checks.items()]


def heard(told: Any, by: Speaker, pod: str = "") -> Event:
    """What somebody outside says, as an event. Never raises.

    Args:
        told: its flat form, whatever it may hold.
        by: who says it: only what is theirs to say counts.
        pod: the speaker's name, if it is a pod: it can say nothing of others.
    """
    if not isinstance(told, dict):
        return _not_taken("event.malformed", told, by, pod, "no table of fields")
    name = told.get("kind")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is not None and kind.BY not in (by, "anybody"):
        return _not_taken("event.refused", told, by, pod, f"this is for the {kind.BY} to say")
    if by == "pod":
        if told.get("pod", pod) != pod:
            return _not_taken("event.refused", told, by, pod, "a pod speaks of itself only")
        told = {**told, "pod": pod}
    return _guarded(told, by, pod)


def saved(told: Any) -> Event:
    """An event that was recorded before; `event.malformed` if a field's type is wrong.

    Raises:
        Wrong: it is no event at all.
    """
    if not isinstance(told, dict) or not isinstance(told.get("kind"), str):
        raise Wrong("an event needs a kind and a time")
    try:
        seconds(told.get("at"))
    except Wrong:
        raise Wrong("an event needs a kind and a time") from None
    return _guarded(told, "anybody")


def _guarded(told: Mapping[str, Any], by: Speaker, pod: str = "") -> Event:
    try:
        return _read(told)
    except Wrong as wrong:
        return _not_taken("event.malformed", told, by, pod, str(wrong))


def _read(told: Mapping[str, Any]) -> Event:
    name, at = told.get("kind"), seconds(told.get("at"))
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        given = {text(n): anything(value) for n, value in told.items() if n not in ("kind", "at")}
        return Unknown(at, text(name), more=given)
    checks, required, *_ = _shapes[kind]
    taken: dict[str, Any] = {}
    more: dict[str, Any] = {}
    for name, value in told.items():
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
        raise Wrong(f"{min(required - taken.keys())}: not there")
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
    """A value with SECRET in the place of some texts; the value itself if they are not in it."""
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


def _not_taken(kind: str, told: Any, by: str, pod: str, why: str) -> Event:
    try:
        original = json.dumps(told, default=repr)[:MOST_KEPT]
    except (ValueError, TypeError, RecursionError):
        original = f"(a {type(told).__name__} that JSON cannot say)"
    at = told.get("at") if isinstance(told, Mapping) else None
    try:
        at = seconds(at)
    except Wrong:
        at = time.time()
    told_of: dict[str, Any] = {"by": by, "pod": text(pod), "why": why, "original": original}
    return KINDS[kind](at, **told_of)
