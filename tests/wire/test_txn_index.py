"""`.txnindex` files."""

from __future__ import annotations

import struct

import pytest

from kafka_salvage.wire.txn_index import AbortedTransaction, read_txn_index, write_txn_index

REFERENCE = bytes.fromhex("00000000000000000007000000000000000000000000000000010000000000000002")
ENTRY = AbortedTransaction(version=0, producer_id=7, first_offset=0, last_offset=1, last_stable_offset=2)


def build(*rows: tuple[int, ...]) -> bytes:
    return b"".join(struct.pack(">hqqqq", *row) for row in rows)


def test_the_reference_entry() -> None:
    found = read_txn_index(REFERENCE)
    assert (found.entries, found.torn, found.problem) == ((ENTRY,), 0, None)
    assert write_txn_index([ENTRY]) == REFERENCE


def test_a_partial_entry_is_ignored_and_said() -> None:
    found = read_txn_index(REFERENCE + REFERENCE[:33])
    assert (found.entries, found.torn) == ((ENTRY,), 33)
    assert found.problem == "33 bytes at the end are no entry"


@pytest.mark.parametrize("second", [(1, 7, 2, 5, 6), (0, 7, 0, 1, 2), (0, 7, 9, 5, 6)])
def test_damage(second: tuple[int, ...]) -> None:
    found = read_txn_index(REFERENCE + build(second))
    assert found.entries == (ENTRY,)
    assert found.problem is not None


def test_an_empty_file() -> None:
    assert read_txn_index(b"").problem is None
