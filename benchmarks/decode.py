"""Decode: records to columns, and to JSON Lines, against a client library that is asked for the same fields.

``decode``: walk with CRC and decode of ~120-byte uncompressed records, from a file in the page cache, against aiokafka's reader
with CRC validation over the same bytes in memory, touching key, value, offset and timestamp of each record.

``decode-tiny``: the same for batches of one record.

``jsonl``: the same records to JSON text with base64, against aiokafka, ``b64encode`` and orjson.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from aiokafka.record import MemoryRecords

from benchmarks.timing import Options, Result, interleaved
from kafka_salvage.scan.held import walk_held
from kafka_salvage.scan.records import RecordTable, decode
from kafka_salvage.source.files import FileSource
from kafka_salvage.vector.text import jsonl_lines
from tests.support.build import Rec, v2_batch

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
        for block in walk_held(source):
            for made in decode(source, block.batches, held=block.held):
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
    count = 0
    for table in tables(path):
        b, zeros = table.batches, np.zeros(len(table.batches), np.uint8)
        for _ in jsonl_lines(
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
        ):
            pass
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


def _compare(
    name: str, batches: int, per_batch: int, ours_: Callable[[Path], int], theirs_: Callable[[bytes], int],
    options: Options, goal: float = 0.0,
) -> Result:  # fmt: skip
    """Records per second of both; the reference gets an eighth of the bytes, which is enough for its rate."""
    data = segment(batches, per_batch)
    sample = data[: len(data) // 8 // (len(data) // batches) * (len(data) // batches)]
    path = options.folder / "decode.log"
    path.write_bytes(data)
    records_, records_there = ours_(path), theirs_(sample)
    assert records_ == batches * per_batch
    mine, reference = interleaved(lambda: ours_(path), lambda: theirs_(sample), options.repeats)
    path.unlink()
    return Result(name, "M records/s", records_ / mine / 1e6, records_there / reference / 1e6, "aiokafka", goal)


def run(options: Options) -> Iterator[Result]:
    """The cases of this module: batches of about 16 KiB, batches of one record, and lines in memory."""
    yield _compare("decode, 120 B records in 16 KiB batches", 4000, 135, ours, theirs, options, 5.0)
    yield _compare("decode, batches of one record", 200_000, 1, ours, theirs, options)
    yield _compare("JSON Lines with base64", 2000, 135, our_lines, their_lines, options)
