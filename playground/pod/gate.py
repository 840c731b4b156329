"""The gate: it makes a pod die just before a certain frame passes, if that is planned.

This is how the crash atlas kills a pod at one exact point. The ledger holds the plan (`playground.ledger.plans`) and
uses it up, so the next pod that reaches the same point passes it. A pod asks for the plan when an attempt begins, and
again when the attempt reaches the place. User code is not touched, and a pod without a gate does none of this.

A *boundary* is the place just before a frame: its direction, its type, and the entry it belongs to. The end of a stream
is the boundary after the last frame. AwaitingOn has no boundary: it is a hint that an SDK may send, stores nothing, and
comes more or less often from run to run.
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import httpx

from playground.pod.emit import emit
from playground.restate.protocol import Frame

Boundary = tuple[str, str, int | str | None]
"""(direction "in", "out" or "end"; frame type; the command index or signal it belongs to)."""

AsgiEvent = MutableMapping[str, Any]
Event = dict[str, Any]

_BOUNDARIES = {
    "attempt.started": ("in", "Start"),
    "entry.stored": ("in", "CommandAck"),
    "attempt.suspended": ("out", "Suspension"),
    "attempt.failed": ("out", "Error"),
    "attempt.ended": ("out", "End"),
    "attempt.closed": ("end", "Stream"),
}
_DIRECTIONS = {"entry.replayed": "in", "entry.completed": "in", "entry.executed": "out", "entry.proposed": "out"}


def boundary(event: Mapping[str, Any]) -> Boundary | None:
    """The boundary before the frame that an event reports; None if it reports none.

    Args:
        event: an event of the tap, or an Event's data together with its kind.
    """
    kind = event["kind"]
    if kind in _BOUNDARIES:
        return (*_BOUNDARIES[kind], None)
    if kind in _DIRECTIONS:
        entry = event["signal"] if event.get("signal") is not None and "entry" not in event else event.get("entry")
        return _DIRECTIONS[kind], event.get("type", "?"), entry
    if kind == "frame.unknown":
        return event.get("direction", "?"), event.get("type", "?"), None
    return None


class Gate:
    """Knows at which boundary of each attempt the pod is to die, and kills it there.

    Args:
        url: the ledger's base URL.
        pod: this pod's name.
    """

    def __init__(self, url: str, pod: str) -> None:
        self._url, self._pod = f"{url}/-/gate", pod
        self._client = httpx.AsyncClient(trust_env=False, timeout=60)

    def attempt(self) -> AttemptGate:
        """The gate of one attempt."""
        return AttemptGate(self._ask, self._pod)

    async def _ask(self, question: str, **fields: Any) -> Any:
        try:
            return (await self._client.post(f"{self._url}/{question}", json=fields)).json()["answer"]
        except (httpx.HTTPError, ValueError, KeyError):
            return None  # no accident is planned


class AttemptGate:
    """The gate of one attempt. See `Gate`."""

    def __init__(self, ask: Callable[..., Awaitable[Any]], pod: str) -> None:
        self._ask, self._pod = ask, pod
        self._invocation = ""
        self._place: tuple[Any, ...] | None = None
        self._left = 0
        self._passed = 0

    async def passes(self, event: Event) -> None:
        """Return if the frame may pass. Kill the process if it is to die here."""
        where = boundary(event)
        if event["kind"] == "attempt.started":
            self._invocation = event["invocation"]
            plan = await self._ask("begin", pod=self._pod, attempt=event["attempt"], invocation=self._invocation)
            if plan is not None:
                self._place, self._left = tuple(plan["boundary"]), plan["nth"]
        if event.get("callee"):
            await self._ask("callee", invocation=self._invocation, entry=event["entry"], callee=event["callee"])
        if where is not None and where == self._place:
            self._passed += 1
            if self._passed == self._left:
                await self._arrive(event, where)
        if event["kind"] == "attempt.closed" and self._passed:
            await self._ask("end", invocation=self._invocation, passed=self._passed)

    async def _arrive(self, event: Event, where: Boundary) -> None:
        act = await self._ask("arrive", invocation=self._invocation)
        self._passed = 0
        if act not in ("kill", "held"):
            return
        details = {"attempt": event["attempt"], "invocation": self._invocation, "boundary": where}
        kind = "attempt.crashed" if act == "kill" else "attempt.held"
        emit([{"kind": kind, "at": time.time(), **details}])
        if act == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        self._place = None  # the server is gone, and with it this attempt


class GatedStream:
    """Passes an attempt's frames through its gate, one at a time.

    Args:
        read_in, read_out: turn the bytes of one direction into (frame, event) pairs.
    """

    def __init__(
        self,
        gate: AttemptGate,
        read_in: Callable[[bytes], list[tuple[Frame, Event]]],
        read_out: Callable[[bytes], list[tuple[Frame, Event]]],
        tell: Callable[[list[Event]], None],
    ) -> None:
        self._gate, self._read_in, self._read_out, self._tell = gate, read_in, read_out, tell
        self._arrived: deque[tuple[Frame, Event]] = deque()
        self._closing: AsgiEvent | None = None

    async def receive(self, receive: Callable[[], Awaitable[AsgiEvent]]) -> AsgiEvent:
        """The next frame from Restate, as its own ASGI event."""
        while not self._arrived:
            if self._closing is not None:
                closing, self._closing = self._closing, None
                return closing
            event = await receive()
            if event["type"] != "http.request":
                return event
            self._arrived += self._read_in(event.get("body", b""))
            if not event.get("more_body"):
                self._closing = {"type": "http.request", "body": b"", "more_body": False}
        frame, event = self._arrived.popleft()
        await self.passes(event)
        return {"type": "http.request", "body": frame.raw, "more_body": True}

    async def send(self, event: AsgiEvent, send: Callable[[AsgiEvent], Awaitable[None]]) -> None:
        """Send the handler's frames, each as its own ASGI event."""
        if event["type"] != "http.response.body" or not event.get("body"):
            await send(event)
            return
        for frame, frame_event in self._read_out(bytes(event["body"])):
            await self.passes(frame_event)
            await send({"type": "http.response.body", "body": frame.raw, "more_body": True})

    async def passes(self, event: Event) -> None:
        """Pass one boundary, then report the event."""
        await self._gate.passes(event)
        self._tell([event])
