"""The panel State: what is stored for a key of a virtual object or workflow, and changing it.

Restate tells nobody when a state changes, so a key is *watched*: the recorder reads it again after
anything has happened (see recorder.py). A change from here is a change from outside, so it is made only
if what it replaces is still what was shown, and the page asks before it sends one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from playground.core.text import clean
from playground.errors import RecordingError, RequestError
from playground.recording import Recording, Timeline
from playground.restate.admin import as_json
from playground.views import text
from playground.views.actions import Actions
from playground.views.panels.panel import Change, Data, Item, Panel, clip, offered, plain, split, wanted

PATIENCE = 0.5
"""Seconds an edit waits to be applied while the key's lock is held; it is not lost after that."""
KEYS = 100
"""Keys per service that are offered to choose from: those touched last."""

Key = tuple[str, str]


class StatePanel(Panel):
    """Its items are services with keys, by name, and the state of each key read so far, by `item_id`."""

    name = "state"
    title = "State"

    def __init__(self, *keys: Key) -> None:
        self.keys = keys

    def items(self, timeline: Timeline, changes: Collection[Change] | None) -> dict[str, Item | None]:
        """What keys there are, and what is stored for those that were read."""
        items: dict[str, Item | None] = {}
        states: Collection[Key] = timeline.states.keys()
        if changes is not None:
            states = [(change[1], change[2]) for change in changes if change[0] == "state"]
        for service, key in states:
            items[item_id(service, key)] = _item(service, key, timeline.states[service, key])
        if changes is None or any(change[0] in ("revision", "trace", "attempt") for change in changes):
            if changes is not None:  # whatever an older revision offered and no newer one does
                items.update({s["name"]: None for revision in timeline.revisions.values() for s in revision.services})
            items.update({name: {"keys": keys} for name, keys in _known_keys(timeline).items()})
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

    def act(self, actions: Actions, verb: str, data: Data) -> Any:
        """`edit`: change, add or remove single values of a key's state."""
        if verb != "edit":
            return super().act(actions, verb, data)
        service, key = wanted(data, "service"), wanted(data, "key")
        changes = {str(name): _checked(name, value) for name, value in dict(data.get("changes") or {}).items()}
        seen = {str(name): value for name, value in dict(data.get("seen") or {}).items()}
        actions.edit_state(service, key, changes, seen, PATIENCE)
        return {"said": f"The state of {service}/{key} is changed."}

    def whole(self, recording: Recording, data: Data) -> str:
        """One whole value."""
        service, key, name = wanted(data, "service"), wanted(data, "key"), wanted(data, "name")
        values = recording.timeline.states.get((service, key), {})
        if name not in values:
            raise RecordingError(
                f"{service}/{key} has no value {name!r} any more.",
                "It was removed meanwhile.",
                f"pg.state({service!r}, {key!r})",
            )
        return plain(values[name])


def item_id(service: str, key: str) -> str:
    """What a key's state or queue is called in the page: `JSON.stringify([service, key])`."""
    return plain(json.dumps([service, key], ensure_ascii=False, separators=(",", ":")))


def _item(service: str, key: str, values: Mapping[str, str]) -> Item:
    named = {plain(name): clip(value) for name, value in values.items()}
    return {"service": service, "key": plain(key), "values": named}


def _known_keys(timeline: Timeline) -> dict[str, list[str]]:
    """Keys seen of each service that has keys, those touched last first."""
    keys: dict[str, dict[str, None]] = {
        name: {} for name, service in offered(timeline).items() if service["type"] != "SERVICE"
    }
    for trace in reversed(list(timeline.invocations.values())):
        service, key, _ = split(trace.target)
        if service in keys and len(keys[service]) < KEYS:
            keys[service][plain(key)] = None
    return {name: list(known) for name, known in keys.items()}


def _checked(name: str, value: Any) -> str | None:
    if value is None:
        return None
    try:
        json.loads(value)
    except (TypeError, ValueError) as error:
        raise RequestError(
            f"The new value of {name!r} is not JSON.", f"{error}.", 'Text stands in quotes: "like this".'
        ) from error
    return str(value)
