"""Snappy: one raw block inflated by a kernel; the installed library has no function that a kernel could call.

Strategy: while the rest of the block and of the output has room for a step too many, the tag's length, distance and size come
from a table, and bytes go sixteen at a time; near the ends everything goes carefully, byte by byte. Every length and distance
is checked first; what is not right gives -1, without a reason: the library, asked again, finds the words.

Source: `format_description.txt` of Google's snappy.
"""

from __future__ import annotations

import ctypes
import struct
from typing import Any

from llvmlite import ir

from kafka_salvage.vector.cache import inner, outlined
from kafka_salvage.vector.pointers import BYTE, copy, embedded, load_u8, load_u32, lowered, store_8

MOST_PER_BYTE = 22
"""A copy of 64 bytes takes three."""
STEP = 80
"""Bytes that a copy in steps may touch."""
AHEAD = 24
"""Bytes that the fast way reads from a tag on, longer literals apart."""
_LONG = 255
"""Length in the table of literals that have theirs behind the tag."""


def _tags() -> bytes:
    """For each tag: length, high bits of the distance, bytes behind the tag (8, 16 and 8 bits of a word)."""
    words = []
    for tag in range(256):
        kind, upper = tag & 3, tag >> 2
        if kind == 0:
            words.append(upper + 1 if upper < 60 else _LONG)
        elif kind == 1:
            words.append((upper & 7) + 4 | (tag >> 5) << 16 | 1 << 24)
        else:
            words.append(upper + 1 | (2 if kind == 2 else 4) << 24)
    return struct.pack("=256I", *words)


_TAGS = embedded(_tags())
_MASKS = embedded(struct.pack("=5I", 0, 0xFF, 0xFFFF, 0, 0xFFFFFFFF).ljust(64, b"\0"))
_B16 = ir.VectorType(BYTE, 16)


def copy_16(target: int, origin: int) -> None:
    """Copies sixteen bytes, all loaded before one is stored."""
    ctypes.memmove(target, ctypes.string_at(origin, 16), 16)


def _emit_copy(builder: Any, args: list[Any]) -> None:
    target, origin = (builder.inttoptr(a, _B16.as_pointer()) for a in args)
    builder.store(builder.load(origin, align=1), target, align=1)


lowered(copy_16, _emit_copy, 2, gives=False)


@inner
def declared_size(origin: int, stop: int) -> tuple[int, int]:
    """The size in front of a block, and where its first element begins; size -1 when it is none, or above all reason."""
    value, shift, place = 0, 0, origin
    while place < stop and shift < 35:
        byte = load_u8(place)
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return (value if value <= (stop - origin) * MOST_PER_BYTE else -1), place
        shift += 7
    return -1, place


@inner
def _repeated(target: int, distance: int, length: int) -> None:
    """Repeats what lies ``distance`` before the target; up to `STEP` bytes are written."""
    if distance >= 16:
        copy_16(target, target - distance)
        place = 16
        while place < length:
            copy_16(target + place, target + place - distance)
            place += 16
        return
    place, early = 0, min(length, 32)
    while place < early:
        store_8(target + place, load_u8(target + place - distance))
        place += 1
    whole = (15 + distance) // distance * distance  # the same bytes lie that far back, too
    while place < length:
        copy_16(target + place, target + place - whole)
        place += 16


@outlined
def _fast(origin: int, stop: int, target: int, begin: int, end: int) -> tuple[int, int]:
    """Inflates elements while there is room for steps too many: where the next one lies, and where it goes; (0, 0): damaged."""
    reading, writing = stop - AHEAD, end - STEP
    while origin <= reading and target <= writing:
        entry = load_u32(_TAGS() + 4 * load_u8(origin))
        length = entry & 0xFF
        if entry <= _LONG:
            if length > 16:
                if length == _LONG:
                    return origin, target
                if length > stop - origin - 1:
                    return 0, 0
                copy(target, origin + 1, length)
            else:
                copy_16(target, origin + 1)
            origin += 1 + length
        else:
            behind = entry >> 24
            distance = (load_u32(origin + 1) & load_u32(_MASKS() + 4 * behind)) + ((entry >> 8) & 0xFFFF)
            if distance == 0 or distance > target - begin:
                return 0, 0
            _repeated(target, distance, length)
            origin += 1 + behind
        target += length
    return origin, target


@inner
def _length_of(tag: int, origin: int, stop: int) -> tuple[int, int]:
    """Length of a literal, and where it begins; length -1 when it is cut off."""
    length = (tag >> 2) + 1
    if length <= 60:
        return length, origin
    extra = length - 60
    if extra > stop - origin:
        return -1, origin
    length, place = 0, 0
    while place < extra:
        length |= load_u8(origin + place) << (8 * place)
        place += 1
    return length + 1, origin + extra


@inner
def _distance_of(tag: int, origin: int, stop: int) -> tuple[int, int, int]:
    """Length and distance of a copy, and where the next element begins; distance 0 when it is cut off."""
    kind = tag & 3
    if kind == 1:
        if origin >= stop:
            return 0, 0, origin
        return ((tag >> 2) & 7) + 4, (tag >> 5) << 8 | load_u8(origin), origin + 1
    if kind == 2:
        if stop - origin < 2:
            return 0, 0, origin
        return (tag >> 2) + 1, load_u8(origin) | load_u8(origin + 1) << 8, origin + 2
    if stop - origin < 4:
        return 0, 0, origin
    return (tag >> 2) + 1, load_u32(origin), origin + 4


@outlined
def _careful(origin: int, stop: int, target: int, begin: int, end: int) -> tuple[int, int]:
    """One element, no byte too many: as `_fast`."""
    tag = load_u8(origin)
    if tag & 3 == 0:
        length, origin = _length_of(tag, origin + 1, stop)
        if length < 0 or length > stop - origin or length > end - target:
            return 0, 0
        copy(target, origin, length)
        return origin + length, target + length
    length, distance, origin = _distance_of(tag, origin + 1, stop)
    if distance == 0 or distance > target - begin or length > end - target:
        return 0, 0
    for place in range(target, target + length):
        store_8(place, load_u8(place - distance))
    return origin, target + length


@outlined
def inflate_block(origin: int, stop: int, begin: int, room: int) -> int:
    """Inflates the raw block in ``[origin, stop)`` to ``begin``; its size, or -1 when it is damaged or larger than ``room``."""
    size, origin = declared_size(origin, stop)
    if size < 0 or size > room:
        return -1
    target, end = begin, begin + size
    while 0 < origin < stop:
        origin, target = _fast(origin, stop, target, begin, end)
        if 0 < origin < stop:
            origin, target = _careful(origin, stop, target, begin, end)
    return size if origin == stop and target == end else -1
