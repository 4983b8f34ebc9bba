"""Stepping: the CPU's CRC instruction over chains of words, one or several at once. `summing` has the other ways.

Strategy: an instruction takes 8 bytes and three cycles, but a CPU has several under way if they do not wait for each other:
those of three streams of one range, whose registers are joined at the end, or those of several ranges that are so short
that one is begun before the one before has ended.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from kafka_salvage.vector import simd
from kafka_salvage.vector.cache import inner, outlined
from kafka_salvage.vector.pointers import embedded, load_i64, load_u8, load_u32
from kafka_salvage.vector.polynomial import CASTAGNOLI, Polynomial

Update = Callable[[int, int, int], int]
"""``update(register, address, size) -> register``."""
STREAM = 256
"""Bytes of each of three streams that are joined by tables."""
CHAINED = 224
"""Bytes up to which one chain ends as soon as three that must be joined."""


@inner
def moved(table: int, register: int) -> int:
    """A register after the zeros that a table of `Polynomial.shift_tables` is for."""
    early = load_u32(table + 4 * (register & 0xFF)) ^ load_u32(table + 1024 + 4 * (register >> 8 & 0xFF))
    late = load_u32(table + 2048 + 4 * (register >> 16 & 0xFF)) ^ load_u32(table + 3072 + 4 * (register >> 24))
    return early ^ late


def make_ending(polynomial: Polynomial) -> Update:
    """The CRC instruction over 0 to 7 bytes that end at least 8 which may be read."""
    step = simd.crc32c_step if polynomial is CASTAGNOLI else simd.crc32_step

    @inner
    def ending(register: int, address: int, size: int) -> int:
        if size <= 0:
            return register
        # The bytes end a word: the zeros before them leave no trace, nor does what the register has for those. What the
        # register has for bytes beyond is left.
        out = 64 - 8 * size
        word = simd.shift_right(load_i64(address + size - 8), out) ^ register
        return int(step(0, word << out) ^ register >> 8 * size)

    return ending


def make_chain() -> Update:
    """The CRC instruction over a few hundred bytes, at least 8: so few instructions that a CPU has several sums under way."""
    step, ending = simd.crc32c_step, make_ending(CASTAGNOLI)

    @inner
    def chain(register: int, address: int, size: int) -> int:
        while size >= 32:
            register = step(step(register, load_i64(address)), load_i64(address + 8))
            register = step(step(register, load_i64(address + 16)), load_i64(address + 24))
            address += 32
            size -= 32
        while size >= 8:
            register = step(register, load_i64(address))
            address += 8
            size -= 8
        return ending(register, address, size)

    return chain


def make_words(polynomial: Polynomial) -> Update:
    """The CPU's CRC instruction over three interleaved streams."""
    once = embedded(lambda: polynomial.shift_tables(STREAM))
    twice = embedded(lambda: polynomial.shift_tables(2 * STREAM))
    castagnoli = polynomial is CASTAGNOLI
    step = simd.crc32c_step if castagnoli else simd.crc32_step
    byte = simd.crc32c_byte if castagnoli else simd.crc32_byte
    ending = make_ending(polynomial)

    @outlined
    def update(register: int, address: int, size: int) -> int:
        behind = size >= 8
        while size >= 3 * STREAM:
            second, third = 0, 0
            stop = address + STREAM
            while address < stop:
                register = step(register, load_i64(address))
                second = step(second, load_i64(address + STREAM))
                third = step(third, load_i64(address + 2 * STREAM))
                address += 8
            register = moved(twice(), register) ^ moved(once(), second) ^ third
            address += 2 * STREAM
            size -= 3 * STREAM
        while size >= 8:
            register = step(register, load_i64(address))
            address += 8
            size -= 8
        if behind:
            return ending(register, address, size)
        while size > 0:
            register = byte(register, load_u8(address))
            address += 1
            size -= 1
        return register

    return update


def make_streams(words: Update, most: int) -> Update:
    """The CRC instruction over three streams of a third each, up to ``most`` bytes; joined by carry-less products."""
    step, ending = simd.crc32c_step, make_ending(CASTAGNOLI)

    def moves() -> bytes:
        powers = [CASTAGNOLI.power(64 * turns * streams - 32) for turns in range(most // 24 + 1) for streams in (2, 1)]
        return struct.pack(f"={len(powers)}I", *powers)

    factors = embedded(moves)

    @outlined
    def update(register: int, address: int, size: int) -> int:
        if size < CHAINED or size > most:
            return words(register, address, size)
        turns = size // 24
        far, second, third = 8 * turns, 0, 0
        stop = address + far
        while address < stop:
            register = step(register, load_i64(address))
            second = step(second, load_i64(address + far))
            third = step(third, load_i64(address + 2 * far))
            address += 8
        factor = factors() + 8 * turns
        joined = simd.clmul_low(register, load_u32(factor)) ^ simd.clmul_low(second, load_u32(factor + 4))
        register = step(0, joined << 1) ^ third
        address += 2 * far
        size -= 3 * far
        while size >= 8:
            register = step(register, load_i64(address))
            address += 8
            size -= 8
        return ending(register, address, size)

    return update
