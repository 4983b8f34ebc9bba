"""Whole batches under damage: never an exception, never memory that a field asks for."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.wire.decode import BatchValue, DecodeProblem, Problem, decode_batch
from tests.wire.vectors import load

VECTORS = {vector.name: vector.data for vector in load()}
LIMIT = 1 << 20


@given(st.sampled_from(sorted(VECTORS)), st.data(), st.booleans())
def test_damaged_vectors_never_raise(name: str, data: st.DataObject, strict: bool) -> None:
    raw = bytearray(VECTORS[name])
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))]
    found = decode_batch(raw, limit=LIMIT, kafka_strict=strict)
    if isinstance(found, BatchValue):
        assert 0 < found.size <= len(raw)
    else:
        assert found.sentence


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    decode_batch(data, limit=LIMIT)


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_forged_numbers_allocate_nothing(name: str) -> None:
    raw = bytearray(VECTORS[name])
    decode_batch(raw, limit=LIMIT)  # what is imported on the first call does not count
    tracemalloc.start()
    try:
        for at in range(len(raw) - 3):
            forged = bytearray(raw)
            forged[at : at + 4] = b"\x7f\xff\xff\xff"
            decode_batch(forged, limit=LIMIT)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * LIMIT


def test_what_is_no_batch() -> None:
    v2 = VECTORS["v2_min"]
    kinds = {
        Problem.TOO_SHORT: v2[:17],
        Problem.LENGTH_PAST_END: v2[:-1],
        Problem.LENGTH_TOO_SMALL: v2[:8] + (48).to_bytes(4, "big") + v2[12:],
        Problem.MAGIC_UNKNOWN: v2[:16] + b"\x03" + v2[17:],
    }
    for kind, data in kinds.items():
        found = decode_batch(data)
        assert isinstance(found, DecodeProblem)
        assert found.kind is kind
    assert isinstance(decode_batch(v2[:8] + b"\xff\xff\xff\xff" + v2[12:]), DecodeProblem)


def test_a_flipped_bit_shows_in_the_crc_only_where_it_covers() -> None:
    v2 = VECTORS["v2_min"]
    for at in (0, 14, 22, 40, 69):
        raw = bytearray(v2)
        raw[at] ^= 1
        found = decode_batch(raw)
        assert isinstance(found, BatchValue)
        assert found.crc_valid == (at < 16)


def test_a_limit_is_a_problem_of_its_own() -> None:
    found = decode_batch(VECTORS["v2_gzip"], limit=20)
    assert isinstance(found, BatchValue)
    assert found.problem is not None
    assert found.problem.kind is Problem.INFLATE_LIMIT


def test_records_where_the_header_counts_none() -> None:
    raw = bytearray(VECTORS["v2_min"])
    raw[57:61] = bytes(4)
    generous, strict = decode_batch(raw), decode_batch(raw, kafka_strict=True)
    assert isinstance(generous, BatchValue)
    assert isinstance(strict, BatchValue)
    assert generous.problem is not None
    assert generous.problem.kind is Problem.COUNT_MISMATCH
    assert strict.problem is None
