"""The last batch that a loader's lengths lead to is found by the survey as by going from batch to batch."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import kafka_salvage
from kafka_salvage.integrity.loader_segment import FatalStartError, LoaderSegment
from tests.support import volume
from tests.support.build import segment_name


def one_by_one(segment: LoaderSegment) -> tuple[int, int]:
    end, last = 0, -1
    for position, size, offset in segment.unchecked(0):
        end, last = position + size, offset
    return end, last


@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_same(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    stretch = volume.plain(1, 100)
    stretch.partition(tmp_path / "orders-0", 1, 60_000)
    path = tmp_path / "orders-0" / segment_name(0)
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice((0, 1, 3, 30))):
        start = rng.randrange(len(data) // stretch.size) * stretch.size
        place = start + rng.choice((0, 3, 7, 10, 11, 16, 20, 26, 70))  # offset, length, magic, CRC, delta, payload
        data[place] ^= 1 << rng.randrange(8)
    if rng.random() < 0.3:
        data = data[: -rng.randrange(1, 100)]
    path.write_bytes(data)
    (partition,) = kafka_salvage.check(tmp_path, jobs=1).plan.partitions
    segment = LoaderSegment.of(partition.replicas[0].segments[0], 0)
    try:
        wanted = one_by_one(segment)
    except FatalStartError as error:
        with pytest.raises(FatalStartError, match=str(error).split(" (")[0]):
            segment._last_unchecked({"position": 0, "last_offset": -1})
        return
    assert segment._last_unchecked({"position": 0, "last_offset": -1}) == wanted
