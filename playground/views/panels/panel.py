"""What every panel is: a table of items read from a timeline, a text of the same, and actions.

An *item* is what the page shows of one thing: a pod, an invocation, a key's queue. It is plain values,
found by an id, and it is always whole, so that the page can put it in the place of an older one. Payloads
and whatever else may be long go into an item *clipped*; the whole is asked for when somebody wants to see it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from playground.errors import PlaygroundError, RequestError
from playground.recording import Recording, Timeline
from playground.views.actions import Actions

Item = dict[str, Any]
Change = tuple[Any, ...]
Data = Mapping[str, Any]

CLIP = 2000
"""Characters of a payload that are sent to the page unasked."""


class Panel:
    """One panel. It holds nothing of its own: a board may show it many times.

    Attributes:
        name: what its table and its actions are called.
        title: what a person calls it.
    """

    name: ClassVar[str]
    title: ClassVar[str]

    def items(self, timeline: Timeline, changes: Collection[Change] | None) -> dict[str, Item | None]:
        """All items by id; or only those that these changes touch, None for one that is gone."""
        raise NotImplementedError

    def text(self, timeline: Timeline) -> str:
        """The same for nbval, for screen readers, and wherever no widget can be shown."""
        raise NotImplementedError

    def act(self, actions: Actions, verb: str, data: Data) -> Any:
        """Do what was asked for in the page; returns something JSON can say.

        Raises:
            PlaygroundError: it cannot be done; says why, and what can.
        """
        raise PlaygroundError(
            f"The panel {self.title} does not know how to {verb}.",
            "The page is of another version.",
            "Run the cell again.",
        )

    def whole(self, recording: Recording, data: Data) -> str:
        """The whole of something that items hold only clipped.

        Raises:
            PlaygroundError: there is no such thing any more.
        """
        raise PlaygroundError(
            "There is no more of it.",
            "What is shown is all that was recorded.",
            "Save pg.recording to look at it elsewhere.",
        )


def clip(text: str | None, limit: int = CLIP) -> Item | None:
    """Text for the page: what is shown at first, and how long the whole is if that is not all."""
    if text is None:
        return None
    shown = plain(text[:limit])
    return {"text": shown} if len(text) <= limit else {"text": shown, "length": len(text)}


def as_text(body: Any) -> str:
    """A body as the JSON it is, readable in any script."""
    return json.dumps(body, ensure_ascii=False)


def plain(text: str) -> str:
    """Text that can be sent: half of a surrogate pair, which JSON can say but UTF-8 cannot, becomes "?"."""
    return text.encode("utf-8", "replace").decode("utf-8")


def split(target: str) -> tuple[str, str, str]:
    """A recorded target as (service, key, handler). The key is empty for a service, and may hold slashes."""
    service, _, rest = target.partition("/")
    key, _, handler = rest.rpartition("/")
    return service, key, handler


def wanted(data: Data, name: str) -> str:
    """A text the page must have sent.

    Raises:
        RequestError: it has not.
    """
    value = data.get(name)
    if not isinstance(value, str):
        raise RequestError(f"The page did not say which {name}.", "", "Run the cell again.")
    return value


def offered(timeline: Timeline) -> dict[str, dict[str, Any]]:
    """The Restate services that the latest revision of each deployed service offers, by name."""
    latest = {revision.service: revision for revision in timeline.revisions.values()}
    return {service["name"]: service for revision in latest.values() for service in revision.services}
