"""Start: the first checked batch of a fresh process, from its birth on, with compiled kernels at hand and without.

``magic 2``: one small segment, as in most log directories. ``everything``: segments of magic 1 and 2, plain and with each codec,
checked deep, which needs every kernel at once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import segments, shapes
from benchmarks.shapes import Shape
from benchmarks.timing import Options, Result, best
from tests.support.build import GZIP, LZ4, NONE, SNAPPY, ZSTD

_PROGRAM = """
import os, sys, time
born = float(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
import kafka_salvage
kafka_salvage.check(sys.argv[1], jobs=1, deep=sys.argv[2] == "deep")
print(time.clock_gettime(time.CLOCK_BOOTTIME) - born)
"""
_SIZE = 100_000


def installed(folder: Path) -> dict[str, str]:
    """An environment in which modules are compiled once, as those of an installed package are; the compiled ones go to a folder."""
    kept = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": os.fspath(folder / "bytecode")}


def run(options: Options) -> Iterator[Result]:
    """The cases of this module, whatever size is asked for."""
    usual, everything = options.folder / "usual", options.folder / "everything"
    segments.write_partition(usual / "orders-0", [_SIZE], 16 << 10)
    kinds = [(2, codec) for codec in (NONE, GZIP, SNAPPY, LZ4, ZSTD)] + [(1, NONE), (1, GZIP), (1, SNAPPY), (1, LZ4)]
    for number, (magic, codec) in enumerate(kinds):
        place = everything / f"orders-{number}"
        place.mkdir(parents=True)
        shapes.write(place / f"{0:020d}.log", Shape(20, 200, codec, magic), _SIZE)
    turns = max(1, min(options.repeats, 3))
    for folder, depth, name in ((usual, "shallow", "magic 2"), (everything, "deep", "everything, deep")):
        for what, limit in (("warm", 0.8), ("cold", 3.0)):
            seconds = [
                _seconds(folder, depth, options.folder / f"cache-{turn if what == 'cold' else 'warm'}")
                for turn in range(turns + 1)
            ]
            goal = 1.0 if folder == usual else 0.0
            label = f"first checked batch in a fresh process, {name}, kernels {what}"
            yield Result(label, "s", best(seconds[1:]), limit, "the promise", goal, less=True)
        for place in options.folder.glob("cache-*"):
            shutil.rmtree(place)


def _seconds(folder: Path, depth: str, cache: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, os.fspath(folder), depth],
        env=installed(cache.parent) | {"KAFKA_SALVAGE_CACHE": os.fspath(cache)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=600,
    )
    return float(done.stdout)
