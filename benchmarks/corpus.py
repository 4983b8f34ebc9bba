"""Corpus: what real brokers wrote, repeated until it can be timed: check, deep check, and whole salvages, each beside its reference.

The partitions are those of ``fixtures/clean``; where the corpus that they were cut from lies beside the checkout, they are taken from
there, which is more of the same. A partition's segments become one stretch, and the stretch is repeated with offsets that go on,
in several segments of two partitions; leader epochs are all 0. Neither is covered by a CRC. Compressed messages of magic 0 hold
absolute offsets inside, which cannot go on: those partitions are there many times instead, as small as they are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from base64 import b64encode
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pytest

import kafka_salvage
from benchmarks import check, export
from benchmarks.decode import records, theirs
from benchmarks.timing import Options, Result, in_turns, interleaved
from tests.support import corpus

_PARTITIONS, _SEGMENTS = 2, 2
_LARGEST = 24 << 20
"""Bytes of a stretch: what is more of a partition is left out."""
_SAMPLE = 4 << 20
"""Bytes that a reference in Python gets, cut at a batch: enough for its rate."""
_MIN_HEAD = 17


@dataclass(frozen=True, slots=True)
class Real:
    """A partition that a broker wrote.

    Attributes:
        name: what is in it.
        archive: of the corpus.
        place: its directory, in the archive and in the fixtures.
        copies: it is repeated as so many partitions, not inside of segments.
    """

    name: str
    archive: str
    place: str
    copies: int = 0

    def segments(self) -> list[Path]:
        """Its segments, in order of their offsets."""
        scene, _, rest = self.place.partition("/")
        try:
            folder = corpus.scene(self.archive, scene) / rest
        except pytest.skip.Exception:  # the fixtures are always there
            folder = corpus.ROOT / "fixtures" / "clean" / self.place
        return sorted(folder.glob("*.log"))


REAL = (
    Real("every codec, headers, Kafka 4.1", "modern-1", "cluster/broker-1/orders-0"),
    Real("LogAppendTime, Kafka 4.1", "modern-1", "cluster/broker-1/audit.events_v1-0"),
    Real("transactions, Kafka 4.1", "modern-1", "cluster/broker-1/payments-1"),
    Real("compacted, Kafka 4.1", "modern-1", "cluster/broker-1/profiles-0"),
    Real("magic 1, none, Kafka 0.10", "old-1", "v1/broker-0/v1-none-0"),
    Real("magic 1, gzip, Kafka 0.10", "old-1", "v1/broker-0/v1-gzip-0"),
    Real("magic 1, lz4, Kafka 0.10", "old-1", "v1/broker-0/v1-lz4-0"),
    Real("magic 0, none, Kafka 0.8", "old-1", "v0/broker-0/v0-none-0"),
    Real("magic 0, gzip, Kafka 0.8, 200 small partitions", "old-1", "v0/broker-0/v0-gzip-1", copies=200),
)


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Batches that are repeated.

    Attributes:
        data: their bytes, epochs 0.
        places: where each begins.
        offsets: of each, relative to the first.
        span: offsets from one stretch to the next.
    """

    data: npt.NDArray[np.uint8]
    places: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    span: int

    def write(self, path: Path, times: int, base: int) -> int:
        """Writes so many of them; gives the offset behind."""
        row, columns = self.data.copy(), self.places[:, None] + np.arange(8)
        with path.open("wb") as file:
            for number in range(times):
                starts = base + number * self.span + self.offsets
                row[columns] = starts.astype(">i8").view(np.uint8).reshape(-1, 8)
                file.write(row.data)
        return base + times * self.span


def stretch(segments: list[Path]) -> Stretch:
    """The batches of some segments on end."""
    parts, places, offsets, size, behind = [], [], [], 0, 0
    for path in segments:
        data = np.fromfile(path, np.uint8)
        at = 0
        while at + _MIN_HEAD <= len(data):
            head = data[at : at + 61].tobytes()
            length = 12 + int.from_bytes(head[8:12], "big")
            if length <= 12 or at + length > len(data):
                break
            offset = int.from_bytes(head[:8], "big")
            if head[16] >= 2:
                data[at + 12 : at + 16] = 0
            places.append(size + at)
            offsets.append(offset)
            behind = offset + 1 + (int.from_bytes(head[23:27], "big") if head[16] >= 2 else 0)
            at += length
        parts.append(data[:at])
        size += at
        if size >= _LARGEST:
            break
    first = int(segments[0].stem)  # a compressed message is stored under the last of its offsets
    return Stretch(
        np.concatenate(parts), np.array(places, np.int64), np.array(offsets, np.int64) - first, behind - first
    )


