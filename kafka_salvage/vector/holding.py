"""Holding: the kernel that follows batches through bytes that stay in memory, so that they can be decoded there.

Strategy: what `framing` does for whole files, for one window, read step by step: each batch that lies whole in it is summed and
gives a row; the first one that does not ends the call. Bytes that cannot be read are left to the walk.
"""

from __future__ import annotations

from enum import IntEnum

from kafka_salvage.vector.cache import inner, kernel
from kafka_salvage.vector.crc import castagnoli_apart, zlib_batch
from kafka_salvage.vector.headers import (
    COVERED_V2,
    HEADER,
    OVERHEAD,
    SMALLEST,
    least_length,
    write_row,
)
from kafka_salvage.vector.pointers import load_be32, load_beu32, load_i8, load_i64, pread, store_64
from kafka_salvage.vector.taking import take


class Held(IntEnum):
    """Why the kernel came back; names from `END` on are those of `framing.Outcome`."""

    FULL = 0
    """The block has no room for another row."""
    MORE = 1
    """The next batch does not lie whole in the window."""
    UNREAD = 2
    """The window could not be read."""
    END = 3
    SHORT = 4
    LENGTH_TOO_SMALL = 5
    LENGTH_PAST_END = 6
    BAD_MAGIC = 7
    CRC_MISMATCH = 8


_FULL, _MORE, _UNREAD, _END, _SHORT, _SMALL, _PAST, _MAGIC, _MISMATCH = (int(held) for held in Held)
_NEXT = -1
STEP = 256 << 10
"""Bytes read at a time: summed while they are still in the nearest cache."""


@inner
def _judged(header: int, left: int) -> int:
    """Whether a header may be followed: `_NEXT`, or what is wrong with it."""
    length, magic = load_be32(header + 8), load_i8(header + 16)
    if length < SMALLEST - OVERHEAD:
        return _SMALL
    if length + OVERHEAD > left:
        return _PAST
    if magic < 0 or magic > 2:
        return _MAGIC
    return _NEXT if length >= least_length(magic) else _SMALL


@inner
def _sums(header: int, size: int) -> tuple[int, int]:
    """Stored and computed CRC."""
    if load_i8(header + 16) == 2:
        return load_beu32(header + 17), castagnoli_apart(header + COVERED_V2, size - COVERED_V2)
    return load_beu32(header + 12), zlib_batch(header, size)


@kernel
def hold(
    descriptor: int,
    data: int,
    filled: int,
    size: int,
    left: int,
    position: int,
    state: int,
    block: int,
    capacity: int,
    summed: int,
) -> int:
    """Writes rows of batches from ``state`` on; gives a `Held`.

    Args:
        descriptor: file to ``pread`` from what is not in the window yet; -1 where all of it is.
        data: address of the window.
        filled: bytes in it, if this is the first call for it.
        size: bytes that it shall have.
        left: bytes from its start to the end of the range, at least ``size``.
        position: of its first byte in the file.
        state: int64[6]: first byte of the next batch in the window; rows written by this call; bytes of the next batch as
            it claims; bytes in the window so far; stored and computed CRC where they differ. Updated.
        block: address of the rows.
        capacity: rows that fit there.
        summed: 1: all CRCs were computed before, lengths are followed only.
    """
    place, rows, outcome, claimed = load_i64(state), 0, _NEXT, 0
    filled = max(filled, load_i64(state + 24))
    while outcome == _NEXT:
        header = data + place
        if summed == 0:
            header, rows = take(
                header, data + left - 1, data + min(filled, left), data - position, block, capacity, rows
            )
            place = header - data
        if left - place < SMALLEST:
            outcome = _END if left <= place else _SHORT
        elif rows >= capacity:
            outcome = _FULL
        elif filled - place < min(left - place, HEADER):
            outcome, claimed = _MORE, HEADER
        else:
            outcome, claimed = _judged(header, left - place), load_be32(header + 8) + OVERHEAD
            if outcome == _NEXT and claimed > filled - place:
                outcome = _MORE
            elif outcome == _NEXT:
                stored, computed = (0, 0) if summed else _sums(header, claimed)
                if stored == computed:
                    write_row(header, position + place, block, capacity, rows)
                    rows += 1
                    place += claimed
                else:
                    store_64(state + 32, stored)
                    store_64(state + 40, computed)
                    outcome = _MISMATCH
        if outcome == _MORE and filled < size and descriptor >= 0:
            got = pread(descriptor, data + filled, min(STEP, size - filled), position + filled)
            filled += max(got, 0)
            outcome = _NEXT if got > 0 else _UNREAD
    store_64(state, place)
    store_64(state + 8, rows)
    store_64(state + 16, max(claimed, 0))
    store_64(state + 24, filled)
    return outcome
