"""RecordTable: one row per record, columns as NumPy arrays over one byte buffer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from kafka_salvage.scan.batches import I8, I32, I64, BatchTable
from kafka_salvage.scan.limits import Limits
from kafka_salvage.source.source import U8, Source


class Outcome(IntEnum):
    """What decoding a batch came to."""

    OK = 0
    CODEC_MISSING = 1
    INFLATE_FAILED = 2
    INFLATE_LIMIT = 3
    RECORD_MALFORMED = 4
    COUNT_MISMATCH = 5
    UNKNOWN_CODEC = 6


NO_TIMESTAMP_TYPE, CREATE_TIME, LOG_APPEND_TIME_TYPE = -1, 0, 1


@dataclass(frozen=True, slots=True, eq=False)
class RecordTable:
    """Columns of records; key, value and header bytes are slices of ``data``.

    Attributes:
        batches: the batches that these records come from.
        data: bytes (file bytes or inflated payloads).
        batch: row in ``batches`` of each record.
        offset: log offset. timestamp: ms; LogAppendTime rule applied; 0 with `NO_TIMESTAMP_TYPE` is never used: magic 0
            records carry -1. timestamp_type: -1 none (magic 0), 0 create, 1 append. sequence: producer sequence or -1.
        key_start, key_size, value_start, value_size: into ``data``; size -1 = null.
        header_first: n + 1 indices into the header columns; record i has headers ``header_first[i]:header_first[i + 1]``.
        header_key_start, header_key_size, header_value_start, header_value_size: into ``data``; value size -1 = null.
    """

    batches: BatchTable
    data: U8
    batch: I32
    offset: I64
    timestamp: I64
    timestamp_type: I8
    sequence: I32
    key_start: I64
    key_size: I32
    value_start: I64
    value_size: I32
    header_first: I64
    header_key_start: I64
    header_key_size: I32
    header_value_start: I64
    header_value_size: I32

    def __len__(self) -> int:
        return len(self.offset)

    def __repr__(self) -> str:
        if not len(self):
            return "RecordTable(0 records)"
        return f"RecordTable({len(self)} records, offsets {int(self.offset[0])}..{int(self.offset[-1])})"

    def row(self, index: int) -> dict[str, Any]:
        """One record: offset, timestamp, timestamp_type, sequence, key, value, headers (bytes or None)."""
        raise NotImplementedError  # the scan work package

    def to_pylist(self) -> list[dict[str, Any]]:
        """All records as `row` gives them."""
        return [self.row(i) for i in range(len(self))]

    def take(self, which: Any) -> RecordTable:
        """Records chosen by a slice, mask or index array (header columns are re-gathered)."""
        raise NotImplementedError  # the scan work package


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Records of some batches, and how each batch fared.

    Attributes:
        table: records of the batches whose outcome is OK, control records included. Its ``batches`` are *all* batches given,
            with base_offset, last_offset and record_count of wrappers resolved.
        outcome: `Outcome` per batch.
        detail: one sentence for each batch that is not OK, by row.
    """

    table: RecordTable
    outcome: I8
    detail: dict[int, str]


def decode(
    source: Source, batches: BatchTable, limits: Limits | None = None, *, chunk: int = 8 << 20
) -> Iterator[Decoded]:
    """Decodes batches (in file order) to columns, in pieces of about ``chunk`` bytes of payload.

    The CRC is not checked again. Memory: one piece, or one batch when that is larger (bounded by ``limits``).
    """
    raise NotImplementedError  # the scan work package
