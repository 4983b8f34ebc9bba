"""The scalar record decoder, on hand-made bytes and on anything."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.wire.record_v2 import (
    RecordV2,
    decode_records,
    encode_record,
    read_uvarint,
    write_varint,
)

MIN = bytes.fromhex("10000000026b027600")

records = st.builds(
    RecordV2,
    attributes=st.integers(-128, 127),
    timestamp_delta=st.integers(-(2**63), 2**63 - 1),
    offset_delta=st.integers(-(2**31), 2**31 - 1),
    key=st.none() | st.binary(max_size=40),
    value=st.none() | st.binary(max_size=40),
    headers=st.lists(st.tuples(st.binary(max_size=9), st.none() | st.binary(max_size=9)), max_size=4).map(tuple),
)


def test_the_smallest_record() -> None:
    found = decode_records(MIN, 1)
    assert found.problem is None
    assert found.records == (RecordV2(0, 0, 0, b"k", b"v"),)
    assert encode_record(found.records[0]) == MIN


def test_null_and_empty_are_different() -> None:
    data = bytes.fromhex("0c000000000100") + bytes.fromhex("0c000002010000")
    found = decode_records(data, 2)
    assert [(r.key, r.value) for r in found.records] == [(b"", None), (None, b"")]


@given(st.lists(records, max_size=6))
def test_round_trip(given_records: list[RecordV2]) -> None:
    data = b"".join(encode_record(record) for record in given_records)
    found = decode_records(data, len(given_records))
    assert found.problem is None
    assert list(found.records) == given_records
    assert found.stop == len(data)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "00"), (-1, "01"), (1, "02"), (63, "7e"), (-64, "7f"), (64, "8001"), (2**31 - 1, "feffffff0f"), (-(2**31), "ffffffff0f"), (2**63 - 1, "feffffffffffffffff01"), (-(2**63), "ffffffffffffffffff01")],
)  # fmt: skip
def test_varints(value: int, encoded: str) -> None:
    assert write_varint(value).hex() == encoded


def test_longer_encodings_are_legal_up_to_five_bytes() -> None:
    assert read_uvarint(bytes.fromhex("8080808000"), 0, 5) == (0, 5)
    assert read_uvarint(bytes.fromhex("808080808000"), 0, 6) is None
    assert read_uvarint(bytes.fromhex("ffffffff7f"), 0, 5) == (0xFFFFFFFF, 5)
    assert read_uvarint(b"\x80", 0, 1) is None


@pytest.mark.parametrize(
    ("data", "count", "miscounted", "words"),
    [
        (MIN, 2, True, "1 records, the header counts 2"),
        (MIN + MIN, 1, True, "9 bytes are left"),
        (MIN, -1, True, "counts -1"),
        (MIN[:-1], 1, False, "length 8"),
        (b"\x00", 1, False, "length 0"),
        (b"\x01", 1, False, "length -1"),
        (b"\xfe\xff\xff\xff\x0f" + MIN[1:], 1, False, "length 2147483647"),
        (bytes.fromhex("10000000046b027600"), 1, False, "it"),
        (bytes.fromhex("12000000026b02760000"), 1, False, "1 bytes are left inside"),
        (bytes.fromhex("0c000000010102"), 1, False, "1 headers in 0 bytes"),
        (bytes.fromhex("0c000000010101"), 1, False, "-1 headers"),
        (bytes.fromhex("1000000001010201" + "01"), 1, False, "header key is null"),
    ],
)
def test_damage(data: bytes, count: int, miscounted: bool, words: str) -> None:
    found = decode_records(data, count)
    assert found.problem is not None
    assert words in found.problem
    assert found.miscounted == miscounted


def test_offsets_that_do_not_rise_are_refused_on_request() -> None:
    data = MIN + MIN
    assert decode_records(data, 2).problem is None
    assert decode_records(data, 2, last_offset_delta=1).problem is not None
    later = encode_record(RecordV2(0, 0, 1, None, None))
    assert decode_records(MIN + later, 2, last_offset_delta=1).problem is None
    assert decode_records(MIN + later, 2, last_offset_delta=0).problem is not None


@given(st.binary(max_size=200), st.integers(-5, 300))
def test_nothing_raises(data: bytes, count: int) -> None:
    found = decode_records(data, count)
    assert (found.problem is None) == (len(found.records) == count and found.stop == len(data))


def test_a_forged_length_or_count_allocates_nothing() -> None:
    forged = b"\xfe\xff\xff\xff\x0f" + MIN[1:]
    tracemalloc.start()
    try:
        decode_records(forged, 2**31 - 1)
        decode_records(bytes.fromhex("10000000feffffff0f7600"), 1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000
