"""Digits: integers as decimal text in kernels, four digits at a time."""

from __future__ import annotations

import struct
from typing import Any

from llvmlite import ir

from kafka_salvage.vector.cache import inner
from kafka_salvage.vector.pointers import LONG, copy, embedded, load_i64, load_u32, lowered, store_8, store_32

LONGEST = 20
"""Characters of the longest int64."""
LOWEST = -(1 << 63)
_FOURS = embedded(b"".join(b"%04d" % n for n in range(10_000)))
_POWERS = embedded(struct.pack("=19q", *(10**n for n in range(19))))
_LOWEST_TEXT = embedded(b"%d" % LOWEST)


def bit_length(value: int) -> int:
    """Bits of a non-negative int64; 0 of 0."""
    return value.bit_length()


def quarter(value: int) -> int:
    """A non-negative value without its last four digits."""
    return value // 10_000


def _emit_bits(builder: Any, args: list[Any]) -> Any:
    zeros = builder.ctlz(args[0], ir.Constant(ir.IntType(1), 0))
    return builder.sub(ir.Constant(LONG, 64), zeros)


lowered(bit_length, _emit_bits, 1)
lowered(quarter, lambda builder, args: builder.udiv(args[0], ir.Constant(LONG, 10_000)), 1)


@inner
def digits(target: int, value: int) -> int:
    """Writes an int64 as decimal text; returns the address behind it. At most `LONGEST` bytes are touched."""
    if value < 0:
        if value == LOWEST:
            copy(target, _LOWEST_TEXT(), 20)
            return target + 20
        store_8(target, 0x2D)
        target += 1
        value = -value
    guess = (bit_length(value) * 1233) >> 12
    count = max(guess + (1 if guess < 19 and value >= load_i64(_POWERS() + 8 * guess) else 0), 1)
    end = target + count
    behind = end
    while value >= 10_000:
        rest = quarter(value)
        end -= 4
        store_32(end, load_u32(_FOURS() + 4 * (value - rest * 10_000)))
        value = rest
    word = load_u32(_FOURS() + 4 * value)
    left = end - target
    if left == 4:
        store_32(target, word)
    elif left == 3:
        store_8(target, word >> 8)
        store_8(target + 1, word >> 16)
        store_8(target + 2, word >> 24)
    elif left == 2:
        store_8(target, word >> 16)
        store_8(target + 1, word >> 24)
    else:
        store_8(target, word >> 24)
    return behind
