"""Slots: placing rows in columns says to the last byte what placing them one by one says."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kafka_salvage.regions import mend
from kafka_salvage.regions.context import SegmentContext
from kafka_salvage.regions.plainly import Plain
from kafka_salvage.regions.slots import Standing, slots
from kafka_salvage.scan.batches import COLUMNS, I64, BatchTable, Bool
from tests.regions.test_stretches import told
from tests.support.build import GZIP, LZ4, NONE, BatchInfo, segment

Index = list[tuple[int, int]]


class Both:
    """Judges in both ways, and holds them against each other.

    Attributes:
        placed: rows that were placed in columns.
    """

    def __init__(self) -> None:
        self.placed = 0

    def hold(self, data: bytes, **how: Any) -> Plain:

        def counted(*args: Any) -> tuple[Bool, I64]:
            fits, first = slots(*args)
            self.placed += int(fits.sum())
            return fits, first

        def none(table: BatchTable, rows: I64, *_: Any) -> tuple[Bool, I64]:
            return np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.int64)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mend, "slots", counted)
            made = told(data, **how)
            patch.setattr(mend, "slots", none)
            assert told(data, **how) == made
        return made


def _lie(rng: random.Random, data: bytearray, infos: list[BatchInfo], at: int) -> None:
    """The offset of a batch changed: in a bit, to another one's, to one that is free, or by a little, its neighbour's too."""
    one, kind = infos[at], rng.randrange(7)
    if kind == 0:
        other = rng.choice(infos)
        data[one.start : one.start + 8] = data[other.start : other.start + 8]
    elif kind == 1:
        data[one.start : one.start + 8] = (infos[-1].last_offset + rng.randrange(-2, 9)).to_bytes(8, "big", signed=True)
    elif kind == 2:
        for each in infos[at : at + 2]:
            data[each.start + 7] ^= 1 << rng.randrange(4)
    elif kind == 3:
        data[one.start : one.start + 8] = rng.choice((bytes(8), b"\xff" * 8, b"\x7f" + b"\xff" * 7, rng.randbytes(8)))
    else:
        data[one.start + rng.choice((7, 6, rng.randrange(8)))] ^= 1 << rng.randrange(8)


@pytest.mark.parametrize(("magic", "codec"), [(2, NONE), (2, LZ4), (1, NONE), (0, NONE), (1, GZIP), (0, GZIP)])
@pytest.mark.parametrize("compacted", [None, True, False])
def test_offsets_that_lie(magic: int, codec: int, compacted: bool | None) -> None:
    both = Both()
    for number in range(14):
        rng = random.Random(f"{magic}/{codec}/{compacted}/{number}")
        per_batch = rng.choice((1, 3))
        data, infos = segment(40 * per_batch, magic=magic, codec=codec, per_batch=per_batch, size=rng.choice((5, 40)))
        cut = rng.choice((0, 0, 3))
        harmed = bytearray(data[infos[cut].start :])
        infos = [replace(info, start=info.start - infos[cut].start) for info in infos[cut:]]
        for at in range(len(infos)):
            if rng.random() < (0.03, 0.1, 0.3, 0.6)[number % 4]:
                _lie(rng, harmed, infos, at)
        index: Index = [(info.last_offset, info.start) for info in infos[:: rng.choice((2, 5, 100))]]
        context = SegmentContext(next_base=rng.choice((None, infos[-1].last_offset + 1)), compacted=compacted)
        both.hold(bytes(harmed), base=rng.choice((0, infos[0].base_offset)), index=index, context=context)
    assert both.placed > 3 or (magic, codec) == (0, GZIP)  # those are proved by their records


def test_standing_says_the_same_of_many() -> None:
    data, infos = segment(60, per_batch=3)
    assert data
    rows = [{"base_offset": i.base_offset, "last_offset": i.last_offset, "position": i.start, "size": 9} for i in infos]
    table = BatchTable.from_rows([{**dict.fromkeys(COLUMNS, 0), **row} for row in rows])
    among = Standing(table, np.array([0, 1, 4, 5, 9, 17]))
    first = np.arange(-2, 64)
    for span in (0, 1, 4):
        free = [not among.takes(at, at + span) for at in first.tolist()]
        assert among.free(first, first + span).tolist() == free
