"""What every panel is: a table of items read from a timeline, a text of the same, and actions.

An *item* is what the page shows of one thing: a pod, an invocation, a key's queue. It is plain values,
found by an id, and it is always whole, so that the page can put it in the place of an older one. Payloads
and whatever else may be long go into an item *clipped*; the whole is asked for when somebody wants to see it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Generic, NotRequired, TypedDict, TypeVar

from playground.errors import PlaygroundError
from playground.recording import Timeline
from playground.recording.changes import Change
from playground.views.asked import deeds

Item = TypeVar("Item", covariant=True)

CLIP = 2000
"""Characters of a payload that are sent to the page unasked."""


class Clipped(TypedDict):
    """Text from outside: what is shown at first, and how long the whole is if that is not all."""

    text: str
    length: NotRequired[int]


class Said(TypedDict):
    """What was done, in words, and the invocations that came of it."""

    said: str
    invocations: NotRequired[list[str]]


class Whole(TypedDict):
    """The whole of something that items hold only clipped."""

    text: str


class Panel(Generic[Item]):
    """One panel. It holds nothing of its own: a board may show it many times.

    What can be asked of it are methods that are marked with `answers`: with the recording for `whole`, which gives what
    an item holds only clipped, and for anything else with what acts.

    Attributes:
        name: what its table and its actions are called.
        title: what a person calls it.
    """

    name: ClassVar[str]
    title: ClassVar[str]

    def items(self, timeline: Timeline) -> Mapping[str, Item]:
        """All items, by id."""
        raise NotImplementedError

    def changed(self, timeline: Timeline, changes: Collection[Change]) -> Mapping[str, Item | None]:
        """Those items that these changes touch, None for one that is gone."""
        raise NotImplementedError

    def text(self, timeline: Timeline) -> str:
        """The same for nbval, for screen readers, and wherever no widget can be shown."""
        raise NotImplementedError

    def act(self, on: object, verb: str, data: Mapping[str, object]) -> object:
        """Do what was asked for in the page; returns something JSON can say.

        Args:
            on: the recording for `whole`, what acts for anything else.
            verb: what to do.
            data: what the page says.

        Raises:
            PlaygroundError: it cannot be done; says why, and what can.
        """
        if deed := deeds(type(self)).get(verb):
            return deed.do(self, on, data=data)
        raise PlaygroundError(
            f"The panel {self.title} does not know how to {verb}.",
            "The page is of another version.",
            "Run the cell again.",
        )


def clip(text: str, limit: int = CLIP) -> Clipped:
    """Text for the page."""
    shown = plain(text[:limit])
    return {"text": shown} if len(text) <= limit else {"text": shown, "length": len(text)}


def maybe_clip(text: str | None, limit: int = CLIP) -> Clipped | None:
    """The same, of a text that may not be there."""
    return None if text is None else clip(text, limit)


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


def offered(timeline: Timeline) -> dict[str, dict[str, Any]]:
    """The Restate services that the latest revision of each deployed service offers, by name."""
    latest = {revision.service: revision for revision in timeline.revisions.values()}
    return {service["name"]: service for revision in latest.values() for service in revision.services}
