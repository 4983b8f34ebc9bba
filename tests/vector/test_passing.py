"""Passing: what the kernel lets a walk go over is simple by a plain reading of the bytes, and its columns are right."""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Iterator, Sequence

import crc32c
import numpy as np
import pytest

from kafka_salvage.scan.batches import I64
from kafka_salvage.scan.resync import Sanity
from kafka_salvage.scan.walk import Fold, walk_folded
from kafka_salvage.source.memory import MemorySource
from kafka_salvage.vector.doubts import OVER_WIDTH, Kind, Over
from kafka_salvage.vector.framing import Outcome
from kafka_salvage.vector.passing import MEMBERS
from tests.support.build import GZIP, LZ4, NONE, BatchInfo, segment

LEAST = {0: 26, 1: 34, 2: 61}


def sane(data: bytes, at: int) -> bool:
    """A header that may be one (magic, length, offset, attributes, counts), of a file that begins at offset 0."""
    if len(data) - at < 26 or data[at + 16] > 2:
        return False
    magic = data[at + 16]
    offset, length = struct.unpack_from(">qi", data, at)
    if length + 12 < LEAST[magic] or not 0 <= offset < 1 << 31:
        return False
    if magic < 2:
        place = at + (18, 26)[magic]
        if len(data) < place + 4 or data[at + 17] & 7 > 3:
            return False
        (key,) = struct.unpack_from(">i", data, place)
        return bool(-1 <= key <= length + 12 - LEAST[magic])
    if len(data) - at < 61:
        return False
    (epoch,), (attributes, delta) = struct.unpack_from(">i", data, at + 12), struct.unpack_from(">Hi", data, at + 21)
    (count,) = struct.unpack_from(">i", data, at + 57)
    return bool(epoch >= -1 and attributes < 128 and attributes & 7 <= 4 and delta >= 0 and 0 <= count <= delta + 1)


def lost_headers(data: bytes, infos: Sequence[BatchInfo], rng: random.Random) -> bytes:
    """Harm to frames: lengths, magics, whole headers."""
    changed = bytearray(data)
    for info in infos[1:-1:2]:
        size = rng.choice((8, 12, 17, 21, 61, info.size))
        first = rng.choice((0, 0, 8, 16))
        start, stop = info.start + first, info.start + max(size, first + 1)
        changed[start:stop] = rng.choice((bytes(stop - start), rng.randbytes(stop - start)))
    return bytes(changed)


@pytest.mark.parametrize(("codec", "per_batch"), [(NONE, 4), (NONE, 1), (LZ4, 4)])
def test_what_is_crossed(codec: int, per_batch: int) -> None:
    """A host is proved by its CRC alone; behind anything else stands the first batch, and no length or magic makes one before."""
    data, infos = segment(60, codec=codec, per_batch=per_batch, size=50)
    kinds = set()
    for seed in range(8):
        changed = lost_headers(data, infos, random.Random(seed))
        for row in passed(changed).tolist():
            kinds.add(row[Over.KIND])
            start, stop = row[Over.POSITION], row[Over.POSITION] + row[Over.SIZE]
            assert next(candidates(changed, start + 1, len(changed))) == stop
            fresh = changed[:start] + struct.pack(">qi", 0, stop - start - 12) + changed[start + 12 :]
            if row[Over.KIND] == Kind.HOST:
                assert holds(changed, start, stop, 2)
                continue
            assert sane(changed, start) == (row[Over.KIND] != Kind.LOST)
            assert not (
                holds(changed, start, stop, 2) and sane(fresh[: start + 16] + b"\2" + fresh[start + 17 :], start)
            )
            assert row[Over.CLAIM] == 12 + struct.unpack_from(">i", changed, start + 8)[0]
    assert {Kind.LOST, Kind.HOST} <= kinds


def holds(data: bytes, at: int, stop: int, magic: int) -> bool:
    """Whether a batch from here to there, with this magic put in, has the CRC that it stores."""
    if stop > len(data) or stop - at < LEAST[magic]:
        return False
    if magic == 2:
        return bool(crc32c.crc32c(data[at + 21 : stop]) == struct.unpack_from(">I", data, at + 17)[0])
    covered = bytes([magic]) + data[at + 17 : stop]
    return bool(zlib.crc32(covered) == struct.unpack_from(">I", data, at + 12)[0])


