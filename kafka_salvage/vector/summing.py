"""Summing: one function per variant that adds bytes to a CRC register. `crc` chooses among them.

Each maker takes a `Polynomial` and gives ``update(register, address, size) -> register`` for kernels.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from kafka_salvage.vector import simd
from kafka_salvage.vector.cache import inner, outlined
from kafka_salvage.vector.pointers import embedded, load_i64, load_u8, load_u32
from kafka_salvage.vector.polynomial import CASTAGNOLI, MASK, Polynomial
from kafka_salvage.vector.stepping import Update, make_streams, moved

ROUNDS = 32
"""Turns of a fused block: 32 bytes folded, and 24 of each stream."""
TABLE_STREAM = 1024
"""Bytes of each of three streams that are summed by tables at once: one alone waits for each look into a table."""
HEADED_MOST = 1024
"""Bytes up to which one accumulator, which sets out at once, is faster than four."""


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def make_move(polynomial: Polynomial, *, carryless: bool) -> Callable[[int, int], int]:
    """``move(register, size)``: the register after ``size`` zero bytes, one multiplication per bit of ``size``."""
    if carryless:
        # A product of 63 bits, reduced like a word of the message; that reduction multiplies by x^32, so the factors
        # are x^-32 short.
        squares = embedded(lambda: polynomial.squares(lead=32))
        reduce_word = make_reduce_word(polynomial)

        @outlined
        def move(register: int, size: int) -> int:
            factor = squares()
            while size > 0:
                if size & 1:
                    register = reduce_word(simd.clmul_low(register, load_u32(factor)) << 1)
                size >>= 1
                factor += 4
            return register

        return move
    squares = embedded(lambda: polynomial.squares())
    reflected = polynomial.reflected

    @outlined
    def move_by_bits(register: int, size: int) -> int:
        factor = squares()
        while size > 0:
            if size & 1:
                a, product = load_u32(factor), 0
                for _ in range(32):
                    product ^= register & -(a >> 31 & 1)
                    a = a << 1 & MASK
                    register = register >> 1 ^ (reflected & -(register & 1))
                register = product
            size >>= 1
            factor += 4
        return register

    return move_by_bits


def make_table(polynomial: Polynomial) -> Update:
    """Slicing by 8, three streams at once where there is much: plain arithmetic, right on any little-endian machine; the second
    witness.
    """
    tables = embedded(lambda: polynomial.packed_tables())
    once = embedded(lambda: polynomial.shift_tables(TABLE_STREAM))
    twice = embedded(lambda: polynomial.shift_tables(2 * TABLE_STREAM))

    @inner
    def eight(t: int, register: int, address: int) -> int:
        a, b = register ^ load_u32(address), load_u32(address + 4)
        early = load_u32(t + 7168 + 4 * (a & 0xFF)) ^ load_u32(t + 6144 + 4 * (a >> 8 & 0xFF))
        early ^= load_u32(t + 5120 + 4 * (a >> 16 & 0xFF)) ^ load_u32(t + 4096 + 4 * (a >> 24))
        late = load_u32(t + 3072 + 4 * (b & 0xFF)) ^ load_u32(t + 2048 + 4 * (b >> 8 & 0xFF))
        late ^= load_u32(t + 1024 + 4 * (b >> 16 & 0xFF)) ^ load_u32(t + 4 * (b >> 24))
        return early ^ late

    @outlined
    def update(register: int, address: int, size: int) -> int:
        t = tables()
        while size >= 3 * TABLE_STREAM:
            second, third, stop = 0, 0, address + TABLE_STREAM
            while address < stop:
                register = eight(t, register, address)
                second = eight(t, second, address + TABLE_STREAM)
                third = eight(t, third, address + 2 * TABLE_STREAM)
                address += 8
            register = moved(twice(), register) ^ moved(once(), second) ^ third
            address += 2 * TABLE_STREAM
            size -= 3 * TABLE_STREAM
        while size >= 8:
            register = eight(t, register, address)
            address += 8
            size -= 8
        while size > 0:
            register = register >> 8 ^ load_u32(t + 4 * ((register ^ load_u8(address)) & 0xFF))
            address += 1
            size -= 1
        return register

    return update


def make_reduce_word(polynomial: Polynomial) -> Callable[[int], int]:
    """``reduce_word(64 bits)`` -> register of these 8 bytes: the CRC instruction where it fits, else a Barrett step."""
    quotient, generator = (_signed(v) for v in polynomial.barrett())

    @inner
    def by_instruction(word: int) -> int:
        register: int = simd.crc32c_step(0, word)
        return register

    @inner
    def by_barrett(word: int) -> int:
        q = word ^ simd.clmul_low(word, quotient) << 1
        return simd.shift_right(simd.clmul_high(q, generator), 31)

    return by_instruction if polynomial is CASTAGNOLI else by_barrett


def make_reduce(polynomial: Polynomial) -> Callable[[object], int]:
    """``reduce(register of 128 bits)`` -> register of 32."""
    reduce_word = make_reduce_word(polynomial)

    @inner
    def reduce(x: object) -> int:
        return reduce_word(simd.high_word(x) ^ reduce_word(simd.low_word(x)))

    return reduce


def make_clmul(polynomial: Polynomial, table: Update) -> Update:
    """128-bit folding with four accumulators; fewer than 16 bytes go through ``table``."""
    reduce = make_reduce(polynomial)
    low, high = polynomial.fold(128)
    far_low, far_high = polynomial.fold(512)

    @outlined
    def update(register: int, address: int, size: int) -> int:
        if size < 16:
            return table(register, address, size)
        # 1. The first 1..16 bytes, right-aligned behind zeros, leave a whole number of blocks.
        first = (size - 1 & 15) + 1
        x = simd.shifted(simd.xor_128(simd.load_128(address), simd.pair(register, 0)), 16 - first)
        address += first
        size -= first
        if size == 0:
            return reduce(x)
        near = simd.pair(low, high)
        # 2. What the shift pushed out of a register of 4 bytes belongs to the next block.
        spill = register >> 8 * first if first < 4 else 0
        x = simd.fold_128(x, near, simd.xor_128(simd.load_128(address), simd.pair(spill, 0)))
        address += 16
        size -= 16
        # 3. Four accumulators, 64 bytes a turn.
        if size >= 112:
            far = simd.pair(far_low, far_high)
            y, z, w = simd.load_128(address), simd.load_128(address + 16), simd.load_128(address + 32)
            address += 48
            size -= 48
            while size >= 64:
                x = simd.fold_128(x, far, simd.load_128(address))
                y = simd.fold_128(y, far, simd.load_128(address + 16))
                z = simd.fold_128(z, far, simd.load_128(address + 32))
                w = simd.fold_128(w, far, simd.load_128(address + 48))
                address += 64
                size -= 64
            x = simd.fold_128(simd.fold_128(simd.fold_128(x, near, y), near, z), near, w)
        while size > 0:
            x = simd.fold_128(x, near, simd.load_128(address))
            address += 16
            size -= 16
        return reduce(x)

    return update


def make_fused(polynomial: Polynomial, words: Update) -> Update:
    """The CRC instruction and 128-bit folding side by side, since they keep different units busy; the rest by ``words``.

    A block begins with bytes that are folded, and goes on with three streams for the instruction.
    """
    folded, stream = 32 * ROUNDS, 24 * ROUNDS
    block = folded + 3 * stream
    reduce = make_reduce(polynomial)
    low, high = polynomial.fold(128)
    far_low, far_high = polynomial.fold(256)
    once, twice = (
        embedded(lambda: polynomial.shift_tables(stream)),
        embedded(lambda: polynomial.shift_tables(2 * stream)),
    )
    thrice, whole = (
        embedded(lambda: polynomial.shift_tables(3 * stream)),
        embedded(lambda: polynomial.shift_tables(block)),
    )
    step, rest = simd.crc32c_step, make_streams(words, block)

    @inner
    def three(register: int, address: int) -> int:
        added: int = step(step(step(register, load_i64(address)), load_i64(address + 8)), load_i64(address + 16))
        return added

    @outlined
    def of_block(address: int) -> int:
        near, far = simd.pair(low, high), simd.pair(far_low, far_high)
        x, y = simd.load_128(address), simd.load_128(address + 16)
        a, b, c = address + folded, address + folded + stream, address + folded + 2 * stream
        first, second, third = three(0, a), three(0, b), three(0, c)
        stop = a
        address += 32
        while address < stop:
            a, b, c = a + 24, b + 24, c + 24
            x = simd.fold_128(x, far, simd.load_128(address))
            y = simd.fold_128(y, far, simd.load_128(address + 16))
            first, second, third = three(first, a), three(second, b), three(third, c)
            address += 32
        return (
            moved(thrice(), reduce(simd.fold_128(x, near, y))) ^ moved(twice(), first) ^ moved(once(), second) ^ third
        )

    @outlined
    def update(register: int, address: int, size: int) -> int:
        while size >= block:
            register = moved(whole(), register) ^ of_block(address)
            address += block
            size -= block
        return rest(register, address, size)

    return update


def make_reduce_wide(polynomial: Polynomial) -> Callable[[object], int]:
    """``reduce_wide(register of 512 bits)`` -> register of 32.

    The CRC instruction, where it fits, keeps other units busy than those that multiply, and some CPUs have several.
    """
    w0, w1, w2, w3, w4, w5, w6, w7 = simd.words
    q0, q1, q2, q3 = simd.quarters
    (a_low, a_high), (b_low, b_high), (c_low, c_high) = (polynomial.fold(bits) for bits in (384, 256, 128))
    step, reduce = simd.crc32c_step, make_reduce(polynomial)

    @inner
    def by_instruction(x: object) -> int:
        register = step(step(step(step(0, w0(x)), w1(x)), w2(x)), w3(x))
        register = step(step(step(step(register, w4(x)), w5(x)), w6(x)), w7(x))
        return int(register)

    @inner
    def by_folding(x: object) -> int:
        lanes = simd.octet(a_low, a_high, b_low, b_high, c_low, c_high, 0, 0)
        x = simd.fold_512(x, lanes, simd.last_lane(x))
        return reduce(simd.xor_128(simd.xor_128(q0(x), q1(x)), simd.xor_128(q2(x), q3(x))))

    return by_instruction if polynomial is CASTAGNOLI else by_folding


def make_headed(polynomial: Polynomial) -> Callable[[object, int, int], int]:
    """``headed(x, address, size)``: the register of 64 bytes that lie in ``x``, and of ``size`` bytes behind them.

    What there is of the last 64 bytes is loaded right-aligned under a mask, and all before is moved by as much.
    """
    low, high = polynomial.fold(512)
    moves = embedded(lambda: b"".join(struct.pack("=2q", *polynomial.fold(8 * size)) for size in range(64)))
    reduce_wide = make_reduce_wide(polynomial)

    @inner
    def headed(x: object, address: int, size: int) -> int:
        near = simd.fourfold(low, high)
        while size >= 64:
            x = simd.fold_512(x, near, simd.load_512(address))
            address += 64
            size -= 64
        if size > 0:
            x = simd.fold_512(x, simd.load_fourfold(moves() + 16 * size), simd.load_right(address - 64 + size, size))
        return reduce_wide(x)

    return headed


def make_wide(polynomial: Polynomial) -> tuple[Callable[[int, int], int], Callable[[int, int], int]]:
    """512-bit folding: (from all ones, from zero) over at least one byte, no register to begin with."""
    reduce_wide = make_reduce_wide(polynomial)
    low, high = polynomial.fold(512)
    far_low, far_high = polynomial.fold(2048)
    ones = embedded(bytes(64) + struct.pack("=I", MASK) + bytes(124))

    @inner
    def tail(x: object, address: int, size: int) -> int:
        near = simd.fourfold(low, high)
        if size >= 448:
            far = simd.fourfold(far_low, far_high)
            y, z, w = simd.load_512(address), simd.load_512(address + 64), simd.load_512(address + 128)
            address += 192
            size -= 192
            while size >= 256:
                x = simd.fold_512(x, far, simd.load_512(address))
                y = simd.fold_512(y, far, simd.load_512(address + 64))
                z = simd.fold_512(z, far, simd.load_512(address + 128))
                w = simd.fold_512(w, far, simd.load_512(address + 192))
                address += 256
                size -= 256
            x = simd.fold_512(simd.fold_512(simd.fold_512(x, near, y), near, z), near, w)
        while size > 0:
            x = simd.fold_512(x, near, simd.load_512(address))
            address += 64
            size -= 64
        return reduce_wide(x)

    @inner
    def from_ones(address: int, size: int) -> int:
        if size <= 0:
            return MASK
        # The first 1..64 bytes are loaded right-aligned under a mask, the four bytes of ones laid over them; what is
        # pushed out of that vector (fewer than 4 bytes there) lies at the start of the next one.
        first = (size - 1 & 63) + 1
        x = simd.xor_512(simd.load_right(address - 64 + first, first), simd.load_512(ones() + first))
        address += first
        size -= first
        left_over = 0
        if first < 4 and size == 0:
            left_over = MASK >> 8 * first
        if first < 4 and size > 0:
            following = simd.xor_512(simd.load_512(address), simd.load_512(ones() + first + 64))
            x = simd.fold_512(x, simd.fourfold(low, high), following)
            address += 64
            size -= 64
        return tail(x, address, size) ^ left_over

    @outlined
    def from_zero(address: int, size: int) -> int:
        if size <= 0:
            return 0
        first = (size - 1 & 63) + 1
        return tail(simd.load_right(address - 64 + first, first), address + first, size - first)

    return from_ones, from_zero
