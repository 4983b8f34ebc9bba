"""Parting: rows made of what a walk noted are judged like the batches of a file that is walked again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from kafka_salvage.regions import parting, stretches
from kafka_salvage.regions.context import SegmentContext, SurveyOptions
from kafka_salvage.regions.plainly import Plain
from tests.regions.test_stretches import told
from tests.support.build import LZ4, NONE, BatchInfo, Build, segment

Index = list[tuple[int, int]]


class Watched:
    """Judges with parted rows and without, and holds them against each other.

    Attributes:
        parted: files whose rows were made of notes.
        doubted: those of them that were walked again all the same.
    """

    def __init__(self) -> None:
        self.parted = 0
        self.doubted = 0

    def hold(self, data: bytes, **how: Any) -> Plain:
        part, again = parting.part, stretches.again

        def counted(*args: Any) -> parting.Parted | None:
            made = part(*args)
            self.parted += made is not None and bool(made.made.any())
            return made

        def walked(ground: Any) -> stretches.Stretches:
            self.doubted += 1
            return again(ground)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parting, "part", counted)
            patch.setattr(stretches, "again", walked)
            made = told(data, **how)
            patch.setattr(parting, "part", lambda *_: None)
            assert told(data, **how) == made
        return made


def _flips(rng: random.Random, data: bytearray, infos: Sequence[BatchInfo], share: float) -> None:
    """Offsets, and now and then epochs, that lie; some batches as copies of others."""
    for one in infos:
        if rng.random() >= share:
            continue
        kind = rng.randrange(8)
        if kind == 0:
            data[one.start + 12 + rng.randrange(4)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            other = rng.choice([each for each in infos if each.size == one.size])
            data[one.start : one.stop] = data[other.start : other.stop]
        elif kind == 2:
            other = rng.choice(infos)
            data[one.start : one.start + 8] = data[other.start : other.start + 8]
        else:
            data[one.start + rng.choice((7, 7, 7, 6, rng.randrange(8)))] ^= 1 << rng.randrange(8)


@pytest.mark.parametrize(("magic", "codec"), [(2, NONE), (2, LZ4), (1, NONE), (0, NONE)])
def test_offsets_that_lie(magic: int, codec: int) -> None:
    watched = Watched()
    for number in range(40):
        rng = random.Random(f"{magic}/{codec}/{number}")
        per_batch = rng.choice((1, 3))
        data, infos = segment(40 * per_batch, magic=magic, codec=codec, per_batch=per_batch, size=rng.choice((5, 40)))
        harmed = bytearray(data)
        _flips(rng, harmed, infos, rng.choice((0.03, 0.1, 0.3)))
        index: Index = [(one.last_offset, one.start) for one in infos]
        if rng.random() < 0.3:
            index = [
                (offset + rng.choice((0, 0, 0, 0, -2, 5)), place + rng.choice((0, 0, 0, 3))) for offset, place in index
            ]
        context = SegmentContext(
            next_base=rng.choice((None, infos[-1].last_offset + 1)),
            compacted=rng.choice((None, True, False)),
            epochs=rng.choice((None, ((0, 0),))),
        )
        options = SurveyOptions(strict=rng.random() < 0.1, deep=rng.random() < 0.1)
        watched.hold(bytes(harmed), index=index, context=context, options=options)
    assert watched.parted > 4


def test_transactions_and_markers() -> None:
    watched = Watched()
    for number in range(30):
        rng, b = random.Random(number), Build()
        for _ in range(12):
            kind = rng.randrange(4)
            if kind == 0:
                b.marker(commit=rng.random() < 0.5, producer_id=7)
            for _ in range(rng.randrange(1, 6)):
                b.v2(2, producer_id=7, producer_epoch=0, attributes=0x10) if kind == 1 else b.v2(2)
        data, infos = b.done()
        harmed = bytearray(data)
        _flips(rng, harmed, infos, 0.1)
        watched.hold(bytes(harmed), index=[(one.last_offset, one.start) for one in infos])
    assert watched.parted > 10


def test_a_copy_of_a_batch_is_known_by_its_sum() -> None:
    """A batch written over by an earlier one of its size: the bytes are a duplicate, and the offsets that it took are lost."""
    b = Build()
    for number in range(30):
        b.v2(1, values=[b"%010d" % number])
    data, infos = b.done()
    harmed, first, second = bytearray(data), infos[5], infos[15]
    harmed[second.start : second.stop] = data[first.start : first.stop]
    watched = Watched()
    made = watched.hold(bytes(harmed), index=[(one.last_offset, one.start) for one in infos])
    assert watched.parted
    assert [region[2] for region in made["regions"]] == ["intact", "duplicate", "intact"]


def test_a_neighbour_that_is_moved_is_looked_at_in_the_file() -> None:
    """Two flips beside each other fit only together: what the rules change must not have been made of notes."""
    data, infos = segment(30, per_batch=1, size=40)
    harmed = bytearray(data)
    harmed[infos[-1].start + 7] ^= 0x40
    watched = Watched()
    index = [(one.last_offset, one.start) for one in infos[:-1]]
    for compacted in (True, False, None):
        context = SegmentContext(next_base=infos[-1].last_offset + 1, compacted=compacted)
        watched.hold(bytes(harmed), index=[*index, (3, infos[10].start)], context=context)


def test_an_index_that_misses_a_batch_parts_nothing() -> None:
    data, infos = segment(30, per_batch=1, size=40)
    harmed = bytearray(data)
    harmed[infos[12].start + 6] ^= 4
    watched = Watched()
    index = [(one.last_offset, one.start) for one in infos]
    made = watched.hold(bytes(harmed), index=[*index[:20], *index[21:]])
    assert not watched.parted
    assert [patch[0] for patch in made["patches"]] == [infos[12].start]
    assert watched.hold(bytes(harmed), index=index) == made
    assert watched.parted
