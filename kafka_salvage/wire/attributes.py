"""Attribute bits of messages (v0, v1) and batches (v2).

Source: `DefaultRecordBatch.java`, `LegacyRecord.java`.
"""

from __future__ import annotations

from enum import IntEnum

CODEC_MASK = 0x07
LOG_APPEND_TIME = 0x08
TRANSACTIONAL = 0x10
CONTROL = 0x20
DELETE_HORIZON = 0x40
KNOWN_V0 = CODEC_MASK
KNOWN_V1 = CODEC_MASK | LOG_APPEND_TIME
KNOWN_V2 = CODEC_MASK | LOG_APPEND_TIME | TRANSACTIONAL | CONTROL | DELETE_HORIZON

BITS: tuple[tuple[int, str, str, str], ...] = (
    (CODEC_MASK, "codec", "0 1 2", "0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd (v2 only); 5 to 7 unknown"),
    (LOG_APPEND_TIME, "timestamp type", "1 2", "1: LogAppendTime, set by the broker; 0: CreateTime"),
    (TRANSACTIONAL, "transactional", "2", "part of a transaction, markers included"),
    (CONTROL, "control", "2", "control records: markers, KRaft control records"),
    (DELETE_HORIZON, "delete horizon", "2", "base_timestamp is the time after which tombstones may go"),
)
"""Mask, name, magics that know it, meaning."""


class TimestampType(IntEnum):
    """What a record's timestamp says."""

    NONE = -1
    CREATE = 0
    LOG_APPEND = 1


def codec_of(attributes: int) -> int:
    """Codec id, 0 to 7."""
    return attributes & CODEC_MASK


def timestamp_type_of(attributes: int, magic: int) -> TimestampType:
    """Kind of the timestamps; magic 0 has none."""
    if magic == 0:
        return TimestampType.NONE
    return TimestampType.LOG_APPEND if attributes & LOG_APPEND_TIME else TimestampType.CREATE


def unused_bits(attributes: int, magic: int) -> int:
    """Bits that no release writes in this magic (Kafka ignores them)."""
    known = (KNOWN_V0, KNOWN_V1, KNOWN_V2)[min(max(magic, 0), 2)]
    return attributes & (0xFFFF if magic >= 2 else 0xFF) & ~known
