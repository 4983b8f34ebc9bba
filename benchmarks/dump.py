"""Dump: whole commands, process start included, beside ``kafka-dump-log`` over the same file; nothing where it cannot run.

``check`` of two segments of the largest size beside the tool without flags over the same files. ``check --deep`` beside
``--deep-iteration``, ``show --records --json`` beside ``--print-data-log --deep-iteration``: there the reference gets a part of the
file, which is enough for its rate; its own start is part of the time as ours is.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import codecs, decode, segments
from benchmarks.start import installed
from benchmarks.timing import Measured, Options, Result, in_turns
from tests.support.build import ZSTD
from tests.support.jars import UnavailableError, jars, java

_PER_BATCH = 135
_PART = 6
"""The reference reads one part of so many: its own start is then a twelfth of its time."""
_LARGEST = 2_147_000_000
"""Bytes of the largest segment."""
_TURNS = 2
"""The reference takes long, and its turns differ little."""


def _ours(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "kafka_salvage", *arguments]
    subprocess.run(command, env=installed(folder), check=True, stdout=subprocess.DEVNULL, timeout=900)


def _theirs(files: Sequence[Path], *flags: str) -> None:
    names = ",".join(map(str, files))
    command = [java(), "-cp", f"{jars()}/*", "kafka.tools.DumpLogSegments", *flags, "--files", names]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=900)


def _segments(folder: Path, batches: Sequence[bytes], count: int) -> tuple[Path, Path]:
    """A partition directory with one segment of so many batches, and a copy of its first part."""
    whole, part = folder / "whole-0", folder / "part-0"
    for place, some in ((whole, count), (part, max(1, count // _PART))):
        place.mkdir()
        with (place / f"{0:020d}.log").open("wb") as file:
            for number in range(some):
                file.write((number * _PER_BATCH).to_bytes(8, "big") + batches[number % len(batches)][8:])
    return whole, part / f"{0:020d}.log"


def _turns(folder: Path, mine: Sequence[str], files: Sequence[Path], flags: Sequence[str],
           options: Options) -> list[Measured]:  # fmt: skip
    """Seconds of both; ours has read the files before, and compiled its kernels."""
    _ours(options.folder, *mine, str(folder))
    sides = [lambda: _ours(options.folder, *mine, str(folder)), lambda: _theirs(files, *flags)]
    return in_turns(sides, min(options.repeats, _TURNS), warm=0)


def _shallow(options: Options) -> Result:
    """The quickest thing that both do."""
    folder = options.folder / "large-0"
    size = segments.write_partition(folder, [min(4 * options.size, _LARGEST)] * 2, 16 << 10)
    best = _turns(folder, ["check"], sorted(folder.glob("*.log")), [], options)
    shutil.rmtree(folder)
    name = f"whole check, {size >> 20} MiB in two segments, 16 KiB batches"
    return Result(name, "GB/s", size / best[0] / 1e9, size / best[1] / 1e9, "kafka-dump-log", 6.0)


def _case(name: str, mine: Sequence[str], flags: Sequence[str], batches: Sequence[bytes], count: int, goal: float,
          options: Options) -> Result:  # fmt: skip
    whole, part = _segments(options.folder, batches, count)
    best = _turns(whole, mine, [part], flags, options)
    for place in (whole, part.parent):
        shutil.rmtree(place)
    there = max(1, count // _PART) * _PER_BATCH
    rates = (count * _PER_BATCH / best[0] / 1e6, there / best[1] / 1e6)
    return Result(name, "M records/s", *rates, "kafka-dump-log " + " ".join(flags), goal)


def run(options: Options) -> Iterator[Result]:
    """The cases of this module: segments of four times the size asked for, at most 2 GB."""
    deep = ["--deep-iteration"]
    plain = [decode.segment(1, _PER_BATCH)]
    count = min(4 * options.size, 2_000_000_000) // len(plain[0])
    packed = codecs.variants(ZSTD, _PER_BATCH)
    try:
        java(), jars()
    except UnavailableError:
        return
    yield _shallow(options)
    yield _case("whole check --deep, uncompressed", ["check", "--deep"], deep, plain, count, 30.0, options)
    yield _case("whole check --deep, zstd", ["check", "--deep"], deep, packed, count, 4.0, options)
    shown = ["show", "--records", "--json"]
    yield _case("whole show --records --json", shown, ["--print-data-log", *deep], plain, count, 10.0, options)
