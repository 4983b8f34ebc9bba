"""Segment: generated v2 segments of any size, offsets advancing, written once and read many times."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import crc32c


def varint(number: int) -> bytes:
    zigzag = (number << 1) ^ (number >> 63)
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes([*out, zigzag])


def batch(records: int, value_size: int) -> bytearray:
    """An uncompressed v2 batch at offset 0 with keys and values that differ from record to record."""
    payload = bytearray()
    for delta in range(records):
        key = b"key-%08d" % delta
        seed = hashlib.sha256(key).digest()
        value = (seed * (value_size // 32 + 1))[:value_size]
        body = b"\0" + varint(delta * 3) + varint(delta) + varint(len(key)) + key + varint(len(value)) + value + b"\0"
        payload += varint(len(body)) + body
    covered = struct.pack(
        ">hiqqqhii", 0, records - 1, 1_700_000_000_000, 1_700_000_000_000 + 3 * records, -1, -1, -1, records
    )
    covered += payload
    return bytearray(struct.pack(">qiibI", 0, 9 + len(covered), 0, 2, crc32c.crc32c(covered)) + covered)


def batch_of(size: int) -> tuple[bytearray, int]:
    """(a batch of about ``size`` bytes, its records): records of about 120 bytes, or one that fills it."""
    if size < 400:
        return batch(1, max(0, size - 61 - 20)), 1
    records = max(1, (size - 61) // 120)
    return batch(records, 120 - 22), records


def write(path: Path, size: int, batch_size: int) -> tuple[int, int]:
    """Writes about ``size`` bytes of equal batches with advancing offsets; gives (batches, records)."""
    one, records = batch_of(batch_size)
    count = max(1, size // len(one))
    with path.open("wb") as file:
        for first in range(0, count, 4096):
            piece = bytearray()
            for number in range(first, min(first + 4096, count)):
                struct.pack_into(">q", one, 0, number * records)
                piece += one
                if len(piece) > 1 << 24:
                    file.write(piece)
                    piece.clear()
            file.write(piece)
    return count, count * records
