"""Every vector gets the verdict that Kafka's own classes gave it."""

from __future__ import annotations

import pytest

from kafka_salvage.wire.control import read_control_key
from kafka_salvage.wire.decode import BatchValue, DecodeProblem, Problem, decode_batch
from tests.wire.vectors import KafkaBatch, KafkaRecord, Vector, load

VECTORS = load()

KIND_OF_EXCEPTION = {
    "v0_wrap_nested": Problem.RECORD_MALFORMED,
    "v1_wrap_empty": Problem.RECORD_MALFORMED,
    "v1_wrap_lz4_broken": Problem.INFLATE_FAILED,
    "v1_wrap_zstd": Problem.UNKNOWN_CODEC,
    "v2_codec5": Problem.UNKNOWN_CODEC,
    "v2_count_long": Problem.COUNT_MISMATCH,
    "v2_count_short": Problem.COUNT_MISMATCH,
    "v2_gzip_trunc": Problem.INFLATE_FAILED,
    "v2_lz4_broken_hc": Problem.INFLATE_FAILED,
    "v2_lz4_dependent": Problem.INFLATE_FAILED,
    "v2_lz4_noendmark": Problem.INFLATE_FAILED,
    "v2_lz4_two_frames": Problem.RECORD_MALFORMED,
}
READ_HERE_BUT_NOT_BY_KAFKA = {"v1_wrap_lz4_broken", "v2_lz4_broken_hc"}


REFUSED_HERE_BUT_NOT_BY_KAFKA = {"v1_wrap_truncinner"}
"""The last inner message is cut: Kafka drops it and gives the others offsets that are one too high."""


def decode_all(data: bytes, *, kafka_strict: bool) -> list[BatchValue]:
    batches, position = [], 0
    while position < len(data):
        batch = decode_batch(data, position, kafka_strict=kafka_strict)
        assert not isinstance(batch, DecodeProblem), batch
        batches.append(batch)
        position += batch.size
    return batches


def assert_records(batch: BatchValue, expected: list[KafkaRecord]) -> None:
    got = [(r.offset, r.timestamp, r.sequence, r.key, r.value, r.headers) for r in batch.records]
    assert got == [(r.offset, r.timestamp, r.sequence, r.key, r.value, r.headers) for r in expected]
    for record, wanted in zip(batch.records, expected, strict=True):
        if wanted.control_type is not None:
            key = read_control_key(record.key)
            assert key is not None
            assert key.type.name == wanted.control_type


def assert_batch(batch: BatchValue, expected: KafkaBatch) -> None:
    assert batch.magic == expected.magic
    assert batch.codec == expected.codec
    assert batch.crc == expected.crc
    assert batch.crc_valid == expected.valid
    assert batch.size == expected.size
    assert batch.base_offset == expected.base
    assert batch.last_offset == expected.last
    assert batch.is_control == expected.control
    assert batch.is_transactional == expected.transactional
    assert batch.leader_epoch == expected.epoch
    assert batch.max_timestamp == expected.max_timestamp
    assert batch.delete_horizon == expected.delete_horizon
    assert (batch.base_sequence, batch.last_sequence) == expected.sequences
    if expected.magic:
        assert (batch.timestamp_type.name == "LOG_APPEND") == expected.append_time
    assert_records(batch, expected.records)
    assert (batch.problem is not None) == (expected.raises is not None)


def test_there_are_52() -> None:
    assert len(VECTORS) == 52
    raising = {v.name for v in VECTORS if v.raises_at_once or any(b.raises for b in v.batches)}
    assert raising == set(KIND_OF_EXCEPTION)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v.name)
def test_kafkas_own_verdict(vector: Vector) -> None:
    batches = decode_all(vector.data, kafka_strict=True)
    if vector.raises_at_once:
        assert len(batches) == 1
        assert batches[0].crc_valid
        assert batches[0].problem is not None
        assert not batches[0].records
    else:
        assert len(batches) == len(vector.batches)
        for batch, expected in zip(batches, vector.batches, strict=True):
            assert_batch(batch, expected)
    problems = [batch.problem.kind for batch in batches if batch.problem]
    assert problems == ([KIND_OF_EXCEPTION[vector.name]] if vector.name in KIND_OF_EXCEPTION else [])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v.name)
def test_where_this_package_differs_from_kafka_on_purpose(vector: Vector) -> None:
    strict = decode_all(vector.data, kafka_strict=True)
    generous = decode_all(vector.data, kafka_strict=False)
    if vector.name in REFUSED_HERE_BUT_NOT_BY_KAFKA:
        assert [r.offset for b in strict for r in b.records] == [11, 12]
        assert [(b.problem and b.problem.kind, b.records) for b in generous] == [(Problem.RECORD_MALFORMED, ())]
        return
    if vector.name not in READ_HERE_BUT_NOT_BY_KAFKA:
        assert [b.records for b in generous] == [b.records for b in strict]
        assert [b.problem and b.problem.kind for b in generous] == [b.problem and b.problem.kind for b in strict]
        return
    (batch,) = generous
    assert batch.problem is None
    assert any("KAFKA-3160" in note for note in batch.notes)
    values = [(r.offset, r.key, r.value) for r in batch.records]
    if batch.magic == 2:
        assert values == [(200, b"k", b"v" * 40), (201, b"k2", b"w" * 40)]
    else:
        assert values == [(10, b"k0", b"val0"), (11, b"k1", b"val1"), (12, b"k2", b"val2")]


@pytest.mark.parametrize("magic", [3, 127])
def test_a_higher_magic_is_read_as_2_by_kafka_only(magic: int) -> None:
    data = bytearray(next(v.data for v in VECTORS if v.name == "v2_min"))
    data[16] = magic
    batch = decode_batch(data, kafka_strict=True)
    assert isinstance(batch, BatchValue)
    assert batch.crc_valid
    assert [r.value for r in batch.records] == [b"v"]
    problem = decode_batch(data)
    assert isinstance(problem, DecodeProblem)
    assert problem.kind is Problem.MAGIC_UNKNOWN
