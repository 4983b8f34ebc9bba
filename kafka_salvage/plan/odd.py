"""OddRegions: regions of one segment that are neither intact nor blank, column by column."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from kafka_salvage.regions.compact import Compact
from kafka_salvage.regions.map import Region
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.regions.shapes import Told
from kafka_salvage.regions.verdict import Finding, Verdict
from kafka_salvage.scan.batches import I64, Bool

VERDICTS = tuple(Verdict)
_PLAIN = frozenset({Verdict.INTACT, Verdict.BLANK})
_START, _STOP, _RECORDS, _FIRST, _NEXT, _LOW, _HIGH = range(7)


@dataclass(frozen=True, slots=True, eq=False)
class OddRegions:
    """Regions, one row each, in file order.

    Attributes:
        start, stop: bytes.
        verdict: place in `VERDICTS`.
        named: it names offsets; ``first`` and ``next`` are 0 otherwise.
        first, next: offsets.
        records: how many lie here.
        why: place in ``whys``.
        low, high: rows of the findings, where they lie side by side in one log.
        whys: where findings are, as `Told` says it.
    """

    start: I64
    stop: I64
    verdict: I64
    named: Bool
    first: I64
    next: I64
    records: I64
    why: I64
    low: I64
    high: I64
    whys: tuple[Hashable, ...]

    def __len__(self) -> int:
        return len(self.start)

    def having(self, verdicts: Collection[Verdict]) -> Bool:
        """Which have one of some verdicts."""
        return np.array([verdict in verdicts for verdict in VERDICTS], np.bool_)[self.verdict]

    def take(self, which: Any) -> OddRegions:
        """Rows chosen by a mask or an index array."""
        columns = {each.name: getattr(self, each.name)[which] for each in fields(self) if each.name != "whys"}
        return OddRegions(**columns, whys=self.whys)

    def findings(self, at: int) -> Sequence[Finding]:
        """Those of one of them."""
        return Told.make(self.whys[int(self.why[at])], (int(self.low[at]), int(self.high[at])))


def odd_regions(segment: SegmentSurvey) -> OddRegions:
    """Those of a segment."""
    regions = segment.regions.regions
    return _of_tables(regions) if isinstance(regions, Compact) else _of_values(regions)


def _of_tables(regions: Compact[Region]) -> OddRegions:
    whys: dict[Hashable, int] = {None: 0}
    parts: list[tuple[I64, I64, I64]] = []  # places, (verdict, named, why) and the numbers
    for shape, places, columns in regions.tables():
        verdict, _, nowhere, why = shape
        if verdict in _PLAIN:
            continue
        numbers = np.zeros((7, len(places)), np.int64)
        numbers[_START], numbers[_STOP], numbers[_RECORDS] = columns[0], columns[1], columns[3]
        if not nowhere:
            numbers[_FIRST], numbers[_NEXT] = columns[4], columns[5]
        if why is not None and not isinstance(why, tuple):
            numbers[_LOW], numbers[_HIGH] = columns[-2], columns[-1]
        said = VERDICTS.index(verdict), int(not nowhere), whys.setdefault(why, len(whys))
        parts.append((places, np.broadcast_to(np.array(said, np.int64)[:, None], (3, len(places))), numbers))
    order = np.argsort(np.concatenate([np.empty(0, np.int64), *(places for places, _, _ in parts)]), kind="stable")
    said_of = np.concatenate([np.empty((3, 0), np.int64), *(said for _, said, _ in parts)], axis=1)
    numbers_of = np.concatenate([np.empty((7, 0), np.int64), *(numbers for _, _, numbers in parts)], axis=1)
    return _made(said_of[:, order], numbers_of[:, order], whys)


def _of_values(regions: Sequence[Region]) -> OddRegions:
    told = Told()
    whys: dict[Hashable, int] = {None: 0}
    said: list[tuple[int, int, int]] = []
    numbers: list[tuple[int, ...]] = []
    for region in regions:
        if region.verdict in _PLAIN:
            continue
        why, rows = told.part(region.findings)
        where = region.offsets
        first, following = (0, 0) if where is None else (where.start, where.stop)
        said.append((VERDICTS.index(region.verdict), int(where is not None), whys.setdefault(why, len(whys))))
        low, high = rows if len(rows) else (0, 0)
        numbers.append((region.start, region.stop, region.records, first, following, low, high))
    shaped = np.array(said, np.int64).reshape(-1, 3).T, np.array(numbers, np.int64).reshape(-1, 7).T
    return _made(*shaped, whys)


def _made(said: I64, numbers: I64, whys: dict[Hashable, int]) -> OddRegions:
    return OddRegions(
        start=numbers[_START],
        stop=numbers[_STOP],
        verdict=said[0],
        named=said[1].astype(np.bool_),
        first=numbers[_FIRST],
        next=numbers[_NEXT],
        records=numbers[_RECORDS],
        why=said[2],
        low=numbers[_LOW],
        high=numbers[_HIGH],
        whys=tuple(whys),
    )
