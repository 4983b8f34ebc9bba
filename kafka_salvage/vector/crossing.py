"""Crossing: the part of a kernel that lets a walk go over lost headers, zeroed pages and batches that another length or magic proves.

Strategy: the next batch is looked for in memory, by sane header and CRC. What begins at the damage is then one of three:

1. a batch of magic 2 that ends there, once a length and a magic are put in: its CRC says so, and it gets a row;
2. nothing that any length or magic could prove. Records of an uncompressed batch, and messages of magic 0 and 1, tell by their
   own sizes where they end, so there is one end to ask for and not one for each batch that follows;
3. in doubt. Then nothing is changed, and the judge looks at it.

A batch that claims more than the work area holds is asked before its claim is summed: a flipped bit of a length may claim a
quarter of the file. What its records and its CRC say of an earlier end counts then; where that is told depends on the bytes
alone, not on what is in memory.
"""

from __future__ import annotations

from kafka_salvage.vector.cache import inner, outlined
from kafka_salvage.vector.crc import castagnoli_apart, castagnoli_table, zlib_apart, zlib_move, zlib_table
from kafka_salvage.vector.doubts import (
    TOLD_MOST,
    Kind,
    Over,
    could_be_v2,
    header_at,
    holds,
    is_batch,
    is_told,
    message_stop,
    zeros,
)
from kafka_salvage.vector.finding import first_byte, may_begin, none_begins
from kafka_salvage.vector.framing import Outcome, State
from kafka_salvage.vector.headers import COVERED_LEGACY, COVERED_V2, HEADER, OVERHEAD, SMALLEST, is_sane, write_row
from kafka_salvage.vector.pointers import (
    copy,
    load_be16,
    load_be32,
    load_be64,
    load_beu32,
    load_i8,
    load_i64,
    load_u8,
    pread,
    store_8,
    store_64,
)
from kafka_salvage.vector.polynomial import MASK
from kafka_salvage.vector.varint import near_varint

ROOM = 128 << 10
"""Bytes that are looked at where the work area holds too few."""
_NEAR = 24 << 10
"""Bytes that are looked at first where a claim is long: most batches are no larger, and mostly they are in memory."""
SCRATCH = ROOM + 256
"""Bytes of memory that the kernel needs besides: two headers, and what it reads."""
_READ = 128
_MOST_SUMMED = 256 << 10
"""Bytes behind what looks like headers that are summed."""
_SMALLEST_RECORD = 6
"""Least that the length of a record may say."""
_NOWHERE, _REFUSED, _DONE = -1, 0, 1
_POSITION, _FROM, _FILLED, _ADDRESS = 8 * State.POSITION, 8 * State.FROM, 8 * State.FILLED, 8 * State.ADDRESS
_ROWS, _STORED, _COMPUTED, _SIZE = 8 * State.ROWS, 8 * State.STORED, 8 * State.COMPUTED, 8 * State.SIZE
_UNTIL, _ALONE, _STOP, _COUNTS = 8 * State.UNTIL, 8 * State.ALONE, 8 * State.STOP, 8 * State.COUNTS
_LOST, _ASTRAY, _TORN, _HOST = int(Kind.LOST), int(Kind.ASTRAY), int(Kind.TORN), int(Kind.HOST)
_TOLD, _MISMATCH, _OTHER = int(Over.TOLD), int(Outcome.CRC_MISMATCH), int(Outcome.OTHER)


@outlined
def _following(
    descriptor: int, away: int, position: int, filled: int, end: int, base: int, cap: int, scratch: int
) -> int:
    """Where the first batch behind ``position`` begins; -1: not in memory, or in doubt."""
    start, stop, left, first = position + 1, filled - HEADER + 1, _MOST_SUMMED, first_byte(base)
    while start < stop:
        if start + 32 <= stop and none_begins(away + start, first):
            start += 32
            continue
        # no header is all zeros, the length too
        if may_begin(away + start, first) and (load_i64(away + start + 16) or load_i64(away + start + 8)):
            for place in range(start, min(start + 8, stop)):
                if load_u8(away + place + 16) > 2 or not is_sane(away + place, end - place, base, cap):
                    continue
                size = load_be32(away + place + 8) + OVERHEAD
                if size > end - place:
                    continue
                if place + size > filled:
                    if is_batch(descriptor, away, place, filled, end, scratch):
                        return _NOWHERE
                    continue
                left -= size
                if left < 0:
                    return _NOWHERE
                if holds(away + place, size):
                    return place
        start += 8
    return _NOWHERE


