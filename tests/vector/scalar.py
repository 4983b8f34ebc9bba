"""An obvious decoder of records, for tests: slices and exceptions, no addresses; written from the format's description."""

from __future__ import annotations

import struct
import zlib
from typing import Any

Record = tuple[int, int, int, bytes | None, bytes | None, tuple[tuple[bytes, bytes | None], ...]]
"""offset, timestamp, timestamp type, key, value, headers."""


class Bad(ValueError):  # noqa: N818 (short, used everywhere here)
    """The payload is not what it should be."""


class Reader:
    """Takes bytes off the front; `Bad` when there are not enough."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, size: int) -> bytes:
        if size < 0 or size > len(self.data):
            raise Bad(f"{size} of {len(self.data)} bytes")
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def number(self, bits: int) -> int:
        """Zigzag base 128 of at most 5 or 10 bytes; what is above ``bits`` is cut off."""
        value = 0
        for index in range(5 if bits == 32 else 10):
            byte = self.take(1)[0]
            value |= (byte & 127) << 7 * index
            if byte < 128:
                value &= (1 << bits) - 1
                return value >> 1 if value % 2 == 0 else -(value >> 1) - 1
        raise Bad("number too long")

    def sized(self) -> bytes | None:
        size = self.number(32)
        return None if size < 0 else self.take(size)

    def unpack(self, form: str) -> Any:
        return struct.unpack(">" + form, self.take(struct.calcsize(">" + form)))[0]

    def sized32(self) -> bytes | None:
        size = self.unpack("i")
        return None if size < 0 else self.take(size)


def decode_v2(payload: bytes, base: int, span: int, time: int, append: int | None, count: int) -> list[Record]:
    """All records of a v2 payload, or `Bad`."""
    if count < 0:
        raise Bad("count")
    whole, out, last = Reader(payload), list[Record](), -1
    for _ in range(count):
        one = Reader(whole.take(whole.number(32)))
        one.take(1)
        stamp, delta = time + one.number(64), one.number(32)
        if not last < delta <= span:
            raise Bad("offset delta")
        last = delta
        key, value = one.sized(), one.sized()
        headers = []
        headers_count = one.number(32)
        if not 0 <= headers_count <= len(one.data):
            raise Bad("headers")
        for _ in range(headers_count):
            name = one.sized()
            if name is None:
                raise Bad("null header key")
            headers.append((name, one.sized()))
        if one.data:
            raise Bad("left in record")
        kind = 0 if append is None else 1
        out.append((base + delta, wrap(stamp) if append is None else append, kind, key, value, tuple(headers)))
    if whole.data:
        raise Bad("left in batch")
    return out


def wrap(value: int) -> int:
    """Two's complement of 64 bits."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def decode_set(payload: bytes, offset: int, magic: int, time: int, append: bool) -> list[Record]:
    """All inner messages of a wrapper, or `Bad`."""
    whole, found = Reader(payload), list[Record]()
    while whole.data:
        inner_offset, size = whole.unpack("q"), whole.unpack("i")
        body = whole.take(size)
        one = Reader(body)
        if one.unpack("I") != zlib.crc32(body[4:]):
            raise Bad("crc")
        inner_magic, attributes = one.unpack("b"), one.unpack("b")
        if inner_magic not in (0, 1) or attributes & 7:
            raise Bad("magic or codec")
        stamp = one.unpack("q") if inner_magic else -1
        kind = -1 if inner_magic == 0 else int(append and magic == 1)
        key, value = one.sized32(), one.sized32()
        if one.data or (found and inner_offset <= found[-1][0]) or inner_offset < 0:
            raise Bad("left, or order")
        found.append((inner_offset, time if kind == 1 else stamp, kind, key, value, ()))
    if not found:
        raise Bad("empty")
    move = offset - found[-1][0] if magic == 1 and offset else 0
    if move < 0:
        raise Bad("anchor")
    return [(r[0] + move, *r[1:]) for r in found]
