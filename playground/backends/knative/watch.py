"""Watching: what happens to the objects with a label, for as long as a playground lives.

Kubernetes answers a list with a version, and a watch from that version on with each change
(https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes). Connections end:
the server closes them after a while, a network breaks, a cluster restarts. The watch goes on from the last
version it saw. If that is too old by then (410 Gone), everything is listed anew and held against what
was known, so that what came and went meanwhile is told, and nothing is told twice.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator

from playground.backends.knative.api import ApiError, Kubernetes
from playground.backends.knative.objects import Object, Resource

PERIOD = 240
"""Seconds after which the server is asked to end a watch; it is taken up again."""
SILENCE = 270.0
"""Seconds without a byte after which a watch's connection counts as dead."""
AWAY = (0, 500, 502, 503)
"""Statuses that say nothing about the version: nobody answered, or somebody on the way did."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0

Take = Callable[[str, Object], None]
"""Called with what happened ("ADDED", "MODIFIED", "DELETED") and the object."""


class Watch:
    """Follows the objects of one kind with these labels.

    Attributes:
        error: what keeps it from following now; None if nothing does.
    """

    def __init__(self, kubernetes: Kubernetes, resource: Resource, labels: str, take: Take) -> None:
        self._kubernetes, self._resource, self._labels, self._take = kubernetes, resource, labels, take
        self._known: dict[str, Object] = {}
        self._version: str | None = None
        self._pause = FIRST_PAUSE
        self.error: ApiError | None = None

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow()
            except ApiError as error:
                self.error = error
                if error.status not in AWAY:
                    self._version = None  # it answered, so the version may be the reason
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    async def _follow(self) -> None:
        if self._version is None:
            listed, version = await self._kubernetes.listed(self._resource, self._labels)
            self._tell(self._differences(listed))
            self._version = version
        params = {
            "watch": "1",
            "labelSelector": self._labels,
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(PERIOD),
        }
        async with self._kubernetes.stream(self._resource, "", params, SILENCE) as answer:
            self.error = None
            async for line in answer.aiter_lines():
                try:
                    told = json.loads(line)
                    what, changed = told["type"], told["object"]
                except (ValueError, KeyError):
                    return  # a connection that broke in the middle of a line
                if what == "ERROR":  # mostly 410: the version is too old
                    self._version = None
                    return
                self._version = changed["metadata"]["resourceVersion"]
                self._pause = FIRST_PAUSE
                if what != "BOOKMARK":
                    self._tell(self._change(what, changed))

    def _tell(self, changes: Iterable[tuple[str, Object]]) -> None:
        for what, changed in changes:
            self._take(what, changed)

    def _change(self, what: str, changed: Object) -> Iterator[tuple[str, Object]]:
        identity, version = changed["metadata"]["uid"], changed["metadata"]["resourceVersion"]
        known = self._known.get(identity)
        if what == "DELETED":
            if self._known.pop(identity, None) is not None:
                yield "DELETED", changed
        elif known is None:
            self._known[identity] = changed
            yield "ADDED", changed
        elif _is_newer(version, known["metadata"]["resourceVersion"]):
            self._known[identity] = changed
            yield "MODIFIED", changed

    def _differences(self, listed: list[Object]) -> Iterator[tuple[str, Object]]:
        there = {each["metadata"]["uid"] for each in listed}
        for identity in [identity for identity in self._known if identity not in there]:
            yield "DELETED", self._known.pop(identity)
        for each in listed:
            yield from self._change("ADDED", each)


def _is_newer(version: str, than: str) -> bool:
    """Versions of one object: numbers that grow, or else opaque and only equal or not."""
    if version.isdecimal() and than.isdecimal():
        return int(version) > int(than)
    return version != than
