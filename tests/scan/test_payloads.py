"""Payloads: batches that lie near each other come with one read, whatever lies between; each still gives its own bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_salvage.ranges import ByteRange
from kafka_salvage.scan import payloads
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.payloads import NEAR, Malformed, pieces
from kafka_salvage.source.memory import MemorySource
from kafka_salvage.source.source import U8
from kafka_salvage.vector.columns import JOB_START
from tests.scan.headers import header_table
from tests.support.build import Rec, v2_batch

HEADER = 61


class Counting(MemorySource):
    """Tells how often and how much was read; some bytes may be unreadable."""

    def __init__(self, data: bytes, unreadable: tuple[ByteRange, ...] = ()) -> None:
        super().__init__(data)
        self.reads: list[tuple[int, int]] = []
        self._bad = unreadable

    @property
    def unreadable(self) -> tuple[ByteRange, ...]:
        return self._bad

    def read_into(self, position: int, buffer: U8) -> int:
        self.reads.append((position, position + len(buffer)))
        return super().read_into(position, buffer)


def log(sizes: list[int]) -> bytes:
    return b"".join(v2_batch(at, [Rec(at, 1000 + at, b"k", bytes([at % 251]) * size)]) for at, size in enumerate(sizes))


SIZES = st.lists(st.sampled_from([0, 1, 50, 300, NEAR - 200, NEAR, 2 * NEAR]), min_size=1, max_size=40)


@settings(max_examples=60)
@given(sizes=SIZES, picks=st.data(), chunk=st.sampled_from([1, 1000, 1 << 16, 1 << 22]))
def test_each_row_gives_its_own_bytes_and_reads_stay_bounded(
    sizes: list[int], picks: st.DataObject, chunk: int
) -> None:
    data = log(sizes)
    table = header_table(data)
    chosen = sorted(picks.draw(st.sets(st.integers(0, len(sizes) - 1), min_size=1)))
    batches = table.take(np.array(chosen))
    source, seen = Counting(data), 0
    for piece in pieces(source, batches, Limits(), chunk):
        for number, row in enumerate(piece.rows):
            start, stop = int(batches.position[row]), int(batches.stop[row])
            begin = int(piece.jobs[number, JOB_START])
            assert piece.data[begin : begin + stop - start - HEADER].tobytes() == data[start + HEADER : stop]
            seen += 1
        assert not piece.failed
    assert seen == len(chosen)
    largest = int(batches.size.max())
    for start, stop in source.reads:
        assert stop - start <= max(chunk, largest + NEAR)
    gaps = batches.position[1:] - batches.stop[:-1]
    windows = int((batches.size.sum() + np.minimum(gaps, NEAR).sum()) // chunk) + 1
    assert len(source.reads) <= int((gaps > NEAR).sum()) + 1 + 2 * windows + len(chosen) * (chunk < largest)


def test_many_small_batches_far_and_wide_are_few_reads() -> None:
    data = log([20, 2000] * 500)
    batches = header_table(data).take(np.arange(0, 1000, 2))
    source = Counting(data)
    assert sum(len(piece.rows) for piece in pieces(source, batches, Limits(), 1 << 18)) == 500
    assert len(source.reads) <= 6


@pytest.mark.parametrize("row", [0, 3, 7])
def test_bytes_between_that_cannot_be_read_condemn_nobody(row: int) -> None:
    data = log([30] * 16)
    table = header_table(data)
    batches = table.take(np.arange(0, 16, 2))
    between = ByteRange(int(table.position[2 * row + 1]), int(table.stop[2 * row + 1]))
    inside = ByteRange(int(batches.position[row]) + 5, int(batches.position[row]) + 6)
    (piece,) = pieces(Counting(data, (between,)), batches, Limits(), 1 << 18)
    assert not piece.failed
    (piece,) = pieces(Counting(data, (inside,)), batches, Limits(), 1 << 18)
    assert list(piece.failed) == [row]


def test_a_file_that_shrank_fails_only_what_is_gone() -> None:
    data = log([30] * 16)
    batches = header_table(data).take(np.arange(0, 16, 3))

    class Shrunk(MemorySource):
        def read_into(self, position: int, buffer: U8) -> int:
            end = int(batches.stop[3])
            got = max(0, min(len(buffer), end - position))
            super().read_into(position, buffer[:got])
            return got

    (piece,) = pieces(Shrunk(data), batches, Limits(), 1 << 18)
    assert sorted(piece.failed) == [4, 5]
    assert all(isinstance(why, Malformed) for why in piece.failed.values())


def test_overlapping_and_backward_rows_are_read_by_themselves() -> None:
    data = log([100] * 6)
    table = header_table(data)
    for order in ([0, 0, 1], [3, 1, 2], [5, 0], [2, 2, 2]):
        batches = table.take(np.array(order))
        (piece,) = pieces(MemorySource(data), batches, Limits(), 1 << 18)
        for number, row in enumerate(order):
            begin = int(piece.jobs[number, JOB_START])
            size = int(table.size[row]) - HEADER
            start = int(table.position[row]) + HEADER
            assert piece.data[begin : begin + size].tobytes() == data[start : start + size]
    assert payloads.NEAR < 1 << 20
