"""Batch header of magic 2 (Kafka 0.11 and later).

Source: `DefaultRecordBatch.java`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kafka_salvage.wire import attributes as bits
from kafka_salvage.wire.checksum import crc32c
from kafka_salvage.wire.layout import Field, Layout

LAYOUT = Layout(
    "batch_v2",
    "Batch header, magic 2",
    (
        Field("base_offset", "int64", "offset of the first record as it was appended; kept by compaction", "≥ 0"),
        Field("batch_length", "int32", "bytes that follow this field", "≥ 49"),
        Field("partition_leader_epoch", "int32", "set by the broker at append", "≥ 0, or -1 unknown"),
        Field("magic", "int8", "2"),
        Field("crc", "uint32", "CRC-32C of everything from `attributes` to the end of the batch"),
        Field("attributes", "int16", "see the table of bits"),
        Field("last_offset_delta", "int32", "last original offset minus base_offset", "≥ 0"),
        Field("base_timestamp", "int64", "what timestamp deltas are relative to, or the delete horizon; -1 when empty"),
        Field("max_timestamp", "int64", "largest record timestamp, or the append time"),
        Field("producer_id", "int64", "idempotent or transactional producer", "≥ 0, or -1"),
        Field("producer_epoch", "int16", "", "≥ 0, or -1"),
        Field("base_sequence", "int32", "producer's sequence number of the first record", "≥ 0, or -1"),
        Field("records_count", "int32", "records present now", "≥ 0"),
    ),
    "`DefaultRecordBatch.java`",
    "Then the records, one after another, or their compressed stream. Not covered by the CRC: the first 21 bytes, so a flipped "
    "base_offset, batch_length, partition_leader_epoch or magic does not show in it.",
)

HEADER_SIZE = LAYOUT.size
LOG_OVERHEAD = LAYOUT.offset_of("partition_leader_epoch")
"""Bytes before those that the length field counts: a batch has ``batch_length + LOG_OVERHEAD`` bytes in all."""
MIN_BATCH_LENGTH = HEADER_SIZE - LOG_OVERHEAD
CRC_COVERS_FROM = LAYOUT.offset_of("attributes")
MIN_RECORD_SIZE = 7

BASE_OFFSET_AT = LAYOUT.offset_of("base_offset")
BATCH_LENGTH_AT = LAYOUT.offset_of("batch_length")
LEADER_EPOCH_AT = LAYOUT.offset_of("partition_leader_epoch")
MAGIC_AT = LAYOUT.offset_of("magic")
CRC_AT = LAYOUT.offset_of("crc")
ATTRIBUTES_AT = LAYOUT.offset_of("attributes")
LAST_OFFSET_DELTA_AT = LAYOUT.offset_of("last_offset_delta")
BASE_TIMESTAMP_AT = LAYOUT.offset_of("base_timestamp")
MAX_TIMESTAMP_AT = LAYOUT.offset_of("max_timestamp")
PRODUCER_ID_AT = LAYOUT.offset_of("producer_id")
PRODUCER_EPOCH_AT = LAYOUT.offset_of("producer_epoch")
BASE_SEQUENCE_AT = LAYOUT.offset_of("base_sequence")
RECORDS_COUNT_AT = LAYOUT.offset_of("records_count")


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """Fields of a v2 batch header, in the order of their bytes; see `LAYOUT` for their meaning."""

    base_offset: int
    batch_length: int
    partition_leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records_count: int

    @property
    def size(self) -> int:
        """Bytes of the whole batch."""
        return self.batch_length + LOG_OVERHEAD

    @property
    def last_offset(self) -> int:
        """Last offset that the batch stands for, whether or not that record is still there."""
        return wrap64(self.base_offset + self.last_offset_delta)

    @property
    def last_sequence(self) -> int:
        """Sequence number that belongs to ``last_offset``; -1 when there is none."""
        return record_sequence(self.base_sequence, self.last_offset_delta)

    @property
    def codec(self) -> int:
        """Codec id."""
        return bits.codec_of(self.attributes)

    @property
    def is_control(self) -> bool:
        """Whether it holds control records."""
        return bool(self.attributes & bits.CONTROL)

    @property
    def is_transactional(self) -> bool:
        """Whether it belongs to a transaction."""
        return bool(self.attributes & bits.TRANSACTIONAL)

    @property
    def delete_horizon(self) -> int | None:
        """Time in ms after which tombstones here may go; None when not set."""
        return self.base_timestamp if self.attributes & bits.DELETE_HORIZON else None

    def pack(self) -> bytes:
        """The 61 bytes."""
        return LAYOUT.pack(*(getattr(self, name.name) for name in LAYOUT.fields))


def read_header(data: Any, position: int = 0) -> BatchHeader | None:
    """The header at ``position``; None when fewer than 61 bytes are left. Nothing is judged."""
    if position < 0 or len(data) - position < HEADER_SIZE:
        return None
    return BatchHeader(*LAYOUT.read(data, position))


def compute_crc(batch: Any) -> int:
    """CRC-32C over what the stored CRC covers, of one whole batch."""
    return crc32c(memoryview(batch)[CRC_COVERS_FROM:])


def record_sequence(base_sequence: int, offset_delta: int) -> int:
    """Sequence of a record as Java computes it: after 2147483647 comes 0; -1 stays -1."""
    if base_sequence < 0:
        return -1
    if base_sequence > wrap32(0x7FFFFFFF - offset_delta):
        return wrap32(offset_delta - (0x7FFFFFFF - base_sequence) - 1)
    return wrap32(base_sequence + offset_delta)


def wrap32(value: int) -> int:
    """An int32 as Java's arithmetic leaves it."""
    return (value + 2**31) % 2**32 - 2**31


def wrap64(value: int) -> int:
    """An int64 as Java's arithmetic leaves it."""
    return (value + 2**63) % 2**64 - 2**63
