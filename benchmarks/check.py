"""Check: the walk, and whole checks with their reports, beside reading the same files and running `crc32c` over them.

``walk``: CRC and a row for each batch, one thread.

``check``: `kafka_salvage.check` on a partition directory with indexes: inventory, judgement, plan and report.

The reference reads 1 MiB at a time; on two threads it is two processes, which take the files in turn, or halves of one file.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import crc32c
import numpy as np

import kafka_salvage
from benchmarks import segments
from benchmarks.timing import Options, Result, interleaved
from kafka_salvage.scan.resync import Sanity, find_candidates
from kafka_salvage.scan.walk import StopReason, walk
from kafka_salvage.source.files import FileSource

TINY, BIG = (180, "180 B batches of one record"), (16 << 10, "16 KiB batches")
_BESIDE = "1 MiB readinto + crc32c package"
_TWO = "the same on 2 processes"
MIB = 1 << 20
Piece = tuple[str, int, int]


def run(options: Options) -> Iterator[Result]:
    """The cases of this module."""
    for batch_size, name, goal in ((*TINY, 0.0), (*BIG, 0.8), (1 << 20, "1 MiB batches", 0.8)):
        path = options.folder / "walk.log"
        batches, _ = segments.write(path, options.size, batch_size)
        yield _walked(path, batches, f"walk with a row for each batch, {name}", goal, options)
        path.unlink()
    yield from _one_thread(options)
    yield from _two_threads(options)
    yield from _narrow(options)
    yield _damaged(options)
    yield from _growth(options)
    yield from _memory(options)
    yield from _first(options)
    yield _resynced(options)


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


def _pieces(folder: Path, halves: bool = False) -> list[Piece]:
    """What the reference reads: whole files, or each in two halves."""
    pieces: list[Piece] = []
    for path in sorted(folder.rglob("*.log")):
        size = path.stat().st_size
        cuts = [0, size // 2, size] if halves else [0, size]
        pieces += [(os.fspath(path), *cut) for cut in pairwise(cuts)]
    return pieces


def _checked(folder: Path, jobs: int, code: int = 0) -> Callable[[], None]:
    def work() -> None:
        assert kafka_salvage.check(folder, jobs=jobs).exit_code == code

    return work


def _summed(pieces: Sequence[Piece], pool: ProcessPoolExecutor | None = None) -> Callable[[], None]:
    """The reference over all pieces, in this process or in those of a pool."""

    def work() -> None:
        list(pool.map(read_and_sum, pieces) if pool else map(read_and_sum, pieces))

    return work


def _made(options: Options, sizes: Sequence[int], batch_size: int, damaged: int = 0) -> tuple[Path, int]:
    """(a new log directory with one partition, its bytes)."""
    folder = options.folder / "checked"
    shutil.rmtree(folder, ignore_errors=True)
    return folder, segments.write_partition(folder / "orders-0", sizes, batch_size, damaged=damaged)


def _walked(path: Path, batches: int, name: str, goal: float, options: Options) -> Result:
    source = FileSource(path)

    def ours() -> None:
        rows = 0
        for block in walk(source):
            rows += len(block.batches)
        assert rows == batches
        assert block.stop is not None
        assert block.stop.reason is StopReason.END

    size = source.size
    best, reference = interleaved(ours, lambda: read_and_sum((os.fspath(path), 0, size)), options.repeats)
    source.close()
    return Result(name, "GB/s", size / best / 1e9, size / reference / 1e9, _BESIDE, goal)


def _one_thread(options: Options) -> Iterator[Result]:
    for (batch_size, name), goal in ((TINY, 0.9), (BIG, 1.0)):
        folder, size = _made(options, [options.size // 2] * 2, batch_size)
        ours, reference = interleaved(_checked(folder, 1), _summed(_pieces(folder)), options.repeats)
        label = f"check, 1 thread, {name}"
        yield Result(label, "GB/s", size / ours / 1e9, size / reference / 1e9, _BESIDE, goal)


def _two_threads(options: Options) -> Iterator[Result]:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for batch_size, name in (TINY, BIG):
            for count in (6, 1):
                folder, size = _made(options, [options.size // count] * count, batch_size)
                pieces = _pieces(folder, halves=count == 1)
                ours, reference = interleaved(_checked(folder, 2), _summed(pieces, pool), options.repeats)
                what = "one large segment" if count == 1 else f"{count} segments"
                label, goal = f"check, 2 threads, {what}, {name}", 0.95 if batch_size > 4096 else 0.8
                yield Result(label, "GB/s", size / ours / 1e9, size / reference / 1e9, _TWO, goal)


_PROGRAM = """
import os, sys, time
from pathlib import Path
import kafka_salvage
from benchmarks.check import _pieces, read_and_sum
from benchmarks.timing import interleaved
folder = Path(sys.argv[1])
pieces = _pieces(folder)
print(*interleaved(lambda: kafka_salvage.check(folder, jobs=1), lambda: [read_and_sum(p) for p in pieces], int(sys.argv[2])))
"""


def _narrow(options: Options) -> Iterator[Result]:
    """The kernels of a CPU without wide vectors, in a process of their own."""
    for (batch_size, name), goal in ((TINY, 0.8), (BIG, 0.95)):
        folder, size = _made(options, [options.size], batch_size)
        command = [sys.executable, "-c", _PROGRAM, os.fspath(folder), str(options.repeats)]
        done = subprocess.run(
            command, env=os.environ | {"NUMBA_CPU_NAME": "haswell"}, capture_output=True, text=True, check=True
        )
        ours, reference = (float(value) for value in done.stdout.split())
        label = f"check without wide vectors, {name}"
        yield Result(label, "GB/s", size / ours / 1e9, size / reference / 1e9, _BESIDE, goal)


def _damaged(options: Options) -> Result:
    """One flipped byte in each MiB, beside the same bytes without."""
    clean, size = _made(options, [options.size], BIG[0])
    kept = options.folder / "clean"
    clean.rename(kept)
    folder, _ = _made(options, [options.size], BIG[0], damaged=MIB)
    ours, reference = interleaved(_checked(folder, 1, 3), _checked(kept, 1), options.repeats)
    shutil.rmtree(kept)
    label = f"check, 1 thread, {BIG[1]}, damage every MiB"
    return Result(label, "GB/s", size / ours / 1e9, size / reference / 1e9, "the undamaged check", 0.7)


def _growth(options: Options) -> Iterator[Result]:
    """The rate on all of it beside that on an eighth of it."""
    for batch_size, name in (TINY, BIG):
        folder, size = _made(options, [options.size // 4] * 16, batch_size)
        small = options.folder / "small"
        shutil.rmtree(small, ignore_errors=True)
        small_size = segments.write_partition(small / "orders-0", [options.size // 4] * 2, batch_size)
        ours, reference = interleaved(_checked(folder, 1), _checked(small, 1), options.repeats)
        shutil.rmtree(small)
        label = f"growth of check, {small_size >> 20} MiB to {size >> 20} MiB, {name}"
        yield Result(label, "GB/s", size / ours / 1e9, small_size / reference / 1e9, "the smaller tree", 0.9)


_PEAK = """
import sys
import kafka_salvage
kafka_salvage.check(sys.argv[1], jobs=2)
lines = open("/proc/self/status").read().splitlines()  # getrusage would count what the parent had
print(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024)
"""


def _memory(options: Options) -> Iterator[Result]:
    """Peak memory of a process that checks two segments of the largest size."""
    largest = min(2_147_000_000, 4 * options.size)
    for batch_size, name in (TINY, BIG):
        folder, _ = _made(options, [largest] * 2, batch_size)
        command = [sys.executable, "-c", _PEAK, os.fspath(folder)]
        # the first process may have to compile kernels
        peaks = [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(2)]
        label = f"peak memory of check, two segments of {largest >> 20} MiB, {name}"
        yield Result(label, "MiB", peaks[-1], 512.0, "the promise", 1.0, less=True)


_FIRST = """
import os, sys, time
born = float(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
import kafka_salvage
kafka_salvage.check(sys.argv[1], jobs=1)
print(time.clock_gettime(time.CLOCK_BOOTTIME) - born)
"""


def _first(options: Options) -> Iterator[Result]:
    """A process that checks one small segment, from its birth on: with compiled kernels at hand, and without."""
    folder, _ = _made(options, [100_000], BIG[0])
    for what, limit in (("warm", 0.8), ("cold", 3.0)):
        seconds = []
        for turn in range(options.repeats + 1):
            cache = options.folder / f"cache-{turn if what == 'cold' else 'warm'}"
            done = subprocess.run(
                [sys.executable, "-c", _FIRST, os.fspath(folder)],
                env=os.environ | {"KAFKA_SALVAGE_CACHE": os.fspath(cache)},
                capture_output=True,
                text=True,
                check=True,
            )
            seconds.append(float(done.stdout))
        label = f"first checked batch in a fresh process, kernels {what}"
        yield Result(label, "s", min(seconds[1:]), limit, "the promise", 1.0, less=True)


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

    seconds, _ = interleaved(ours, lambda: None, options.repeats)
    source.close()
    path.unlink()
    name = "resync, 64 MiB with 100,000 overlapping fake 1 MiB headers"
    return Result(name, "s", seconds, 0.2, "the promise", 1.0, less=True)
