"""Check: the walk, and whole checks with their reports, beside reading the same files and running `crc32c` over them.

``walk``: CRC and a row for each batch, one thread.

``check``: `kafka_salvage.check` on a partition directory with indexes: inventory, judgement, plan and report.

The reference reads 1 MiB at a time; on two threads it is two processes, which take the files in turn, or halves of one file.
Whole checks take files of several times the size asked for: what a check costs beside reading is then what it costs in the field.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import crc32c
import numpy as np
import numpy.typing as npt

import kafka_salvage
from benchmarks import segments, shapes, timing
from benchmarks.shapes import Shape
from benchmarks.timing import Options, Result, interleaved
from kafka_salvage.scan.walk import StopReason, walk
from kafka_salvage.source.files import FileSource
from kafka_salvage.vector.crc import crc32c as our_crc32c
from tests.support.build import GZIP, LZ4, NONE, SNAPPY, ZSTD

TINY, BIG = (180, "180 B batches of one record"), (16 << 10, "16 KiB batches")
SHAPES = (
    *(Shape(records, value) for records in (1, 20, 500) for value in (20, 200, 5 << 10)),
    *(Shape(20, 200, codec) for codec in (GZIP, SNAPPY, LZ4, ZSTD)),
    Shape(20, 200, NONE, magic=1),
    Shape(20, 200, LZ4, magic=1),
)
HASWELL = (
    "+64bit,+avx,+avx2,+bmi,+bmi2,+cmov,+crc32,+cx16,+cx8,+f16c,+fma,+fsgsbase,+fxsr,+invpcid,+lzcnt,+mmx,+movbe,+pclmul,"
    "+popcnt,+rdrnd,+sahf,+sse,+sse2,+sse3,+sse4.1,+sse4.2,+ssse3,+xsave,+xsaveopt"
)
"""What a CPU without wide vectors has: Numba would take all that this machine has otherwise."""
LARGEST = 2_147_000_000
"""Bytes of the largest segment."""
_BESIDE = "1 MiB readinto + crc32c package"
_TWO = "the same on 2 processes"
MIB = 1 << 20
Piece = tuple[str, int, int]


def run(options: Options) -> Iterator[Result]:
    """The cases of this module."""
    yield from _kernel(options)
    yield from _walks(options)
    yield from _one_thread(options)
    yield from _two_threads(options)
    yield from _narrow(options)
    yield from _large(options)


def read_and_sum(piece: Piece) -> int:
    """The reference over ``[start, stop)`` of a file."""
    path, at, stop = piece
    buffer = bytearray(MIB)
    view, value = memoryview(buffer), 0
    with Path(path).open("rb", buffering=0) as file:
        file.seek(at)
        while at < stop and (count := file.readinto(view[: stop - at])):
            value = crc32c.crc32c(view[:count], value)
            at += count
    return value


def pieces_of(folder: Path, halves: bool = False) -> list[Piece]:
    """What the reference reads: whole files, or each in two halves."""
    pieces: list[Piece] = []
    for path in sorted(folder.rglob("*.log")):
        size = path.stat().st_size
        cuts = [0, size // 2, size] if halves else [0, size]
        pieces += [(os.fspath(path), *cut) for cut in pairwise(cuts)]
    return pieces


def checked(folder: Path, jobs: int, code: int | None = 0) -> Callable[[], None]:
    """A whole check that must end with this exit code."""

    def work() -> None:
        found = kafka_salvage.check(folder, jobs=jobs).exit_code
        assert code in (None, found), found

    return work


def summed(pieces: Sequence[Piece], pool: ProcessPoolExecutor | None = None) -> Callable[[], None]:
    """The reference over all pieces, in this process or in those of a pool."""

    def work() -> None:
        list(pool.map(read_and_sum, pieces) if pool else map(read_and_sum, pieces))

    return work


def _made(options: Options, sizes: Sequence[int], batch_size: int) -> tuple[Path, int]:
    """(a new log directory with one partition, its bytes)."""
    folder = options.folder / "checked"
    shutil.rmtree(folder, ignore_errors=True)
    total = segments.write_partition(folder / "orders-0", sizes, batch_size)
    os.sync()  # what is still being written to the disk would be measured, too
    return folder, total


def _rates(name: str, size: int, best: Sequence[float], beside: str, goal: float = 0.0) -> Result:
    return Result(name, "GB/s", size / best[0] / 1e9, size / best[1] / 1e9, beside, goal)


def _kernel(options: Options) -> Iterator[Result]:
    """The CRC alone, which bounds everything else here."""
    whole = np.random.default_rng(0).integers(0, 256, options.size // 2, dtype=np.uint8)
    for name, size in ((f"{len(whole) >> 20} MiB, from memory", len(whole)), ("256 KiB, in a core's cache", 256 << 10)):
        data, turns = whole[:size], len(whole) // size

        def ours(data: npt.NDArray[np.uint8] = data, turns: int = turns) -> None:
            for _ in range(turns):
                our_crc32c(data)

        def theirs(data: npt.NDArray[np.uint8] = data, turns: int = turns) -> None:
            for _ in range(turns):
                crc32c.crc32c(data.data)

        assert our_crc32c(data) == crc32c.crc32c(data.data)
        best = interleaved(ours, theirs, options.repeats)
        yield _rates(f"CRC-32C alone, {name}", turns * size, best, "crc32c package")


def _walks(options: Options) -> Iterator[Result]:
    path = options.folder / "walk.log"
    for batch_size, name in (TINY, BIG, (1 << 20, "1 MiB batches")):
        batches, _ = segments.write(path, options.size, batch_size)
        yield _walked(path, batches, f"walk with a row for each batch, {name}", options)
    for shape in SHAPES:
        written = shapes.write(path, shape, options.size // 4)
        codec = "" if shape.codec == NONE else f", {shapes.NAMES[shape.codec]}"
        yield _walked(path, written.batches, f"walk with a row for each batch, {shape.name}{codec}", options)
    path.unlink()


def _walked(path: Path, batches: int, name: str, options: Options) -> Result:
    source = FileSource(path)

    def ours() -> None:
        rows = 0
        for block in walk(source):
            rows += len(block.batches)
        assert rows == batches
        assert block.stop is not None
        assert block.stop.reason is StopReason.END

    size = source.size
    best = interleaved(ours, lambda: read_and_sum((os.fspath(path), 0, size)), options.repeats)
    source.close()
    return _rates(name, size, best, _BESIDE)


def _one_thread(options: Options) -> Iterator[Result]:
    for (batch_size, name), goal in ((TINY, 0.9), (BIG, 1.0)):
        folder, size = _made(options, [min(2 * options.size, LARGEST)] * 2, batch_size)
        best = interleaved(checked(folder, 1), summed(pieces_of(folder)), options.repeats)
        yield _rates(f"check, 1 thread, {name}", size, best, _BESIDE, goal)


def _two_threads(options: Options) -> Iterator[Result]:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for batch_size, name in (TINY, BIG):
            for count in (6, 1):
                folder, size = _made(options, [min(4 * options.size, LARGEST) // count] * count, batch_size)
                pieces = pieces_of(folder, halves=count == 1)
                best = interleaved(checked(folder, 2), summed(pieces, pool), options.repeats)
                what = "one large segment" if count == 1 else f"{count} segments"
                goal = 0.95 if batch_size > 4096 else 0.8
                yield _rates(f"check, 2 threads, {what}, {name}", size, best, _TWO, goal)


_PROGRAM = """
import json, sys
from pathlib import Path
from benchmarks.check import checked, pieces_of, summed
from benchmarks.timing import interleaved
folder = Path(sys.argv[1])
print(json.dumps([m.turns for m in interleaved(checked(folder, 1), summed(pieces_of(folder)), int(sys.argv[2]))]))
"""


def _narrow(options: Options) -> Iterator[Result]:
    """The kernels of a CPU without wide vectors, in a process of their own."""
    if os.uname().machine != "x86_64":
        return
    for (batch_size, name), goal in ((TINY, 0.8), (BIG, 0.95)):
        folder, size = _made(options, [min(2 * options.size, LARGEST)] * 2, batch_size)
        target = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": HASWELL}
        told = _asked([_PROGRAM, os.fspath(folder), str(options.repeats)], target)
        best = [timing.best(turns) for turns in json.loads(told)]
        yield _rates(f"check, 1 thread, kernels for a Haswell, {name}", size, best, _BESIDE, goal)


def _asked(command: Sequence[str], variables: dict[str, str] | None = None) -> str:
    """What a fresh interpreter prints that runs a program."""
    done = subprocess.run(
        [sys.executable, "-c", *command],
        env=os.environ | (variables or {}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=600,
    )
    return done.stdout


_PEAK = """
import sys
import kafka_salvage
kafka_salvage.check(sys.argv[1], jobs=2)
lines = open("/proc/self/status").read().splitlines()  # getrusage would count what the parent had
print(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024)
"""


def _large(options: Options) -> Iterator[Result]:
    """Growth, and peak memory: of segments of the largest size where that is asked for."""
    for batch_size, name in (TINY, BIG):
        whole = [min(4 * options.size, LARGEST)] * (4 if batch_size == BIG[0] else 2)
        if sum(whole) > _room():
            whole = whole[:1]
        folder, size = _made(options, whole, batch_size)
        small = options.folder / "small"
        small_size = segments.write_partition(small / "orders-0", [options.size // 2], batch_size)
        best = interleaved(checked(folder, 1), checked(small, 1), options.repeats)
        rates = size / best[0] / 1e9, small_size / best[1] / 1e9
        shutil.rmtree(small)
        label = f"growth of check, {small_size >> 20} MiB to {size >> 20} MiB, {name}"
        yield Result(label, "GB/s", *rates, "the smaller tree", 0.9)
        _asked([_PEAK, os.fspath(folder)])  # may have to compile kernels
        peak = float(_asked([_PEAK, os.fspath(folder)]))
        label = f"peak memory of check, {len(whole)} segments of {whole[0] >> 20} MiB, {name}"
        yield Result(label, "MiB", peak, 512.0, "the promise", 1.0, less=True)
    shutil.rmtree(folder)


def _room() -> int:
    """Bytes that the page cache can hold beside everything else, as far as is known."""
    information = Path("/proc/meminfo")
    if not information.exists():
        return 2 * LARGEST
    line = next(line for line in information.read_text().splitlines() if line.startswith("MemAvailable"))
    return int(line.split()[1]) * 1024 * 3 // 4
