"""TxnIndex: `.txnindex`, the aborted transactions of a segment.

Source: `TransactionIndex.java`, `AbortedTxn.java`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kafka_salvage.wire.layout import Field, Layout

LAYOUT = Layout(
    "aborted_transaction",
    "`.txnindex` entry",
    (
        Field("version", "int16", "", "0"),
        Field("producer_id", "int64", ""),
        Field(
            "first_offset", "int64", "first offset of the transaction in this partition; may lie in an earlier segment"
        ),
        Field("last_offset", "int64", "offset of the ABORT marker", "rising"),
        Field("last_stable_offset", "int64", "last stable offset right after this abort"),
    ),
    "`AbortedTxn.java`",
    "Offsets are absolute. Never preallocated.",
)
ENTRY_SIZE = LAYOUT.size


@dataclass(frozen=True, slots=True)
class AbortedTransaction:
    """One entry, see `LAYOUT`."""

    version: int
    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int


@dataclass(frozen=True, slots=True)
class TxnIndex:
    """Entries of a transaction index.

    Attributes:
        entries: those before the first that is wrong.
        torn: bytes at the end that are no whole entry; Kafka ignores them.
        problem: what is wrong; None if nothing is.
    """

    entries: tuple[AbortedTransaction, ...]
    torn: int
    problem: str | None = None


def read_txn_index(data: Any) -> TxnIndex:
    """Reads the file; never raises."""
    count, torn = divmod(len(data), ENTRY_SIZE)
    entries: list[AbortedTransaction] = []
    for number, row in enumerate(LAYOUT.array(data, count)):
        entry = AbortedTransaction(*(int(value) for value in row))
        if entry.version != 0:
            return TxnIndex(tuple(entries), torn, f"entry {number} has version {entry.version}")
        if entry.first_offset > entry.last_offset or (entries and entry.last_offset <= entries[-1].last_offset):
            problem = f"entry {number} (offsets {entry.first_offset} to {entry.last_offset}) does not rise"
            return TxnIndex(tuple(entries), torn, problem)
        entries.append(entry)
    return TxnIndex(tuple(entries), torn, f"{torn} bytes at the end are no entry" if torn else None)


def write_txn_index(entries: list[AbortedTransaction]) -> bytes:
    """The bytes of the file with these entries."""
    return b"".join(
        LAYOUT.pack(e.version, e.producer_id, e.first_offset, e.last_offset, e.last_stable_offset) for e in entries
    )
