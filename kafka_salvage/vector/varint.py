"""Varint: Kafka's zigzag integers of variable length, read from a bare address.

Strategy: one and two byte forms are decoded in line, longer ones by a function of their own. Every reader is given the address
behind the last byte it may touch, and answers ``(value, next address)``; a next address of 0 says that the integer is cut off
or too long. Encodings that are longer than needed are accepted, as Kafka does.
"""

from __future__ import annotations

from kafka_salvage.vector.cache import inner, outlined
from kafka_salvage.vector.pointers import load_u8

NOT_SO = 1 << 40
"""What `near_varint` answers for an integer that is too long: no size, count or delta can be that large."""
LOW_63 = 0x7FFF_FFFF_FFFF_FFFF


@outlined
def long_varint(position: int, stop: int) -> tuple[int, int]:
    """A zigzag int32 of any length (at most five bytes; of the fifth only four bits count)."""
    value = 0
    shift = 0
    while position < stop:
        byte = load_u8(position)
        position += 1
        if shift == 28:
            if byte > 127:
                return 0, 0
            value |= (byte & 15) << 28
            return (value >> 1) ^ -(value & 1), position
        value |= (byte & 127) << shift
        if byte < 128:
            return (value >> 1) ^ -(value & 1), position
        shift += 7
    return 0, 0


@outlined
def long_varlong(position: int, stop: int) -> tuple[int, int]:
    """A zigzag int64 of any length (at most ten bytes; of the tenth only one bit counts)."""
    value = 0
    shift = 0
    while position < stop:
        byte = load_u8(position)
        position += 1
        if shift == 63:
            if byte > 127:
                return 0, 0
            value |= (byte & 1) << 63
            return ((value >> 1) & LOW_63) ^ -(value & 1), position
        value |= (byte & 127) << shift
        if byte < 128:
            return ((value >> 1) & LOW_63) ^ -(value & 1), position
        shift += 7
    return 0, 0


@inner
def varint(position: int, stop: int) -> tuple[int, int]:
    """A zigzag int32 at ``position``, not touching ``stop``: (value, next address), next 0 when malformed."""
    if position < stop:
        first = load_u8(position)
        if first < 128:
            return (first >> 1) ^ -(first & 1), position + 1
        if position + 1 < stop:
            second = load_u8(position + 1)
            if second < 128:
                value = (first & 127) | (second << 7)
                return (value >> 1) ^ -(value & 1), position + 2
    return long_varint(position, stop)


@inner
def varlong(position: int, stop: int) -> tuple[int, int]:
    """A zigzag int64 at ``position``, not touching ``stop``: (value, next address), next 0 when malformed."""
    if position < stop:
        first = load_u8(position)
        if first < 128:
            return (first >> 1) ^ -(first & 1), position + 1
        if position + 1 < stop:
            second = load_u8(position + 1)
            if second < 128:
                value = (first & 127) | (second << 7)
                return (value >> 1) ^ -(value & 1), position + 2
    return long_varlong(position, stop)


@inner
def near_varint(position: int) -> tuple[int, int]:
    """A zigzag int32 where five bytes may be read whatever they are: (value or `NOT_SO`, next address)."""
    first = load_u8(position)
    if first & 0x81 == 0:  # one byte, not negative: nearly all are
        return first >> 1, position + 1
    if first < 128:
        return (first >> 1) ^ -(first & 1), position + 1
    second = load_u8(position + 1)
    if second < 128:
        value = (first & 127) | (second << 7)
        return (value >> 1) ^ -(value & 1), position + 2
    value, after = long_varint(position, position + 5)
    return (value, after) if after else (NOT_SO, position + 5)


@inner
def near_varlong(position: int) -> tuple[int, int]:
    """A zigzag int64 where ten bytes may be read whatever they are: (value, next address), next 0 when too long."""
    first = load_u8(position)
    if first & 0x81 == 0:  # one byte, not negative: nearly all are
        return first >> 1, position + 1
    if first < 128:
        return (first >> 1) ^ -(first & 1), position + 1
    second = load_u8(position + 1)
    if second < 128:
        value = (first & 127) | (second << 7)
        return (value >> 1) ^ -(value & 1), position + 2
    third = load_u8(position + 2)
    if third < 128:
        value = (first & 127) | (second & 127) << 7 | third << 14
        return (value >> 1) ^ -(value & 1), position + 3
    return long_varlong(position, position + 10)
