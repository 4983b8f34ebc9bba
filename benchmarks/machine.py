"""Machine: what bounds every figure here: memory, page cache, disk, SHA-256. There is no reference beside these."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import crc32c
import numpy as np

from benchmarks.timing import Options, Result, in_turns

MIB = 1 << 20
MEMORY = Path("/dev/shm")  # noqa: S108 # the file system in memory is what is measured
_CACHED = 4 << 20
"""Bytes that stay in a core's cache, or nearly."""


def run(options: Options) -> Iterator[Result]:
    """The cases of this module: half the size asked for each."""
    size = options.size // 2
    data = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    other, small = np.empty_like(data), bytes(data[:_CACHED])
    source = options.folder / "read"
    data.tofile(source)

    def summed_small() -> None:
        for _ in range(size // _CACHED):
            crc32c.crc32c(small)

    works: list[tuple[str, int, Callable[[], object]]] = [
        ("plain copy in memory, 1 core", 1, lambda: np.copyto(other, data)),
        ("plain copy in memory, 2 cores", 2, lambda: _both(lambda: np.copyto(other, data))),
        ("reading from the page cache, 1 MiB reads", 1, lambda: _read(source)),
        ("`crc32c` package over 4 MiB in cache, 1 core", 1, summed_small),
        ("SHA-256 (hashlib), 1 core", 1, lambda: hashlib.sha256(data.data)),
        ("SHA-256 (hashlib), 2 cores", 2, lambda: _both(lambda: hashlib.sha256(data.data))),
        ("writing a new file, page cache only", 1, lambda: _written(options.folder / "written", data, sync=False)),
        ("writing a new file, and fsync", 1, lambda: _written(options.folder / "written", data, sync=True)),
    ]
    if os.access(MEMORY, os.W_OK):
        place = MEMORY / f"kafka-salvage-bench-{os.getpid()}"
        works.append(("writing a new file in /dev/shm", 1, lambda: _written(place, data, sync=False)))
    for name, factor, work in works:
        (seconds,) = in_turns([work], options.repeats)
        yield Result(name, "GB/s", factor * size / seconds / 1e9, 0.0, "")


def _both(work: Callable[[], object]) -> None:
    threads = [Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _read(path: Path) -> None:
    buffer = bytearray(MIB)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def _written(path: Path, data: np.ndarray[tuple[int], np.dtype[np.uint8]], *, sync: bool) -> None:
    """The file is removed before it is written, as a new output is; that is part of the time, and small."""
    path.unlink(missing_ok=True)
    try:
        with path.open("wb", buffering=0) as file:
            for at in range(0, len(data), MIB):
                file.write(data[at : at + MIB].data)
            if sync:
                os.fsync(file.fileno())
    finally:
        path.unlink()
