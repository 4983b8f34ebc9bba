"""Sheet: values in columns are the values, in whatever order; and findings told in another order than they lie in."""

from __future__ import annotations

import random

import numpy as np
import pytest

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions import compact, shapes
from kafka_salvage.regions.map import Region, RegionMap
from kafka_salvage.regions.shapes import FindingCodec, Picked, Told, findings_of, in_order, pointed
from kafka_salvage.regions.sheet import Sheet, sheets_of
from kafka_salvage.regions.verdict import Finding, Verdict


def made(count: int, rng: random.Random) -> list[Finding]:
    """Findings of several shapes, some of which have more numbers than others."""
    found = []
    for _ in range(count):
        start = rng.randrange(1 << rng.choice((3, 20, 40)))
        offsets = OffsetRange(start, start + rng.randrange(5)) if rng.random() < 0.7 else None
        text = rng.choice(("nothing", f"{rng.randrange(9)} bytes", f"offset {rng.choice((-1, 1)) * ((1 << 63) - 1)}"))
        detail = {} if rng.random() < 0.5 else {"before": [rng.randbytes(8).hex()], "count": start}
        found.append(Finding(rng.choice("abc"), "s", "f", start, start + 9, offsets, text, detail))
    return found


@pytest.fixture(autouse=True)
def packed(monkeypatch: pytest.MonkeyPatch) -> None:
    for where in (compact, shapes):
        monkeypatch.setattr(where, "FEW", 1)
    monkeypatch.setattr(compact, "BLOCK", 16)


@pytest.mark.parametrize("seed", range(4))
def test_sheets_are_their_values(seed: int) -> None:
    rng = random.Random(seed)
    findings = made(100, rng)
    early, late = Sheet.of(findings[:30], FindingCodec()), Sheet.of(findings[30:], FindingCodec())
    order = np.array(rng.sample(range(100), 100), np.int64)
    log = findings_of()
    Sheet.together([early, late]).take(order).add_to(log)
    assert list(log) == [findings[at] for at in order.tolist()]
    again = findings_of()
    for sheet in sheets_of(log, 20):
        sheet.add_to(again)
    assert list(again) == list(log)
    assert len(list(again.all_shapes())) <= 3 * 4 * 2 * 2  # numbers of nineteen digits are numbers, too


@pytest.mark.parametrize("loose", [False, True])
def test_findings_in_order(loose: bool) -> None:
    findings = made(200, random.Random(7))
    log = findings_of(findings)
    if not loose:
        log = findings_of()
        Sheet.of(findings, FindingCodec()).add_to(log)
    assert log.loose == loose
    assert list(in_order(log)) == sorted(findings, key=lambda f: (f.start, f.stop, f.code))


@pytest.mark.parametrize("rows", [(4, 5, 6), (6, 5), (5, 4, 6), (4,), (9, 2)])
def test_findings_told_in_any_order(rows: tuple[int, ...]) -> None:
    log = findings_of()
    Sheet.of(made(20, random.Random(3)), FindingCodec()).add_to(log)
    why, numbers = Told().part(Picked(log, np.array(rows, np.int64)))
    assert list(Told.make(why, numbers)) == [log[row] for row in rows]
    regions = [Region(at, at + 1, Verdict.DAMAGED, findings=Picked(log, np.array(rows, np.int64))) for at in range(40)]
    mapped = RegionMap(40, regions)
    assert [finding for group in pointed(mapped.regions) for finding in group] == 40 * [log[row] for row in rows]
    assert list(mapped) == regions


def test_harm_and_counts_of_a_map() -> None:
    rng, regions, at = random.Random(5), [], 0
    for number in range(60):
        size = rng.randrange(1, 50)
        verdict = (Verdict.INTACT, Verdict.DAMAGED, Verdict.BLANK)[number % 3]
        offsets = OffsetRange(at, at + size) if rng.random() < 0.5 else None
        regions.append(Region(at, at + size, verdict, int(verdict is Verdict.INTACT), 7, offsets))
        at += size
    mapped = RegionMap(at, regions)
    lost = [region for region in regions if region.verdict is Verdict.DAMAGED]
    named = [region.offsets.size for region in lost if region.offsets is not None]
    assert mapped.harm({Verdict.DAMAGED}) == (sum(region.size for region in lost), sum(named))
    counted = mapped.counted(lambda start, stop: stop - start)
    sizes = [region.size if region.verdict is Verdict.INTACT else 0 for region in regions]
    assert [region.batches for region in counted] == sizes
    assert [(region.start, region.offsets) for region in counted] == [(r.start, r.offsets) for r in regions]
