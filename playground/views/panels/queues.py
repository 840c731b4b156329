"""The panel Queue: for each key of a virtual object, who holds its lock and who waits for it.

It moves as fast as pods speak: an attempt of an exclusive handler that starts has the lock, one that is
completed has let go of it. What only Restate knows, the order of those that wait, is used where it was
read; elsewhere they are in the order in which they were sent.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TypedDict

from playground.recording import Timeline, Trace
from playground.recording.changes import Change
from playground.views import text
from playground.views.panels.panel import Panel, plain, split
from playground.views.panels.state import Key, item_id

WAITING = 40
"""How many of those that wait are sent to the page; the rest is counted."""
KEYS = 200
"""How many keys: those that were heard of last."""
_HOLDS = ("running", "ready", "suspended", "backing-off", "paused")


@dataclass(slots=True)
class KeyQueue:
    """One key's queue.

    Attributes:
        holder: the invocation that holds the lock, if any.
        waiting: those that wait, in order.
        done: how many have had the lock and are completed.
    """

    holder: Trace | None = None
    waiting: list[Trace] = field(default_factory=list)
    done: int = 0


def key_queues(timeline: Timeline, only: Collection[Key] | None = None) -> dict[Key, KeyQueue]:
    """The queue of every key (or of these) that an exclusive handler was called for, in that order."""
    exclusive = {
        (service["name"], handler["name"])
        for revision in timeline.revisions.values()  # of all: what has begun on an older one holds its lock still
        for service in revision.services
        for handler in service["handlers"]
        if service["type"] == "VIRTUAL_OBJECT" and handler.get("kind") != "SHARED"
    }
    queues: dict[Key, KeyQueue] = {}
    for trace in timeline.invocations.values():
        service, key, handler = split(trace.target)
        if (service, handler) not in exclusive or (only is not None and (service, key) not in only):
            continue
        queue = queues.setdefault((service, key), KeyQueue())
        if trace.done:
            queue.done += 1
        elif trace.status in _HOLDS and queue.holder is None:
            queue.holder = trace
        elif trace.status != "scheduled":
            queue.waiting.append(trace)
    for at, queue in queues.items():
        if (read := timeline.queues.get(at)) and read.waiting:
            order = {invocation: position for position, invocation in enumerate(read.waiting)}
            queue.waiting.sort(key=lambda trace, order=order: order.get(trace.id, len(order)))  # type: ignore[misc]
    return queues


class Queued(TypedDict):
    """An invocation that holds a lock or waits for it."""

    id: str
    handler: str
    status: str


class QueueItem(TypedDict):
    """A key's queue; `waiting` are the first of those that wait, `done` is how many have had the lock."""

    service: str
    key: str
    holder: Queued | None
    waiting: list[Queued]
    waitingCount: int
    done: int


class QueuePanel(Panel[QueueItem]):
    """Its items are keys, by `item_id`."""

    name = "queue"
    title = "Queue"

    def __init__(self, *keys: Key) -> None:
        self.keys = keys

    def items(self, timeline: Timeline) -> dict[str, QueueItem]:
        """One item per key."""
        return _items(key_queues(timeline))

    def changed(self, timeline: Timeline, changes: Collection[Change]) -> dict[str, QueueItem]:
        """The keys whose queue has moved."""
        touched: set[Key] = {(change[1], change[2]) for change in changes if change[0] == "queue"}
        for change in changes:
            if change[0] in ("trace", "attempt") and (trace := timeline.invocations.get(change[1])):
                touched.add(split(trace.target)[:2])
        return _items(key_queues(timeline, touched)) if touched else {}

    def text(self, timeline: Timeline) -> str:
        """A table per key: those it was made for, or else all."""
        queues = key_queues(timeline)
        parts = []
        for service, key in self.keys or queues:
            queue = queues.get((service, key), KeyQueue())
            holder = queue.holder.target if queue.holder else ""
            parts.append(text.queue_table(service, key, holder, [trace.target for trace in queue.waiting]))
        return "\n\n".join(parts) or "no key has a queue yet"


def _items(queues: dict[Key, KeyQueue]) -> dict[str, QueueItem]:
    return {item_id(*key): _item(key, queue) for key, queue in list(queues.items())[-KEYS:]}


def _item(key: Key, queue: KeyQueue) -> QueueItem:
    return {
        "service": key[0],
        "key": plain(key[1]),
        "holder": _one(queue.holder) if queue.holder else None,
        "waiting": [_one(trace) for trace in queue.waiting[:WAITING]],
        "waitingCount": len(queue.waiting),
        "done": queue.done,
    }


def _one(trace: Trace) -> Queued:
    return {"id": trace.id, "handler": split(trace.target)[2], "status": trace.status}
