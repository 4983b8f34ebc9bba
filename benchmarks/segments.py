"""Segment: generated v2 segments of any size, offsets advancing, written once and read many times."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path

import crc32c
import numpy as np


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


def write(path: Path, size: int, batch_size: int, base: int = 0, *, damaged: int = 0) -> tuple[int, int]:
    """Writes about ``size`` bytes of equal batches with advancing offsets; gives (batches, records).

    Args:
        path: the `.log`.
        size: bytes.
        batch_size: bytes of a batch.
        base: offset of the first record.
        damaged: one byte in so many is flipped; 0: none.
    """
    one, records = batch_of(batch_size)
    count = max(1, size // len(one))
    rows = np.tile(np.frombuffer(bytes(one), np.uint8), (min(count, max(1, (16 << 20) // len(one))), 1))
    with path.open("wb") as file:
        for first in range(0, count, len(rows)):
            here = rows[: count - first]
            offsets = base + (first + np.arange(len(here))) * records
            here[:, :8] = offsets.astype(">i8").view(np.uint8).reshape(-1, 8)
            data = here.tobytes()
            if damaged:
                hit = bytearray(data)
                for at in range(damaged // 2, len(hit), damaged):
                    hit[at] ^= 1
                data = bytes(hit)
            file.write(data)
    return count, count * records


def write_partition(folder: Path, sizes: Sequence[int], batch_size: int, *, damaged: int = 0) -> int:
    """A partition directory of segments of these sizes, each with its `.index` as a broker leaves it; gives all bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    base = total = 0
    length, per_batch = len(batch_of(batch_size)[0]), batch_of(batch_size)[1]
    for size in sizes:
        path = folder / f"{base:020d}.log"
        count, records = write(path, size, batch_size, base, damaged=damaged)
        at = np.arange(1, count)[:: max(1, -(-4096 // length))]
        entries = np.stack([at * per_batch + per_batch - 1, at * length], axis=1).astype(">i4")
        path.with_suffix(".index").write_bytes(entries.tobytes())
        base += records
        total += path.stat().st_size
    return total
