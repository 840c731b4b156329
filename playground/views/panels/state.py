"""The panel State: what is stored for a key of a virtual object or workflow, and changing it.

Restate tells nobody when a state changes, so a key is *watched*: the recorder reads it again after
anything has happened (see recorder.py). A change from here is a change from outside, so it is made only
if what it replaces is still what was shown, and the page asks before it sends one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import TypedDict

from playground.core.text import clean
from playground.errors import RecordingError, RequestError
from playground.recording import Recording, Timeline
from playground.recording.changes import Change
from playground.restate.admin import as_json
from playground.views import text
from playground.views.actions import Actions
from playground.views.asked import answers
from playground.views.panels.panel import Clipped, Panel, Said, Whole, clip, offered, plain, split

PATIENCE = 0.5
"""Seconds an edit waits to be applied while the key's lock is held; it is not lost after that."""
KEYS = 100
"""Keys per service that are offered to choose from: those touched last."""

Key = tuple[str, str]


class KeysItem(TypedDict):
    """The keys of a service that were called, those touched last first."""

    keys: list[str]


class StateItem(TypedDict):
    """What is stored for a key, by name."""

    service: str
    key: str
    values: dict[str, Clipped]


class OfKey(TypedDict):
    """Which key of which virtual object or workflow."""

    service: str
    key: str


class OfName(OfKey):
    """Which of its values."""

    name: str


class Edit(OfKey):
    """New values by name, as JSON, none for one that is to go; and what was seen in their place, none for nothing."""

    changes: dict[str, str | None]
    seen: dict[str, str | None]


class StatePanel(Panel[KeysItem | StateItem]):
    """Its items are services with keys, by name, and the state of each key read so far, by `item_id`."""

    name = "state"
    title = "State"

    def __init__(self, *keys: Key) -> None:
        self.keys = keys

    def items(self, timeline: Timeline) -> dict[str, KeysItem | StateItem]:
        """What keys there are, and what is stored for those that were read."""
        return _states(timeline, timeline.states) | _known_keys(timeline)

    def changed(self, timeline: Timeline, changes: Collection[Change]) -> dict[str, KeysItem | StateItem | None]:
        """The keys that were read, and what keys there are if that may have changed."""
        items: dict[str, KeysItem | StateItem | None] = {
            **_states(timeline, [(change[1], change[2]) for change in changes if change[0] == "state"])
        }
        if any(change[0] in ("revision", "trace", "attempt") for change in changes):
            # None: whatever an older revision offered and no newer one does.
            items |= {s["name"]: None for revision in timeline.revisions.values() for s in revision.services}
            items |= _known_keys(timeline)
        return items

    def text(self, timeline: Timeline) -> str:
        """The state of each key it was made for, or else of each that was read."""
        keys = self.keys or tuple(timeline.states)
        parts = [
            text.state_table(service, key, {n: as_json(v) for n, v in timeline.states[service, key].items()})
            if (service, key) in timeline.states
            else f"{clean(f'State of {service}/{key}')}: not read yet"
            for service, key in keys
        ]
        return "\n\n".join(parts) or "no state was read yet"

    @answers("edit")
    def edit(self, actions: Actions, asked: Edit) -> Said:
        """Change, add or remove single values of a key's state."""
        service, key = asked["service"], asked["key"]
        changes = {name: _checked(name, value) for name, value in asked["changes"].items()}
        actions.edit_state(service, key, changes, asked["seen"], PATIENCE)
        return {"said": f"The state of {service}/{key} is changed."}

    @answers("whole")
    def whole(self, recording: Recording, asked: OfName) -> Whole:
        """One whole value."""
        service, key, name = asked["service"], asked["key"], asked["name"]
        values = recording.timeline.states.get((service, key), {})
        if name not in values:
            raise RecordingError(
                f"{service}/{key} has no value {name!r} any more.",
                "It was removed meanwhile.",
                f"pg.state({service!r}, {key!r})",
            )
        return {"text": plain(values[name])}


def item_id(service: str, key: str) -> str:
    """What a key's state or queue is called in the page: `JSON.stringify([service, key])`."""
    return plain(json.dumps([service, key], ensure_ascii=False, separators=(",", ":")))


def _states(timeline: Timeline, keys: Iterable[Key]) -> dict[str, KeysItem | StateItem]:
    return {item_id(service, key): _item(service, key, timeline.states[service, key]) for service, key in keys}


def _item(service: str, key: str, values: Mapping[str, str]) -> StateItem:
    named = {plain(name): clip(value) for name, value in values.items()}
    return {"service": service, "key": plain(key), "values": named}


def _known_keys(timeline: Timeline) -> dict[str, KeysItem | StateItem]:
    """Keys seen of each service that has keys, those touched last first."""
    keys: dict[str, dict[str, None]] = {
        name: {} for name, service in offered(timeline).items() if service["type"] != "SERVICE"
    }
    for trace in reversed(list(timeline.invocations.values())):
        service, key, _ = split(trace.target)
        if service in keys and len(keys[service]) < KEYS:
            keys[service][plain(key)] = None
    return {name: {"keys": list(known)} for name, known in keys.items()}


def _checked(name: str, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        json.loads(value)
    except ValueError as error:
        raise RequestError(
            f"The new value of {name!r} is not JSON.", f"{error}.", 'Text stands in quotes: "like this".'
        ) from error
    return value