@outlined
def _records_stop(header: int, readable: int) -> int:
    """Where an uncompressed batch of magic 2 ends by the sizes of its records; 0: nowhere; less: further off than that."""
    place = HEADER
    for _ in range(load_be32(header + 57)):
        if place + 5 > readable:
            return -place
        size, after = near_varint(header + place)
        if size < _SMALLEST_RECORD:
            return 0
        place = after - header + size
    return place


@outlined
def _own_stop(descriptor: int, header: int, position: int, magic: int, readable: int, end: int, scratch: int) -> int:
    """Where a message of magic 0 or 1 would end by its own sizes; -1: nowhere in the file; -2: unknown."""
    stop = message_stop(header, magic, readable)
    if stop < -1:
        place = -stop - 4
        if position + place + 4 > end:
            return -1
        if descriptor < 0 or pread(descriptor, scratch, 4, position + place) != 4:
            return -2
        value = load_be32(scratch)
        stop = place + 4 + max(value, 0) if value >= -1 else -1
    return stop if stop <= end - position else -1


@outlined
def _is_no_message(header: int, magic: int, stop: int, readable: int, scratch: int) -> bool:
    """Whether no message of magic 0 or 1 begins there, whatever its length says; False in doubt.

    Args:
        header: address.
        magic: that is put in.
        stop: what `_own_stop` tells.
        readable: bytes that are in memory.
        scratch: a little memory.
    """
    if stop < 0 or stop > readable:
        return stop == -1
    store_8(scratch, load_u8(header + 16))
    store_8(scratch + 1, magic)
    other = zlib_table(MASK, scratch, 1) ^ zlib_table(MASK, scratch + 1, 1)
    computed = zlib_apart(header + COVERED_LEGACY, stop - COVERED_LEGACY)
    return computed ^ zlib_move(other, stop - COVERED_LEGACY - 1) != load_beu32(header + 12)


@outlined
def _proof(
    descriptor: int, header: int, position: int, behind: int, readable: int, state: int, end: int, reason: int,
    scratch: int,
) -> int:  # fmt: skip
    """Whether the bytes up to the batch at ``behind`` are one that its CRC proves: `_DONE`, `_NOWHERE`: none is, or `_REFUSED`."""
    reach, claim = behind - position, load_be32(header + 8) + OVERHEAD
    zero = _own_stop(descriptor, header, position, 0, readable, end, scratch)
    one = _own_stop(descriptor, header, position, 1, readable, end, scratch)
    uncompressed = load_be16(header + 21) & 7 == 0
    possible = could_be_v2(header)
    stored = load_beu32(header + 17)
    if possible and reach >= HEADER and castagnoli_apart(header + COVERED_V2, reach - COVERED_V2) == stored:
        # the end that the header claims is asked first, with each magic
        other = claim != reach and SMALLEST <= claim <= end - position
        if zero == reach or one == reach or (other and (zero == claim or one == claim or min(zero, one) == -2)):
            return _REFUSED
        known = not other or (reason == _MISMATCH and load_i8(header + 16) == 2)
        return _DONE if uncompressed or known else _REFUSED
    if possible and not uncompressed:
        return _REFUSED
    if possible:
        stop = _records_stop(header, readable)
        if stop < 0:
            if -stop <= end - position:
                return _REFUSED
        elif HEADER <= stop <= end - position and (
            stop > readable or castagnoli_apart(header + COVERED_V2, stop - COVERED_V2) == stored
        ):
            return _REFUSED
    if _is_no_message(header, 0, zero, readable, scratch) and _is_no_message(header, 1, one, readable, scratch):
        return _NOWHERE
    return _REFUSED


