"""Shape: segments of generated records of one kind: how many in a batch, how large, which codec, which magic.

A few different batches are made and repeated; only their offsets advance, which lie outside of what the CRC covers. So a large
file costs a copy, and records, sizes and compression are as they would be.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.support.build import GZIP, LZ4, NONE, SNAPPY, ZSTD, Rec, legacy_message, v2_batch, wrapper

START = 1_700_000_000_000
NAMES = {NONE: "none", GZIP: "gzip", SNAPPY: "snappy", LZ4: "lz4", ZSTD: "zstd"}
VARIANTS = 16
HEADERS = {1: 34, 2: 61}
"""Where the payload of a batch begins: behind the header of v2, behind the null key and the value's size of a wrapper."""
_WORDS = (b"alpha", b"beta", b"gamma", b"order", b"status", b"paid", b"shipped", b"customer", b"12345", b"2026-11-23")
_PIECE = 32 << 20


@dataclass(frozen=True, slots=True)
class Shape:
    """What a segment is made of.

    Attributes:
        records: in a batch; of uncompressed magic 1, which knows no batches, messages in one of the variants.
        value: bytes of a value; the key has 16.
        codec: as in a batch's attributes.
        magic: 1 or 2.
    """

    records: int
    value: int
    codec: int = NONE
    magic: int = 2

    @property
    def name(self) -> str:
        """How the tables call it."""
        value = f"{self.value >> 10} KiB" if self.value >= 1024 else f"{self.value} B"
        magic = "" if self.magic == 2 else f"magic {self.magic}, "
        if self.magic < 2 and self.codec == NONE:
            return f"{magic}plain messages, values of {value}"
        many = "one record" if self.records == 1 else f"{self.records} records"
        return f"{magic}{many} in a batch, values of {value}"

    def batches(self) -> list[bytes]:
        """The variants, all at offset 0."""
        rng = random.Random(self.value)
        made = []
        for _ in range(VARIANTS):
            records = [
                Rec(i, START + 3 * i, b"key-%012d" % rng.randrange(10**9), _value(rng, self.value))
                for i in range(self.records)
            ]
            if self.magic == 2:
                made.append(v2_batch(0, records, codec=self.codec))
            elif self.codec:
                made.append(wrapper(records, magic=self.magic, codec=self.codec))
            else:
                made.append(b"".join(self._message(record) for record in records))
        return made

    def _message(self, record: Rec) -> bytes:
        return legacy_message(record.offset, record.key, record.value, magic=1, timestamp=record.timestamp)

    def payloads(self) -> list[bytes]:
        """What the variants' codec inflates."""
        return [batch[HEADERS[self.magic] :] for batch in self.batches()]


@dataclass(frozen=True, slots=True)
class Written:
    """A generated segment.

    Attributes:
        batches: in it (messages, where there are no batches).
        records: in it.
        size: bytes.
    """

    batches: int
    records: int
    size: int


def _value(rng: random.Random, size: int) -> bytes:
    """Text that compresses about as JSON does."""
    parts, length = [b'{"'], 2
    while length < size:
        parts += (rng.choice(_WORDS), b'","')
        length += len(parts[-2]) + 3
    return b"".join(parts)[:size]


def block(shape: Shape) -> tuple[npt.NDArray[np.uint8], list[tuple[int, int]], int]:
    """(all variants on end, position and offset of each batch in it, records in it)."""
    data, fields, offset = b"", [], 0
    for batch in shape.batches():
        place = len(data)
        while place < len(data) + len(batch):
            own, length = struct.unpack_from(">qi", batch, place - len(data))
            fields.append((place, offset + own))
            place += 12 + length
        data += batch
        offset += shape.records
    return np.frombuffer(data, np.uint8), fields, offset


def write(path: Path, shape: Shape, size: int, base: int = 0) -> Written:
    """Writes about ``size`` bytes of a shape.

    Args:
        path: the `.log`.
        shape: of the records.
        size: bytes; there is at least each variant once.
        base: offset of the first record.
    """
    one, fields, records = block(shape)
    count = max(1, size // len(one))
    rows = np.tile(one, (min(count, max(1, _PIECE // len(one))), 1))
    with path.open("wb") as file:
        for first in range(0, count, len(rows)):
            here = rows[: count - first]
            starts = base + (first + np.arange(len(here))) * records
            for place, offset in fields:
                here[:, place : place + 8] = (starts + offset).astype(">i8").view(np.uint8).reshape(-1, 8)
            file.write(here.data)
    return Written(count * len(fields), count * records, count * len(one))
