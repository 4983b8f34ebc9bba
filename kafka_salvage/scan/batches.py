"""BatchTable: one row per batch, columns as NumPy arrays.

A *batch* is the top-level unit of a `.log` file: a v2 record batch, or one v0/v1 message (perhaps a compressed
wrapper). Rows are in file order. All columns have the same length and native byte order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
I16 = npt.NDArray[np.int16]
I8 = npt.NDArray[np.int8]
U32 = npt.NDArray[np.uint32]
Bool = npt.NDArray[np.bool_]

UNKNOWN_COUNT = -1
"""``record_count`` of a v0/v1 wrapper that was not inflated yet."""

COLUMNS: dict[str, np.dtype[Any]] = {
    "position": np.dtype(np.int64),
    "size": np.dtype(np.int64),
    "offset": np.dtype(np.int64),
    "base_offset": np.dtype(np.int64),
    "last_offset": np.dtype(np.int64),
    "leader_epoch": np.dtype(np.int32),
    "magic": np.dtype(np.int8),
    "attributes": np.dtype(np.int16),
    "crc": np.dtype(np.uint32),
    "base_timestamp": np.dtype(np.int64),
    "max_timestamp": np.dtype(np.int64),
    "producer_id": np.dtype(np.int64),
    "producer_epoch": np.dtype(np.int16),
    "base_sequence": np.dtype(np.int32),
    "record_count": np.dtype(np.int32),
}

CODEC_MASK = 0x07
LOG_APPEND_TIME = 0x08
TRANSACTIONAL = 0x10
CONTROL = 0x20
DELETE_HORIZON = 0x40


@dataclass(frozen=True, slots=True, eq=False)
class BatchTable:
    """Columns of batches whose CRC agrees (facts from headers; no verdict).

    Attributes:
        position: byte of the batch's first byte in its file.
        size: bytes of the whole batch, the 12 bytes of offset and length included.
        offset: the int64 stored in the first 8 bytes (v2: base offset; v0/v1: offset, of a wrapper the last inner one).
        base_offset: first offset; v0/v1 wrapper: of the first inner message once inflated, until then = ``offset``.
        last_offset: last offset (v2: base offset + last offset delta; v0/v1: ``offset``).
        leader_epoch: partition leader epoch; -1 in v0/v1.
        magic: 0, 1 or 2.
        attributes: int16 of v2, int8 of v0/v1 widened.
        crc: stored CRC.
        base_timestamp: ms (v2 base or delete horizon; v1 message timestamp; v0 -1).
        max_timestamp: ms (v2 max; v1 = timestamp; v0 -1).
        producer_id, producer_epoch, base_sequence: -1 in v0/v1.
        record_count: v2: records per the header; v0/v1 plain: 1; wrapper: inner messages, `UNKNOWN_COUNT` until inflated.
    """

    position: I64
    size: I64
    offset: I64
    base_offset: I64
    last_offset: I64
    leader_epoch: I32
    magic: I8
    attributes: I16
    crc: U32
    base_timestamp: I64
    max_timestamp: I64
    producer_id: I64
    producer_epoch: I16
    base_sequence: I32
    record_count: I32

    def __post_init__(self) -> None:
        lengths = {len(getattr(self, name)) for name in COLUMNS}
        if len(lengths) > 1:
            raise ValueError(f"columns of different lengths: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.position)

    def __repr__(self) -> str:
        if not len(self):
            return "BatchTable(0 batches)"
        return (
            f"BatchTable({len(self)} batches, positions {int(self.position[0])}..{int(self.stop[-1])}, "
            f"offsets {int(self.base_offset[0])}..{int(self.last_offset[-1])})"
        )

    @property
    def stop(self) -> I64:
        """Position behind each batch."""
        return self.position + self.size

    @property
    def codec(self) -> I16:
        """Codec id of each batch (0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd; 5..7 unknown)."""
        return self.attributes & np.int16(CODEC_MASK)

    @property
    def is_control(self) -> Bool:
        """Control batches (v2 only)."""
        return np.asarray((self.magic >= 2) & ((self.attributes & CONTROL) != 0))

    @property
    def is_transactional(self) -> Bool:
        """Transactional batches, markers included (v2 only)."""
        return np.asarray((self.magic >= 2) & ((self.attributes & TRANSACTIONAL) != 0))

    @property
    def is_wrapper(self) -> Bool:
        """Compressed v0/v1 wrapper messages."""
        return np.asarray((self.magic < 2) & ((self.attributes & CODEC_MASK) != 0))

    def row(self, index: int) -> dict[str, int]:
        """One row as plain integers, for display and tests."""
        return {name: int(getattr(self, name)[index]) for name in COLUMNS}

    def take(self, which: Any) -> BatchTable:
        """Rows chosen by a slice, a boolean mask or an index array."""
        return BatchTable(**{name: getattr(self, name)[which] for name in COLUMNS})

    def replace(self, **columns: npt.NDArray[Any]) -> BatchTable:
        """The same rows with some columns exchanged."""
        return BatchTable(**{f.name: columns.get(f.name, getattr(self, f.name)) for f in fields(self)})

    @classmethod
    def empty(cls) -> BatchTable:
        """A table without rows."""
        return cls(**{name: np.empty(0, dtype) for name, dtype in COLUMNS.items()})

    @classmethod
    def concat(cls, tables: Iterable[BatchTable]) -> BatchTable:
        """Rows of several tables one after another."""
        parts: Sequence[BatchTable] = list(tables)
        if not parts:
            return cls.empty()
        if len(parts) == 1:
            return parts[0]
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in COLUMNS})

    @classmethod
    def from_rows(cls, rows: Sequence[dict[str, int]]) -> BatchTable:
        """A table from plain rows (tests, tiny tables)."""
        return cls(**{name: np.array([row[name] for row in rows], dtype) for name, dtype in COLUMNS.items()})
