"""Running CRCs answer for any range, any end and any magic of a batch as a sum over the bytes does."""

from __future__ import annotations

import zlib
from pathlib import Path

import crcmod.predefined
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.scan.running import RangeCrc, crc_of
from kafka_salvage.source.files import FileSource
from kafka_salvage.source.memory import MemorySource
from tests.support import build

crc32c = crcmod.predefined.mkPredefinedCrcFun("crc-32c")
DATA = np.random.default_rng(2).integers(0, 256, 100_003, dtype=np.uint8).tobytes()
EDGES = st.one_of(st.integers(0, len(DATA)), st.sampled_from([0, 1, 4095, 4096, 4097, 8192, 98304, len(DATA)]))


@given(st.lists(st.tuples(EDGES, EDGES), min_size=1, max_size=12), st.sampled_from([0, 5, 4096, 5000]))
def test_any_ranges(pairs: list[tuple[int, int]], start: int) -> None:
    ranges = [(max(min(p), start), max(*p, start)) for p in pairs]
    sums = RangeCrc(MemorySource(DATA), start)
    starts, stops = (np.array(column, np.int64) for column in zip(*ranges, strict=True))
    assert sums.many(True, starts, stops).tolist() == [crc32c(DATA[a:b]) for a, b in ranges]
    assert sums.many(False, starts, stops).tolist() == [zlib.crc32(DATA[a:b]) for a, b in ranges]


@given(EDGES, EDGES, st.integers(0, 255))
def test_with_another_first_byte(a: int, b: int, value: int) -> None:
    start, stop = min(a, b), max(a, b)
    expected = zlib.crc32(bytes([value]) + DATA[start + 1 : stop]) if start < stop else 0
    assert RangeCrc(MemorySource(DATA)).crc32(start, stop, first=value) == expected


def test_through_a_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(DATA)
    source = FileSource(path)
    sums = RangeCrc(source, 100, 90_000)
    for start, stop in ((100, 90_000), (100, 101), (70_000, 70_500), (4096, 81_920)):
        assert sums.crc32c(start, stop) == crc32c(DATA[start:stop])
        assert sums.crc32(start, stop) == zlib.crc32(DATA[start:stop])
    source.close()


@pytest.mark.parametrize(("start", "stop"), [(99, 200), (200, 199), (100, 90_001)])
def test_outside_its_range(start: int, stop: int) -> None:
    with pytest.raises(ValueError, match=r"100\.\.90000"):
        RangeCrc(MemorySource(DATA), 100, 90_000).crc32c(start, stop)


@pytest.mark.parametrize("magic", [0, 1, 2])
def test_a_batch_whose_magic_or_length_was_hit(magic: int) -> None:
    data, infos = build.segment(9, magic=magic)
    at, stop = infos[4].start, infos[4].stop
    place = at + (17 if magic == 2 else 12)
    stored = int.from_bytes(data[place : place + 4], "big")
    broken = bytearray(data)
    broken[at + 16] = 99
    sums = RangeCrc(MemorySource(bytes(broken)))
    ends = [b.stop for b in infos[4:]]
    assert [sums.batch(at, end, magic) == stored for end in ends] == [end == stop for end in ends]
    with pytest.raises(ValueError, match="magic"):
        sums.batch(at, stop, 3)


@pytest.mark.parametrize("magic", [0, 1, 2])
def test_the_crc_of_one_batch(magic: int) -> None:
    data, infos = build.segment(3, magic=magic, size=2_000_000 if magic == 2 else 90, per_batch=2)
    broken = bytearray(data)
    broken[infos[1].stop - 1] ^= 8
    for info in infos:
        covered, add = (21, crc32c) if magic == 2 else (16, zlib.crc32)
        place = info.start + (17 if magic == 2 else 12)
        stored = int.from_bytes(data[place : place + 4], "big")
        computed = add(bytes(broken[info.start + covered : info.stop]))
        assert crc_of(MemorySource(bytes(broken)), info.start, info.size, magic) == (stored, computed)
        assert (stored == computed) is (info is not infos[1])
    assert crc_of(MemorySource(data), len(data), 50, magic) == (0, 0)
