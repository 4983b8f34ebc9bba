"""Repeated: findings in columns say to the last byte, and in the same order, what findings made one by one say."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from kafka_salvage.regions import compact, expanse, mend
from kafka_salvage.regions import segment as judge
from kafka_salvage.regions.context import Place, SegmentContext
from kafka_salvage.regions.judged import Judged
from kafka_salvage.regions.moved import CODE, Aged, Moved
from kafka_salvage.regions.plainly import Plain
from kafka_salvage.regions.proven import Column, Proven
from kafka_salvage.regions.shapes import findings_of
from kafka_salvage.regions.terrain import Terrain
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.walk import StopReason
from tests.regions.test_crossed import KINDS, harmed
from tests.regions.test_stretches import told
from tests.support.build import GZIP, LZ4, NONE, segment

PLACE = Place("test", "odd %d 007/0.log")


def _resolved(made: Plain) -> list[Any]:
    """Regions with their findings, and all findings in their order."""
    said = [json.dumps(each, sort_keys=True) for each in made["all_findings"]]
    regions = [[*region[:-1], [said[at] for at in region[-1]]] for region in made["regions"]]
    return [regions, [said[at] for at in made["findings"]], made["patches"]]


def _many(patch: pytest.MonkeyPatch, most: int) -> None:
    patch.setattr(mend, "ENOUGH", most)
    patch.setattr(judge, "ENOUGH", most)
    patch.setattr(Terrain, "many", most)


@pytest.mark.parametrize(("magic", "codec"), [(2, NONE), (2, LZ4), (1, NONE), (0, GZIP)])
@pytest.mark.parametrize("packed", [False, True])
def test_mixtures(monkeypatch: pytest.MonkeyPatch, magic: int, codec: int, packed: bool) -> None:
    for number in range(8):
        rng = random.Random(f"{magic}/{codec}/{number}")
        per_batch = rng.choice((1, 3))
        data, infos = segment(60 * per_batch, magic=magic, codec=codec, per_batch=per_batch, size=rng.choice((5, 60)))
        changed = harmed(rng, data, infos, (0.1, 0.3, 0.6)[number % 3], KINDS)
        how: dict[str, Any] = {
            "index": [(info.last_offset, info.start) for info in infos[:: rng.choice((3, 100))]],
            "context": SegmentContext(next_base=rng.choice((None, infos[-1].last_offset + 1))),
        }
        with monkeypatch.context() as patch:
            _many(patch, 1 << 30)
            single = _resolved(told(changed, **how))
            _many(patch, 1)
            patch.setattr(expanse, "AT_ONCE", 3)
            if packed:
                patch.setattr(compact, "FEW", 1)
            assert _resolved(told(changed, **how)) == single


def _listed(sheet: Any) -> list[Finding]:
    log = findings_of()
    sheet.add_to(log)
    return list(log)


def test_repairs_of_headers() -> None:
    rng, rows, reasons = random.Random(1), [], len(StopReason)
    for number in range(3000):
        size = rng.choice((100, 300, 16400, 0xBBBBBBB + 12))
        claim = rng.choice((size, 12, -5, 0, size ^ (1 << rng.randrange(31)), 12 - (1 << 31), 0xBBBBBBB + 12))
        put = rng.choice((2, 2, 1, 0))
        magic = rng.choice((put, put, -3, -86, 77, -1, 100))
        sums = rng.randrange(1 << 32), rng.randrange(1 << 32)
        rows.append([number * 1000, size, rng.randrange(1 << 60), 0, claim, magic, put, rng.randrange(reasons), *sums])
    proven, first = Proven(np.array(rows, np.int64)), np.arange(3000) * 7
    assert proven.table.shape == (3000, len(Column))
    assert _listed(proven.sheet(PLACE, first, first + 5, 1 << 31)) == list(
        proven.findings(PLACE, first, first + 5, 1 << 31)
    )


def test_repairs_of_offsets() -> None:
    rng, bits = random.Random(2), (1, 8, 20, 56, 60, 63)
    odd = [
        -(1 << 63) + 1,
        -(1 << 63),
        (1 << 63) - 1,
        -1,
        0,
        10**18,
        10**18 - 1,
        1 - 10**18,
        0x0ABBCCDDEEFF << 16,
        -0x5555555555555556,
    ]
    old = np.array(
        [*odd, *((rng.choice((1, -1)) * rng.randrange(1 << rng.choice(bits))) for _ in range(2000))], np.int64
    )
    start = np.arange(len(old)) * 100
    new = np.roll(old, 5) & ((1 << 50) - 1)
    moved = Moved(old, new, start, start + 90, new, new + 3)
    made = [
        moved.finding(PLACE, row, int(each).to_bytes(8, "big", signed=True), "its neighbours")
        for row, each in enumerate(old.tolist())
    ]
    assert _listed(moved.sheet(PLACE, "its neighbours")) == made
    assert {each.code for each in made} == {CODE}


def test_repairs_of_epochs() -> None:
    rng = random.Random(3)
    odd = [-(1 << 31), (1 << 31) - 1, -1, 0, -0x55555556, 0x0ABCDEF0]
    old = np.array([*odd, *(rng.randrange(-(1 << 31), 1 << 31) for _ in range(1000))], np.int64)
    start = np.arange(len(old)) * 100
    aged = Aged(old, np.roll(old, 5), start, start + 90, start, start + 3)
    assert _listed(aged.sheet(PLACE)) == [aged.finding(PLACE, row) for row in range(len(old))]


def test_what_is_taken_back_is_gone() -> None:
    judged = Judged.of(BatchTable.empty())
    start = np.arange(5) * 10
    moved = Moved(start, start + 1, start, start + 9, start + 1, start + 2)
    judged.findings = [PLACE.finding(CODE, 20, 29, "said before"), PLACE.finding("epoch-repaired", 20, 29, "another")]
    judged.say(moved.sheet(PLACE, "its neighbours"))
    judged.forget(CODE, 20)
    ((before, sheet),) = judged.sheets
    assert before == 1
    assert sheet.columns[0].tolist() == [0, 10, 30, 40]
    assert [each.message for each in judged.findings] == ["another"]
