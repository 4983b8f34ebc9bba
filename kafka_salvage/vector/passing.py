"""Passing: the part of a kernel that lets a walk go over a damaged batch whose frame is beyond doubt.

Strategy: nearly all damage on real disks is a changed byte in a payload. Then the header is sane, its claim ends where a sane
header stands whose batch holds (the walk goes on there, which proves it), and nothing inside looks like a header. All that a
judge would ask of such a batch is asked here, while its bytes are still in the nearest cache: other ends and magics for which
its CRC might hold, sizes before the batch behind that might claim it as a value, runs of zeros, a second CRC. Whatever is not
plainly simple is refused, and left to the judge.
"""

from __future__ import annotations

from kafka_salvage.vector.cache import outlined
from kafka_salvage.vector.crc import (
    castagnoli_apart,
    castagnoli_move,
    castagnoli_table,
    zlib_apart,
    zlib_move,
    zlib_table,
)
from kafka_salvage.vector.doubts import (
    OVER_WIDTH,
    SCRATCH,
    Kind,
    Over,
    could_be_v2,
    header_at,
    is_batch,
    is_told,
    message_stop,
    zeros,
)
from kafka_salvage.vector.finding import first_byte, may_begin, none_begins
from kafka_salvage.vector.framing import Outcome, State
from kafka_salvage.vector.headers import COVERED_LEGACY, COVERED_V2, HEADER, OVERHEAD, SMALLEST, is_sane
from kafka_salvage.vector.pointers import load_be32, load_be64, load_beu32, load_i8, load_i64, load_u8, store_64
from kafka_salvage.vector.polynomial import MASK

__all__ = ["MEMBERS", "OVER_WIDTH", "SCRATCH", "Over", "pass_over"]
MEMBERS = 8
"""Batches behind of which each may be where the damaged one truly ends."""
_MOST_SUMMED = 256 << 10
"""Bytes behind what looks like headers that are summed, besides the batch's own size."""
_POSITION, _FROM, _FILLED, _ADDRESS = 8 * State.POSITION, 8 * State.FROM, 8 * State.FILLED, 8 * State.ADDRESS
_ROWS, _STORED, _COMPUTED, _SIZE = 8 * State.ROWS, 8 * State.STORED, 8 * State.COMPUTED, 8 * State.SIZE
_UNTIL, _ALONE, _STOP = 8 * State.UNTIL, 8 * State.ALONE, 8 * State.STOP
_MISMATCH, _SIMPLE = int(Outcome.CRC_MISMATCH), int(Kind.SIMPLE)


@outlined
def _harbours(
    descriptor: int, state: int, size: int, end: int, base: int, cap: int, zero: int, one: int, scratch: int
) -> bool:
    """Whether a batch begins inside the damaged one, or it may end where what looks like one begins; True in doubt.

    Args:
        descriptor: of the file.
        state: of the walk.
        size: of the damaged batch.
        end: of the file.
        base: lowest sane offset.
        cap: largest sane batch.
        zero: where it would end by its own sizes if it were a message of magic 0.
        one: the same for magic 1.
        scratch: a little memory.
    """
    position, filled, stored = load_i64(state + _POSITION), load_i64(state + _FILLED), load_i64(state + _STORED)
    away = load_i64(state + _ADDRESS) - load_i64(state + _FROM)
    header, start, stop = away + position, position + 1, position + size
    magic = load_i8(header + 16)
    covered = COVERED_V2 if magic == 2 else COVERED_LEGACY
    left, first = _MOST_SUMMED + size, first_byte(base)
    while start < stop:
        if start + 32 <= stop and none_begins(away + start, first):
            start += 32
            continue
        if may_begin(away + start, first):
            for place in range(start, min(start + 8, stop)):
                if load_u8(away + place + 16) > 2 or not is_sane(away + place, end - place, base, cap):
                    continue
                reach = place - position
                claim = load_be32(away + place + 8) + OVERHEAD
                left -= reach + (claim if place + claim <= filled else HEADER)
                if left < 0 or reach in (zero, one):
                    return True
                if is_batch(descriptor, away, place, filled, end, scratch):
                    return True
                if reach > covered:
                    if magic == 2:
                        computed = castagnoli_apart(header + covered, reach - covered)
                    else:
                        computed = zlib_apart(header + covered, reach - covered)
                    if computed == stored:
                        return True
        start += 8
    return False


