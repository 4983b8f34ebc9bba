"""Driving: the kernel that follows lengths and goes over damage on its way, without a word to Python in between.

Strategy: a walk streams a megabyte through the nearest caches between two damages, and whatever is asked in Python then is
asked of cold memory. So one call follows, passes, crosses and goes on, until rows or the table of what it went over are full,
bytes are wanted, or nothing is simple.
"""

from __future__ import annotations

from enum import IntEnum

from kafka_salvage.vector.cache import inner, kernel
from kafka_salvage.vector.crossing import cross
from kafka_salvage.vector.doubts import OVER_WIDTH, Over
from kafka_salvage.vector.framing import Outcome, State, follow_magic_2
from kafka_salvage.vector.passing import pass_over
from kafka_salvage.vector.pointers import load_i64, store_64


class Drive(IntEnum):
    """Places in the array of int64 that a drive keeps besides the walk's `State`."""

    TABLE = 0
    """Address of rows of `OVER_WIDTH` int64."""
    ROOM = 1
    """Rows that fit there."""
    COUNT = 2
    """Rows that are there for good."""
    PENDING = 3
    """Where the batch begins that must hold so that the row behind those counts; -1: there is no such row."""
    BEFORE = 4
    """Last offset of the row before the block; below -1 when there is none."""
    END = 5
    """End of the file."""
    BASE = 6
    """Lowest sane base offset."""
    CAP = 7
    """Largest sane batch, bytes."""
    SCRATCH = 8
    """Address of `crossing.SCRATCH` bytes, with 64 bytes of slack behind."""


_TABLE, _ROOM, _COUNT, _PENDING = 8 * Drive.TABLE, 8 * Drive.ROOM, 8 * Drive.COUNT, 8 * Drive.PENDING
_BEFORE, _END, _BASE, _CAP, _SCRATCH = 8 * Drive.BEFORE, 8 * Drive.END, 8 * Drive.BASE, 8 * Drive.CAP, 8 * Drive.SCRATCH
_POSITION, _SHORT, _MISMATCH = 8 * State.POSITION, int(Outcome.SHORT), int(Outcome.CRC_MISMATCH)


@inner
def _goes_over(descriptor: int, state: int, block: int, capacity: int, drive: int, reason: int) -> bool:
    """Goes over what the walk has stopped at, if that is simple and the table has room."""
    count = load_i64(drive + _COUNT)
    if load_i64(drive + _PENDING) >= 0 or count >= load_i64(drive + _ROOM):
        return False
    out = load_i64(drive + _TABLE) + 8 * OVER_WIDTH * count
    before, end, scratch = load_i64(drive + _BEFORE), load_i64(drive + _END), load_i64(drive + _SCRATCH)
    base, cap = load_i64(drive + _BASE), load_i64(drive + _CAP)
    if reason == _MISMATCH and pass_over(descriptor, state, block, capacity, before, end, base, cap, scratch, out):
        store_64(drive + _PENDING, load_i64(out + 8 * Over.POSITION) + load_i64(out + 8 * Over.SIZE))
        return True
    if not cross(descriptor, state, block, capacity, before, end, base, cap, scratch, out, reason):
        return False
    store_64(drive + _COUNT, count + 1)
    return True


@kernel
def follow_over(
    descriptor: int, area: int, room: int, state: int, block: int, capacity: int, drive: int, reason: int
) -> int:
    """`framing.follow_usual`, going over whatever damage is simple; an outcome that it could have gone over means that it is not.

    Args:
        descriptor: file to ``pread`` from, or -1: then every window is `Outcome.WANTED`.
        area: address of the work area, 2 · ``room`` bytes with 64 bytes of slack behind.
        room: bytes of headroom and of the window, a multiple of 4096.
        state: address of the walk's state.
        block: address of the rows.
        capacity: rows that fit there.
        drive: address of `Drive`; where `Drive.COUNT` is `Drive.ROOM`, the table was full.
        reason: of `Outcome`: what the walk stands at, if that is damage.
    """
    while True:
        if reason > _SHORT and not _goes_over(descriptor, state, block, capacity, drive, reason):
            return reason
        reason = follow_magic_2(descriptor, area, room, state, block, capacity)
        pending = load_i64(drive + _PENDING)
        if pending >= 0 and load_i64(state + _POSITION) > pending:
            store_64(drive + _COUNT, load_i64(drive + _COUNT) + 1)
            store_64(drive + _PENDING, -1)
        if reason <= _SHORT:
            return reason