def candidates(data: bytes, start: int, stop: int) -> Iterator[int]:
    """Sane headers whose CRC holds."""
    for at in range(start, stop):
        if sane(data, at):
            size = 12 + struct.unpack_from(">i", data, at + 8)[0]
            if holds(data, at, at + size, data[at + 16]):
                yield at


def passed(data: bytes) -> I64:
    """What a walk went over."""
    fold = Fold(np.empty(0, np.int64), over=Sanity(0, (1 << 31) - 1))
    found = [block.passed for block in walk_folded(MemorySource(data), 0, fold) if block.passed is not None]
    return np.concatenate(found) if found else np.empty((0, OVER_WIDTH), np.int64)


def harmed(data: bytes, infos: Sequence[BatchInfo], rng: random.Random) -> bytes:
    changed = bytearray(data)
    for info in infos[1:-1:2]:
        at = rng.randrange(info.start, info.stop)
        stop = min(info.stop, at + rng.choice((1, 1, 1, 9, 40)))
        changed[at:stop] = rng.choice((bytes(stop - at), rng.randbytes(stop - at)))
    return bytes(changed)


@pytest.mark.parametrize(("magic", "codec"), [(2, NONE), (2, LZ4), (1, NONE), (0, NONE), (1, GZIP)])
def test_what_is_passed_is_simple(magic: int, codec: int) -> None:
    data, infos = segment(60, magic=magic, codec=codec, per_batch=4, size=50)
    count = 0
    for seed in range(6):
        changed = harmed(data, infos, random.Random(seed))
        for row in passed(changed).tolist():
            if row[Over.KIND] != Kind.SIMPLE:
                continue
            count += 1
            start, stop = row[Over.POSITION], row[Over.POSITION] + row[Over.SIZE]
            assert row[Over.SIZE] == 12 + struct.unpack_from(">i", changed, start + 8)[0]
            assert sane(changed, start)
            assert next(candidates(changed, stop, stop + 1), None) == stop
            assert not list(candidates(changed, start + 1, stop))
            ends = [stop]
            while len(ends) < MEMBERS and next(candidates(changed, ends[-1], ends[-1] + 1), None) is not None:
                ends.append(ends[-1] + 12 + struct.unpack_from(">i", changed, ends[-1] + 8)[0])
            assert not [end for end in ends if holds(changed, start, end, changed[start + 16])]
            _columns(changed, row, start, stop)
    assert count > 8


def _columns(data: bytes, row: list[int], start: int, stop: int) -> None:
    own = data[start + 16]
    offset, delta = struct.unpack_from(">q", data, start)[0], struct.unpack_from(">i", data, start + 23)[0]
    covered, place = (21, 17) if own == 2 else (16, 12)
    computed = crc32c.crc32c(data[start + 21 : stop]) if own == 2 else zlib.crc32(data[start + covered : stop])
    assert row[Over.OFFSET] == offset
    assert row[Over.LAST] == offset + (delta if own == 2 else 0)
    assert row[Over.STORED] == struct.unpack_from(">I", data, start + place)[0]
    assert row[Over.COMPUTED] == row[Over.WITNESS] == computed
    assert row[Over.ZEROS_BEHIND] == stop - start - len(data[start:stop].rstrip(b"\0"))
    runs = [(m.end() - m.start(), -m.start()) for m in re.finditer(rb"\0+", data[start:stop])]
    longest = max(runs, default=(0, 0))
    assert row[Over.ZEROS_TO] - row[Over.ZEROS_FROM] == longest[0]
    if longest[0]:
        assert row[Over.ZEROS_FROM] == start - longest[1]


def test_a_batch_of_zeros_is_lost_and_one_at_an_end_is_not_passed() -> None:
    data, infos = segment(10, per_batch=2)
    last = bytearray(data)
    last[infos[-1].start + 70] ^= 1
    assert not len(passed(bytes(last)))
    blank = bytearray(data)
    blank[infos[4].start : infos[4].stop] = bytes(infos[4].size)
    (lost,) = passed(bytes(blank)).tolist()
    assert (lost[Over.KIND], lost[Over.REASON]) == (Kind.LOST, Outcome.LENGTH_TOO_SMALL)
    assert lost[Over.POSITION] == lost[Over.ZEROS_FROM] == infos[4].start
    assert lost[Over.POSITION] + lost[Over.SIZE] == lost[Over.ZEROS_TO] == infos[4].stop
    first = bytearray(data)
    first[infos[0].start + 70] ^= 1
    assert not len(passed(bytes(first)))
