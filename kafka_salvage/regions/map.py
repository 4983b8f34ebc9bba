"""RegionMap: the total map of one file; every byte has one verdict."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import numpy as np

from kafka_salvage.errors import InvariantError
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.block import Numbers
from kafka_salvage.regions.compact import Compact
from kafka_salvage.regions.shapes import Told, part_range
from kafka_salvage.regions.sheet import sheets_of
from kafka_salvage.regions.verdict import Finding, Verdict
from kafka_salvage.scan.batches import I64


@dataclass(frozen=True, slots=True)
class Region:
    """A byte range with a verdict.

    Attributes:
        start, stop: bytes ``[start, stop)``; never empty.
        verdict: what is said of them.
        batches, records: how many lie here (0 unless the bytes are whole batches).
        offsets: offsets of the batches, or offsets that the damage took; None when unknown or none.
        open_ended: the damage may reach beyond ``offsets.stop`` (only damaged regions).
        findings: why.
    """

    start: int
    stop: int
    verdict: Verdict
    batches: int = 0
    records: int = 0
    offsets: OffsetRange | None = None
    open_ended: bool = False
    findings: Sequence[Finding] = ()

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.stop - self.start


_START = attrgetter("start")


class RegionCodec:
    """Parts regions.

    Args:
        told: knows the findings that regions point at.
    """

    def __init__(self, told: Told) -> None:
        self._told = told

    def part(self, value: Region) -> tuple[Hashable, Numbers]:
        """Shape and numbers."""
        where = value.offsets
        why, rows = self._told.part(value.findings)
        shape = value.verdict, value.open_ended, where is None, why
        return shape, (value.start, value.stop, value.batches, value.records, *part_range(where), *rows)

    def make(self, shape: Any, numbers: Numbers) -> Region:
        """The region."""
        verdict, is_open, nowhere, why = shape
        start, stop, batches, records = numbers[:4]
        if nowhere:
            return Region(start, stop, verdict, batches, records, None, is_open, Told.make(why, numbers[4:]))
        where = OffsetRange(numbers[4], numbers[5])
        return Region(start, stop, verdict, batches, records, where, is_open, Told.make(why, numbers[6:]))


class RegionMap:
    """Regions of one file: contiguous, from 0 to the size, without overlap.

    Args:
        size: bytes of the file.
        regions: in file order; many are kept packed, and each is made while it is looked at.

    Raises:
        InvariantError: the regions leave a gap, overlap, are empty or do not end at ``size``.
    """

    __slots__ = ("regions", "size")

    def __init__(self, size: int, regions: Iterable[Region]) -> None:
        self.size = size
        kept = Compact(RegionCodec(Told()), _contiguous(size, regions), _START)
        self.regions: Sequence[Region] = kept.settled()

    @classmethod
    def packed(cls, size: int, regions: Compact[Region]) -> RegionMap:
        """The map of regions that are packed already; the arguments and errors are those of the constructor."""
        starts, stops = np.empty(len(regions) + 1, np.int64), np.zeros(len(regions) + 1, np.int64)
        for _, places, columns in regions.tables():
            starts[places], stops[places + 1] = columns[0], columns[1]
        starts[-1] = size
        wrong = np.flatnonzero((starts != stops) | np.append(stops[1:] <= starts[:-1], False))
        if len(wrong):
            at = int(wrong[0])
            start, stop = int(starts[at]), int(stops[at])
            raise InvariantError(
                f"region {at} begins or ends at {start}, the one before ends at {stop}",
                stage="regions.map",
                where=(min(start, stop), max(start, stop)),
            )
        made = cls.__new__(cls)
        made.size, made.regions = size, regions.settled()
        return made

    def __iter__(self) -> Iterator[Region]:
        return iter(self.regions)

    def __len__(self) -> int:
        return len(self.regions)

    def __repr__(self) -> str:
        return f"RegionMap({self.size} bytes, {len(self.regions)} regions)"

    def find(self, position: int) -> int:
        """Place of the first region that begins at or behind a position; their number when none does."""
        if isinstance(self.regions, Compact):
            return self.regions.find(position)
        return bisect_left(self.regions, position, key=_START)

    def of(self, verdicts: Collection[Verdict]) -> Iterator[Region]:
        """Regions that have one of some verdicts, in file order."""
        kept = self.regions
        some = kept.of_shape(lambda shape: shape[0] in verdicts) if isinstance(kept, Compact) else kept
        return (region for region in some if region.verdict in verdicts)

    def totals(self) -> dict[Verdict, int]:
        """Bytes per verdict; the values add up to the size."""
        sums = dict.fromkeys(Verdict, 0)
        if isinstance(self.regions, Compact):
            for shape, _, columns in self.regions.tables():
                sums[shape[0]] += int((columns[1] - columns[0]).sum())
            return sums
        for region in self.regions:
            sums[region.verdict] += region.size
        return sums

    def harm(self, verdicts: Collection[Verdict]) -> tuple[int, int]:
        """Bytes of regions that have one of some verdicts, and offsets that they name."""
        size = offsets = 0
        if isinstance(self.regions, Compact):
            for shape, _, columns in self.regions.tables():
                if shape[0] in verdicts:
                    size += int((columns[1] - columns[0]).sum())
                    offsets += 0 if shape[2] else int((columns[5] - columns[4]).sum())
            return size, offsets
        for region in self.of(verdicts):
            size += region.size
            offsets += region.offsets.size if region.offsets is not None else 0
        return size, offsets

    def counted(self, batches: Callable[[I64, I64], I64]) -> RegionMap:
        """The same with other numbers of batches, where there are any.

        Args:
            batches: how many lie in ranges of bytes, by their starts and stops; 0: as many as the region says.
        """
        if not isinstance(self.regions, Compact):
            edges = np.array([(region.start, region.stop) for region in self.regions], np.int64).reshape(-1, 2)
            counts = zip(self.regions, batches(edges[:, 0], edges[:, 1]).tolist(), strict=True)
            return RegionMap(self.size, [replace(r, batches=n) if r.batches and n else r for r, n in counts])
        made = Compact(RegionCodec(Told()), (), _START)
        for sheet in sheets_of(self.regions):
            start, stop, own, *others = sheet.columns
            count = batches(start, stop)
            own = np.where((own > 0) & (count > 0), count, own)
            replace(sheet, columns=(start, stop, own, *others)).add_to(made)
        return RegionMap.packed(self.size, made)


def _contiguous(size: int, regions: Iterable[Region]) -> Iterator[Region]:
    """The same regions, looked at on the way."""
    position = 0
    for region in regions:
        if region.start != position or region.stop <= region.start:
            raise InvariantError(
                f"region {region.start}..{region.stop} ({region.verdict}) does not continue at {position}",
                stage="regions.map",
                where=(min(position, region.start), max(position, region.stop)),
            )
        position = region.stop
        yield region
    if position != size:
        raise InvariantError(
            f"the regions end at {position}, the file at {size}",
            stage="regions.map",
            where=(min(position, size), max(position, size)),
        )
