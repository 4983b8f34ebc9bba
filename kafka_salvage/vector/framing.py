"""Framing: the kernel that follows lengths through a file, checks each CRC and writes rows.

Strategy: a *work area* is one buffer, ``room`` bytes of headroom and a window of the same size behind it. Whole windows are
read to the same page-aligned place; what is left of an unfinished batch is moved in front of them. A batch that does not fit
the headroom is summed piece by piece, so nothing is ever allocated by what a length claims. All progress is kept in a small
array of int64 (`State`), so that the kernel can be left and entered again: when a block of rows is full, and when bytes are
wanted that it cannot get by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from kafka_salvage.vector.cache import inner, kernel
from kafka_salvage.vector.crc import castagnoli_add, castagnoli_apart, zlib_add, zlib_batch
from kafka_salvage.vector.folding import make_extend
from kafka_salvage.vector.headers import (
    COVERED_LEGACY,
    COVERED_V2,
    HEADER,
    OVERHEAD,
    SMALLEST,
    least_length,
    write_row,
)
from kafka_salvage.vector.pointers import copy, load_be32, load_beu32, load_i8, load_i64, pread, store_64
from kafka_salvage.vector.polynomial import MASK
from kafka_salvage.vector.taking import take


class Outcome(IntEnum):
    """Why the kernel came back."""

    FULL = 0
    """The block has no room for another row."""
    WANTED = 1
    """`State.WANT_SIZE` bytes from `State.FILLED` are to be put at `State.WANT_ADDRESS`; then `State.FILLED` moves on."""
    END = 2
    SHORT = 3
    LENGTH_TOO_SMALL = 4
    LENGTH_PAST_END = 5
    BAD_MAGIC = 6
    CRC_MISMATCH = 7
    OTHER = 8
    """`follow_usual` has met what only `follow` can take."""


class State(IntEnum):
    """Places in the state array."""

    POSITION = 0
    """First byte of the batch that comes next."""
    STOP = 1
    """End of the range."""
    FROM = 2
    """Position of the first byte in the work area."""
    FILLED = 3
    """Position behind the last byte in the work area."""
    ADDRESS = 4
    """Address of the byte at `FROM`."""
    ROWS = 5
    STORED = 6
    COMPUTED = 7
    SIZE = 8
    """Whole size that the length field claims, where known."""
    SUMMED = 9
    """A batch that does not fit is summed up to here; 0 when there is none."""
    REGISTER = 10
    WANT_ADDRESS = 11
    WANT_SIZE = 12
    UNTIL = 13
    """No batch that begins here or behind is taken: the kernel comes back `FULL`."""
    COUNTS = 14
    """Address of the batches that each row stands for, one int64 a row, where rows are folded; 0: a row for each batch."""
    ALONE = 15
    """Position of a batch whose row takes no other; -1 for none."""
    MARK = 16
    """Address of the next mark (see `folding`)."""
    MARKS_END = 17
    """Address behind the last mark."""
    PLACES = 18
    """What leads from a mark's address to where its first note goes; 0: marks begin rows, and no notes are taken."""
    OFFSETS = 19
    """The same for its second note."""
    HEADER = 20
    """From here on 64 bytes: the header of the batch that does not fit."""


STATE_SIZE = State.HEADER + 8
# Kernels freeze these as plain integers.
_FULL, _WANTED, _END, _SHORT = (int(o) for o in (Outcome.FULL, Outcome.WANTED, Outcome.END, Outcome.SHORT))
_SMALL, _PAST, _MAGIC = int(Outcome.LENGTH_TOO_SMALL), int(Outcome.LENGTH_PAST_END), int(Outcome.BAD_MAGIC)
_MISMATCH, _OTHER, _NEXT, _MORE, _LARGE = int(Outcome.CRC_MISMATCH), int(Outcome.OTHER), -1, -2, -3
_POSITION, _STOP, _FROM, _FILLED = 8 * State.POSITION, 8 * State.STOP, 8 * State.FROM, 8 * State.FILLED
_ADDRESS, _ROWS, _STORED, _COMPUTED = 8 * State.ADDRESS, 8 * State.ROWS, 8 * State.STORED, 8 * State.COMPUTED
_SIZE, _SUMMED, _REGISTER = 8 * State.SIZE, 8 * State.SUMMED, 8 * State.REGISTER
_WANT_ADDRESS, _WANT_SIZE, _HEADER = 8 * State.WANT_ADDRESS, 8 * State.WANT_SIZE, 8 * State.HEADER
_UNTIL, _COUNTS, _ALONE, _MARK = 8 * State.UNTIL, 8 * State.COUNTS, 8 * State.ALONE, 8 * State.MARK


