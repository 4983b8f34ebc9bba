"""Doubts: what kernels ask of damaged bytes, and the row of numbers that they write of what a walk goes over.

Shared by `passing` and `crossing`. Positions are checked before they become addresses; where bytes are not in memory and
cannot be had, the answer is the one that leaves the question to the judge.
"""

from __future__ import annotations

from enum import IntEnum

from kafka_salvage.vector.cache import inner, outlined
from kafka_salvage.vector.crc import castagnoli_apart, zlib_apart
from kafka_salvage.vector.finding import HIGH_BITS, ONES
from kafka_salvage.vector.framing import State
from kafka_salvage.vector.headers import COVERED_LEGACY, COVERED_V2, HEADER, OVERHEAD, SMALLEST, is_sane
from kafka_salvage.vector.pointers import (
    load_be16,
    load_be32,
    load_beu32,
    load_i8,
    load_i64,
    load_u8,
    pread,
    store_64,
)


class Over(IntEnum):
    """Columns of a batch that was passed over (int64)."""

    POSITION = 0
    SIZE = 1
    """Of the whole batch as its header claims it, bytes."""
    STORED = 2
    COMPUTED = 3
    OFFSET = 4
    """The first eight bytes."""
    LAST = 5
    """Last offset that the header claims."""
    ZEROS_FROM = 6
    """The first longest run of zeros; empty when there is no zero."""
    ZEROS_TO = 7
    ZEROS_BEHIND = 8
    """Zeros that the batch ends with."""
    WITNESS = 9
    """Its CRC by tables."""
    KIND = 10
    """Of `Kind`."""
    REASON = 11
    """Why the walk stopped there, of `framing.Outcome`."""
    CLAIM = 12
    """Whole size that the header claims, which may be absurd; `SIZE` reaches to where the next batch begins."""
    MAGIC = 13
    """Byte 16, signed."""
    TOLD = 14
    """From here on: where values would end that sizes at the batch's end tell; -1 for none. Needed until the walk stops."""


class Kind(IntEnum):
    """What was passed over."""

    SIMPLE = 0
    """A damaged batch whose frame is beyond doubt."""
    LOST = 1
    """Bytes without a sane header, up to the next batch."""
    ASTRAY = 2
    """A sane header that leads nowhere, and bytes up to the next batch."""
    TORN = 3
    """A sane header that claims more than the file has, and bytes up to the next batch."""
    HOST = 4
    """A batch of magic 2 that its CRC proves once another length or magic is put in; it has a row."""


TOLD_MOST = 6
OVER_WIDTH = int(Over.TOLD) + TOLD_MOST
SCRATCH = HEADER
"""Bytes of memory that the kernel needs besides: a header."""
MOST_VALUE = 64 << 20
"""A value that holds batches is no larger (see `regions.belief`)."""

_FROM, _FILLED, _ADDRESS, _TOLD = 8 * State.FROM, 8 * State.FILLED, 8 * State.ADDRESS, 8 * int(Over.TOLD)


@inner
def holds(header: int, size: int) -> bool:
    """Whether the CRC of a batch holds."""
    if load_i8(header + 16) == 2:
        return castagnoli_apart(header + COVERED_V2, size - COVERED_V2) == load_beu32(header + 17)
    return zlib_apart(header + COVERED_LEGACY, size - COVERED_LEGACY) == load_beu32(header + 12)


@outlined
def message_stop(header: int, magic: int, readable: int) -> int:
    """Where the bytes, read as a message of magic 0 or 1, end by their own sizes; -1: nowhere; less: it lies too far off.

    Args:
        header: address.
        magic: how to read it.
        readable: bytes that may be looked at.
    """
    place = 26 if magic == 1 else 18
    key = load_be32(header + place)
    if load_u8(header + 17) & 7 > 3 or key < -1:
        return -1
    place += 4 + max(key, 0)
    if place + 4 > readable:
        return -place - 4
    value = load_be32(header + place)
    return place + 4 + max(value, 0) if value >= -1 else -1


@outlined
def is_batch(descriptor: int, away: int, position: int, filled: int, end: int, scratch: int) -> bool:
    """Whether a sane header may begin a batch; True in doubt.

    What lies in memory is summed. A message that ends further off is none if its own sizes say something else than its
    length: no such message was ever written, whatever its CRC.
    """
    header = away + position
    size = load_be32(header + 8) + OVERHEAD
    if size > end - position:
        return False
    if position + size <= filled:
        return holds(header, size)
    magic = load_i8(header + 16)
    if magic == 2:
        return True
    stop = message_stop(header, magic, filled - position)
    if stop < -1:
        place = -stop - 4
        if place + 4 > size:
            return False
        if descriptor < 0 or pread(descriptor, scratch, 4, position + place) != 4:
            return True
        stop = place + 4 + max(load_be32(scratch), 0)
    return stop == size


