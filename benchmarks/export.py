"""Export: the whole command ``salvage --format segments``, process start, deep check, hashes and fsync included, beside
``cp -r`` and ``sha256sum`` of the same tree; once without and once with the ``sync`` that makes a copy as lasting as ours.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import segments
from benchmarks.timing import Options, Result, in_turns

_SHAPES = (
    ("16 KiB batches, 4 partitions", 16 << 10, 4, 2),
    ("16 KiB batches, 1 partition, 2 segments", 16 << 10, 1, 2),
    ("1 MiB batches, 4 partitions", 1 << 20, 4, 2),
    ("180 B batches of one record, 4 partitions", 180, 4, 2),
)
"""Name, bytes of a batch, partitions, segments of each."""
_TINY, _TINY_SIZE = 1000, 5 << 10
"""Partitions of so many bytes each."""
_COPIED = "cp -r + sha256sum"
_KEPT = "cp -r + sync + sha256sum"


def run(options: Options) -> Iterator[Result]:
    """The cases of this module: generated trees of twice the size asked for, and one of many tiny partitions."""
    for name, batch_size, partitions, count in _SHAPES:
        tree = options.folder / "tree"
        size = 2 * options.size // partitions // count
        total = sum(
            segments.write_partition(tree / f"orders-{number}", [size] * count, batch_size)
            for number in range(partitions)
        )
        yield from compared(tree, total, name, options)
        shutil.rmtree(tree)
    yield from _many(options.folder / "tree", options)


def _many(tree: Path, options: Options) -> Iterator[Result]:
    """Partitions so small that each costs its files and its share of the report, and nothing else."""
    for number in range(_TINY):
        segments.write_partition(tree / f"orders-{number}", [_TINY_SIZE], 180)
    out = options.folder / "out"
    sides: list[Callable[[], None]] = [lambda: _salvage(tree, out), lambda: _copy(tree, out, sync=True)]
    mine, kept = in_turns(sides, options.repeats, before=lambda: _fresh(out))
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(tree)
    name = f"salvage to segments, {_TINY:,} partitions of {_TINY_SIZE >> 10} KiB"
    yield Result(name, "partitions/s", _TINY / mine, _TINY / kept, _KEPT)


def compared(tree: Path, total: int, name: str, options: Options, goal: float = 0.7) -> Iterator[Result]:
    """A salvage of a tree of so many bytes beside both copies."""
    out = options.folder / "out"
    sides: list[Callable[[], None]] = [
        lambda: _salvage(tree, out),
        lambda: _copy(tree, out, sync=False),
        lambda: _copy(tree, out, sync=True),
    ]
    mine, copied, kept = in_turns(sides, options.repeats, before=lambda: _fresh(out))
    shutil.rmtree(out, ignore_errors=True)
    for reference, beside, least in ((copied, _COPIED, goal), (kept, _KEPT, 0.0)):
        yield Result(f"salvage to segments, {name}", "GB/s", total / mine / 1e9, total / reference / 1e9, beside, least)


def _fresh(out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    os.sync()  # what an earlier turn left to be written is not on this one's bill


def _salvage(tree: Path, out: Path) -> None:
    command = [sys.executable, "-m", "kafka_salvage", "salvage", str(tree), "--out", str(out), "-q"]
    done = subprocess.run(command, check=True, capture_output=True)
    assert done.returncode == 0


def _copy(tree: Path, out: Path, *, sync: bool) -> None:
    subprocess.run(["cp", "-r", str(tree), str(out)], check=True)
    if sync:
        subprocess.run(["sync", "-f", str(out)], check=True)
    files = sorted(str(path) for path in out.rglob("*.log"))
    subprocess.run(["sha256sum", *files], check=True, capture_output=True)
