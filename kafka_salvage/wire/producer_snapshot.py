"""ProducerSnapshot: `.snapshot`, what a broker knew of each producer at an offset.

Source: `ProducerStateManager.java`, `ProducerSnapshot.json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kafka_salvage.wire.checksum import crc32c
from kafka_salvage.wire.layout import Field, Layout

HEADER_LAYOUT = Layout(
    "producer_snapshot",
    "`.snapshot` header",
    (
        Field("version", "int16", "", "1"),
        Field("crc", "uint32", "CRC-32C of everything behind it"),
        Field("count", "int32", "number of entries"),
    ),
    "`ProducerSnapshot.json`",
    "Then the entries. The file's name is the first offset that is not covered.",
)
LAYOUT = Layout(
    "producer_entry",
    "`.snapshot` entry",
    (
        Field("producer_id", "int64", ""),
        Field("producer_epoch", "int16", ""),
        Field("last_sequence", "int32", "", "-1: only markers seen"),
        Field("last_offset", "int64", "last data offset", "-1: none"),
        Field("offset_delta", "int32", "last minus first sequence of the last batch"),
        Field("timestamp", "int64", "of the last batch or marker, ms"),
        Field("coordinator_epoch", "int32", "of the last marker", "-1: none"),
        Field("current_txn_first_offset", "int64", "first offset of the open transaction", "-1: none"),
    ),
    "`ProducerSnapshot.json`",
)
VERSION = 1
HEADER_SIZE = HEADER_LAYOUT.size
ENTRY_SIZE = LAYOUT.size
CRC_COVERS_FROM = HEADER_LAYOUT.offset_of("count")


@dataclass(frozen=True, slots=True)
class ProducerEntry:
    """One producer, see `LAYOUT`."""

    producer_id: int
    producer_epoch: int
    last_sequence: int
    last_offset: int
    offset_delta: int
    timestamp: int
    coordinator_epoch: int
    current_txn_first_offset: int


@dataclass(frozen=True, slots=True)
class ProducerSnapshot:
    """What the file says.

    Attributes:
        entries: whole entries that are there, believable only without a problem.
        crc_valid: the CRC fits.
        problem: why a broker would delete the file; None if it would not.
    """

    entries: tuple[ProducerEntry, ...]
    crc_valid: bool
    problem: str | None = None


def read_producer_snapshot(data: Any) -> ProducerSnapshot:
    """Reads the file; never raises."""
    if len(data) < HEADER_SIZE:
        return ProducerSnapshot((), False, f"{len(data)} bytes are fewer than its header has")
    version, crc, count = HEADER_LAYOUT.read(data)
    if version != VERSION:
        return ProducerSnapshot((), False, f"version {version} is not known")
    there = (len(data) - HEADER_SIZE) // ENTRY_SIZE
    rows = LAYOUT.array(data, min(max(count, 0), there), HEADER_SIZE)
    entries = tuple(ProducerEntry(*(int(value) for value in row)) for row in rows)
    valid = crc32c(memoryview(data)[CRC_COVERS_FROM:]) == crc
    problem = None
    if not valid:
        problem = "its CRC does not fit"
    elif count < 0 or count > there:
        problem = f"it counts {count} entries, {there} are there"
    return ProducerSnapshot(entries, valid, problem)


def write_producer_snapshot(entries: list[ProducerEntry]) -> bytes:
    """The bytes of the file with these entries."""
    body = len(entries).to_bytes(4, "big")
    body += b"".join(LAYOUT.pack(*(getattr(entry, field.name) for field in LAYOUT.fields)) for entry in entries)
    return VERSION.to_bytes(2, "big") + crc32c(body).to_bytes(4, "big") + body
