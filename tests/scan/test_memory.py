"""Memory: a batch that inflates to the limit, full of the smallest records, stays within the default of the whole program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zstandard

from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.records import MOST_ROWS
from tests.support.build import ZSTD, Build, v2_header_and

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = 512
"""MiB that the program may use."""
PROGRAM = """
import re, sys
from pathlib import Path
from kafka_salvage.scan.held import walk_held
from kafka_salvage.scan.records import decode
from kafka_salvage.source.files import FileSource
source, count, last = FileSource(sys.argv[1]), 0, -1
for block in walk_held(source):
    for made in decode(source, block.batches, held=block.held):
        assert not made.detail and int(made.table.offset[0]) == last + 1
        count, last = count + len(made.table), int(made.table.offset[-1])
print(count, int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10)
"""


def smallest_records(size: int) -> tuple[bytes, int]:
    """A payload of at most ``size`` bytes: no key, no value, no headers, deltas counting up; and how many records."""
    parts, left, first = [], size, 0
    for width, top in ((1, 1 << 6), (2, 1 << 13), (3, 1 << 20), (4, 1 << 27)):
        count = min(top - first, left // (6 + width))
        zigzag = np.arange(first, first + count, dtype=np.int64) << 1
        rows = np.zeros((count, 6 + width), np.uint8)
        rows[:, 0] = (5 + width) << 1
        for place in range(width):
            rows[:, 3 + place] = (zigzag >> 7 * place) & 127 | (128 if place < width - 1 else 0)
        rows[:, 3 + width : 5 + width] = 1
        parts.append(rows.tobytes())
        left, first = left - rows.size, first + count
    return b"".join(parts), first


def measured(place: Path) -> tuple[int, int]:
    """Records decoded by a process of its own, and its peak in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(place)], capture_output=True, text=True, cwd=ROOT, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr[-1000:]
    decoded, peak = map(int, done.stdout.split())
    return decoded, peak


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_a_batch_at_the_limit_full_of_tiny_records(tmp_path: Path) -> None:
    payload, count = smallest_records(Limits().cap)
    stream = zstandard.ZstdCompressor(level=1, write_content_size=False).compress(payload)
    assert (len(payload) > Limits().cap - 16, count > 26_000_000) == (True, True)
    del payload
    place = tmp_path / "00000000000000000000.log"
    place.write_bytes(v2_header_and(stream, 0, attributes=ZSTD, last_offset_delta=count - 1, count=count))
    small = tmp_path / "small.log"
    small.write_bytes(Build(size=0).v2(MOST_ROWS + 1, codec=ZSTD).done()[0])
    assert measured(small)[0] == MOST_ROWS + 1  # compiles the kernels, where nothing has yet: that takes 90 MiB more
    decoded, peak = measured(place)
    assert decoded == count
    assert Limits().cap >> 20 < peak < DEFAULT - 32
