"""CRC: CRC-32C (magic 2) and zlib's CRC-32 (magic 0 and 1), by the fastest kernels that the target CPU can run.

Two ways in: `castagnoli_of`, `zlib_of` and the ``…_add`` functions are for kernels and take addresses; `crc32c`, `crc32` and
their ``_table`` twins are for Python and take buffers. The table twins share no instruction and no constant with the fast
ones: they are the second witness before a batch is condemned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from kafka_salvage.vector import simd, stepping, summing
from kafka_salvage.vector.cache import inner, kernel, outlined
from kafka_salvage.vector.headers import COVERED_LEGACY, COVERED_V2, HEADER, SMALLEST
from kafka_salvage.vector.pointers import address_of
from kafka_salvage.vector.polynomial import CASTAGNOLI, MASK, ZLIB, Polynomial
from kafka_salvage.vector.target import available, crc_variant, target

Buffer = bytes | bytearray | memoryview | npt.NDArray[Any]

_CARRYLESS = crc_variant() in ("clmul", "avx512")
castagnoli_move = summing.make_move(CASTAGNOLI, carryless=_CARRYLESS)
zlib_move = summing.make_move(ZLIB, carryless=_CARRYLESS)
castagnoli_table = summing.make_table(CASTAGNOLI)
zlib_table = summing.make_table(ZLIB)


def _narrow(polynomial: Polynomial, variant: str, table: stepping.Update) -> stepping.Update:
    """The CPU's own instruction where it has one for the polynomial (three streams of it outrun 128-bit folding)."""
    if variant != "table" and (polynomial is CASTAGNOLI or target()[0] == "aarch64"):
        words = stepping.make_words(polynomial)
        fused = variant == "clmul" and polynomial is CASTAGNOLI
        return summing.make_fused(polynomial, words) if fused else words
    return summing.make_clmul(polynomial, table) if variant == "clmul" else table


def _chosen(
    polynomial: Polynomial, table: stepping.Update, move: Callable[[int, int], int]
) -> tuple[stepping.Update, Callable[[int, int], int]]:
    """(add to a register, finished CRC of a range) in the variant in use."""
    if crc_variant() == "avx512":
        from_ones, from_zero = summing.make_wide(polynomial)

        @inner
        def add(register: int, address: int, size: int) -> int:
            return from_zero(address, size) ^ move(register, size)

        @inner
        def whole(address: int, size: int) -> int:
            return from_ones(address, size) ^ MASK

        return add, whole
    update = _narrow(polynomial, crc_variant(), table)

    @inner
    def narrow_whole(address: int, size: int) -> int:
        return update(MASK, address, size) ^ MASK

    return update, narrow_whole


castagnoli_add, castagnoli_of = _chosen(CASTAGNOLI, castagnoli_table, castagnoli_move)
zlib_add, zlib_of = _chosen(ZLIB, zlib_table, zlib_move)


@outlined
def castagnoli_apart(address: int, size: int) -> int:
    """`castagnoli_of`, called instead of inlined: for places that are not the hottest, which compile faster then."""
    return castagnoli_of(address, size)


@outlined
def zlib_apart(address: int, size: int) -> int:
    """`zlib_of`, called instead of inlined."""
    return zlib_of(address, size)


def _batch_sum(polynomial: Polynomial) -> Callable[[int, int], int]:
    """``castagnoli_batch`` or ``zlib_batch``."""
    castagnoli = polynomial is CASTAGNOLI
    covered, apart = (COVERED_V2, castagnoli_apart) if castagnoli else (COVERED_LEGACY, zlib_apart)
    if crc_variant() in ("sse42", "clmul") and castagnoli:
        chain = stepping.make_chain()
        chained = stepping.CHAINED

        @inner
        def chained_batch(header: int, size: int) -> int:
            if size > chained:
                return apart(header + covered, size - covered)
            return chain(MASK, header + covered, size - covered) ^ MASK

        return chained_batch
    if crc_variant() != "avx512":

        @inner
        def narrow_batch(header: int, size: int) -> int:
            return apart(header + covered, size - covered)

        return narrow_batch
    headed = summing.make_headed(polynomial)
    most = summing.HEADED_MOST
    # The 64 bytes from the header on in one register: what goes before is not covered, the first four that are meet the ones.
    third, first, second = (-1 << 40, -1 << 40, 0xFF) if castagnoli else (-1, MASK, 0)

    @inner
    def wide_batch(header: int, size: int) -> int:
        if size < 64 or size > most:
            return apart(header + covered, size - covered)
        kept, ones = simd.octet(0, 0, third, -1, -1, -1, -1, -1), simd.octet(0, 0, first, second, 0, 0, 0, 0)
        return headed(simd.masked_512(simd.load_512(header), kept, ones), header + 64, size - 64) ^ MASK

    return wide_batch