@inner
def _more(descriptor: int, area: int, room: int, state: int, keep: int) -> bool:
    """Reads the next window; bytes from position ``keep`` on stay. False: the caller must fetch it (see `WANTED`)."""
    filled = load_i64(state + _FILLED)
    left = filled - keep
    if left > 0:
        address = area + room - left
        copy(address, load_i64(state + _ADDRESS) + keep - load_i64(state + _FROM), left)
    else:
        left = 0
        address = area + room
    store_64(state + _FROM, filled - left)
    store_64(state + _ADDRESS, address)
    # Windows end at multiples of their size, so that all reads but the first are whole pages of the file.
    size = min(room - filled % room, load_i64(state + _STOP) - filled)
    got = 0
    while descriptor >= 0 and got < size:
        count = pread(descriptor, area + room + got, size - got, filled + got)
        if count <= 0:
            break
        got += count
    store_64(state + _FILLED, filled + got)
    store_64(state + _WANT_ADDRESS, area + room + got)
    store_64(state + _WANT_SIZE, size - got)
    return got == size


@inner
def _judge(header: int, left: int) -> int:
    """Whether a header may be followed: `_NEXT`, or the outcome that ends the walk."""
    length = load_be32(header + 8)
    if length < SMALLEST - OVERHEAD:
        return _SMALL
    if length + OVERHEAD > left:
        return _PAST
    magic = load_i8(header + 16)
    if magic < 0 or magic > 2:
        return _MAGIC
    return _NEXT if length >= least_length(magic) else _SMALL


@inner
def _disagree(state: int, stored: int, computed: int) -> int:
    """Keeps both CRCs of a batch that ends the walk."""
    store_64(state + _STORED, stored)
    store_64(state + _COMPUTED, computed)
    return _MISMATCH


@inner
def _no_sum(address: int, size: int) -> int:
    return -1


def _make_grown(*, legacy: bool) -> Callable[[int, int, int, int, int, int, int], int]:
    """``grown``, with or without the code for magic 0 and 1."""
    extend = make_extend(legacy=legacy)

    @inner
    def grown(away: int, position: int, filled: int, state: int, block: int, capacity: int, rows: int) -> int:
        """Where the batches end that the last row takes in, from ``position`` on."""
        if rows == 0 or load_i64(block + 8 * rows - 8) == load_i64(state + _ALONE):
            return position
        return extend(away, position, filled, state + _MARK, block, capacity, rows - 1, load_i64(state + _COUNTS))

    return grown


def _make_sums(*, legacy: bool) -> Callable[[int, int], tuple[int, int]]:
    """``sums``: stored and computed CRC of a batch."""
    sum_legacy = zlib_batch if legacy else _no_sum

    @inner
    def sums(header: int, size: int) -> tuple[int, int]:
        if load_i8(header + 16) == 2:
            return load_beu32(header + 17), castagnoli_apart(header + COVERED_V2, size - COVERED_V2)
        return load_beu32(header + 12), sum_legacy(header, size)

    return sums


def _make_follow_present(*, everything: bool) -> Callable[[int, int, int, int], int]:
    """``follow_present``: without ``everything``, magic 2 and batches that fit the work area only (less to compile)."""
    grown, sums = _make_grown(legacy=everything), _make_sums(legacy=everything)

    @inner
    def follow_present(room: int, state: int, block: int, capacity: int) -> int:
        """Takes every batch that lies whole in the work area: `_MORE` and `_LARGE` ask for bytes, all else is an outcome.

        Progress is kept in registers here and written to the state at the end only: a small batch takes 20 ns.
        """
        position, rows = load_i64(state + _POSITION), load_i64(state + _ROWS)
        stop, filled, until = load_i64(state + _STOP), load_i64(state + _FILLED), load_i64(state + _UNTIL)
        away = load_i64(state + _ADDRESS) - load_i64(state + _FROM)
        counts = load_i64(state + _COUNTS)
        last, end = away + min(until, stop) - 1, away + min(filled, stop)
        outcome = _NEXT
        while outcome == _NEXT:
            if counts == 0:
                header, rows = take(away + position, last, end, away, block, capacity, rows)
                position = header - away
            left, present = stop - position, filled - position
            if left < SMALLEST:
                outcome = _END if left <= 0 else _SHORT
            elif position >= until:
                outcome = _FULL
            elif present < min(left, HEADER):
                outcome = _MORE
            else:
                header = away + position
                outcome = _judge(header, left)
                size = load_be32(header + 8) + OVERHEAD
                if outcome == _NEXT and size > present:
                    outcome = _MORE if size <= room else _LARGE
                if not everything and (outcome == _LARGE or (outcome == _NEXT and load_i8(header + 16) != 2)):
                    outcome = _OTHER
                reached = position
                if outcome == _NEXT and counts != 0:
                    reached = grown(away, position, filled, state, block, capacity, rows)
                if reached > position:
                    position = reached
                elif rows >= capacity and outcome <= _NEXT and outcome != _MORE:
                    outcome = _FULL
                elif outcome == _NEXT:
                    stored, computed = sums(header, size)
                    if stored == computed:
                        write_row(header, position, block, capacity, rows)
                        if counts != 0:
                            store_64(counts + 8 * rows, 1)
                        rows += 1
                        position += size
                    else:
                        outcome = _disagree(state, stored, computed)
                if outcome > _SHORT or outcome == _LARGE:
                    store_64(state + _SIZE, max(size, 0))
        store_64(state + _POSITION, position)
        store_64(state + _ROWS, rows)
        return outcome

    return follow_present


