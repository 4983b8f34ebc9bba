"""Decode: records to columns, and to JSON Lines, against a client library that is asked for the same fields.

``decode``: walk with CRC and decode of ~120-byte uncompressed records, from a file in the page cache, against aiokafka's reader
with CRC validation over the same bytes in memory, touching key, value, offset and timestamp of each record.

``decode-tiny``: the same for batches of one record.

``jsonl``: the same records to JSON text with base64, against aiokafka, ``b64encode`` and orjson.
"""

from __future__ import annotations

import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from aiokafka.record import MemoryRecords

from kafka_salvage.scan.records import RecordTable, decode
from kafka_salvage.scan.walk import walk
from kafka_salvage.source.files import FileSource
from kafka_salvage.vector.text import Room, jsonl_lines
from tests.support.build import Rec, v2_batch

REPEATS = 5
START = 1_700_000_000_000


def segment(batches: int, per_batch: int) -> bytes:
    """Batches of equal records of about 120 bytes; offsets go on, though it is the same batch over and over."""
    records = [Rec(i, START + 3 * i, b"key-%012d" % i, b"v" * 92) for i in range(per_batch)]
    rest = v2_batch(0, records)[8:]
    return b"".join((i * per_batch).to_bytes(8, "big") + rest for i in range(batches))


def tables(path: Path) -> Iterator[RecordTable]:
    """Our way: walk with CRC, decode."""
    source = FileSource(path, "benchmark")
    try:
        for block in walk(source):
            for made in decode(source, block.batches):
                assert not made.detail
                yield made.table
    finally:
        source.close()


def ours(path: Path) -> int:
    """Records decoded to columns."""
    return sum(len(table) for table in tables(path))


def records(data: bytes) -> Iterator[Any]:
    """The reference's way: every batch validated, every record an object."""
    reader = MemoryRecords(data)
    while reader.has_next():
        batch = reader.next_batch()
        assert batch.validate_crc()
        yield from batch


def theirs(data: bytes) -> int:
    """Records read by the reference, four fields touched."""
    count = 0
    for record in records(data):
        _ = record.key, record.value, record.offset, record.timestamp
        count += 1
    return count


def our_lines(path: Path) -> int:
    """Records rendered as lines."""
    count, room = 0, Room()
    for table in tables(path):
        b, zeros = table.batches, np.zeros(len(table.batches), np.uint8)
        jsonl_lines(
            table,
            topic=b'"orders"',
            partition=0,
            source=b'"broker-1"',
            file=b'"orders-0/00000000000000000000.log"',
            position=b.position,
            leader_epoch=b.leader_epoch,
            producer_id=b.producer_id,
            producer_epoch=b.producer_epoch,
            verdict=zeros,
            transaction=zeros,
            verdicts=[b"intact"],
            room=room,
        )
        count += len(table)
    return count


def their_lines(data: bytes) -> int:
    """Records rendered by the reference, without provenance."""
    count = 0
    for r in records(data):
        line = {
            "topic": "orders",
            "partition": 0,
            "offset": r.offset,
            "timestamp": r.timestamp,
            "timestampType": "CreateTime",
            "key": b64encode(r.key).decode(),
            "value": b64encode(r.value).decode(),
            "headers": [],
        }
        orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        count += 1
    return count


def interleaved(one: Callable[[], int], other: Callable[[], int]) -> tuple[float, float]:
    """Records per second of both, best of several turns taken by each."""
    best = [0.0, 0.0]
    for turn in range(REPEATS + 1):
        for index, way in enumerate((one, other)):
            began = time.perf_counter()
            count = way()
            if turn:  # the first turn warms up
                best[index] = max(best[index], count / (time.perf_counter() - began))
    return best[0], best[1]


def _compare(
    name: str, batches: int, per_batch: int, ours_: Callable[[Path], int], theirs_: Callable[[bytes], int]
) -> str:
    data = segment(batches, per_batch)
    sample = data[: len(data) // 8 // (len(data) // batches) * (len(data) // batches)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "00000000000000000000.log"
        path.write_bytes(data)
        assert ours_(path) == batches * per_batch
        mine, reference = interleaved(lambda: ours_(path), lambda: theirs_(sample))
    return f"{name}: {mine / 1e6:.1f} M records/s, reference {reference / 1e6:.2f} M records/s, ratio {mine / reference:.1f}"


def run_decode() -> str:
    """Batches of about 16 KiB."""
    return _compare("decode", 4000, 135, ours, theirs)


def run_tiny() -> str:
    """Batches of one record."""
    return _compare("decode-tiny", 200_000, 1, ours, theirs)


def run_jsonl() -> str:
    """Lines in memory."""
    return _compare("jsonl", 2000, 135, our_lines, their_lines)


CASES: dict[str, Callable[[], str]] = {"decode": run_decode, "decode-tiny": run_tiny, "jsonl": run_jsonl}
"""What can be run, by name; each gives one line of result."""

if __name__ == "__main__":
    for run in CASES.values():
        print(run())
