"""Ranged: batches of ranges are those of a walk of each range, and no others."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from kafka_salvage.scan import ranged
from kafka_salvage.scan.batches import COLUMNS
from kafka_salvage.scan.ranged import walk_ranges
from kafka_salvage.scan.walk import Fold, walk_folded
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
    table, stand, counts = walk_ranges(source, starts, stops)
    source.close()
    assert stand.tolist() == [1] * len(table)
    whole = [not any(low <= at < high for at in bad) for low, high in pairs]
    assert counts.tolist() == [(high - low) * good for (low, high), good in zip(pairs, whole, strict=True)]
    expected = [
        infos[at].start for (low, high), good in zip(pairs, whole, strict=True) if good for at in range(low, high)
    ]
    assert table.position.tolist() == expected


def test_no_ranges() -> None:
    table, stand, counts = walk_ranges(MemorySource(b""), np.empty(0, np.int64), np.empty(0, np.int64))
    assert not len(table)
    assert not len(stand)
    assert not len(counts)


@pytest.mark.parametrize("rows", [16, 8192])
def test_ends_of_stretches(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranged, "BLOCK_ROWS", rows)
    data, infos = segment(90, codec=NONE, per_batch=2, size=50)
    (tmp_path / "log").write_bytes(data)
    source = FileSource(tmp_path / "log")
    lengths = [5, 1, 2, 3, 4, 12, 9, 14]
    lows = [7, 13, 15, 18, 22, 30, 42, 60]
    folded = np.array([True] * 6 + [False, True])
    starts = np.array([infos[low].start for low in lows], np.int64)
    stops = np.array([infos[low + count - 1].stop for low, count in zip(lows, lengths, strict=True)], np.int64)
    table, stand, counts = walk_ranges(source, starts, stops, folded)
    assert counts.tolist() == [3, 1, 2, 3, 3, 3, 9, 3]
    marks = sorted(
        {infos[at].start for low, n in zip(lows, lengths, strict=True) for at in (low, low + 1, low + n - 1)}
    )
    marks += [infos[at].start for at in range(42, 51)] + [
        infos[low + n].start for low, n in zip(lows, lengths, strict=True)
    ]
    (block,) = walk_folded(source, 0, Fold(np.array(sorted(marks), np.int64)))
    source.close()
    kept = np.isin(block.batches.position, table.position)
    assert block.counts is not None
    assert stand.tolist() == block.counts[kept].tolist()
    for name in COLUMNS:
        assert getattr(table, name).tolist() == getattr(block.batches, name)[kept].tolist(), name
