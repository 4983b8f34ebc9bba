"""Decode: records to columns, against a client library that is asked for the same fields.

Walk with CRC and decode of uncompressed records, from a file in the page cache, against aiokafka's reader with CRC
validation over the same bytes in memory, touching key, value, offset and timestamp of each record.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiokafka.record import MemoryRecords

from benchmarks.timing import Options, Result, interleaved
from kafka_salvage.scan.held import walk_held
from kafka_salvage.scan.records import RecordTable, decode
from kafka_salvage.source.files import FileSource
from tests.support.build import Rec, legacy_message, v2_batch

START = 1_700_000_000_000


def segment(batches: int, per_batch: int, value: int = 92) -> bytes:
    """Batches of equal records, of about 120 bytes unless asked otherwise; offsets go on, it is the same batch over and over."""
    records = [Rec(i, START + 3 * i, b"key-%012d" % i, b"v" * value) for i in range(per_batch)]
    rest = v2_batch(0, records)[8:]
    return b"".join((i * per_batch).to_bytes(8, "big") + rest for i in range(batches))


def messages(count: int) -> bytes:
    """Plain messages of magic 1."""
    one = legacy_message(0, b"key-000000000000", b"v" * 92, magic=1, timestamp=START)[8:]
    return b"".join(i.to_bytes(8, "big") + one for i in range(count))


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


def _compare(name: str, data: bytes, count: int, options: Options, goal: float = 0.0) -> Result:
    """Records per second of both; the reference gets an eighth of the bytes, which is enough for its rate."""
    sample = data[: len(data) // 8 // (len(data) // count) * (len(data) // count)]
    path = options.folder / "decode.log"
    path.write_bytes(data)
    here, there = ours(path), theirs(sample)
    mine, reference = interleaved(lambda: ours(path), lambda: theirs(sample), options.repeats)
    path.unlink()
    return Result(name, "M records/s", here / mine / 1e6, there / reference / 1e6, "aiokafka", goal)


def run(options: Options) -> Iterator[Result]:
    """The cases of this module, a quarter of the size asked for each."""
    size = options.size // 4
    shapes = (
        ("120 B records in 16 KiB batches", 135, 92, 10.0),
        ("120 B records, 20 in a batch", 20, 92, 0.0),
        ("120 B records, one in a batch", 1, 92, 0.0),
        ("20 B values, 500 in a batch", 500, 20, 0.0),
        ("5 KiB values, 20 in a batch", 20, 5 << 10, 0.0),
    )
    for name, per_batch, value, goal in shapes:
        batches = max(8, size // ((value + 28) * per_batch + 61))
        yield _compare(f"decode, {name}", segment(batches, per_batch, value), batches, options, goal)
    count = size // 8 // 142
    yield _compare("decode, magic 1, plain messages of 120 B", messages(count), count, options)
