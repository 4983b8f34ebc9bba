"""Program: every kernel against its oracle on small inputs; run in fresh processes with other CPUs, tables, or no Numba.

Oracles are zlib, crcmod, and loops over `struct`; nothing of the package but what is tested.
"""

from __future__ import annotations

import struct
import sys
import zlib

import crcmod.predefined
import numpy as np

from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.resync import RangeCrc, Sanity, find_candidates
from kafka_salvage.scan.walk import Stop, StopReason, walk
from kafka_salvage.source.memory import MemorySource
from tests.scan.headers import header_row
from tests.support import build

crc32c = crcmod.predefined.mkPredefinedCrcFun("crc-32c")
LEAST = {0: 14, 1: 22, 2: 49}


def crc_at(data: bytes, at: int, stop: int) -> tuple[int, int]:
    """(stored, computed) of the batch in ``[at, stop)``."""
    if data[at + 16] == 2:
        return struct.unpack_from(">I", data, at + 17)[0], crc32c(data[at + 21 : stop])
    return struct.unpack_from(">I", data, at + 12)[0], zlib.crc32(data[at + 16 : stop])


def plain_walk(data: bytes, at: int = 0) -> tuple[list[dict[str, int]], Stop]:
    """The walk, one obvious step at a time."""
    rows: list[dict[str, int]] = []
    while True:
        left = len(data) - at
        if left == 0:
            return rows, Stop(at, StopReason.END)
        if left < 26:
            return rows, Stop(at, StopReason.SHORT)
        (length,) = struct.unpack_from(">i", data, at + 8)
        size = max(length + 12, 0)
        if length < 14:
            return rows, Stop(at, StopReason.LENGTH_TOO_SMALL, size=size)
        if size > left:
            return rows, Stop(at, StopReason.LENGTH_PAST_END, size=size)
        if data[at + 16] not in LEAST:
            return rows, Stop(at, StopReason.BAD_MAGIC, size=size)
        if length < LEAST[data[at + 16]]:
            return rows, Stop(at, StopReason.LENGTH_TOO_SMALL, size=size)
        stored, computed = crc_at(data, at, at + size)
        if stored != computed:
            return rows, Stop(at, StopReason.CRC_MISMATCH, stored, computed, size)
        rows.append(header_row(data, at))
        at += size


def plain_sane(data: bytes, at: int, base: int, most: int) -> bool:
    """A sane header, condition by condition."""
    here = data[at:]
    if len(here) < 26:
        return False
    offset, length, epoch, magic = struct.unpack_from(">qiiB", here)
    if magic not in LEAST or length < LEAST[magic] or length + 12 > most or not base <= offset < base + 2**31:
        return False
    if magic < 2:
        start = 18 if magic == 0 else 26
        if here[17] % 8 > 3 or len(here) < start + 4:
            return False
        (key,) = struct.unpack_from(">i", here, start)
        return bool(key == -1 or 0 <= key <= length - LEAST[magic])
    if len(here) < 61:
        return False
    attributes, delta, count = (
        struct.unpack_from(kind, here, place)[0] for kind, place in ((">H", 21), (">i", 23), (">i", 57))
    )
    return bool(attributes < 128 and attributes % 8 <= 4 and delta >= 0 and 0 <= count <= delta + 1 and epoch >= -1)


def plain_candidates(
    data: bytes, start: int, stop: int, end: int, base: int
) -> tuple[list[dict[str, int]], list[tuple[int, int, int]]]:
    """(rows of candidates, claims) by trying every byte."""
    rows, claims = [], []
    for at in range(start, stop):
        if plain_sane(data[:end], at, base, 2**31 - 1):
            offset, length = struct.unpack_from(">qi", data, at)
            inside = at + length + 12 <= end
            stored, computed = crc_at(data, at, at + length + 12)
            if inside and stored == computed:
                rows.append(header_row(data, at))
            else:
                claims.append((at, length + 12, offset))
    return rows, claims


def rows_of(table: BatchTable) -> list[dict[str, int]]:
    return [table.row(i) for i in range(len(table))]


