"""Decode: records to columns, against a client library that is asked for the same fields.

Walk with CRC and decode of uncompressed records, from a file in the page cache, against aiokafka's reader with CRC
validation over the same bytes in memory, touching key, value, offset and timestamp of each record.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiokafka.record import MemoryRecords

from benchmarks.shapes import NAMES, START, Shape, block, write
from benchmarks.timing import Options, Result, interleaved
from kafka_salvage.scan.held import walk_held
from kafka_salvage.scan.records import RecordTable, decode
from kafka_salvage.source.files import FileSource
from tests.support.build import LZ4, NONE, Rec, v2_batch

SHAPES = (
    *(Shape(records, value) for records in (1, 20, 500) for value in (20, 200, 5 << 10)),
    Shape(20, 200, NONE, magic=1),
    Shape(20, 200, LZ4, magic=1),
)


def segment(batches: int, per_batch: int, value: int = 92) -> bytes:
    """Batches of equal records, of about 120 bytes unless asked otherwise; offsets go on, it is the same batch over and over."""
    records = [Rec(i, START + 3 * i, b"key-%012d" % i, b"v" * value) for i in range(per_batch)]
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


def _compare(name: str, path: Path, one: int, count: int, options: Options, goal: float = 0.0) -> Result:
    """Records per second of both; the reference gets an eighth of the bytes, which is enough for its rate.

    Args:
        name: of the line.
        path: the file; removed.
        one: bytes that are repeated in it.
        count: how often.
        options: turns.
        goal: least ratio.
    """
    with path.open("rb") as file:
        sample = file.read(max(1, count // 8) * one)
    here, there = ours(path), theirs(sample)
    mine, reference = interleaved(lambda: ours(path), lambda: theirs(sample), options.repeats)
    path.unlink()
    return Result(name, "M records/s", here / mine / 1e6, there / reference / 1e6, "aiokafka", goal)


def run(options: Options) -> Iterator[Result]:
    """The cases of this module, a quarter of the size asked for each."""
    size, path = options.size // 4, options.folder / "decode.log"
    for name, per_batch, goal in (
        ("120 B records in 16 KiB batches", 135, 10.0),
        ("120 B records, 20 in a batch", 20, 0.0),
        ("120 B records, one in a batch", 1, 0.0),
    ):
        count = max(8, size // (120 * per_batch + 61))
        path.write_bytes(segment(count, per_batch))
        yield _compare(f"decode, {name}", path, path.stat().st_size // count, count, options, goal)
    for shape in SHAPES:
        one = len(block(shape)[0])
        count = write(path, shape, size).size // one
        codec = "" if shape.codec == NONE else f", {NAMES[shape.codec]}"
        yield _compare(f"decode, {shape.name}{codec}", path, one, count, options)
