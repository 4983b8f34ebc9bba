"""Headers of magic 2 and the arithmetic Java does on them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.wire.batch_v2 import BatchHeader, compute_crc, read_header, record_sequence, wrap32, wrap64

V2_EMPTY = bytes.fromhex(
    "000000000000000a000000310000000302137546d8001000000004ffffffffffffffff0000015d3ef7980000000000000003e8"
    "00020000003200000000"
)


def test_an_emptied_batch() -> None:
    header = read_header(V2_EMPTY)
    assert header == BatchHeader(10, 49, 3, 2, 0x137546D8, 0x10, 4, -1, 1500000000000, 1000, 2, 50, 0)
    assert (header.size, header.last_offset, header.last_sequence) == (61, 14, 54)
    assert header.is_transactional
    assert not header.is_control
    assert header.delete_horizon is None
    assert compute_crc(V2_EMPTY) == header.crc
    assert header.pack() == V2_EMPTY


def test_a_cut_header() -> None:
    assert read_header(V2_EMPTY[:60]) is None
    assert read_header(V2_EMPTY, 1) is None


@given(st.binary(min_size=61, max_size=61))
def test_any_61_bytes_read_and_pack_back(data: bytes) -> None:
    header = read_header(data)
    assert header is not None
    assert header.pack() == data
    assert -(2**63) <= header.last_offset < 2**63


@pytest.mark.parametrize(
    ("base", "delta", "expected"),
    [(0, 0, 0), (5, 3, 8), (2**31 - 1, 0, 2**31 - 1), (2**31 - 1, 1, 0), (2**31 - 3, 5, 2), (-1, 7, -1)],
)
def test_sequences_wrap_to_zero(base: int, delta: int, expected: int) -> None:
    assert record_sequence(base, delta) == expected


def test_wrapping() -> None:
    assert wrap32(2**31) == -(2**31)
    assert wrap64(2**63 + 1) == -(2**63) + 1
    assert wrap64(-1) == -1
