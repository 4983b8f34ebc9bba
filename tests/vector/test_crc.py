"""CRCs equal zlib's and crcmod's, whole, in pieces, and combined."""

from __future__ import annotations

import zlib

import crcmod.predefined
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.vector import crc
from kafka_salvage.vector.polynomial import CASTAGNOLI, ONE, ZLIB, Polynomial
from tests.vector.checks import check_sums

castagnoli = crcmod.predefined.mkPredefinedCrcFun("crc-32c")


def test_check_value_of_the_catalogue() -> None:
    assert crc.crc32c(b"123456789") == crc.crc32c_table(b"123456789") == 0xE3069283
    assert crc.crc32(b"123456789") == crc.crc32_table(b"123456789") == 0xCBF43926


def test_every_length_up_to_300_unaligned() -> None:
    check_sums(list(range(301)))


@given(st.integers(0, 40_000), st.integers(0, 70), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_any_length_start_and_value(length: int, skip: int, value: int, seed: int) -> None:
    data = np.random.default_rng(seed).integers(0, 256, length + skip, dtype=np.uint8)[skip:]
    assert crc.crc32c(data, value) == crc.crc32c_table(data, value) == castagnoli(data.tobytes(), value)
    assert crc.crc32(data, value) == crc.crc32_table(data, value) == zlib.crc32(data.tobytes(), value)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_combined(a: bytes, b: bytes) -> None:
    assert crc.crc32c_combine(castagnoli(a), castagnoli(b), len(b)) == castagnoli(a + b)
    assert crc.crc32_combine(zlib.crc32(a), zlib.crc32(b), len(b)) == zlib.crc32(a + b)


@pytest.mark.parametrize("data", [b"abc", bytearray(b"abc"), memoryview(b"xabcx")[1:4], memoryview(b"a.b.c")[::2]])
def test_any_buffer(data: bytes) -> None:
    assert crc.crc32(data) == zlib.crc32(b"abc")


@pytest.mark.parametrize("polynomial", [CASTAGNOLI, ZLIB])
def test_x_has_the_order_that_is_written_down(polynomial: Polynomial) -> None:
    half = polynomial.power(polynomial.order // 2)
    assert polynomial.multiply(polynomial.multiply(half, half), ONE >> 1) == ONE
    assert polynomial.multiply(polynomial.power(-33), polynomial.power(33)) == ONE
