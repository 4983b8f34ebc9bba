"""Layout: the declaration of one on-disk structure, from which everything else about it is derived.

A `Layout` lists a structure's fields in order. The leading fields of fixed size give a `struct` format, a NumPy dtype
(big-endian, explicit byte offsets), each field's offset and the total size; all fields give the table in docs/format.md.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

FIXED: dict[str, tuple[str, str, int]] = {
    "int8": ("b", "i1", 1),
    "uint8": ("B", "u1", 1),
    "int16": ("h", ">i2", 2),
    "int32": ("i", ">i4", 4),
    "uint32": ("I", ">u4", 4),
    "int64": ("q", ">i8", 8),
}
"""Type name -> struct code, NumPy type, bytes. All big-endian."""

VARIABLE = frozenset({"varint", "varlong", "bytes"})
"""Types whose size is known only by reading."""

Buffer = Any
"""`bytes`, `bytearray`, `memoryview` or a `uint8` array."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a structure.

    Attributes:
        name: in snake case.
        type: a key of `FIXED`, or one of `VARIABLE`.
        meaning: one phrase for the documentation.
        legal: which values are legal, "" when all are.
        repeated: the field (and those next to it that are repeated too) occurs any number of times.
    """

    name: str
    type: str
    meaning: str
    legal: str = ""
    repeated: bool = False


@dataclass(frozen=True, eq=False)
class Layout:
    """One structure.

    Attributes:
        name: identifier.
        title: heading in the documentation.
        fields: in order of their bytes.
        source: where Kafka declares it.
        note: a sentence below the table.
        size: bytes of the leading fields of fixed size.
    """

    name: str
    title: str
    fields: tuple[Field, ...]
    source: str
    note: str = ""
    size: int = field(init=False)

    def __post_init__(self) -> None:
        names, codes, formats, offsets, size = [], "", [], [], 0
        for part in self.fields:
            if part.type in VARIABLE or part.repeated:
                break
            code, numpy_type, width = FIXED[part.type]
            names.append(part.name)
            codes += code
            formats.append(numpy_type)
            offsets.append(size)
            size += width
        unknown = [part.type for part in self.fields if part.type not in FIXED and part.type not in VARIABLE]
        if unknown or len(set(names)) != len(names):
            raise ValueError(f"layout {self.name}: unknown types {unknown} or a name twice")
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "_struct", struct.Struct(">" + codes))
        object.__setattr__(self, "_offsets", dict(zip(names, offsets, strict=True)))
        dtype = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})
        object.__setattr__(self, "_dtype", dtype)

    def __repr__(self) -> str:
        return f"Layout({self.name!r}, {len(self.fields)} fields, {self.size} bytes)"

    @property
    def struct(self) -> struct.Struct:
        """Compiled `struct` of the fields of fixed size, in order."""
        return self._struct  # type: ignore[attr-defined,no-any-return] # set in __post_init__

    @property
    def dtype(self) -> np.dtype[Any]:
        """Big-endian structured dtype of the fields of fixed size."""
        return self._dtype  # type: ignore[attr-defined,no-any-return] # set in __post_init__

    @property
    def offsets(self) -> dict[str, int]:
        """First byte of each field of fixed size."""
        return dict(self._offsets)  # type: ignore[attr-defined] # set in __post_init__

    def offset_of(self, name: str) -> int:
        """First byte of a field, from the structure's beginning."""
        return self._offsets[name]  # type: ignore[attr-defined,no-any-return] # set in __post_init__

    def read(self, data: Buffer, position: int = 0) -> tuple[int, ...]:
        """Values of the fields of fixed size, in order.

        Raises:
            ValueError: fewer than ``size`` bytes from ``position`` on.
        """
        if position < 0 or len(data) - position < self.size:
            raise ValueError(f"{self.name} needs {self.size} bytes at {position}, {len(data)} are there in all")
        return self.struct.unpack_from(data, position)

    def pack(self, *values: int) -> bytes:
        """Bytes of the fields of fixed size."""
        return self.struct.pack(*values)

    def array(self, data: Buffer, count: int, position: int = 0) -> np.ndarray[Any, np.dtype[Any]]:
        """``count`` structures one after another, as a structured array over ``data`` (no copy)."""
        if count == 0:
            return np.empty(0, self.dtype)  # frombuffer refuses an empty buffer
        return np.frombuffer(data, self.dtype, count, position)

    def markdown(self) -> str:
        """Heading, table and note for docs/format.md."""
        lines = [f"### {self.title}", "", "| offset | size | field | type | meaning |", "|---|---|---|---|---|"]
        for part in self.fields:
            at = self._offsets.get(part.name) if not part.repeated else None  # type: ignore[attr-defined] # as above
            width = "" if part.type in VARIABLE else str(FIXED[part.type][2])
            meaning = f"{part.meaning} ({part.legal})" if part.meaning and part.legal else part.meaning or part.legal
            name = f"`{part.name}`" + (" …" if part.repeated else "")
            lines.append(f"| {'' if at is None else at} | {width} | {name} | {part.type} | {meaning} |")
        lines.append("")
        if all(part.type in FIXED and not part.repeated for part in self.fields):
            lines += [f"{self.size} bytes.", ""]
        if self.note:
            lines += [self.note, ""]
        return "\n".join([*lines, f"Source: {self.source}.", ""])


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
