"""Alike: how far ordinary magic-2 batches go on that may share a row; see `folding`.

Strategy: one batch after another is held to what the row says, field by field. Where the CPU has wide vectors, a header is
compared whole with the one before it, under a mask, and field by field only if that finds a difference.
"""

from __future__ import annotations

from collections.abc import Callable

from kafka_salvage.vector import simd
from kafka_salvage.vector.cache import inner, outlined
from kafka_salvage.vector.crc import castagnoli_apart, castagnoli_batch
from kafka_salvage.vector.headers import COVERED_V2, HEADER, OVERHEAD
from kafka_salvage.vector.pointers import load_be16, load_be32, load_be64, load_beu32, load_i8, load_i64, store_64
from kafka_salvage.vector.summing import HEADED_MOST

FOLD_MOST = 64 << 10
"""Bytes of the largest batch that is folded; no window may be smaller."""
CODECS = 7
TRANSACTIONAL = 0x10
WHOLE = 64
"""Bytes that are compared at once; a smaller batch is held to the row field by field."""
NEVER = 1 << 62
"""An address behind all others."""
Run = Callable[..., tuple[int, int, int, int, int]]

_SAME = (0, -1 << 32, 0x80FFFF00000000FF - (1 << 64), 0x80000000, 0x80000000, 0, 0, 0x8000)
"""Bits of a header, by words as they lie in memory, that batches of one row share: epoch, magic, attributes; the sign bits
of the last offset delta, both timestamps and the count."""
_PRODUCER = 0xFFFFFFFFFF000000 - (1 << 64), 0x000000FFFFFFFFFF
"""Words 5 and 6 where the producer must be the same, too."""


def _alike(header: int, following: int, limit: int, kind: int, epoch: int, producer: int, producer_epoch: int) -> bool:
    """Whether a batch goes on where the row ends and is like it, whatever its size."""
    attributes, count = load_be16(header + 21), load_be32(header + 57)
    if load_i8(header + 16) != 2 or load_be32(header + 12) != epoch:
        return False
    if attributes & ~CODECS != kind or attributes & CODECS > 4:
        return False
    if load_be64(header) != following or load_be32(header + 23) != count - 1:
        return False
    if count <= 0 or following + count > limit or load_be64(header + 27) < 0 or load_be64(header + 35) < 0:
        return False
    if kind & TRANSACTIONAL == 0:
        return True
    return load_be64(header + 43) == producer and load_be16(header + 51) == producer_epoch


_alike_here, _alike_apart = inner(_alike), outlined(_alike)


@inner
def note_at(away: int, marks: int) -> int:
    """The address of the first byte that has a mark which was not passed; `NEVER` where no notes are taken.

    Args:
        away: address of the byte at position 0.
        marks: address of: address of the next mark, address behind the last mark, and what must be added to a mark's address
            to get those of its two notes; zeros: no notes.
    """
    mark = load_i64(marks)
    return away + load_i64(mark) if load_i64(marks + 16) != 0 and mark < load_i64(marks + 8) else NEVER


@outlined
def note(header: int, last_offset: int, away: int, marks: int) -> None:
    """Notes for all marks up to a header that it comes first behind them, and the last offset before it."""
    mark, stop = load_i64(marks), load_i64(marks + 8)
    places, offsets = load_i64(marks + 16), load_i64(marks + 24)
    while mark < stop and away + load_i64(mark) <= header:
        store_64(mark + places, header - away)
        store_64(mark + offsets, last_offset)
        mark += 8
    store_64(marks, mark)


def make_run(*, wide: bool) -> Run:
    """``run``: takes batches from ``header`` on.

    Its arguments are all integers: address of the first header; of the last byte at which one may begin; behind the last byte
    that is there; where notes are due, the address of position 0 and that of the marks (see `note_at`); the offset that comes next; what no batch's next offset may exceed; the attributes but the codec, leader
    epoch, producer id and producer epoch of the row; its lowest and highest timestamp. It gives: the address behind the last
    batch taken, the offset that comes next, the lowest and the highest timestamp, and how many were taken.

    Args:
        wide: compare with 512-bit registers; only where `target` has them.
    """
    return _run_wide if wide else _run


@inner
def _run(
    header: int, last: int, end: int, away: int, marks: int, following: int, limit: int,
    kind: int, epoch: int, producer: int, producer_epoch: int, low: int, high: int,
) -> tuple[int, int, int, int, int]:  # fmt: skip
    taken = 0
    while True:
        due = note_at(away, marks)
        stop = min(last, due - 1)
        while header <= stop:
            size = load_be32(header + 8) + OVERHEAD
            if size < HEADER or size > FOLD_MOST or header + size > end:
                break
            if not _alike_here(header, following, limit, kind, epoch, producer, producer_epoch):
                break
            if castagnoli_batch(header, size) != load_beu32(header + 17):
                break
            early, late = load_be64(header + 27), load_be64(header + 35)
            low, high = min(low, min(early, late)), max(high, max(early, late))
            following += load_be32(header + 57)
            header += size
            taken += 1
        if header < due:
            break
        note(header, following - 1, away, marks)
    return header, following, low, high, taken


@inner
def _run_wide(
    header: int, last: int, end: int, away: int, marks: int, following: int, limit: int,
    kind: int, epoch: int, producer: int, producer_epoch: int, low: int, high: int,
) -> tuple[int, int, int, int, int]:  # fmt: skip
    taken = 0
    fifth, sixth = _PRODUCER if kind & TRANSACTIONAL else (0, 0)
    mask = simd.octet(0, _SAME[1], _SAME[2], _SAME[3], _SAME[4], fifth, sixth, _SAME[7])
    before, compared = simd.octet(0, 0, 0, 0, 0, 0, 0, 0), False  # no header may be held to one that was not looked at
    lows, highs = simd.pair(low, low), simd.pair(high, high)
    while True:
        due = note_at(away, marks)
        stop = min(last, due - 1)
        while header <= stop:
            # 1. Small batches whose headers are like the one before. Where the comparison finds no difference, neither the
            #    count nor the last offset delta is negative.
            while compared and header <= stop:
                size, count = load_be32(header + 8) + OVERHEAD, load_beu32(header + 57)
                if size < WHOLE or size > HEADED_MOST or header + size > end or load_be64(header) != following:
                    break
                if load_beu32(header + 23) != count - 1 or following + count > limit:
                    break
                if simd.differs(simd.load_512(header), before, mask) != 0:
                    break
                if castagnoli_batch(header, size) != load_beu32(header + 17):
                    break
                times = simd.load_swapped(header + 27)
                lows, highs = simd.lesser(lows, times), simd.greater(highs, times)
                following, header, taken = following + count, header + size, taken + 1
            # 2. Any batch, field by field.
            if header > stop:
                break
            size = load_be32(header + 8) + OVERHEAD
            if size < HEADER or size > FOLD_MOST or header + size > end:
                break
            if not _alike_apart(header, following, limit, kind, epoch, producer, producer_epoch):
                break
            if castagnoli_apart(header + COVERED_V2, size - COVERED_V2) != load_beu32(header + 17):
                break
            if size >= WHOLE:
                before, compared = simd.load_512(header), True
            times = simd.load_swapped(header + 27)
            lows, highs = simd.lesser(lows, times), simd.greater(highs, times)
            following, header, taken = following + load_be32(header + 57), header + size, taken + 1
        if header < due:
            break
        note(header, following - 1, away, marks)
    low = min(simd.low_word(lows), simd.high_word(lows))
    return header, following, low, max(simd.low_word(highs), simd.high_word(highs)), taken
