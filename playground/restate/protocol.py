"""Reading the service protocol: the frames between the Restate server and a pod.

Each direction of an `/invoke` stream is a sequence of frames. A frame is an 8-byte header (type u16, flags u16, length
u32, big-endian), followed by a protobuf message of that length. There are three groups of types:

* 0x0000  control: Start, Suspension, Error, End, ProposeRunCompletion …
* 0x0400  commands: what the handler asked for. They are journal entries.
* 0x8000  notifications: the completion of command `type - 0x8000 + 0x0400`. They are journal entries too. 0xFBFF is a
  signal (an awakeable's completion, or a cancellation).

We never write frames and never need a whole message, so this module reads protobuf's wire format directly, and picks
the few fields named in the tables below. Whatever it does not understand stays bytes, so that a newer server does not
break a lesson. Restate's journal (`sys_journal.raw`) holds the same messages, so the same code reads it.

The types and field numbers come from:
https://github.com/restatedev/restate/blob/main/service-protocol/dev/restate/service/protocol.proto
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

HEADER = struct.Struct(">HHI")

JOURNAL_MISMATCH = 570
"""Code of the failure of an attempt whose handler does not fit its journal."""
FIRST_AWAKEABLE = 17
"""Signal number of an invocation's first awakeable; 1 is cancellation."""
START, SUSPENSION, ERROR, END, COMMAND_ACK, PROPOSE_RUN, AWAITING_ON, RUN_ACK = range(8)
INPUT, OUTPUT, RUN, SIGNAL = 0x0400, 0x0401, 0x0411, 0xFBFF
CALL_INVOCATION_ID = 0x800E

CONTROL_NAMES = {
    START: "Start",
    SUSPENSION: "Suspension",
    ERROR: "Error",
    END: "End",
    COMMAND_ACK: "CommandAck",
    PROPOSE_RUN: "ProposeRunCompletion",
    AWAITING_ON: "AwaitingOn",
    RUN_ACK: "ProposeRunCompletionAck",
}
COMMAND_NAMES = {
    0x0400: "Input",
    0x0401: "Output",
    0x0402: "GetLazyState",
    0x0403: "SetState",
    0x0404: "ClearState",
    0x0405: "ClearAllState",
    0x0406: "GetLazyStateKeys",
    0x0407: "GetEagerState",
    0x0408: "GetEagerStateKeys",
    0x0409: "GetPromise",
    0x040A: "PeekPromise",
    0x040B: "CompletePromise",
    0x040C: "Sleep",
    0x040D: "Call",
    0x040E: "OneWayCall",
    0x0410: "SendSignal",
    0x0411: "Run",
    0x0412: "AttachInvocation",
    0x0413: "GetInvocationOutput",
    0x0414: "CompleteAwakeable",
}
COMMAND_TYPES = {name: number for number, name in COMMAND_NAMES.items()}


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it was on the wire.

    Attributes:
        type: the frame's type number.
        payload: the protobuf message, undecoded.
        raw: header and payload, to pass on unchanged.
    """

    type: int
    payload: bytes
    raw: bytes


class FrameReader:
    """Cuts a byte stream into frames, wherever the stream was split.

    It only reads bytes and never changes them. So a caller that passes the original bytes on cannot break the stream,
    whatever they contain.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """How many bytes of an incomplete frame have arrived."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """Add bytes. Returns the frames that they complete, in order."""
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        start = 0
        while len(buffer) - start >= HEADER.size:
            kind, _flags, length = HEADER.unpack_from(buffer, start)
            end = start + HEADER.size + length
            if end > len(buffer):
                break
            raw = bytes(buffer[start:end])
            frames.append(Frame(kind, raw[HEADER.size :], raw))
            start = end
        if start:
            del buffer[:start]
        return frames


def is_command(kind: int) -> bool:
    """Whether a frame type is a command (a journal entry the handler asked for)."""
    return 0x0400 <= kind < 0x0800


def is_notification(kind: int) -> bool:
    """Whether a frame type is a notification (a journal entry that arrived)."""
    return kind >= 0x8000


def type_name(kind: int) -> str:
    """The name of a frame type, e.g. "Call", "Call completion", "Signal"; its number if it is unknown."""
    if kind == SIGNAL:
        return "Signal"
    if kind == CALL_INVOCATION_ID:
        return "Call invocation id"
    if is_notification(kind):
        command = COMMAND_NAMES.get(kind - 0x8000 + 0x0400)
        return f"{command} completion" if command else f"0x{kind:04X}"
    return COMMAND_NAMES.get(kind) or CONTROL_NAMES.get(kind) or f"0x{kind:04X}"


class Malformed(ValueError):
    """Bytes that are not a protobuf message."""


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Walk through a protobuf message: (field number, integer or bytes), in wire order.

    Raises:
        Malformed: the bytes are not protobuf.
    """
    position, size = 0, len(message)
    while position < size:
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, position = _varint(message, position)
            yield number, value
        elif wire == 2:
            length, position = _varint(message, position)
            if position + length > size:
                raise Malformed("a field is longer than its message")
            yield number, message[position : position + length]
            position += length
        elif wire in (1, 5):
            width = 8 if wire == 1 else 4
            if position + width > size:
                raise Malformed("a fixed field is cut off")
            yield number, int.from_bytes(message[position : position + width], "little")
            position += width
        else:
            raise Malformed(f"wire type {wire}")


