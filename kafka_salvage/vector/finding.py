"""Finding: kernels that look for headers at every byte, and that sum any range in the time of a block.

A *running register* is the CRC register (from zero) of everything from some block boundary up to a position. Registers are
linear: that of ``[a, b)`` is the one at b, xor the one at a moved by b - a bytes. So once the boundaries are summed, a range
costs at most two partial blocks, whatever its length.
"""

from __future__ import annotations

from enum import IntEnum

from kafka_salvage.vector.cache import inner, kernel
from kafka_salvage.vector.crc import castagnoli_add, castagnoli_move, zlib_add, zlib_move
from kafka_salvage.vector.headers import OVERHEAD, SMALLEST, is_sane, write_row
from kafka_salvage.vector.pointers import (
    load_be32,
    load_be64,
    load_beu32,
    load_i64,
    load_u8,
    load_u32,
    pread,
    store_8,
    store_32,
    store_64,
)
from kafka_salvage.vector.polynomial import MASK

BLOCK = 4096
"""Bytes between two boundaries."""
HIGH_BITS, ONES, THREES = -0x7F7F7F7F7F7F7F80, 0x0101010101010101, 0x0303030303030303
"""Of the eight bytes of a word x, some is below n if ``(x - n in each byte) & ~x & HIGH_BITS``; one word tells eight places."""


_SPAN = 1 << 31


class Trace(IntEnum):
    """Places in the state array of `trace` (int64)."""

    INDEX = 0
    """The next position to be answered."""
    FROM = 1
    """Position of the first byte in the buffer."""
    FILLED = 2
    """Position behind the last byte in the buffer."""
    WANT = 3
    """Bytes from `FROM` on that the kernel could not read."""


TRACE_SIZE = len(Trace)
_INDEX, _FROM, _FILLED, _WANT = (8 * int(place) for place in Trace)


@inner
def _add(castagnoli: bool, register: int, address: int, size: int) -> int:
    if castagnoli:
        return castagnoli_add(register, address, size)
    return zlib_add(register, address, size)


@inner
def first_byte(base_offset: int) -> int:
    """Eight times the byte that every sane header begins with, or 0x100 where there is no such byte."""
    top = base_offset >> 56 & 0xFF
    return 0x100 if (base_offset + _SPAN - 1) >> 56 & 0xFF != top else top * ONES


@inner
def may_begin(address: int, first: int) -> int:
    """Not 0 where some of the eight bytes from ``address`` on may begin a sane header: by their own value, and the magic's.

    Args:
        address: of 24 bytes.
        first: what `first_byte` gives.
    """
    magic, begin = load_i64(address + 16), load_i64(address) ^ first
    low = (magic - THREES) & ~magic & HIGH_BITS
    return low if first == 0x100 else low & (begin - ONES) & ~begin


@inner
def none_begins(address: int, first: int) -> bool:
    """Whether none of 32 bytes begins a sane header; 48 bytes are read."""
    early = may_begin(address, first) | may_begin(address + 8, first)
    return (early | may_begin(address + 16, first) | may_begin(address + 24, first)) == 0


@kernel
def find(address: int, position: int, stop: int, end: int, base_offset: int, max_size: int, out: int, room: int) -> int:
    """Positions of sane headers in ``[position, stop)``, until ``room`` are found; gives how many.

    Args:
        address: of the byte at ``position``; all of ``[position, min(stop + 60, end))`` must be there.
        position: first byte looked at.
        stop: end of the search.
        end: end of the file.
        base_offset: lowest sane base offset.
        max_size: largest sane batch, bytes.
        out: address of ``room`` int64 for the positions.
        room: most positions.
    """
    found = 0
    stop = min(stop, end - SMALLEST + 1)
    away, first = address - position, first_byte(base_offset)
    while position < stop and found < room:
        if position + 32 <= stop and none_begins(away + position, first):
            position += 32
            continue
        if may_begin(away + position, first):
            for place in range(position, min(position + 8, stop)):
                if load_u8(away + place + 16) > 2 or found >= room:
                    continue
                if is_sane(away + place, end - place, base_offset, max_size):
                    store_64(out + 8 * found, place)
                    found += 1
        position += 8
    return found