@inner
def _ends_early(header: int, left: int, readable: int) -> bool:
    """Whether an uncompressed batch of magic 2 ends by its records where its CRC holds, and not where its header says."""
    if load_i8(header + 16) != 2 or load_be16(header + 21) & 7 or not could_be_v2(header):
        return False
    stop = _records_stop(header, readable)
    if stop < HEADER or stop > readable or load_be32(header + 8) + OVERHEAD > left:
        return False
    return castagnoli_apart(header + COVERED_V2, stop - COVERED_V2) == load_beu32(header + 17)


@inner
def _kind(
    descriptor: int, away: int, position: int, behind: int, start: int, filled: int, end: int, base: int, cap: int,
    scratch: int,
) -> int:  # fmt: skip
    """What the header at ``position`` is, if the next batch begins at ``behind``; -1 in doubt."""
    header = away + position
    if not is_sane(header, end - position, base, cap):
        return _LOST
    stop = position + load_be32(header + 8) + OVERHEAD
    if stop > end:
        return _TORN
    if stop == behind or end - stop < HEADER:
        return _NOWHERE
    there = header_at(descriptor, away, stop, start, filled, scratch)
    if there == 0 or is_sane(there, end - stop, base, cap):
        return _NOWHERE
    # zeros may be the end of the data
    blank = stop > behind and load_i64(there) == 0 and load_i64(there + 8) == 0
    return _NOWHERE if blank else _ASTRAY


@inner
def _row(header: int, position: int, size: int, state: int, block: int, capacity: int, scratch: int) -> None:
    """Writes the row of a proved batch, with its length and magic put in."""
    copy(scratch, header, HEADER)
    length = size - OVERHEAD
    for place in range(4):
        store_8(scratch + 8 + place, length >> (24 - 8 * place))
    store_8(scratch + 16, 2)
    rows, counts = load_i64(state + _ROWS), load_i64(state + _COUNTS)
    write_row(scratch, position, block, capacity, rows)
    if counts != 0:
        store_64(counts + 8 * rows, 1)
    store_64(state + _ROWS, rows + 1)