castagnoli_batch, zlib_batch = _batch_sum(CASTAGNOLI), _batch_sum(ZLIB)
"""(address of the header, size of the whole batch): CRC of a magic-2 batch, of a message of magic 0 or 1; fastest where it is
small. The batch is no smaller than its header."""


@kernel
def _fast(castagnoli: bool, value: int, address: int, size: int) -> int:
    if value == 0:
        return castagnoli_of(address, size) if castagnoli else zlib_of(address, size)
    register = value ^ MASK
    added = castagnoli_add(register, address, size) if castagnoli else zlib_add(register, address, size)
    return added ^ MASK


@kernel
def _plain(castagnoli: bool, value: int, address: int, size: int) -> int:
    register = value ^ MASK
    added = castagnoli_table(register, address, size) if castagnoli else zlib_table(register, address, size)
    return added ^ MASK


@kernel
def _batch(castagnoli: bool, header: int, size: int) -> int:
    return castagnoli_batch(header, size) if castagnoli else zlib_batch(header, size)


@kernel
def _moved(castagnoli: bool, value: int, size: int) -> int:
    return castagnoli_move(value, size) if castagnoli else zlib_move(value, size)


def _run(way: Callable[[bool, int, int, int], int], castagnoli: bool, data: Buffer, value: int) -> int:
    array = np.frombuffer(data, np.uint8) if isinstance(data, bytes | bytearray) else np.asarray(data)
    if not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    return int(way(castagnoli, value, address_of(array), array.nbytes))


def crc32c(data: Buffer, value: int = 0) -> int:
    """CRC-32C of ``data``, or of what ``value`` is the CRC of, followed by ``data``."""
    return _run(_fast, True, data, value)


def crc32(data: Buffer, value: int = 0) -> int:
    """The CRC-32 of zlib over ``data``, or of what ``value`` is the CRC of, followed by ``data``."""
    return _run(_fast, False, data, value)


def crc32c_table(data: Buffer, value: int = 0) -> int:
    """`crc32c` by tables alone: an independent witness."""
    return _run(_plain, True, data, value)


def crc32_table(data: Buffer, value: int = 0) -> int:
    """`crc32` by tables alone: an independent witness."""
    return _run(_plain, False, data, value)


def crc32c_batch(data: Buffer) -> int:
    """CRC-32C of the covered part of a whole magic-2 batch.

    Raises:
        ValueError: shorter than a header.
    """
    return _run_batch(True, data, HEADER)


def crc32_batch(data: Buffer) -> int:
    """The CRC-32 of zlib of the covered part of a whole message of magic 0 or 1.

    Raises:
        ValueError: shorter than any message.
    """
    return _run_batch(False, data, SMALLEST)


def _run_batch(castagnoli: bool, data: Buffer, least: int) -> int:
    array = np.frombuffer(data, np.uint8)
    if len(array) < least:
        raise ValueError(f"{len(array)} bytes are no batch")
    return int(_batch(castagnoli, address_of(array), len(array)))


def crc32c_combine(first: int, second: int, size: int) -> int:
    """CRC-32C of two pieces from theirs; ``size`` is the second one's length in bytes."""
    return int(_moved(True, first, size)) ^ second


def crc32_combine(first: int, second: int, size: int) -> int:
    """The CRC-32 of zlib of two pieces from theirs; ``size`` is the second one's length in bytes."""
    return int(_moved(False, first, size)) ^ second


__all__ = [
    "available",
    "crc32",
    "crc32_batch",
    "crc32_combine",
    "crc32_table",
    "crc32c",
    "crc32c_batch",
    "crc32c_combine",
    "crc32c_table",
    "crc_variant",
]