def _varint(message: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if position >= len(message) or shift > 63:
            raise Malformed("a number is cut off")
        byte = message[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7


@dataclass(slots=True)
class Message:
    """The fields of a frame that a recording needs, for all types of frames.

    Attributes:
        completion: the completion id that this command waits for, or that this notification completes.
        callee_completion: the completion id with which the invocation id of a call arrives.
        signal: the number or name of the signal that arrived.
        name: the entry's name, e.g. of a `ctx.run`.
        target: "Service/handler" or "Object/key/handler" of a call.
        key: state key or promise name.
        value: the payload in or out, undecoded.
        failure: (code, message) of a terminal failure.
        invocation: an invocation id (of a callee, or the one addressed).
        until: when a sleep or a delayed call ends, in Unix milliseconds.
        waits_for: (completion ids, signal numbers or names) of a suspension.
        extra: what only one type of frame has.
    """

    completion: int | None = None
    callee_completion: int | None = None
    signal: int | str | None = None
    name: str = ""
    target: str = ""
    key: str = ""
    value: bytes | None = None
    failure: tuple[int, str] | None = None
    invocation: str = ""
    until: int | None = None
    waits_for: tuple[list[int], list[int | str]] | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def decode(kind: int, payload: bytes) -> Message:
    """Read from a frame's message the fields that a recording needs.

    Raises:
        Malformed: the payload is not protobuf, or a field does not have the type that the protocol gives it.
    """
    got: dict[int, list[Any]] = {}
    for number, value in fields(payload):
        got.setdefault(number, []).append(value)
    message = Message()
    try:
        if is_notification(kind):
            _notification(message, got)
        elif is_command(kind):
            _command(kind, message, got)
        else:
            _control(kind, message, got)
    except (TypeError, AttributeError, UnicodeDecodeError) as error:
        raise Malformed(f"{type_name(kind)}: {error}") from error
    return message


def _text(got: dict[int, list[Any]], number: int) -> str:
    return got[number][-1].decode() if number in got else ""


def _inner(got: dict[int, list[Any]], number: int) -> bytes:
    """The content of a nested `Value { bytes content = 1; }`."""
    content = b""
    for inner, value in fields(got[number][-1]):
        if inner == 1:
            if not isinstance(value, bytes):
                raise Malformed("a value is not bytes")
            content = value
    return content


def _fails(message: Message, failure: bytes) -> None:
    """Read a nested `Failure`: its code, its message and, from version 6 on, the handler's metadata."""
    code, text = 0, b""
    metadata: dict[str, str] = {}
    for number, value in fields(failure):
        if number == 1 and isinstance(value, int):
            code = value
        elif number == 2 and isinstance(value, bytes):
            text = value
        elif number == 3 and isinstance(value, bytes):
            pair = {number: text.decode() for number, text in fields(value) if isinstance(text, bytes)}
            metadata[pair.get(1, "")] = pair.get(2, "")
    message.failure = code, text.decode()
    if metadata:
        message.extra["metadata"] = metadata


def _keys(message: bytes) -> list[str]:
    return [value.decode() for _, value in fields(message) if isinstance(value, bytes)]


def _notification(message: Message, got: dict[int, list[Any]]) -> None:
    if 1 in got:
        message.completion = got[1][-1]
    if 2 in got:
        message.signal = got[2][-1]
    if 3 in got:
        message.signal = _text(got, 3)
    if 5 in got:
        message.value = _inner(got, 5)
    if 6 in got:
        _fails(message, got[6][-1])
    message.invocation = _text(got, 16)
    if 17 in got:
        message.extra["keys"] = _keys(got[17][-1])


# The field numbers by command. Fields 10 and 11 (completion ids) and 12 (name) are the same in all of them.
_KEY = {0x0402: 1, 0x0403: 1, 0x0404: 1, 0x0407: 1, 0x0409: 1, 0x040A: 1, 0x040B: 1}
_VALUE = {0x0400: 14, 0x0401: 14, 0x0403: 3, 0x0407: 14, 0x040B: 2, 0x0410: 5, 0x0414: 2}
_FAILURE = {0x0401: 15, 0x040B: 3, 0x0410: 6, 0x0414: 3}
_CALL = {0x040D: (1, 2, 5), 0x040E: (1, 2, 6)}
_UNTIL = {0x040C: 1, 0x040E: 4}
_INVOCATION = {0x0410: 1, 0x0412: 1, 0x0413: 1}
_SEND_SIGNAL, _COMPLETE_AWAKEABLE = 0x0410, 0x0414


def _command(kind: int, message: Message, got: dict[int, list[Any]]) -> None:
    message.name = _text(got, 12)
    if 11 in got:
        message.completion = got[11][-1]
    if kind in _KEY:
        message.key = _text(got, _KEY[kind])
    if kind in _VALUE and _VALUE[kind] in got:
        message.value = _inner(got, _VALUE[kind])
    if kind in _FAILURE and _FAILURE[kind] in got:
        _fails(message, got[_FAILURE[kind]][-1])
    if kind in _UNTIL and _UNTIL[kind] in got:
        message.until = got[_UNTIL[kind]][-1]
    if kind in _INVOCATION:
        message.invocation = _text(got, _INVOCATION[kind])
    if kind in _CALL:
        service, handler, key = (_text(got, number) for number in _CALL[kind])
        message.target = f"{service}/{key}/{handler}" if key else f"{service}/{handler}"
        message.value = got[3][-1] if 3 in got else b""
        if 10 in got:
            message.callee_completion = got[10][-1]
    elif kind == _SEND_SIGNAL:
        message.signal = _text(got, 3) or (got[2][-1] if 2 in got else None)
    elif kind == _COMPLETE_AWAKEABLE:
        message.extra["awakeable"] = _text(got, 1)


def _control(kind: int, message: Message, got: dict[int, list[Any]]) -> None:
    if kind == START:
        message.invocation = _text(got, 2)
        message.key = _text(got, 6)
        message.extra = {
            "id": got[1][-1] if 1 in got else b"",
            "known": got.get(3, [0])[-1],
            "retries": got.get(7, [0])[-1],
        }
    elif kind in (SUSPENSION, AWAITING_ON):
        # Up to version 6 the message itself has the lists; version 7 nests them in a tree of futures.
        completions: list[int] = []
        signals: list[int | str] = []
        if 4 in got or (kind == AWAITING_ON and 1 in got):
            _future(got[4 if kind == SUSPENSION else 1][-1], completions, signals)
        else:
            completions = _numbers(got.get(1, []))
            signals = [*_numbers(got.get(2, [])), *(name.decode() for name in got.get(3, []))]
        message.waits_for = (completions, signals)
    elif kind == ERROR:
        message.failure = (got.get(1, [0])[-1], _text(got, 2))
        message.name = _text(got, 5)
        message.extra = {"stacktrace": _text(got, 3)}
        if 4 in got:
            message.extra["command"] = got[4][-1]
    elif kind == PROPOSE_RUN:
        message.completion = got.get(1, [None])[-1]
        if 14 in got:
            message.value = got[14][-1]
        if 15 in got:
            _fails(message, got[15][-1])
    elif kind == RUN_ACK:
        message.completion = got.get(1, [None])[-1]


def _numbers(values: list[Any]) -> list[int]:
    """The values of a repeated integer field, packed or not."""
    numbers: list[int] = []
    for value in values:
        if isinstance(value, int):
            numbers.append(value)
            continue
        position = 0
        while position < len(value):
            number, position = _varint(value, position)
            numbers.append(number)
    return numbers


def _future(message: bytes, completions: list[int], signals: list[int | str], depth: int = 0) -> None:
    if depth > 100:
        raise Malformed("futures nested too deeply")
    for number, value in fields(message):
        if number == 1:
            completions += _numbers([value])
        elif number == 2:
            signals += _numbers([value])
        elif number == 3 and isinstance(value, bytes):
            signals.append(value.decode())
        elif number == 4 and isinstance(value, bytes):
            _future(value, completions, signals, depth + 1)
