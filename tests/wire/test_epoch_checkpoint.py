"""`leader-epoch-checkpoint`, with the eviction that a broker does on loading."""

from __future__ import annotations

import pytest

from kafka_salvage.wire.epoch_checkpoint import EpochEntry, read_epoch_checkpoint, write_epoch_checkpoint


def entries(data: bytes) -> list[tuple[int, int]]:
    return [(entry.epoch, entry.start_offset) for entry in read_epoch_checkpoint(data).entries]


def test_the_reference_file() -> None:
    assert entries(b"0\n2\n1 0\n2 10\n") == [(1, 0), (2, 10)]
    assert write_epoch_checkpoint([EpochEntry(1, 0), EpochEntry(2, 10)]) == b"0\n2\n1 0\n2 10\n"


def test_a_line_evicts_what_is_not_below_it() -> None:
    found = read_epoch_checkpoint(b"0\n3\n0 0\n5 7\n3 2\n")
    assert [(e.epoch, e.start_offset) for e in found.entries] == [(0, 0), (3, 2)]
    assert len(found.lines) == 3
    assert entries(b"0\n2\n5 7\n6 7\n") == [(6, 7)]
    assert entries(b"0\n2\n5 7\n5 9\n") == [(5, 9)]


@pytest.mark.parametrize(
    "data", [b"0\n1\n1 0 2\n", b"0\n1\nx 0\n", b"0\n1\n\x00\x00\x00\x00", b"0\n1\n-1 0\n", b"0\n1\n0 -5\n", b"2\n0\n"]
)
def test_what_takes_a_broker_down(data: bytes) -> None:
    found = read_epoch_checkpoint(data)
    assert found.problem is not None
    assert found.entries == ()


def test_an_empty_file_is_fine() -> None:
    assert read_epoch_checkpoint(b"").problem is None
