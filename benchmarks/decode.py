"""Decode: records to columns, and to JSON Lines, against a client library that is asked for the same fields.

``decode``: walk with CRC and decode of uncompressed records, from a file in the page cache, against aiokafka's reader with CRC
validation over the same bytes in memory, touching key, value, offset and timestamp of each record.

``JSON Lines``: the same records to JSON text with base64, against aiokafka, ``b64encode`` and orjson; in memory, to a file, and
as the whole command ``salvage --format jsonl`` with its deep check, SHA-256 and fsync, which the reference does without.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from base64 import b64encode
from collections import deque
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
from tests.support.build import Rec, legacy_message, v2_batch

NOTES = """
## JSON Lines

A line of the benchmark has 440 bytes, of which 330 say where it was found. Fifteen times the reference would be about 7 GB of
text in a second. Rendering in memory does a little more than that; what bounds the command is SHA-256, which every output file gets (1.5 GB/s
on one core of this machine, beside the rendering: 3.4 million lines), then the copy into the page cache and the sync to the disk,
which the reference goes without, and for small inputs the start of the process.
"""
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


def lines(path: Path) -> Iterator[memoryview]:
    """Our text."""
    for table in tables(path):
        b, zeros = table.batches, np.zeros(len(table.batches), np.uint8)
        pieces = jsonl_lines(
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
        )
        yield from (piece.data for piece in pieces)


def their_lines(data: bytes) -> Iterator[bytes]:
    """The reference's text, without provenance."""
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
        yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _to_file(target: Path, texts: Iterator[Any]) -> None:
    with target.open("wb", buffering=1 << 20) as file:
        for text in texts:
            file.write(text)


def _salvaged(path: Path, out: Path) -> None:
    """The whole command."""
    shutil.rmtree(out, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "kafka_salvage",
        "salvage",
        str(path.parent),
        "--out",
        str(out),
        "--format",
        "jsonl",
    ]
    subprocess.run([*command, "-q"], check=True, stdout=subprocess.DEVNULL, timeout=900)
    shutil.rmtree(out)


def _json_lines(batches: int, options: Options) -> Iterator[Result]:
    data = segment(batches, 135)
    path, target = options.folder / "orders-0" / f"{0:020d}.log", options.folder / "lines"
    path.parent.mkdir()
    path.write_bytes(data)
    part = data[: len(data) // 8 // (len(data) // batches) * (len(data) // batches)]
    ours_count, there = batches * 135 / 1e6, len(part) // (len(data) // batches) * 135 / 1e6

    def theirs_to_file() -> None:
        _to_file(target, their_lines(part))

    ways: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        ("JSON Lines in memory", lambda: deque(lines(path), 0), lambda: deque(their_lines(part), 0)),
        ("JSON Lines to a file", lambda: _to_file(target, lines(path)), theirs_to_file),
        ("whole salvage --format jsonl", lambda: _salvaged(path, options.folder / "out"), theirs_to_file),
    ]
    for name, mine, reference in ways:
        best = interleaved(mine, reference, options.repeats if "whole" not in name else min(options.repeats, 2))
        beside = "aiokafka + base64 + orjson" + ("" if "memory" in name else " to a file")
        goal = 15.0 if "whole" in name else 0.0
        yield Result(name, "M records/s", ours_count / best[0], there / best[1], beside, goal)
    shutil.rmtree(path.parent)
    target.unlink()


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
    yield from _json_lines(2 * size // 16_040, options)
