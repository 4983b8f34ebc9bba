"""Head: one header as it stands in a file, and whether it is sane (section "believed after damage" of the findings page).

Everything here is a claim: length, base offset, leader epoch and, in v2, the magic lie outside the CRC.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from kafka_salvage.source.source import Source
from kafka_salvage.wire import batch_legacy, batch_v2
from kafka_salvage.wire.attributes import codec_of, unused_bits

REACH = 1 << 31
"""Offsets that one file may hold above its base, and the largest batch in bytes plus one."""
MIN_LENGTH = (batch_legacy.MIN_SIZE_V0, batch_legacy.MIN_SIZE_V1, batch_v2.MIN_BATCH_LENGTH)
"""Smallest length field of each magic."""
CRC_FROM = (batch_legacy.CRC_COVERS_FROM, batch_legacy.CRC_COVERS_FROM, batch_v2.CRC_COVERS_FROM)
"""First byte that the CRC covers, in each magic."""
CRC_AT = (batch_legacy.CRC_AT, batch_legacy.CRC_AT, batch_v2.CRC_AT)
OVERHEAD = batch_v2.LOG_OVERHEAD
TORN_HEAD = batch_v2.BASE_TIMESTAMP_AT
"""Bytes of a torn v2 batch from which on its last offset is known (27)."""
_CODECS = (3, 3, 4)


@dataclass(frozen=True, slots=True)
class Head:
    """A header.

    Attributes:
        position: its first byte.
        offset: the first int64.
        size: bytes that the whole batch claims to have (length + 12, may be absurd).
        word: bytes 12..16 as a signed int: leader epoch of v2, CRC of v0/v1.
        magic: byte 16, signed.
        crc: stored CRC, read as this magic has it.
        attributes, delta, count: v2 (delta and count 0 in v0/v1); None where the file ends before.
        key_size: v0/v1; None where the file ends before, and in v2.
        raw: the bytes there are, at most 61.
    """

    position: int
    offset: int
    size: int
    word: int
    magic: int
    crc: int
    attributes: int | None
    delta: int | None
    count: int | None
    key_size: int | None
    raw: bytes

    @property
    def stop(self) -> int:
        """Where the batch claims to end."""
        return self.position + self.size

    @property
    def is_v2(self) -> bool:
        """Whether it is read as a v2 batch."""
        return self.magic >= 2

    @property
    def last_offset(self) -> int:
        """Last offset that it claims."""
        return self.offset + (self.delta or 0)


def parse_head(raw: bytes, position: int) -> Head | None:
    """Reads a header from at most its first 61 bytes; None when fewer than 17 are there."""
    if len(raw) < batch_v2.CRC_AT:
        return None
    offset, length, word, magic = struct.unpack_from(">qiib", raw)
    size = length + OVERHEAD
    if magic >= 2:
        crc = struct.unpack_from(">I", raw, batch_v2.CRC_AT)[0] if len(raw) >= batch_v2.ATTRIBUTES_AT else 0
        attributes = _field(raw, ">H", batch_v2.ATTRIBUTES_AT)
        delta = _field(raw, ">i", batch_v2.LAST_OFFSET_DELTA_AT)
        count = _field(raw, ">i", batch_v2.RECORDS_COUNT_AT)
        return Head(position, offset, size, word, magic, crc, attributes, delta, count, None, raw)
    at = batch_legacy.KEY_LENGTH_AT_V1 if magic == 1 else batch_legacy.KEY_LENGTH_AT_V0
    return Head(
        position,
        offset,
        size,
        word,
        magic,
        word & 0xFFFFFFFF,
        _field(raw, ">B", batch_legacy.ATTRIBUTES_AT),
        0,
        0,
        _field(raw, ">i", at),
        raw,
    )


def _field(raw: bytes, code: str, at: int) -> int | None:
    return int(struct.unpack_from(code, raw, at)[0]) if len(raw) >= at + struct.calcsize(code) else None


def read_head(source: Source, position: int, stop: int) -> Head | None:
    """The header at ``position``, of a file that ends at ``stop``."""
    if position < 0:
        return None
    return parse_head(source.read(position, min(stop, position + batch_v2.HEADER_SIZE)).tobytes(), position)


def is_sane(head: Head | None, base: int, cap: int) -> bool:
    """Whether a header may be one at all; fields that the end of the file cut off count as sane.

    Args:
        head: the header.
        base: lowest offset of the file.
        cap: largest whole batch in bytes.
    """
    if head is None or not 0 <= head.magic <= 2:
        return False
    if head.size < MIN_LENGTH[head.magic] + OVERHEAD or head.size > cap:
        return False
    if not base <= head.offset < base + REACH:
        return False
    if head.attributes is not None:
        if codec_of(head.attributes) > _CODECS[head.magic]:
            return False
        if head.magic == 2 and unused_bits(head.attributes, 2):
            return False
    if head.magic == 2:
        return _sane_v2(head)
    if head.key_size is None:
        return True
    most = head.size - OVERHEAD - MIN_LENGTH[head.magic]
    return -1 <= head.key_size <= most


def _sane_v2(head: Head) -> bool:
    if head.word < -1 or (head.delta is not None and head.delta < 0):
        return False
    return head.count is None or head.delta is None or 0 <= head.count <= head.delta + 1
