"""Affordable: more memory never allows fewer at a time, one is always allowed, and what is asked for is never exceeded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.export.affordable import EACH, LIBRARIES, MIB, PROGRAM, PROMISE, written_at_once


@given(
    st.integers(1, 200),
    st.lists(st.sampled_from(sorted(EACH)), min_size=1, unique=True),
    st.integers(0, 1 << 40),
    st.integers(0, 1 << 40),
)
def test_within_what_is_asked_and_promised(jobs: int, formats: list[str], memory: int, more: int) -> None:
    count = written_at_once(jobs, formats, memory)
    assert 1 <= count <= jobs
    assert written_at_once(jobs, formats, memory + more) >= count
    once = PROGRAM + (LIBRARIES["parquet"] if {"parquet", "arrow"} & set(formats) else 0)
    used = once + count * sum(EACH[name] for name in formats)
    assert count == 1 or used <= memory
    assert count == jobs or used + sum(EACH[name] for name in formats) > memory


def test_two_cores_are_used_for_any_one_format_by_default() -> None:
    assert all(written_at_once(2, [name], PROMISE) == 2 for name in EACH)
    assert written_at_once(64, ["parquet"], PROMISE) == 3
    assert written_at_once(64, ["parquet"], 4096 * MIB) > 50


def test_the_newest_of_each_key_are_looked_for_in_one_partition_at_a_time_by_default() -> None:
    assert written_at_once(2, ["jsonl"], PROMISE, newest=True) == 1
    assert written_at_once(2, ["jsonl"], 2 * PROMISE, newest=True) == 2
