"""Ranged: batches of ranges are those of a walk of each range, and no others."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from kafka_salvage.scan import ranged
from kafka_salvage.scan.ranged import walk_ranges
from kafka_salvage.source.files import FileSource
from kafka_salvage.source.memory import MemorySource
from tests.support.build import NONE, segment


@pytest.mark.parametrize("magic", [2, 1])
@pytest.mark.parametrize("memory", [False, True])
def test_ranges(magic: int, memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranged, "BLOCK_ROWS", 16)
    data, infos = segment(90, magic=magic, codec=NONE, per_batch=1, size=50)
    rng = random.Random(magic)
    harmed = bytearray(data)
    bad = rng.sample(range(len(infos)), 9)
    for at in bad:
        harmed[infos[at].stop - 3] ^= 1
    (tmp_path / "log").write_bytes(harmed)
    cuts = sorted(rng.sample(range(len(infos) + 1), 30))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=True))
    starts = np.array([infos[low].start for low, _ in pairs], np.int64)
    stops = np.array([infos[high - 1].stop for _, high in pairs], np.int64)
    source = MemorySource(bytes(harmed)) if memory else FileSource(tmp_path / "log")
    table, counts = walk_ranges(source, starts, stops)
    source.close()
    whole = [not any(low <= at < high for at in bad) for low, high in pairs]
    assert counts.tolist() == [(high - low) * good for (low, high), good in zip(pairs, whole, strict=True)]
    expected = [
        infos[at].start for (low, high), good in zip(pairs, whole, strict=True) if good for at in range(low, high)
    ]
    assert table.position.tolist() == expected


def test_no_ranges() -> None:
    table, counts = walk_ranges(MemorySource(b""), np.empty(0, np.int64), np.empty(0, np.int64))
    assert not len(table)
    assert not len(counts)