@kernel
def describe(away: int, positions: int, count: int, sizes: int, offsets: int, magics: int, stored: int) -> None:
    """Size, offset (int64), magic (int8) and stored CRC (uint32) of headers; position + ``away`` is a header's address."""
    for i in range(count):
        header = away + load_i64(positions + 8 * i)
        magic = load_u8(header + 16)
        store_64(sizes + 8 * i, load_be32(header + 8) + OVERHEAD)
        store_64(offsets + 8 * i, load_be64(header))
        store_8(magics + i, magic)
        store_32(stored + 4 * i, load_beu32(header + (17 if magic == 2 else 12)))


@kernel
def write_rows(away: int, positions: int, count: int, block: int, capacity: int) -> None:
    """Rows of headers; position + ``away`` is a header's address."""
    for i in range(count):
        position = load_i64(positions + 8 * i)
        write_row(away + position, position, block, capacity, i)


@kernel
def sum_boundaries(castagnoli: bool, register: int, address: int, count: int, out: int) -> None:
    """Running registers behind each of ``count`` blocks, as uint32; ``register`` is the one before them."""
    for i in range(count):
        register = _add(castagnoli, register, address + i * BLOCK, BLOCK)
        store_32(out + 4 * i, register)


@kernel
def trace(
    castagnoli: bool, descriptor: int, positions: int, count: int, boundaries: int, origin: int, end: int,
    buffer: int, room: int, state: int, out: int,
) -> bool:  # fmt: skip
    """Running registers at ``count`` ascending positions; False: `Trace.WANT` bytes must be put into the buffer.

    Args:
        castagnoli: CRC-32C, else zlib's.
        descriptor: file to ``pread`` from, or -1.
        positions: address of int64 positions, each at least ``origin``.
        count: how many.
        boundaries: address of the uint32 registers at ``origin``, ``origin + BLOCK``, …
        origin: position of the first boundary, a multiple of `BLOCK`.
        end: end of the file.
        buffer: address of ``room`` bytes.
        room: bytes of one large read, a multiple of `BLOCK`.
        state: address of `TRACE_SIZE` int64.
        out: address of uint32 registers.
    """
    index = load_i64(state + _INDEX)
    start, filled = load_i64(state + _FROM), load_i64(state + _FILLED)
    reached, register = -1, 0
    while index < count:
        position = load_i64(positions + 8 * index)
        boundary = position // BLOCK * BLOCK
        if position > boundary and not (start <= boundary and position <= filled):
            # Where four positions or more lie close together, one large read serves them all.
            dense = index + 3 < count and load_i64(positions + 8 * index + 24) < boundary + room
            size = min(room if dense else BLOCK, end - boundary)
            got = 0
            while descriptor >= 0 and got < size:
                part = pread(descriptor, buffer + got, size - got, boundary + got)
                if part <= 0:
                    break
                got += part
            start, filled = boundary, boundary + size
            store_64(state + _FROM, start)
            store_64(state + _FILLED, filled)
            if got < size:
                store_64(state + _INDEX, index)
                store_64(state + _WANT, size)
                return False
        if reached < boundary:
            reached = boundary
            register = load_u32(boundaries + 4 * ((boundary - origin) // BLOCK))
        if position > reached:
            register = _add(castagnoli, register, buffer + reached - start, position - reached)
            reached = position
        store_32(out + 4 * index, register)
        index += 1
    return True


@kernel
def close_ranges(castagnoli: bool, early: int, late: int, sizes: int, count: int, out: int) -> None:
    """Finished CRCs of ranges, from the running registers at both ends (uint32) and their sizes (int64)."""
    for i in range(count):
        register = load_u32(early + 4 * i) ^ MASK
        size = load_i64(sizes + 8 * i)
        moved = castagnoli_move(register, size) if castagnoli else zlib_move(register, size)
        store_32(out + 4 * i, load_u32(late + 4 * i) ^ moved ^ MASK)
