"""`.index` files with padding, tears and damage."""

from __future__ import annotations

import struct

import pytest

from kafka_salvage.wire.offset_index import OffsetIndex, read_offset_index


def build(*entries: tuple[int, int]) -> bytes:
    return b"".join(struct.pack(">ii", *entry) for entry in entries)


def rows(index: OffsetIndex) -> list[tuple[int, int]]:
    return list(zip(index.relative_offset.tolist(), index.position.tolist(), strict=True))


GOOD = [(5, 4096), (9, 8192), (2**31 - 1, 2**31 - 1)]


def test_entries() -> None:
    found = read_offset_index(build(*GOOD))
    assert rows(found) == GOOD
    assert (found.slots, found.padding, found.torn, found.problem) == (3, 0, 0, None)


@pytest.mark.parametrize("padding", [8, 10 * 2**20 - 24])
def test_padding_is_stripped_and_counted(padding: int) -> None:
    found = read_offset_index(build(*GOOD) + bytes(padding))
    assert rows(found) == GOOD
    assert (found.slots, found.padding, found.problem) == (3 + padding // 8, padding, None)


def test_nothing_and_only_padding() -> None:
    assert len(read_offset_index(b"")) == 0
    assert read_offset_index(b"").problem is None
    blank = read_offset_index(bytes(4096))
    assert (len(blank), blank.slots, blank.padding, blank.problem) == (0, 512, 4096, None)


def test_the_first_entry_may_have_relative_offset_zero() -> None:
    assert rows(read_offset_index(build((0, 4096), (1, 8192)))) == [(0, 4096), (1, 8192)]


@pytest.mark.parametrize(
    ("entries", "good", "words"),
    [
        ([(5, 4096), (5, 8192)], 1, "entry 1 (5 at 8192)"),
        ([(5, 4096), (6, 4096)], 1, "entry 1 (6 at 4096)"),
        ([(5, 4096), (4, 8192), (9, 9000)], 1, "entry 1"),
        ([(-5, 4096)], 0, "entry 0"),
        ([(5, -1)], 0, "entry 0"),
        ([(5, 4096), (0, 0), (9, 9000)], 1, "1 entries that are not zero behind zeros at entry 1"),
    ],
)
def test_damage(entries: list[tuple[int, int]], good: int, words: str) -> None:
    found = read_offset_index(build(*entries))
    assert rows(found) == entries[:good]
    assert found.padding == 0
    assert found.problem is not None
    assert words in found.problem


def test_a_torn_end() -> None:
    found = read_offset_index(build(*GOOD)[:-3])
    assert rows(found) == GOOD[:2]
    assert found.torn == 5
    assert found.problem == "5 bytes at the end are no entry"