@inner
def _zero_bytes(address: int) -> int:
    """Not 0 where some of eight bytes is zero."""
    word = load_i64(address)
    return (word - ONES) & ~word & HIGH_BITS


@inner
def zeros(away: int, start: int, stop: int, out: int) -> None:
    """Writes the first longest run of zeros, and how many zeros come last."""
    best_from, best_to, begin, place = start, start, start, start
    while place < stop:
        if place + 32 <= stop and not (
            _zero_bytes(away + place)
            | _zero_bytes(away + place + 8)
            | _zero_bytes(away + place + 16)
            | _zero_bytes(away + place + 24)
        ):
            if place - begin > best_to - best_from:
                best_from, best_to = begin, place
            place += 32
            begin = place
            continue
        word = load_i64(away + place)
        whole = place + 8 <= stop
        if whole and word == 0:
            place += 8
            continue
        if whole and not (word - ONES) & ~word & HIGH_BITS:
            if place - begin > best_to - best_from:
                best_from, best_to = begin, place
            place += 8
            begin = place
            continue
        for at in range(place, min(place + 8, stop)):
            if load_u8(away + at):
                if at - begin > best_to - best_from:
                    best_from, best_to = begin, at
                begin = at + 1
        place += 8
    if stop - begin > best_to - best_from:
        best_from, best_to = begin, stop
    store_64(out + 8 * Over.ZEROS_FROM, best_from)
    store_64(out + 8 * Over.ZEROS_TO, best_to)
    store_64(out + 8 * Over.ZEROS_BEHIND, stop - begin)


@inner
def header_at(descriptor: int, away: int, position: int, start: int, filled: int, scratch: int) -> int:
    """Address of 61 bytes at a position: in the work area, or read into the scratch; 0 when they are not to be had."""
    if start <= position and position + HEADER <= filled:
        return away + position
    if descriptor >= 0 and pread(descriptor, scratch, HEADER, position) == HEADER:
        return scratch
    return 0


@inner
def could_be_v2(header: int) -> bool:
    """Whether the bytes would be a sane header with magic 2 put in, whatever their length."""
    attributes, delta, count = load_be16(header + 21), load_be32(header + 23), load_be32(header + 57)
    if attributes & -128 or attributes & 7 > 4 or load_be32(header + 12) < -1:
        return False
    return delta >= 0 and 0 <= count <= delta + 1


@inner
def _tells(
    descriptor: int, value: int, behind: int, size: int, state: int, end: int, base: int, cap: int, scratch: int,
    out: int,
) -> bool:  # fmt: skip
    """Whether a size that stands before the batch at ``behind`` may mean bytes from there on; True in doubt."""
    if value < size:
        return False
    stop = behind + value
    if stop > end and value > MOST_VALUE:
        return False
    if stop + HEADER <= end:
        start, filled = load_i64(state + _FROM), load_i64(state + _FILLED)
        header = header_at(descriptor, load_i64(state + _ADDRESS) - start, stop, start, filled, scratch)
        if header == 0 or is_sane(header, end - stop, base, cap):
            return True
    elif stop + SMALLEST <= end:
        return True
    for column in range(TOLD_MOST):
        if load_i64(out + _TOLD + 8 * column) < 0:
            store_64(out + _TOLD + 8 * column, stop)
            return False
    return True


@outlined
def is_told(
    descriptor: int, away: int, behind: int, size: int, state: int, end: int, base: int, cap: int, scratch: int,
    out: int,
) -> bool:  # fmt: skip
    """Whether the bytes before the batch at ``behind`` may tell it as a value, by its size as int32 or varint."""
    for column in range(TOLD_MOST):
        store_64(out + _TOLD + 8 * column, -1)
    if _tells(descriptor, load_be32(away + behind - 4), behind, size, state, end, base, cap, scratch, out):
        return True
    if load_u8(away + behind - 1) >= 0x80:
        return False
    value = 0
    for back in range(1, 6):
        byte = load_u8(away + behind - back)
        if back > 1 and byte < 0x80:
            break
        value = value << 7 | (byte & 0x7F)
        if _tells(descriptor, value, behind, size, state, end, base, cap, scratch, out):
            return True
        if value & 1 == 0 and _tells(descriptor, value >> 1, behind, size, state, end, base, cap, scratch, out):
            return True
    return False
