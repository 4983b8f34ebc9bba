"""Very many damages: each costs a few dozen bytes until the report is written, and is accounted for like any other."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import kafka_salvage
from kafka_salvage.integrity.document import dumps
from kafka_salvage.regions import compact
from kafka_salvage.regions.compact import Compact
from tests.support import volume
from tests.support.build import segment_name
from tests.support.peak import run

Rows = npt.NDArray[np.uint8]
Harm = Callable[[Rows, np.random.Generator], None]


def _payload(rows: Rows, rng: np.random.Generator) -> None:
    rows[:, -3] ^= 1


def _zeroed(rows: Rows, rng: np.random.Generator) -> None:
    rows[:] = 0


def _noise(rows: Rows, rng: np.random.Generator) -> None:
    rows[:] = rng.integers(0, 256, rows.shape, np.uint8)


def _length(rows: Rows, rng: np.random.Generator) -> None:
    rows[:, 10] ^= 2


HARMS: dict[str, Harm] = {"a payload byte": _payload, "zeroed": _zeroed, "noise": _noise, "a length": _length}


def harmed(folder: Path, size: int, every: int, harm: Harm) -> tuple[int, int, int]:
    """A segment of tiny batches of which every so many are harmed; gives (batches, harmed ones, bytes of a batch)."""
    stretch = volume.plain(1, 100)
    stretch.partition(folder / "orders-0", 1, size)
    data = np.memmap(folder / "orders-0" / segment_name(0), np.uint8, "r+")
    rows = data.reshape(-1, stretch.size)
    chosen = rows[1:-1:every]
    part = max(1, (16 << 20) // stretch.size)
    rng = np.random.default_rng(1)
    for start in range(0, len(chosen), part):
        harm(chosen[start : start + part], rng)
    data.flush()
    return len(rows), len(chosen), stretch.size


@pytest.mark.parametrize("name", HARMS)
def test_every_byte_and_every_offset_is_accounted_for(name: str, tmp_path: Path) -> None:
    """What is harmed is known from the recipe: so many batches of one record each, one after the other."""
    batches, gone, size = harmed(tmp_path, 250_000, 2, HARMS[name])
    report = kafka_salvage.check(tmp_path, jobs=1)
    document = report.to_dict()
    (segment,), (partition,) = document["segments"], document["partitions"]
    lost = range(1, 2 * gone, 2)
    if name == "a length":  # the CRC proves what it was
        assert report.exit_code == 6
        assert partition["offsets"][0]["stop"] - partition["offsets"][0]["start"] >= 1
        assert sum(s["stop"] - s["start"] for s in partition["offsets"] if s["status"] == "repaired") == gone
        return
    assert report.exit_code == 3
    status = {at: s["status"] for s in partition["offsets"] for at in range(s["start"], s["stop"])}
    assert sorted(status) == list(range(batches))
    doubted = {at for at, said in status.items() if said == "suspect"}
    assert len(doubted) <= (16 if name == "zeroed" else 0)  # zeros that end at a base offset may be a part of it
    assert {at for at, said in status.items() if said == "lost"} == set(lost) - doubted
    assert {at for at, said in status.items() if said == "recovered"} == set(range(batches)) - set(lost) - doubted
    damaged = {
        at // size for r in segment["regions"] if r["verdict"] == "damaged" for at in (r["start"], r["stop"] - 1)
    }
    assert set(lost) <= damaged | doubted
    assert [r["start"] for r in segment["regions"]] == [0, *(r["stop"] for r in segment["regions"][:-1])]
    assert segment["regions"][-1]["stop"] == segment["size"] == batches * size
    known = {finding["id"] for finding in document["findings"]}
    assert all(set(r["findings"]) <= known and r["findings"] for r in segment["regions"] if r["verdict"] == "damaged")
    assert document["summary"]["findings_total"] == len(known)


@pytest.mark.parametrize("name", HARMS)
def test_what_is_packed_says_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One report with all values kept as themselves, and one with as few as three packed together."""
    harmed(tmp_path, 60_000, 3, HARMS[name])
    texts = []
    for few, block in ((1 << 40, 1 << 40), (1, 3)):
        monkeypatch.setattr(compact, "FEW", few)
        monkeypatch.setattr(compact, "BLOCK", block)
        monkeypatch.setattr(compact, "_room", compact._Room(0))
        report = kafka_salvage.check(tmp_path, deep=True, jobs=1)
        (partition,) = report.plan.partitions
        regions = partition.replicas[0].segments[0].regions.regions
        assert isinstance(regions, Compact) == (few == 1)
        assert isinstance(partition.ledger, Compact) == (few == 1)
        texts.append(dumps(report.document))
        assert json.loads(texts[-1]) == json.loads(json.dumps(report.to_dict()))
    assert texts[0] == texts[1]


def test_many_findings_of_a_salvage_go_to_a_file_of_their_own(tmp_path: Path) -> None:
    _, gone, _ = harmed(tmp_path, 4_000_000, 2, _payload)
    report = kafka_salvage.check(tmp_path, jobs=1)
    assert gone > 10_000
    total = gone + 1  # there is no index beside it
    assert report.document["summary"]["findings_total"] == total
    assert report.document["summary"]["findings_omitted"] == total - 10_000
    overflow = [finding["id"] for finding in report.findings_overflow]
    assert overflow == [f"f{number}" for number in range(10_001, total + 1)]


def test_public_lists_are_like_lists(tmp_path: Path) -> None:
    """Of many damages as of few: length, order, index, slices, equality."""
    _, gone, size = harmed(tmp_path, 8_000_000, 2, _payload)
    report = kafka_salvage.check(tmp_path, jobs=1)
    (partition,) = report.plan.partitions
    (segment,) = partition.replicas[0].segments
    rng = random.Random(1)
    for listed in (segment.findings, segment.regions.regions, partition.ledger, partition.steps, partition.line):
        whole: list[Any] = list(listed)
        assert len(whole) == len(listed) >= gone
        for at in rng.sample(range(len(whole)), 20):
            assert listed[at] == whole[at]
            assert listed[at - len(whole)] == whole[at]
        assert tuple(listed[5:9]) == tuple(whole[5:9])
        assert listed == whole or listed == tuple(whole)
        assert listed != whole[1:]
    harms = [finding for finding in segment.findings if finding.code == "crc-mismatch"]
    assert [finding.start for finding in harms] == [at * size for at in range(1, 2 * gone, 2)]


def test_four_times_the_damage_takes_little_more(tmp_path: Path) -> None:
    """Regions, findings, ranges, steps and the report: at most 400 bytes of each damage, where they were 4 KB."""
    peaks, damages = [], []
    for size in (3_000_000, 12_000_000):
        place = tmp_path / str(size)
        damages.append(harmed(place, size, 2, _payload)[1])
        made = run(["check", str(place), "--json", f"{place}.json", "--jobs", "1", "-q"], timeout=120)
        assert made.code == 3
        peaks.append(made.mib)
    assert (peaks[1] - peaks[0]) * (1 << 20) <= 400 * (damages[1] - damages[0]) + (24 << 20), (peaks, damages)
