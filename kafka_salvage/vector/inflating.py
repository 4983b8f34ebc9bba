"""Inflating kernel: compressed payloads of many batches into one buffer, in one call.

Strategy: only what is ordinary is inflated here: one gzip member, one LZ4 frame of independent blocks without block checksums,
one zstd frame, snappy blocks with or without xerial's framing. Everything else, and everything that does not come out, is
declined without a word: `wire.compression`, which knows all variants and limits, decides about it and finds the sentence.
The frames are walked before the library sees them, which tells how much room they need; no length is believed further than
the bytes that are there can bear out.
"""

from __future__ import annotations

from enum import IntEnum

from kafka_salvage.vector.cache import inner, kernel, outlined
from kafka_salvage.vector.columns import (
    JOB_ATTRIBUTES,
    JOB_COUNT,
    JOB_KIND,
    JOB_START,
    JOB_STOP,
    JOB_WIDTH,
    KIND_SKIP,
    KIND_V2,
)
from kafka_salvage.vector.libraries import call
from kafka_salvage.vector.pointers import copy, embedded, load_be32, load_i64, load_u8, load_u32, store_64
from kafka_salvage.vector.snappy import declared_size, inflate_block
from kafka_salvage.wire.compression.lz4 import BLOCK_SIZES, header_checksum
from kafka_salvage.wire.compression.snappy import XERIAL_HEADER_SIZE, XERIAL_MAGIC


class Inflated(IntEnum):
    """Why the kernel came back."""

    DONE = 0
    """All jobs are done."""
    FULL = 1
    """As many as were wanted are done, or the next one does not fit behind the others."""
    NEED = 2
    """The first job needs more room than there is: `State.NEED` bytes."""
    DECLINED = 3
    """The next job is not for this kernel."""


class State(IntEnum):
    """Places in the state array."""

    NEXT = 0
    """The next job."""
    USED = 1
    """Bytes of output so far."""
    NEED = 2
    ARGUMENTS = 3
    """From here on eight places for calls."""
    RESULTS = 11
    """And two that they write to."""


STATE_SIZE = 13
_NEXT, _USED, _NEED, _ARGUMENTS, _RESULTS = (8 * int(place) for place in State)
_DONE, _FULL, _NEEDY, _DECLINED = (int(outcome) for outcome in Inflated)
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
_GZIP_HEAD, _GZIP_LEAST, _GZIP_MOST = 0x00088B1F, 18, 1032  # no flags
_XERIAL = int.from_bytes(XERIAL_MAGIC, "little")
_AGAIN = int.from_bytes(XERIAL_MAGIC[:4], "big", signed=True)
_LZ4_MAGIC, _LZ4_STORED, _LZ4_MOST = 0x184D2204, 0x80000000, 255
_LZ4_SUMS = embedded(bytes(header_checksum(bytes((f, b << 4))) for f in (0x60, 0x64) for b in BLOCK_SIZES).ljust(64))
"""Header checksums of the two ordinary flags with each block size."""
_ZSTD_MAGIC, _ZSTD_BLOCK = 0xFD2FB528, 128 << 10


@inner
def _lz4_block(origin: int) -> int:
    """Largest block of a frame; 0 when its header is not ordinary."""
    flags, descriptor = load_u8(origin + 4), load_u8(origin + 5)
    size = (descriptor >> 4) - 4
    if load_u32(origin) != _LZ4_MAGIC or flags & 0xFB != 0x60 or descriptor & 0x8F or size < 0:
        return 0
    if load_u8(_LZ4_SUMS() + (flags & 4) + size) != load_u8(origin + 6):
        return 0
    return 1 << (16 + 2 * size)


@outlined
def _lz4_room(origin: int, stop: int) -> int:
    """Most bytes that the frame can become; -1 when it is not for this kernel."""
    if stop - origin < 11:
        return -1
    largest, room, place = _lz4_block(origin), 0, origin + 7
    while largest > 0 and stop - place >= 4:
        word = load_u32(place)
        size = word & 0x7FFFFFFF
        place += 4
        if size == 0:
            return room if place + (load_u8(origin + 4) & 4) == stop else -1
        if size > largest or size > stop - place:
            return -1
        room += size if word & _LZ4_STORED else min(largest, size * _LZ4_MOST)
        place += size
    return -1


