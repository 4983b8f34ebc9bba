"""Dump: whole commands, process start included, beside ``kafka-dump-log`` over the same file; nothing where it cannot run.

``check --deep`` beside ``--deep-iteration``, ``show --records --json`` beside ``--print-data-log --deep-iteration``. The reference
gets a part of the file, which is enough for its rate; its own start is part of the time as ours is.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import codecs, decode
from benchmarks.timing import Options, Result, interleaved
from tests.support.build import ZSTD
from tests.support.jars import UnavailableError, jars, java

_PER_BATCH = 135
_PART = 4
"""The reference reads one part of so many: its own start is then a twentieth of its time."""


def _ours(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "kafka_salvage", *arguments], check=True, stdout=subprocess.DEVNULL, timeout=900
    )


def _theirs(place: Path, *flags: str) -> None:
    command = [java(), "-cp", f"{jars()}/*", "kafka.tools.DumpLogSegments", *flags, "--files", str(place)]
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


def _case(name: str, mine: Sequence[str], flags: Sequence[str], batches: Sequence[bytes], count: int, goal: float,
          options: Options) -> Result:  # fmt: skip
    whole, part = _segments(options.folder, batches, count)
    best = interleaved(lambda: _ours(*mine, str(whole)), lambda: _theirs(part, *flags), min(options.repeats, 2))
    for place in (whole, part.parent):
        for file in place.iterdir():
            file.unlink()
        place.rmdir()
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
    yield _case("whole check --deep, uncompressed", ["check", "--deep"], deep, plain, count, 30.0, options)
    yield _case("whole check --deep, zstd", ["check", "--deep"], deep, packed, count, 4.0, options)
    shown = ["show", "--records", "--json"]
    yield _case("whole show --records --json", shown, ["--print-data-log", *deep], plain, count, 10.0, options)
