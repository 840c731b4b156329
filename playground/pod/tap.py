"""The tap: ASGI middleware that reads the service protocol as it passes, and never changes it.

Restate's server opens one `/invoke/...` stream per *attempt*. Its first frame, Start, says how many journal entries are
known. The server then sends that many entries: the *replay*. After those, a command that the pod sends is an entry
*executed now*, and a notification that arrives completes an earlier entry. For a `ctx.run`, the pod sends the command,
runs the function, proposes its result, and gets the result back once it is stored. Before, between and after these are
the three places where a crash makes a difference.

Every frame becomes at most one event, which is written before the frame is passed on. So a pod that is killed at any
moment has reported everything it did. A frame that cannot be decoded is reported as `frame.unknown`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from playground.pod.emit import MAX_VALUE
from playground.pod.gate import Gate, GatedStream
from playground.pod.lines import LINES, Lines, Place
from playground.pod.origin import ATTEMPT, RUNS
from playground.restate import protocol
from playground.restate.protocol import Frame, FrameReader, Malformed, Message

Scope = MutableMapping[str, Any]
AsgiEvent = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiEvent]]
Send = Callable[[AsgiEvent], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Event = dict[str, Any]


class Tap:
    """Wraps a Restate ASGI app, and calls `emit` with the events of each chunk that passes.

    Args:
        gate: asked before each frame passes; without one, chunks pass as they come.
    """

    def __init__(self, app: App, emit: Callable[[Iterable[Event]], None], gate: Gate | None = None) -> None:
        self._app = app
        self._emit = emit
        self._gate = gate
        self._attempts = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope. `/invoke` streams are tapped; everything else just passes."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        path = scope["path"].split("/")
        if len(path) < 3 or path[-3] != "invoke":
            await self._app(scope, receive, send)
            return
        attempt = AttemptTap(next(self._attempts), path[-2], path[-1])
        ATTEMPT.set(attempt.number)
        RUNS.set(attempt.runs)
        attempt.lines = Lines(lambda place, **entry: self._emit([attempt.asked(place, **entry)]))
        LINES.set(attempt.lines)
        if self._gate is not None:
            await self._serve_gated(attempt, self._gate, scope, receive, send)
            return

        async def tapped_receive() -> AsgiEvent:
            event = await receive()
            if event["type"] == "http.request" and event.get("body"):
                self._emit(tapped for _, tapped in attempt.received(event["body"]))
            return event

        async def tapped_send(event: AsgiEvent) -> None:
            if event["type"] == "http.response.body" and event.get("body"):
                self._emit(tapped for _, tapped in attempt.sent(event["body"]))
            await send(event)

        try:
            await self._app(scope, tapped_receive, tapped_send)
        finally:
            self._emit([attempt.event("attempt.closed")])

    async def _serve_gated(self, attempt: AttemptTap, gate: Gate, scope: Scope, receive: Receive, send: Send) -> None:
        stream = GatedStream(gate.attempt(), attempt.received, attempt.sent, self._emit)
        try:
            await self._app(scope, lambda: stream.receive(receive), lambda event: stream.send(event, send))
        finally:
            await stream.passes(attempt.event("attempt.closed"))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        # Answered here, because the SDK does not support lifespan. This is when the pod is ready to accept.
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._emit([{"kind": "pod.ready", "at": time.time()}])
                await send({"type": "lifespan.startup.complete"})
            else:
                await send({"type": "lifespan.shutdown.complete"})
                return


class AttemptTap:
    """Turns the frames of one attempt's stream into events. No I/O."""

    def __init__(self, number: int, service: str, handler: str) -> None:
        self.number = number
        self.runs: list[int] = []  # indices of the runs that have passed
        self.lines: Lines | None = None  # the lines that the handler asks from
        self._service, self._handler = service, handler
        self._in, self._out = FrameReader(), FrameReader()
        self._to_replay = 0
        self._commands = itertools.count()
        self._waiting: dict[int, int] = {}  # completion id -> index of the command it completes

    def event(self, kind: str, **data: Any) -> Event:
        """An event of this attempt that happens now."""
        return {"kind": kind, "at": time.time(), "attempt": self.number, **data}

    def asked(self, place: Place, **entry: int) -> Event:
        """The event that a line of the handler's code has asked for an entry or a signal."""
        return self.event("entry.asked", file=place[0], line=place[1], **entry)

    def received(self, data: bytes) -> list[tuple[Frame, Event]]:
        """Take bytes from Restate. Returns the frames that they complete, each with its event."""
        return [(frame, self._read(frame, self._from_restate, "in")) for frame in self._in.feed(data)]

    def sent(self, data: bytes) -> list[tuple[Frame, Event]]:
        """Take bytes from the handler. Returns the frames that they complete, each with its event."""
        return [(frame, self._read(frame, self._from_pod, "out")) for frame in self._out.feed(data)]

    def _read(self, frame: Frame, tell: Callable[[int, Message], Event | None], direction: str) -> Event:
        try:
            event = tell(frame.type, protocol.decode(frame.type, frame.payload))
        except (Malformed, TypeError, ValueError):
            event = None
        name = protocol.type_name(frame.type)
        return event or self.event("frame.unknown", direction=direction, type=name, size=len(frame.payload))

    def _from_restate(self, kind: int, message: Message) -> Event | None:
        if kind == protocol.START:
            self._to_replay = message.extra["known"]
            target = "/".join(filter(None, (self._service, message.key, self._handler)))
            return self.event(
                "attempt.started",
                invocation=message.invocation,
                target=target,
                known=self._to_replay,
                retries=message.extra["retries"],
                id=message.extra["id"].hex(),
            )
        replayed = self._to_replay > 0
        if protocol.is_command(kind):
            self._to_replay -= 1
            return self._entry("entry.replayed", kind, message)
        if protocol.is_notification(kind) or kind == protocol.RUN_ACK:
            self._to_replay -= 1
            return self._completion("entry.replayed" if replayed else "entry.completed", kind, message)
        if kind == protocol.COMMAND_ACK:
            return self.event("entry.stored")
        return None

    def _from_pod(self, kind: int, message: Message) -> Event | None:
        if protocol.is_command(kind):
            return self._entry("entry.executed", kind, message)
        if kind == protocol.PROPOSE_RUN:
            return self._completion("entry.proposed", kind, message)
        if kind in (protocol.SUSPENSION, protocol.AWAITING_ON):
            completions, signals = message.waits_for or ([], [])
            entries = [self._waiting[number] for number in completions if number in self._waiting]
            event_kind = "attempt.suspended" if kind == protocol.SUSPENSION else "attempt.awaiting"
            return self.event(event_kind, entries=entries, signals=signals)
        if kind == protocol.ERROR:
            code, text = message.failure or (0, "")
            place = self.lines.failed_at if self.lines is not None else None
            return self.event(
                "attempt.failed",
                code=code,
                message=text[:MAX_VALUE],
                stacktrace=message.extra["stacktrace"][-MAX_VALUE:],
                entry=message.extra.get("command"),
                name=message.name,
                **({} if place is None else {"file": place[0], "line": place[1]}),
                **({"asked": self.lines.asked} if code == protocol.JOURNAL_MISMATCH and self.lines is not None else {}),
            )
        if kind == protocol.END:
            return self.event("attempt.ended")
        return None

    def _entry(self, event_kind: str, kind: int, message: Message) -> Event:
        index = next(self._commands)
        if kind == protocol.RUN:
            self.runs.append(index)
        for completion in (message.completion, message.callee_completion):
            if completion is not None:
                self._waiting[completion] = index
        event = self.event(event_kind, type=protocol.type_name(kind), entry=index)
        for name in ("name", "target", "key", "until", "signal"):
            if value := getattr(message, name):
                event[name] = value
        event.update(message.extra)
        return _with_value(event, message)

    def _completion(self, event_kind: str, kind: int, message: Message) -> Event:
        event = self.event(event_kind, type=protocol.type_name(kind))
        if message.signal is not None:
            event["signal"] = message.signal
        if message.completion is not None:
            event["entry"] = self._waiting.get(message.completion)
        if message.invocation:
            event["callee"] = message.invocation
        event.update(message.extra)
        return _with_value(event, message)


def _with_value(event: Event, message: Message) -> Event:
    if message.value is not None:
        event["value"] = message.value[: MAX_VALUE * 4].decode("utf-8", "replace")[:MAX_VALUE]
        event["size"] = len(message.value)
    if message.failure is not None:
        event["failure"] = [message.failure[0], message.failure[1][:MAX_VALUE]]
    return event
