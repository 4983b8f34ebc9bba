"""Cursor over Kafka's generic message encodings, flexible and not.

Strategy: a `Cursor` reads one value after another from a bounded buffer; where the bytes do not hold what is asked, it raises
`Cut`, which the caller of a whole message turns into a problem. Counts are compared with the bytes that remain before
anything is built.

Source: `clients/.../common/protocol/types`, `ByteUtils.java`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeVar

from kafka_salvage.wire.record_v2 import read_uvarint

T = TypeVar("T")

_INT16, _INT32, _INT64 = struct.Struct(">h"), struct.Struct(">i"), struct.Struct(">q")
_UINT16, _UINT32, _FLOAT64 = struct.Struct(">H"), struct.Struct(">I"), struct.Struct(">d")


class Cut(ValueError):  # noqa: N818 (an outcome)
    """The bytes do not hold the message."""


class Cursor:
    """Reads values in order.

    Attributes:
        data: the message.
        position: next byte.
        flexible: compact lengths and tagged sections (the message's newer encoding).
    """

    def __init__(self, data: bytes, position: int = 0, *, flexible: bool = False) -> None:
        self.data = data
        self.position = position
        self.flexible = flexible

    @property
    def left(self) -> int:
        """Bytes that remain."""
        return len(self.data) - self.position

    def take(self, size: int, what: str = "bytes") -> bytes:
        """The next ``size`` bytes."""
        if not 0 <= size <= self.left:
            raise Cut(f"{what} of {size} bytes at {self.position}, {self.left} are left")
        self.position += size
        return self.data[self.position - size : self.position]

    def int8(self) -> int:
        """A signed byte."""
        return int.from_bytes(self.take(1, "int8"), "big", signed=True)

    def int16(self) -> int:
        """A signed 16-bit number."""
        return int(_INT16.unpack(self.take(2, "int16"))[0])

    def uint16(self) -> int:
        """An unsigned 16-bit number."""
        return int(_UINT16.unpack(self.take(2, "uint16"))[0])

    def int32(self) -> int:
        """A signed 32-bit number."""
        return int(_INT32.unpack(self.take(4, "int32"))[0])

    def uint32(self) -> int:
        """An unsigned 32-bit number."""
        return int(_UINT32.unpack(self.take(4, "uint32"))[0])

    def int64(self) -> int:
        """A signed 64-bit number."""
        return int(_INT64.unpack(self.take(8, "int64"))[0])

    def float64(self) -> float:
        """A double."""
        return float(_FLOAT64.unpack(self.take(8, "float64"))[0])

    def boolean(self) -> bool:
        """A byte, 0 is false."""
        return self.int8() != 0

    def uuid(self) -> bytes:
        """16 bytes."""
        return self.take(16, "uuid")

    def uvarint(self) -> int:
        """An unsigned base-128 number."""
        got = read_uvarint(self.data, self.position, len(self.data))
        if got is None:
            raise Cut(f"varint at {self.position} is cut or too long")
        self.position = got[1]
        return got[0]

    def nullable_bytes(self) -> bytes | None:
        """Bytes with their length, or null."""
        size = self.uvarint() - 1 if self.flexible else self.int32()
        return None if size < 0 else self.take(size)

    def nullable_string(self) -> str | None:
        """Text with its length, or null; bytes that are not UTF-8 are kept as surrogates."""
        size = self.uvarint() - 1 if self.flexible else self.int16()
        return None if size < 0 else self.take(size, "string").decode("utf-8", "surrogateescape")

    def string(self) -> str:
        """Text with its length."""
        value = self.nullable_string()
        if value is None:
            raise Cut(f"a string before {self.position} is null")
        return value

    def blob(self) -> bytes:
        """Bytes with their length."""
        value = self.nullable_bytes()
        if value is None:
            raise Cut(f"bytes before {self.position} are null")
        return value

    def nullable_array(self, element: Callable[[], T]) -> list[T] | None:
        """Elements with their count, or null. Every element takes at least one byte."""
        count = self.uvarint() - 1 if self.flexible else self.int32()
        if count < 0:
            return None
        if count > self.left:
            raise Cut(f"an array of {count} elements at {self.position}, {self.left} bytes are left")
        return [element() for _ in range(count)]

    def array(self, element: Callable[[], T]) -> list[T]:
        """Elements with their count."""
        value = self.nullable_array(element)
        if value is None:
            raise Cut(f"an array before {self.position} is null")
        return value

    def tags(self) -> dict[int, bytes]:
        """The tagged section at the end of a struct; nothing when the encoding is not flexible."""
        if not self.flexible:
            return {}
        count = self.uvarint()
        if count > self.left:
            raise Cut(f"{count} tagged fields at {self.position}, {self.left} bytes are left")
        found: dict[int, bytes] = {}
        for _ in range(count):
            tag = self.uvarint()
            found[tag] = self.take(self.uvarint(), f"tag {tag}")
        return found

    def end(self) -> None:
        """Insists that nothing is left."""
        if self.left:
            raise Cut(f"{self.left} bytes are left behind the message")
