"""Folding: the kernel that takes ordinary batches into the row of the one before them, so that a table stays small.

A *folded* row stands for a stretch of batches that touch, follow on in offsets and are alike: one magic, one leader epoch, the
same attributes but the codec, a record for each offset; if transactional, of one producer. Where a stretch ends depends on
the file alone, never on windows, blocks or where a walk began:

1. at each mark (positions that an index names), unless notes are taken of them instead: where the first batch at or behind
   the mark begins, and the last offset before it,
2. at each multiple of `FOLD_BYTES`, so that a stretch is quickly read again when somebody asks for its batches,
3. at whatever is not ordinary: that is a row by itself, and so is a batch above `FOLD_MOST`.
"""

from __future__ import annotations

from collections.abc import Callable

from kafka_salvage.vector.alike import CODECS, FOLD_MOST, make_run, note
from kafka_salvage.vector.cache import inner
from kafka_salvage.vector.crc import zlib_batch
from kafka_salvage.vector.headers import HEADER, OVERHEAD, least_length
from kafka_salvage.vector.pointers import (
    load_be32,
    load_be64,
    load_beu32,
    load_i8,
    load_i16,
    load_i32,
    load_i64,
    store_16,
    store_32,
    store_64,
)
from kafka_salvage.vector.target import crc_variant

FOLD_BYTES = 1 << 20
PLAIN_BITS = 0x18
"""Attributes that a folded v2 batch may have besides its codec: append time, transactional."""
_HIGHEST = 1 << 62
_MOST_RECORDS = (1 << 31) - 1
_run = make_run(wide=crc_variant() == "avx512")


@inner
def _next_mark(passed: int, marks: int) -> int:
    """Address of the first mark behind ``passed``, or of the end of the marks; it is kept for the next call."""
    mark, stop = load_i64(marks), load_i64(marks + 8)
    while mark < stop and load_i64(mark) <= passed:
        mark += 8
    store_64(marks, mark)
    return mark


@inner
def _extend_v2(
    away: int, position: int, filled: int, edge: int, marks: int, block: int, capacity: int, row: int, counts: int
) -> int:
    """Takes magic-2 batches from ``position`` on into the row; gives the position behind the last one."""
    longs, step = block + 8 * row, 8 * capacity
    words, halves = block + 64 * capacity + 4 * row, block + 80 * capacity + 2 * row
    first = load_i64(longs + 3 * step)
    following = load_i64(longs + 4 * step) + 1
    low, high = load_i64(longs + 5 * step), load_i64(longs + 6 * step)
    producer, producer_epoch = load_i64(longs + 7 * step), load_i16(halves + 2 * capacity)
    attributes, epoch = load_i16(halves), load_i32(words)
    kind = attributes & ~CODECS
    ordinary = kind & ~PLAIN_BITS == 0 and attributes & CODECS <= 4 and low >= 0 and high >= 0
    if not ordinary or first < 0 or first > _HIGHEST or load_i32(words + 12 * capacity) != following - first:
        return position
    last, end = away + min(edge - 1, filled - HEADER), away + filled
    reached, following, low, high, added = _run(
        away + position, last, end, away, marks, following, first + _MOST_RECORDS,
        kind, epoch, producer, producer_epoch, min(low, high), max(low, high),
    )  # fmt: skip
    begin, position = position, reached - away
    if added:
        store_64(longs + step, load_i64(longs + step) + position - begin)
        store_64(longs + 4 * step, following - 1)
        store_64(longs + 5 * step, low)
        store_64(longs + 6 * step, high)
        store_32(words + 12 * capacity, following - first)
        store_16(halves, kind)
        store_64(counts + 8 * row, load_i64(counts + 8 * row) + added)
    return position


@inner
def _extend_legacy(
    away: int, position: int, filled: int, edge: int, block: int, capacity: int, row: int, counts: int, magic: int
) -> int:
    """The same for uncompressed messages of magic 0 or 1."""
    longs, step = block + 8 * row, 8 * capacity
    words, halves = block + 64 * capacity + 4 * row, block + 80 * capacity + 2 * row
    first = load_i64(longs + 3 * step)
    following = load_i64(longs + 4 * step) + 1
    low, high = load_i64(longs + 5 * step), load_i64(longs + 6 * step)
    kind, least = load_i16(halves), least_length(magic) + OVERHEAD
    if kind & ~8 or (magic == 1 and low < 0) or first < 0 or first > _HIGHEST:
        return position
    added, begin = 0, position
    while position < edge and filled - position >= least:
        header = away + position
        size = load_be32(header + 8) + OVERHEAD
        if size < least or size > FOLD_MOST or size > filled - position or load_i8(header + 16) != magic:
            break
        if load_i8(header + 17) != kind or load_be64(header) != following:
            break
        time = load_be64(header + 18) if magic == 1 else low
        if (magic == 1 and time < 0) or zlib_batch(header, size) != load_beu32(header + 12):
            break
        low, high = min(low, time), max(high, time)
        following += 1
        position += size
        added += 1
    if added:
        store_64(longs + step, load_i64(longs + step) + position - begin)
        store_64(longs + 2 * step, first)
        store_64(longs + 4 * step, following - 1)
        store_64(longs + 5 * step, low)
        store_64(longs + 6 * step, high)
        store_32(words + 12 * capacity, following - first)
        store_64(counts + 8 * row, load_i64(counts + 8 * row) + added)
    return position


@inner
def _stay(
    away: int, position: int, filled: int, edge: int, block: int, capacity: int, row: int, counts: int, magic: int
) -> int:
    return position


def make_extend(*, legacy: bool) -> Callable[[int, int, int, int, int, int, int, int], int]:
    """`extend`, with or without the code for magic 0 and 1, which takes time to compile."""
    extend_legacy = _extend_legacy if legacy else _stay

    @inner
    def extend(
        away: int, position: int, filled: int, marks: int, block: int, capacity: int, row: int, counts: int
    ) -> int:
        """Takes batches that lie whole before ``filled`` into a row, as long as they are ordinary and their CRC agrees.

        Args:
            away: address of the byte at position 0.
            position: first byte of the first of them; the row ends there.
            filled: end of the bytes that are there.
            marks: address of: address of the next mark, address behind the last mark, and what must be added to a mark's address
                to get those of its two notes; zeros: no notes.
            block: address of the rows.
            capacity: rows that fit there.
            row: the row.
            counts: address of the batches that each row stands for, int64.

        Returns:
            The position behind the last one.
        """
        longs = block + 8 * row
        large = load_i64(longs + 8 * capacity) > FOLD_MOST and load_i64(counts + 8 * row) == 1
        passed = load_i64(longs)
        full = passed // FOLD_BYTES * FOLD_BYTES + FOLD_BYTES
        magic = load_i8(block + 84 * capacity + row)
        while True:
            mark, edge = _next_mark(passed, marks), full
            on_the_way = magic == 2 and not large and load_i64(marks + 16) != 0
            if mark < load_i64(marks + 8) and not on_the_way:
                edge = min(edge, load_i64(mark))
            if not large and magic == 2:
                position = _extend_v2(away, position, filled, edge, marks, block, capacity, row, counts)
            elif not large:
                position = extend_legacy(away, position, filled, edge, block, capacity, row, counts, magic)
            if load_i64(marks + 16) == 0:
                return position
            if position >= edge or on_the_way:
                note(away + position, load_i64(longs + 32 * capacity), away, marks)
            if position < edge or position >= full:
                return position
            passed = position

    return extend