@outlined
def _cross(
    descriptor: int, away: int, filled: int, state: int, block: int, capacity: int, before: int, end: int, base: int,
    cap: int, scratch: int, out: int, reason: int,
) -> int:  # fmt: skip
    """The answer for bytes in memory up to ``filled``: `_DONE` or `_REFUSED`."""
    position, rows = load_i64(state + _POSITION), load_i64(state + _ROWS)
    if filled - position < 2 * HEADER:
        return _REFUSED
    header = away + position
    if reason == _OTHER and not _ends_early(header, end - position, filled - position):
        return _REFUSED
    behind = _following(descriptor, away, position, filled, end, base, cap, scratch)
    if behind < 0 or behind >= load_i64(state + _UNTIL):
        return _REFUSED
    size, claim, magic = behind - position, load_be32(header + 8) + OVERHEAD, load_i8(header + 16)
    kind = _proof(descriptor, header, position, behind, filled - position, state, end, reason, scratch)
    if kind == _REFUSED or (reason == _OTHER and kind != _DONE):
        return _REFUSED
    alone = position
    if kind == _DONE:
        if rows >= capacity:
            return _REFUSED
        kind = _HOST
    else:
        alone = behind
        if rows > 0:
            before = load_i64(block + 32 * capacity + 8 * rows - 8)
        # some offset must be free, and the walk must not take the batch behind into the last row
        if before < -1 or load_be64(away + behind) <= before + 1 or load_i8(away + behind + 16) != 2:
            return _REFUSED
        kind = _kind(descriptor, away, position, behind, position, filled, end, base, cap, scratch)
        following = load_be32(away + behind + 8) + OVERHEAD
        if kind < 0 or is_told(descriptor, away, behind, following, state, end, base, cap, scratch, out):
            return _REFUSED
    witness = -1
    if reason == _MISMATCH and claim <= filled - position:
        if magic == 2:
            witness = castagnoli_table(MASK, header + COVERED_V2, claim - COVERED_V2) ^ MASK
        else:
            witness = zlib_table(MASK, header + COVERED_LEGACY, claim - COVERED_LEGACY) ^ MASK
    zeros(away, position, behind, out)
    offset = load_be64(header)
    store_64(out + 8 * Over.POSITION, position)
    store_64(out + 8 * Over.SIZE, size)
    store_64(out + 8 * Over.STORED, load_i64(state + _STORED) if reason == _MISMATCH else 0)
    store_64(out + 8 * Over.COMPUTED, load_i64(state + _COMPUTED) if reason == _MISMATCH else 0)
    store_64(out + 8 * Over.OFFSET, offset)
    store_64(out + 8 * Over.LAST, offset + load_be32(header + 23) if magic == 2 or kind == _HOST else offset)
    store_64(out + 8 * Over.WITNESS, witness)
    store_64(out + 8 * Over.KIND, kind)
    store_64(out + 8 * Over.REASON, _MISMATCH if reason == _OTHER else reason)
    store_64(out + 8 * Over.CLAIM, claim)
    store_64(out + 8 * Over.MAGIC, magic)
    if kind == _HOST:
        for column in range(TOLD_MOST):  # what stands behind it is believed, whatever sizes tell
            store_64(out + 8 * (_TOLD + column), -1)
        _row(header, position, size, state, block, capacity, scratch)
    store_64(state + _POSITION, behind)
    store_64(state + _ALONE, alone)
    if behind < load_i64(state + _FROM):  # a long claim was summed: the work area lies behind
        store_64(state + _FROM, behind)
        store_64(state + _FILLED, behind)
    return _DONE


@outlined
def cross(
    descriptor: int, state: int, block: int, capacity: int, before: int, end: int, base: int, cap: int, scratch: int,
    out: int, reason: int,
) -> bool:  # fmt: skip
    """Goes over what the walk has just stopped at, if it is clear what that is; else nothing is changed.

    Args:
        descriptor: file to ``pread`` from, or -1.
        state: of the walk (`framing.State`).
        block: address of its rows.
        capacity: rows that fit there.
        before: last offset of the row before the block; below -1 when there is none.
        end: end of the file.
        base: lowest sane base offset.
        cap: largest sane batch, bytes.
        scratch: address of `SCRATCH` bytes, with 64 bytes of slack behind.
        out: address of `OVER_WIDTH` int64.
        reason: why the walk stopped (`framing.Outcome`).
    """
    position, start, filled = load_i64(state + _POSITION), load_i64(state + _FROM), load_i64(state + _FILLED)
    if end != load_i64(state + _STOP):
        return False
    if position >= start and reason != _OTHER:
        away = load_i64(state + _ADDRESS) - start
        if _cross(descriptor, away, filled, state, block, capacity, before, end, base, cap, scratch, out, reason):
            return True
    size, near = min(ROOM, end - position), min(_NEAR, end - position)
    if descriptor < 0 or (reason != _OTHER and position >= start and filled - position >= size):
        return False
    if reason == _OTHER:
        away = load_i64(state + _ADDRESS) - start
        if position < start or filled - position < near:
            away = scratch + _READ - position
            if pread(descriptor, scratch + _READ, near, position) != near:
                return False
        if _cross(
            descriptor, away, position + near, state, block, capacity, before, end, base, cap, scratch, out, reason
        ):
            return True
        if near == size or load_i8(away + position + 16) != 2:
            return False
    if pread(descriptor, scratch + _READ, size, position) != size:
        return False
    away = scratch + _READ - position
    return bool(
        _cross(descriptor, away, position + size, state, block, capacity, before, end, base, cap, scratch, out, reason)
    )