@outlined
def _ends_elsewhere(
    descriptor: int, header: int, size: int, state: int, end: int, zero: int, one: int, scratch: int
) -> bool:
    """Whether the batch may truly end at one of the next batches, or be of another magic; True in doubt."""
    position, start, filled = load_i64(state + _POSITION), load_i64(state + _FROM), load_i64(state + _FILLED)
    away = load_i64(state + _ADDRESS) - start
    magic, stored, value = load_i8(header + 16), load_i64(state + _STORED), load_i64(state + _COMPUTED)
    covered = COVERED_V2 if magic == 2 else COVERED_LEGACY
    place = position + size
    for member in range(MEMBERS):
        reach = place - position
        if reach in (zero, one):
            return True
        if member == MEMBERS - 1 or end - place < HEADER:
            break
        following = header_at(descriptor, away, place, start, filled, scratch)
        if following == 0:
            return True
        length = load_be32(following + 8) + OVERHEAD
        if length < SMALLEST or length > end - place:
            break
        if (load_i8(following + 16) == 2) != (magic == 2) or length < covered:
            return True
        # what the following batch covers has the CRC that it stores, if it is good; otherwise it is no batch
        if magic == 2:
            value = castagnoli_move(value, covered) ^ castagnoli_apart(following, covered)
            value = castagnoli_move(value, length - covered) ^ load_beu32(following + 17)
        else:
            value = zlib_move(value, covered) ^ zlib_apart(following, covered)
            value = zlib_move(value, length - covered) ^ load_beu32(following + 12)
        if value == stored:
            return True
        place += length
    # unknown: it lies behind what is in memory, perhaps not behind the last end
    if (zero < -1 and position - zero <= place) or (one < -1 and position - one <= place):
        return True
    return magic != 2 and place - position >= HEADER and could_be_v2(header)


@outlined
def pass_over(
    descriptor: int, state: int, block: int, capacity: int, before: int, end: int, base: int, cap: int, scratch: int,
    out: int,
) -> bool:  # fmt: skip
    """Goes over the batch at which the walk has just stopped for its CRC, if it is simple; else nothing is changed.

    The walk must take the batch behind at once; if it does not, the batch is not simple after all.

    Args:
        descriptor: file to ``pread`` from, or -1.
        state: of the walk (`framing.State`).
        block: address of its rows.
        capacity: rows that fit there.
        before: last offset of the row before the block; below -1 when there is none.
        end: end of the file.
        base: lowest sane base offset.
        cap: largest sane batch, bytes.
        scratch: address of `SCRATCH` bytes.
        out: address of `OVER_WIDTH` int64.
    """
    position, size, rows = load_i64(state + _POSITION), load_i64(state + _SIZE), load_i64(state + _ROWS)
    start, filled = load_i64(state + _FROM), load_i64(state + _FILLED)
    behind = position + size
    if (
        position < start
        or behind + HEADER > filled
        or behind >= load_i64(state + _UNTIL)
        or end != load_i64(state + _STOP)
    ):
        return False
    away = load_i64(state + _ADDRESS) - start
    header = away + position
    magic, offset = load_i8(header + 16), load_be64(header)
    if rows > 0:
        before = load_i64(block + 32 * capacity + 8 * rows - 8)
    if before < -1 or offset <= before or not is_sane(header, end - position, base, cap):
        return False
    # higher also than the batch before: the walk must not take the batch behind into that one's row
    if load_be64(away + behind) <= offset or not is_sane(away + behind, end - behind, base, cap):
        return False
    following = load_be32(away + behind + 8) + OVERHEAD
    if following > end - behind:
        return False
    computed = load_i64(state + _COMPUTED)
    if is_told(descriptor, away, behind, following, state, end, base, cap, scratch, out):
        return False
    zero = -1 if magic == 0 else message_stop(header, 0, filled - position)
    one = -1 if magic == 1 else message_stop(header, 1, filled - position)
    if _ends_elsewhere(descriptor, header, size, state, end, zero, one, scratch):
        return False
    if _harbours(descriptor, state, size, end, base, cap, zero, one, scratch):
        return False
    zeros(away, position, behind, out)
    if magic == 2:
        witness = castagnoli_table(MASK, header + COVERED_V2, size - COVERED_V2) ^ MASK
        last = offset + load_be32(header + 23)
    else:
        witness = zlib_table(MASK, header + COVERED_LEGACY, size - COVERED_LEGACY) ^ MASK
        last = offset
    store_64(out + 8 * Over.POSITION, position)
    store_64(out + 8 * Over.SIZE, size)
    store_64(out + 8 * Over.STORED, load_i64(state + _STORED))
    store_64(out + 8 * Over.COMPUTED, computed)
    store_64(out + 8 * Over.OFFSET, offset)
    store_64(out + 8 * Over.LAST, last)
    store_64(out + 8 * Over.WITNESS, witness)
    store_64(out + 8 * Over.KIND, _SIMPLE)
    store_64(out + 8 * Over.REASON, _MISMATCH)
    store_64(out + 8 * Over.CLAIM, size)
    store_64(out + 8 * Over.MAGIC, magic)
    store_64(state + _POSITION, behind)
    store_64(state + _ALONE, behind)
    return True