_present, _present_usual = _make_follow_present(everything=True), _make_follow_present(everything=False)


@inner
def _finish(header: int, state: int, block: int, capacity: int) -> int:
    """Writes the row of a batch that was summed in pieces, if the CRC agrees."""
    position, rows = load_i64(state + _POSITION), load_i64(state + _ROWS)
    stored = load_beu32(header + (17 if load_i8(header + 16) == 2 else 12))
    computed = load_i64(state + _REGISTER) ^ MASK
    if stored != computed:
        return _disagree(state, stored, computed)
    write_row(header, position, block, capacity, rows)
    counts = load_i64(state + _COUNTS)
    if counts != 0:
        store_64(counts + 8 * rows, 1)
    store_64(state + _ROWS, rows + 1)
    store_64(state + _POSITION, position + load_i64(state + _SIZE))
    return _NEXT


@inner
def _sum_large(descriptor: int, area: int, room: int, state: int, block: int, capacity: int) -> int:
    """Goes on summing a batch that does not fit the headroom, to its end or until bytes are wanted."""
    header = state + _HEADER
    stop = load_i64(state + _POSITION) + load_i64(state + _SIZE)
    castagnoli = load_i8(header + 16) == 2
    while True:
        summed = load_i64(state + _SUMMED)
        upto = min(stop, load_i64(state + _FILLED))
        if upto > summed:
            address = load_i64(state + _ADDRESS) + summed - load_i64(state + _FROM)
            register = load_i64(state + _REGISTER)
            if castagnoli:
                register = castagnoli_add(register, address, upto - summed)
            else:
                register = zlib_add(register, address, upto - summed)
            store_64(state + _REGISTER, register)
            store_64(state + _SUMMED, upto)
        if upto == stop:
            store_64(state + _SUMMED, 0)
            return _finish(header, state, block, capacity)
        if not _more(descriptor, area, room, state, upto):
            return _WANTED


@kernel
def follow(descriptor: int, area: int, room: int, state: int, block: int, capacity: int) -> int:
    """Follows lengths from `State.POSITION`, writing rows, until something ends it; gives an `Outcome`.

    Args:
        descriptor: file to ``pread`` from, or -1: then every window is `WANTED`.
        area: address of the work area, 2 · ``room`` bytes with 64 bytes of slack behind.
        room: bytes of headroom and of the window, a multiple of 4096.
        state: address of the state, `STATE_SIZE` int64.
        block: address of the rows.
        capacity: rows that fit there.
    """
    while True:
        if load_i64(state + _SUMMED) > 0:
            outcome = _sum_large(descriptor, area, room, state, block, capacity)
            if outcome != _NEXT:
                return outcome
        outcome = _present(room, state, block, capacity)
        position = load_i64(state + _POSITION)
        if outcome == _MORE:
            if not _more(descriptor, area, room, state, position):
                return _WANTED
        elif outcome == _LARGE:
            header = load_i64(state + _ADDRESS) + position - load_i64(state + _FROM)
            copy(state + _HEADER, header, HEADER)
            covered = COVERED_V2 if load_i8(header + 16) == 2 else COVERED_LEGACY
            store_64(state + _SUMMED, position + covered)
            store_64(state + _REGISTER, MASK)
        else:
            return outcome


@inner
def follow_magic_2(descriptor: int, area: int, room: int, state: int, block: int, capacity: int) -> int:
    """`follow_usual`, for kernels."""
    while True:
        outcome = _present_usual(room, state, block, capacity)
        if outcome != _MORE:
            return outcome
        if not _more(descriptor, area, room, state, load_i64(state + _POSITION)):
            return _WANTED


@kernel
def follow_usual(descriptor: int, area: int, room: int, state: int, block: int, capacity: int) -> int:
    """`follow` as far as batches are of magic 2 and fit the work area: then `Outcome.OTHER`, and `follow` goes on.

    Nothing else is in most files, and the first batch of a process is checked a second earlier without the rest.
    """
    return follow_magic_2(descriptor, area, room, state, block, capacity)
