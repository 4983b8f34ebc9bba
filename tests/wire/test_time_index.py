"""`.timeindex` files with padding, tears and damage."""

from __future__ import annotations

import struct

import pytest

from kafka_salvage.wire.time_index import TimeIndex, read_time_index

T = 1500000000000


def build(*entries: tuple[int, int]) -> bytes:
    return b"".join(struct.pack(">qi", *entry) for entry in entries)


def rows(index: TimeIndex) -> list[tuple[int, int]]:
    return list(zip(index.timestamp.tolist(), index.relative_offset.tolist(), strict=True))


GOOD = [(T, 4), (T + 5, 9), (T + 6, 9)]


def test_the_reference_entry() -> None:
    assert rows(read_time_index(bytes.fromhex("000000000000000000000004"))) == [(0, 4)]


def test_entries_with_and_without_padding() -> None:
    found = read_time_index(build(*GOOD))
    assert rows(found) == GOOD
    assert found.problem is None
    padded = read_time_index(build(*GOOD) + bytes(10_485_756 - 36))
    assert rows(padded) == GOOD
    assert (padded.slots, padded.padding, padded.problem) == (873_813, 10_485_720, None)


def test_nothing_and_only_padding() -> None:
    assert len(read_time_index(b"")) == 0
    assert len(read_time_index(bytes(65_532))) == 0
    assert rows(read_time_index(bytes(12))) == [(0, 0)]


@pytest.mark.parametrize(
    ("entries", "good"),
    [
        ([(T, 4), (T, 9)], 1),
        ([(T, 4), (T + 1, 3)], 1),
        ([(-1, 4)], 0),
        ([(T, -4)], 0),
        ([(T, 4), (0, 0), (T + 9, 9)], 1),
        ([(T, 4), (-(2**63), 5)], 1),
        ([(-(2**63), 4), (2**63 - 1, 5)], 0),
    ],
)
def test_damage(entries: list[tuple[int, int]], good: int) -> None:
    found = read_time_index(build(*entries))
    assert rows(found) == entries[:good]
    assert found.problem is not None


def test_a_torn_end() -> None:
    found = read_time_index(build(*GOOD)[:-1])
    assert rows(found) == GOOD[:2]
    assert (found.torn, found.problem) == (11, "11 bytes at the end are no entry")
