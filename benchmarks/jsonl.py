"""JSON Lines: records to text with base64, beside aiokafka, ``b64encode`` and ``orjson.dumps`` for each record.

In memory, to a file, and as the whole command ``salvage --format jsonl``: process start, deep check, provenance of each record,
SHA-256, fsync and rename included, beside the same loop to a file, which goes without all of them; and beside the loop when it too
syncs its file and has ``sha256sum`` read it. On the disk, and in memory (``/dev/shm``), where the disk bounds neither side.
"""

from __future__ import annotations

import os
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

from benchmarks.decode import records, segment, tables
from benchmarks.machine import MEMORY
from benchmarks.timing import Options, Result, in_turns, interleaved
from kafka_salvage.vector.text import jsonl_lines

PER_BATCH = 135
_PART = 8
"""The reference gets one part of so many, which is enough for its rate."""
_BESIDE = "aiokafka + base64 + orjson"
_Turn = Callable[[], object]


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


def _to_file(target: Path, texts: Iterator[Any], *, kept: bool = False) -> None:
    with target.open("wb", buffering=1 << 20) as file:
        for text in texts:
            file.write(text)
        if kept:
            file.flush()
            os.fsync(file.fileno())
    if kept:
        subprocess.run(["sha256sum", str(target)], check=True, stdout=subprocess.DEVNULL)


def _salvaged(tree: Path, out: Path) -> None:
    """The whole command."""
    words = ["salvage", str(tree), "--out", str(out), "--format", "jsonl", "-q"]
    subprocess.run([sys.executable, "-m", "kafka_salvage", *words], check=True, stdout=subprocess.DEVNULL, timeout=900)


def _fresh(out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    os.sync()  # what an earlier turn left to be written is not on this one's bill


def _whole(partitions: int, folder: Path, where: str, options: Options) -> Iterator[Result]:
    batches = options.size // partitions // 16_040
    data = segment(batches, PER_BATCH)
    tree, out, target = options.folder / "tree", folder / "out", folder / "lines"
    for number in range(partitions):
        place = tree / f"orders-{number}" / f"{0:020d}.log"
        place.parent.mkdir(parents=True)
        place.write_bytes(data)
    part = data[: len(data) // _PART // (len(data) // batches) * (len(data) // batches)]
    count, there = partitions * batches * PER_BATCH / 1e6, len(part) // (len(data) // batches) * PER_BATCH / 1e6
    sides: list[_Turn] = [
        lambda: _salvaged(tree, out),
        lambda: _to_file(target, their_lines(part)),
        lambda: _to_file(target, their_lines(part), kept=True),
    ]
    mine, loop, kept = in_turns(sides, min(options.repeats, 3), before=lambda: _fresh(out))
    _fresh(out)
    target.unlink()
    shutil.rmtree(tree)
    name = f"whole salvage --format jsonl, {partitions} partition{'s'[: partitions - 1]}, {where}"
    goal = 15.0 if partitions > 1 else 0.0
    yield Result(name, "M records/s", count / mine, there / loop, f"{_BESIDE} to a file", goal)
    yield Result(name, "M records/s", count / mine, there / kept, f"{_BESIDE} to a file, fsync, sha256sum")


def run(options: Options) -> Iterator[Result]:
    """The cases of this module: half the size asked for, all of it for whole commands; the text is four times as large."""
    batches = options.size // 2 // 16_040
    data = segment(batches, PER_BATCH)
    path, target = options.folder / f"{0:020d}.log", options.folder / "lines"
    path.write_bytes(data)
    part = data[: len(data) // _PART // (len(data) // batches) * (len(data) // batches)]
    count, there = batches * PER_BATCH / 1e6, len(part) // (len(data) // batches) * PER_BATCH / 1e6
    ways: list[tuple[str, str, _Turn, _Turn]] = [
        ("in memory", _BESIDE, lambda: deque(lines(path), 0), lambda: deque(their_lines(part), 0)),
        (
            "to a file",
            f"{_BESIDE} to a file",
            lambda: _to_file(target, lines(path)),
            lambda: _to_file(target, their_lines(part)),
        ),
    ]
    for name, beside, mine, reference in ways:
        best = interleaved(mine, reference, options.repeats)
        yield Result(f"JSON Lines {name}", "M records/s", count / best[0], there / best[1], beside)
    target.unlink()
    path.unlink()
    for partitions in (1, 2):
        yield from _whole(partitions, options.folder, "disk", options)
    if os.access(MEMORY, os.W_OK):
        folder = MEMORY / f"kafka-salvage-bench-{os.getpid()}"
        folder.mkdir()
        try:
            for partitions in (1, 2):
                yield from _whole(partitions, folder, str(MEMORY), options)
        finally:
            shutil.rmtree(folder)
