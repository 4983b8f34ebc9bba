"""Volume: segments of any size, written fast: a stretch of batches over and over, with offsets that go on.

Only the base offset differs from one stretch to the next; no CRC covers it. What is written is known from the recipe alone.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.support.build import Rec, marker, segment_name, v2_batch

START = 1_700_000_000_000
TRANSACTIONAL = 0x10
_CHUNK = 16 << 20
Batches = Sequence[tuple[bytes, int]]
"""Batches as they lie, each with its offset relative to the stretch."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Batches that repeat.

    Attributes:
        batches: as they lie, each with its base offset relative to the first of the stretch.
        span: offsets from one stretch to the next.
        records: data records in one.
    """

    batches: Batches
    span: int
    records: int

    @property
    def size(self) -> int:
        """Bytes of one."""
        return sum(len(batch) for batch, _ in self.batches)

    def write(self, path: Path, times: int, base: int = 0) -> int:
        """Writes so many of them; gives the offset behind."""
        row = np.frombuffer(b"".join(batch for batch, _ in self.batches), np.uint8)
        places = np.cumsum([0, *(len(batch) for batch, _ in self.batches)])[:-1]
        relative = np.array([offset for _, offset in self.batches], np.int64)
        rows = np.tile(row, (min(times, max(1, _CHUNK // len(row))), 1))
        columns = places[:, None] + np.arange(8)
        with path.open("wb") as file:
            for first in range(0, times, len(rows)):
                here = rows[: times - first]
                starts = base + (first + np.arange(len(here), dtype=np.int64)) * self.span
                offsets = (starts[:, None] + relative).astype(">i8").view(np.uint8).reshape(len(here), len(places), 8)
                here[:, columns] = offsets
                file.write(here.tobytes())
        return base + times * self.span

    def partition(self, folder: Path, segments: int, size: int) -> tuple[int, int]:
        """A partition directory of so many segments of at most so many bytes; gives (records, offset behind)."""
        folder.mkdir(parents=True)
        base, times = 0, size // self.size
        for _ in range(segments):
            base = self.write(folder / segment_name(base), times, base)
        return segments * times * self.records, base


def plain(records: int = 100, value: int = 100, codec: int = 0) -> Stretch:
    """One batch of so many records, no two alike."""
    rng = random.Random(records)
    made = [Rec(i, START + i, b"k%05d" % i, rng.randbytes(value)) for i in range(records)]
    return Stretch([(v2_batch(0, made, codec=codec), 0)], records, records)


def compacted(batches: int = 64) -> Stretch:
    """Batches of one small record with gaps between them, as a cleaner leaves them; gaps differ."""
    rng, at, made = random.Random(3), 0, []
    for number in range(batches):
        made.append((v2_batch(0, [Rec(0, START, b"k%03d" % number, b"v")]), at))
        at += rng.randrange(2, 9)
    return Stretch(made, at, batches)


def transactions(producers: int = 40, turns: int = 3) -> Stretch:
    """Producers taking turns with batches of one record, then the marker of each; every third aborts."""
    made: list[tuple[bytes, int]] = []
    for turn in range(turns):
        for producer in range(producers):
            record = Rec(0, START + turn, b"k", b"v%03d" % producer)
            batch = v2_batch(
                0, [record], attributes=TRANSACTIONAL, producer_id=1000 + producer, producer_epoch=0, base_sequence=turn
            )
            made.append((batch, len(made)))
    for producer in range(producers):
        made.append((marker(0, commit=producer % 3 != 0, producer_id=1000 + producer), len(made)))
    return Stretch(made, len(made), producers * turns)
