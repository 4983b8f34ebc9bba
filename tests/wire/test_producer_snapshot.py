"""`.snapshot` files."""

from __future__ import annotations

import pytest

from kafka_salvage.wire.producer_snapshot import ProducerEntry, read_producer_snapshot, write_producer_snapshot

EMPTY = bytes.fromhex("000148674bc700000000")
ONE = bytes.fromhex(
    "0001b5b4ed6a000000010000000000000007000000000000000000000000000000000000000001d1a94a2000ffffffff0000000000000000"
)
ENTRY = ProducerEntry(7, 0, 0, 0, 0, 2000000000000, -1, 0)


def test_the_empty_one() -> None:
    found = read_producer_snapshot(EMPTY)
    assert (found.entries, found.crc_valid, found.problem) == ((), True, None)
    assert write_producer_snapshot([]) == EMPTY


def test_one_producer() -> None:
    found = read_producer_snapshot(ONE)
    assert (found.entries, found.crc_valid, found.problem) == ((ENTRY,), True, None)
    assert write_producer_snapshot([ENTRY]) == ONE


@pytest.mark.parametrize("at", range(2, len(ONE)))
def test_a_flip_anywhere_behind_the_version_breaks_the_crc(at: int) -> None:
    data = bytearray(ONE)
    data[at] ^= 0x10
    found = read_producer_snapshot(data)
    assert not found.crc_valid
    assert found.problem == "its CRC does not fit"


def test_other_damage() -> None:
    assert read_producer_snapshot(b"\x00\x02" + ONE[2:]).problem == "version 2 is not known"
    assert read_producer_snapshot(EMPTY[:9]).problem == "9 bytes are fewer than its header has"
    assert read_producer_snapshot(ONE[:-1]).problem is not None
    assert read_producer_snapshot(b"").problem is not None
