"""Check: walk with CRC into a table, one thread, warm page cache, beside reading the file and running `crc32c` over it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import crc32c
import numpy as np

from benchmarks import segments
from benchmarks.timing import Options, Result, interleaved
from kafka_salvage.scan.resync import Sanity, find_candidates
from kafka_salvage.scan.walk import StopReason, walk
from kafka_salvage.source.files import FileSource

_SIZES = ((180, "180 B batches of one record", 0.0), (16 << 10, "16 KiB batches", 0.8), (1 << 20, "1 MiB batches", 0.8))
_BESIDE = "1 MiB readinto + crc32c package"


def run(options: Options) -> Iterator[Result]:
    """The cases of this module."""
    for batch_size, name, goal in _SIZES:
        path = options.folder / "walk.log"
        batches, _ = segments.write(path, options.size, batch_size)
        yield _walked(path, batches, f"check, {name}", goal, options)
        path.unlink()
    yield _resynced(options)


def _walked(path: Path, batches: int, name: str, goal: float, options: Options) -> Result:
    source = FileSource(path)

    def ours() -> None:
        rows = 0
        for block in walk(source):
            rows += len(block.batches)
        assert rows == batches
        assert block.stop is not None
        assert block.stop.reason is StopReason.END

    best, reference = interleaved(ours, lambda: _read_and_sum(path), options.repeats)
    size = source.size
    source.close()
    return Result(name, "GB/s", size / best / 1e9, size / reference / 1e9, _BESIDE, goal)


def _read_and_sum(path: Path) -> int:
    buffer = bytearray(1 << 20)
    view, value = memoryview(buffer), 0
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            value = crc32c.crc32c(view[:count], value)
    return value


def _resynced(options: Options) -> Result:
    """64 MiB of noise with 100,000 overlapping headers that claim 1 MiB each."""
    size, headers = 64 << 20, 100_000
    data = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    fake = segments.batch(1, 10)[:61]
    struct.pack_into(">i", fake, 8, (1 << 20) - 12)
    for i in range(headers):
        data[i * (size // headers) :][:61] = np.frombuffer(fake, np.uint8)
    path = options.folder / "hostile.log"
    data.tofile(path)
    source = FileSource(path)

    def ours() -> None:
        found = find_candidates(source, 0, size, size, Sanity(0, 2**31 - 1))
        assert len(found.batches) == 0
        assert len(found.claim_position) >= headers

    best, reference = interleaved(ours, lambda: _read_and_sum(path), options.repeats)
    source.close()
    path.unlink()
    name = "resync, 64 MiB with 100,000 overlapping fake 1 MiB headers"
    return Result(name, "GB/s", size / best / 1e9, size / reference / 1e9, _BESIDE)