@outlined
def _lz4(function: int, origin: int, target: int, room: int, arguments: int) -> int:
    """Inflates a frame that was walked; bytes, or -1."""
    largest, place, used = _lz4_block(origin), origin + 7, 0
    store_64(arguments, function)
    while True:
        word = load_u32(place)
        size = word & 0x7FFFFFFF
        place += 4
        if size == 0:
            return used
        if word & _LZ4_STORED:
            if size > room - used:
                return -1
            copy(target + used, place, size)
            used += size
        else:
            store_64(arguments + 8, place)
            store_64(arguments + 16, target + used)
            store_64(arguments + 24, size)
            store_64(arguments + 32, min(largest, room - used))
            made = call(arguments) & 0xFFFFFFFF
            if made > largest:
                return -1
            used += made
        place += size


@inner
def _little(place: int, size: int) -> int:
    """A little-endian integer of 1, 2, 4 or 8 bytes."""
    if size == 8:
        return load_i64(place)
    value = 0
    for index in range(size):
        value |= load_u8(place + index) << (8 * index)
    return value


@outlined
def _zstd_room(origin: int, stop: int) -> int:
    """Most bytes that the one frame in ``[origin, stop)`` can become; -1 when it is not for this kernel."""
    if stop - origin < 14 or load_u32(origin) != _ZSTD_MAGIC:
        return -1
    descriptor, place = load_u8(origin + 4), origin + 5
    if descriptor & 0x0B:  # a reserved bit, or a dictionary
        return -1
    largest, single = _ZSTD_BLOCK, descriptor & 0x20
    if not single:
        window = load_u8(place)
        if window >> 3 > 16:
            return -1
        largest = min(largest, (1 << (10 + (window >> 3))) // 8 * (8 + (window & 7)))
        place += 1
    code = descriptor >> 6
    size_size = 1 << code if code or single else 0
    declared = _little(place, size_size) + (256 if size_size == 2 else 0) if size_size else -1
    place += size_size
    if single:
        if declared < 0:
            return -1
        largest = min(largest, declared)
    room, last = 0, 0
    while last == 0:
        if stop - place < 3:
            return -1
        word = load_u8(place) | load_u8(place + 1) << 8 | load_u8(place + 2) << 16
        last, kind, size = word & 1, (word >> 1) & 3, word >> 3
        if kind == 3 or size > largest:
            return -1
        room += largest if kind == 2 else size
        place += 3 + (1 if kind == 1 else size)
    if place + (descriptor & 4) != stop or declared > room:
        return -1
    return declared if declared >= 0 else room


@inner
def _gzip_room(origin: int, stop: int) -> int:
    """What the trailer says the member becomes; -1 when that cannot be, or it is not for this kernel."""
    if stop - origin < _GZIP_LEAST or load_u32(origin) != _GZIP_HEAD:
        return -1
    size = load_u32(stop - 4)
    return size if size <= (stop - origin) * _GZIP_MOST else -1


@outlined
def _snappy_room(origin: int, stop: int) -> int:
    """The sum of the sizes that the blocks declare; -1 when they are not ordinary."""
    if stop - origin < XERIAL_HEADER_SIZE or load_i64(origin) != _XERIAL:
        return declared_size(origin, stop)[0]
    place, room = origin + XERIAL_HEADER_SIZE, 0
    while stop - place >= 4:
        size = load_be32(place)
        place += 4
        if size <= 0 or size > stop - place:  # a header in between is negative too
            return -1
        declared = declared_size(place, place + size)[0]
        if declared < 0:
            return -1
        room += declared
        place += size
    return room if place == stop else -1


@outlined
def _snappy(origin: int, stop: int, target: int, room: int) -> int:
    """Inflates blocks whose sizes were added up; bytes, or -1."""
    if stop - origin < XERIAL_HEADER_SIZE or load_i64(origin) != _XERIAL:
        return inflate_block(origin, stop, target, room)
    place, used = origin + XERIAL_HEADER_SIZE, 0
    while place < stop:
        size = load_be32(place)
        made = inflate_block(place + 4, place + 4 + size, target + used, room - used)
        if made < 0:
            return -1
        used += made
        place += 4 + size
    return used


@inner
def _room(codec: int, calls: int, origin: int, stop: int) -> int:
    if codec == SNAPPY:
        return _snappy_room(origin, stop)
    if codec > ZSTD or load_i64(calls + 8 * codec) == 0:
        return -1
    if codec == LZ4:
        return _lz4_room(origin, stop)
    return _zstd_room(origin, stop) if codec == ZSTD else _gzip_room(origin, stop)


@inner
def _inflate(codec: int, calls: int, origin: int, stop: int, target: int, room: int, state: int) -> int:
    """Inflates one payload whose room was found; bytes, or -1."""
    function, context, arguments = load_i64(calls + 8 * codec), load_i64(calls + 64 + 8 * codec), state + _ARGUMENTS
    if codec == SNAPPY:
        return _snappy(origin, stop, target, room)
    if codec == LZ4:
        return _lz4(function, origin, target, room, arguments)
    store_64(arguments, function)
    store_64(arguments + 8, context)
    if codec == ZSTD:
        store_64(arguments + 16, target)
        store_64(arguments + 24, room)
        store_64(arguments + 32, origin)
        store_64(arguments + 40, stop - origin)
        made = call(arguments)
        return made if 0 <= made <= room else -1
    results = state + _RESULTS
    store_64(arguments + 16, origin)
    store_64(arguments + 24, stop - origin)
    store_64(arguments + 32, target)
    store_64(arguments + 40, room)
    store_64(arguments + 48, results)
    store_64(arguments + 56, results + 8)
    failed = call(arguments) & 0xFFFFFFFF
    return -1 if failed or load_i64(results) != stop - origin else load_i64(results + 8)


@kernel
def inflate_jobs(
    data: int, jobs: int, count: int, limits: int, calls: int, out: int, room: int, wanted: int, state: int
) -> int:
    """Inflates, or copies, the payloads of jobs one behind the other; gives an `Inflated`.

    Done jobs get their new range, in ``out``. A range that is not there (start below 0) is declined.

    Args:
        data: address of the bytes that ranges of jobs lie in.
        jobs: address of the matrix of jobs.
        count: how many.
        limits: address of int64: most bytes of output of each job.
        calls: address of functions and contexts (see `libraries`).
        out: address of the output.
        room: bytes there.
        wanted: enough output: the kernel comes back with as much.
        state: address of the state, `STATE_SIZE` int64.
    """
    number, used = load_i64(state + _NEXT), load_i64(state + _USED)
    outcome = _DONE
    while outcome == _DONE and number < count:
        job = jobs + 8 * JOB_WIDTH * number
        start, stop = load_i64(job + 8 * JOB_START), load_i64(job + 8 * JOB_STOP)
        codec, kind = load_i64(job + 8 * JOB_ATTRIBUTES) & 7, load_i64(job + 8 * JOB_KIND)
        if kind == KIND_SKIP:
            number += 1
            continue
        if start < 0 or (codec == ZSTD and kind != KIND_V2):
            outcome = _DECLINED
            break
        empty = start == stop and kind == KIND_V2 and load_i64(job + 8 * JOB_COUNT) == 0
        plain = codec == 0 or empty
        limit = load_i64(limits + 8 * number)
        need = stop - start if plain else _room(codec, calls, data + start, data + stop)
        if need < 0 or (plain and need > limit):
            outcome = _DECLINED
            break
        need = min(need, limit)
        if used > 0 and (used >= wanted or need > room - used or need > wanted):
            outcome = _FULL
        elif need > room:
            store_64(state + _NEED, need)
            outcome = _NEEDY
        else:
            made = need
            if plain:
                copy(out + used, data + start, need)
            else:
                made = _inflate(codec, calls, data + start, data + stop, out + used, need, state)
            if made < 0:
                outcome = _DECLINED
            else:
                store_64(job + 8 * JOB_START, used)
                store_64(job + 8 * JOB_STOP, used + made)
                used += made
                number += 1
    store_64(state + _NEXT, number)
    store_64(state + _USED, used)
    return outcome