def sample(size: int = 100) -> bytes:
    """A segment of all magics and codecs, with a little damage and a torn tail."""
    b = build.Build(base=40, size=size)
    b.legacy(magic=0).wrapper(3, magic=0, codec=build.GZIP).legacy(magic=1).wrapper(4, magic=1, codec=build.SNAPPY)
    for codec in build.CODECS:
        b.v2(7, codec=codec, epoch=codec)
    b.v2(3, keep=()).marker(commit=True, producer_id=9)
    data, infos = b.done()
    broken = bytearray(data * 2)
    broken[len(data) + infos[6].start + 70] ^= 4
    return bytes(broken[:-9])


def check_sums(lengths: list[int]) -> None:
    from kafka_salvage.vector import crc

    data = np.random.default_rng(7).integers(0, 256, max(lengths) + 8, dtype=np.uint8)
    for length in lengths:
        for skip in (0, 1, 5):
            piece = data[skip : skip + length].tobytes()
            for value in (0, 0xDEADBEEF):
                assert crc.crc32c(data[skip : skip + length], value) == crc32c(piece, value), (length, skip)
                assert crc.crc32(data[skip : skip + length], value) == zlib.crc32(piece, value), (length, skip)
                assert crc.crc32c_table(piece, value) == crc32c(piece, value)
                assert crc.crc32_table(piece, value) == zlib.crc32(piece, value)
        left, right = data[:99].tobytes(), data[99 : 99 + length].tobytes()
        assert crc.crc32c_combine(crc32c(left), crc32c(right), len(right)) == crc32c(left + right)
        assert crc.crc32_combine(zlib.crc32(left), zlib.crc32(right), len(right)) == zlib.crc32(left + right)


def check_batch_sums(sizes: list[int]) -> None:
    """What lies before byte 21 (or 16), and behind the batch, has no influence."""
    from kafka_salvage.vector import crc

    data = np.random.default_rng(8).integers(0, 256, max(sizes) + 8, dtype=np.uint8)
    for size in sizes:
        for skip in (0, 3, 7):
            batch = data[skip : skip + size]
            assert crc.crc32_batch(batch) == zlib.crc32(batch[16:].tobytes()), (size, skip)
            if size >= 61:
                assert crc.crc32c_batch(batch) == crc32c(batch[21:].tobytes()), (size, skip)


def check_walk(data: bytes) -> None:
    rows, stop = plain_walk(data)
    for window in (4096, 1 << 16):
        blocks = list(walk(MemorySource(data), window=window, rows=8))
        assert [r for b in blocks for r in rows_of(b.batches)] == rows
        assert blocks[-1].stop == stop


def check_resync(data: bytes, step: int) -> None:
    for start in range(0, len(data), step):
        stop = min(start + step, len(data))
        found = find_candidates(MemorySource(data), start, stop, len(data), Sanity(0, 2**31 - 1))
        rows, claims = plain_candidates(data, start, stop, len(data), 0)
        assert rows_of(found.batches) == rows
        columns = found.claim_position, found.claim_size, found.claim_offset
        assert list(zip(*(c.tolist() for c in columns), strict=True)) == claims


def check_ranges(data: bytes) -> None:
    sums = RangeCrc(MemorySource(data), 3)
    for start, stop in ((3, 3), (3, 4), (10, 4096), (4096, 8192), (5, len(data)), (len(data) - 1, len(data))):
        stop = min(stop, len(data))
        assert sums.crc32c(start, stop) == crc32c(data[start:stop])
        assert sums.crc32(start, stop) == zlib.crc32(data[start:stop])


def main() -> None:
    from kafka_salvage.vector.crc import crc_variant

    small = "--small" in sys.argv
    check_sums(
        [*range(0, 70, 13), 300]
        if small
        else [*range(301), 511, 512, 513, 1535, 1536, 1537, 3327, 3328, 3329, 6656, 70000]
    )
    check_batch_sums([26, 61, 64, 180] if small else [*range(26, 661), 4096, 16384, 70001])
    data = sample(40 if small else 200)
    check_walk(data)
    check_resync(data, len(data) // 3)
    check_ranges(data)
    sys.stdout.write(f"{crc_variant()}\n")


if __name__ == "__main__":
    main()
