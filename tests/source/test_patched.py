"""MemorySource, PatchedSource and Gaps against plain slicing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.ranges import ByteRange
from kafka_salvage.source.gaps import Gaps
from kafka_salvage.source.memory import MemorySource
from kafka_salvage.source.patched import PatchedSource
from tests.support.faulty import FaultySource


def test_memory_is_read_without_a_descriptor() -> None:
    source = MemorySource(b"0123456789", "ten")
    assert (source.name, source.size, source.fileno(), source.unreadable) == ("ten", 10, -1, ())
    assert source.read(3, 6).tobytes() == b"345"
    assert source.read(8, 20).tobytes() == b"89"
    assert source.read(12, 20).tobytes() == b""
    buffer = np.zeros(4, np.uint8)
    assert source.read_into(8, buffer) == 2
    assert source.read_into(10, buffer) == 0
    assert list(source.data_ranges(4)) == [ByteRange(4, 10)]


def test_reading_memory_gives_a_copy() -> None:
    data = bytearray(b"abc")
    piece = MemorySource(data).read(0, 3)
    piece[0] = 0
    assert data == b"abc"


@given(
    data=st.binary(min_size=1, max_size=60),
    patches=st.lists(st.tuples(st.integers(0, 59), st.binary(min_size=1, max_size=8)), max_size=5),
    ranges=st.lists(st.tuples(st.integers(0, 70), st.integers(0, 70)), min_size=1, max_size=6),
)
def test_patches_lie_over_the_bytes(
    data: bytes, patches: list[tuple[int, bytes]], ranges: list[tuple[int, int]]
) -> None:
    wanted = bytearray(data)
    taken: set[int] = set()
    used = []
    for position, after in patches:
        places = set(range(position, position + len(after)))
        if places & taken or position + len(after) > len(data):
            continue
        taken |= places
        used.append((position, after))
        wanted[position : position + len(after)] = after
    source = PatchedSource(MemorySource(data), used)
    for start, stop in ranges:
        assert source.read(start, stop).tobytes() == bytes(wanted[start : max(start, stop)])


def test_patches_that_overlap_or_leave_the_file_are_refused() -> None:
    with pytest.raises(ValueError, match="overlaps another"):
        PatchedSource(MemorySource(bytes(10)), [(0, b"abc"), (2, b"x")])
    with pytest.raises(ValueError, match="leaves the 10 bytes"):
        PatchedSource(MemorySource(bytes(10)), [(8, b"abc")])


def test_a_patch_covers_what_could_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(range(1, 101)) * 20)
    source = PatchedSource(FaultySource(tmp_path / "f", [(600, 601)]), [(512, b"a" * 100), (1000, b"b" * 24)])
    assert source.read(0, 2000)[512:612].tobytes() == b"a" * 100
    assert source.unreadable == (ByteRange(612, 1000),)
    assert source.fileno() == -1


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10)), max_size=12))
def test_gaps_are_a_set_of_positions(added: list[tuple[int, int]]) -> None:
    gaps = Gaps()
    places: set[int] = set()
    for start, size in added:
        gaps.add(start, start + size)
        places |= set(range(start, start + size))
    assert {p for r in gaps.ranges for p in range(r.start, r.stop)} == places
    assert all(a.stop < b.start for a, b in zip(gaps.ranges, gaps.ranges[1:], strict=False))
    for start in range(0, 52, 7):
        first = gaps.first(start, start + 5)
        hit = sorted(places & set(range(start, start + 5)))
        assert (first is not None) == bool(hit)
        assert first is None or first.contains(hit[0])
