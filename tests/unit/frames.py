"""Building service-protocol frames for tests: the opposite of what `playground.restate.protocol` reads."""

from __future__ import annotations

from playground.restate.protocol import HEADER


def varint(number: int) -> bytes:
    out = bytearray()
    while True:
        byte, number = number & 0x7F, number >> 7
        out.append(byte | (0x80 if number else 0))
        if not number:
            return bytes(out)


def message(*parts: tuple[int, int | bytes | str]) -> bytes:
    """A protobuf message of (field number, value)."""
    out = b""
    for number, value in parts:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def frame(kind: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return HEADER.pack(kind, flags, len(payload)) + payload


def value(content: bytes | str) -> bytes:
    return message((1, content))