def tree(real: Real, folder: Path, size: int) -> int:
    """A log directory of about ``size`` bytes; gives how many it has."""
    if real.copies:
        for number in range(real.copies):
            place = folder / f"real-{number}"
            place.mkdir(parents=True)
            for path in real.segments():
                shutil.copyfile(path, place / path.name)
    else:
        one = stretch(real.segments())
        times = max(1, size // len(one.data) // _PARTITIONS // _SEGMENTS)
        for number in range(_PARTITIONS):
            (folder / f"real-{number}").mkdir(parents=True)
            base = 0
            for _ in range(_SEGMENTS):
                base = one.write(folder / f"real-{number}" / f"{base:020d}.log", times, base)
    return sum(path.stat().st_size for path in folder.rglob("*.log"))


def _sample(folder: Path) -> bytes:
    """The beginning of the tree, whole batches."""
    made = b""
    for path in sorted(folder.rglob("*.log")):
        with path.open("rb") as file:
            data = file.read(_SAMPLE - len(made))
        at = 0
        while at + 12 <= len(data) and at + 12 + int.from_bytes(data[at + 8 : at + 12], "big") <= len(data):
            at += 12 + int.from_bytes(data[at + 8 : at + 12], "big")
        made += data[:at]
        if len(made) + _MIN_HEAD >= _SAMPLE or at < len(data):
            break
    return made


def _text(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()


def _their_lines(data: bytes) -> Iterator[bytes]:
    """The reference's text, without provenance."""
    for r in records(data):
        line: dict[str, Any] = {
            "topic": "real",
            "partition": 0,
            "offset": r.offset,
            "timestamp": r.timestamp,
            "timestampType": r.timestamp_type,
            "key": _text(r.key),
            "value": _text(r.value),
            "headers": [{"key": key, "value": _text(value)} for key, value in r.headers],
        }
        yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _write(target: Path, data: bytes) -> None:
    with target.open("wb", buffering=1 << 20) as file:
        deque(map(file.write, _their_lines(data)), 0)


def _salvaged(folder: Path, out: Path) -> None:
    words = ["salvage", str(folder), "--out", str(out), "--format", "jsonl", "-q"]
    subprocess.run([sys.executable, "-m", "kafka_salvage", *words], check=True, stdout=subprocess.DEVNULL, timeout=900)


def _fresh(out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    os.sync()  # what an earlier turn left to be written is not on this one's bill


def run(options: Options) -> Iterator[Result]:
    """The cases of this module, all the size asked for each: below, whole commands would be their start and no more."""
    turns = Options(options.size, min(options.repeats, 3), options.folder)
    for real in REAL:
        folder = options.folder / "tree"
        total = tree(real, folder, options.size)
        _fresh(options.folder / "out")
        yield from _one(real, folder, total, turns)
        shutil.rmtree(folder)


def _one(real: Real, folder: Path, total: int, options: Options) -> Iterator[Result]:
    plain = check.summed(check.pieces_of(folder))
    mine, beside = interleaved(check.checked(folder, 1), plain, options.repeats)
    name = "1 MiB readinto + crc32c package"
    yield Result(f"check, 1 thread, {real.name}", "GB/s", total / mine / 1e9, total / beside / 1e9, name)
    sample = _sample(folder)
    count = kafka_salvage.check(folder, deep=True, jobs=1).to_dict()["summary"]["records"]["intact"] / 1e6
    there = theirs(sample) / 1e6
    mine, beside = interleaved(
        lambda: kafka_salvage.check(folder, deep=True, jobs=1), lambda: theirs(sample), options.repeats
    )
    yield Result(f"check --deep, 1 thread, {real.name}", "M records/s", count / mine, there / beside, "aiokafka")
    few = Options(options.size, min(options.repeats, 2), options.folder)
    yield from export.compared(folder, total, real.name, few, goal=0.0)
    out, target = options.folder / "out", options.folder / "lines"
    mine, beside = in_turns(
        [lambda: _salvaged(folder, out), lambda: _write(target, sample)], few.repeats, before=lambda: _fresh(out)
    )
    _fresh(out)
    target.unlink()
    name = "aiokafka + base64 + orjson to a file"
    yield Result(f"whole salvage --format jsonl, {real.name}", "M records/s", count / mine, there / beside, name)
