"""RegionMap: the total map of one file; every byte has one verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kafka_salvage.errors import InvariantError
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.verdict import Finding, Verdict


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
    findings: tuple[Finding, ...] = ()

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.stop - self.start


class RegionMap:
    """Regions of one file: contiguous, from 0 to the size, without overlap.

    Args:
        size: bytes of the file.
        regions: in file order.

    Raises:
        InvariantError: the regions leave a gap, overlap, are empty or do not end at ``size``.
    """

    __slots__ = ("regions", "size")

    def __init__(self, size: int, regions: Iterable[Region]) -> None:
        self.size = size
        self.regions: tuple[Region, ...] = tuple(regions)
        position = 0
        for region in self.regions:
            if region.start != position or region.stop <= region.start:
                raise InvariantError(
                    f"region {region.start}..{region.stop} ({region.verdict}) does not continue at {position}",
                    stage="regions.map",
                    where=(min(position, region.start), max(position, region.stop)),
                )
            position = region.stop
        if position != size:
            raise InvariantError(
                f"the regions end at {position}, the file at {size}",
                stage="regions.map",
                where=(min(position, size), max(position, size)),
            )

    def __iter__(self) -> Iterator[Region]:
        return iter(self.regions)

    def __len__(self) -> int:
        return len(self.regions)

    def __repr__(self) -> str:
        return f"RegionMap({self.size} bytes, {len(self.regions)} regions)"

    def totals(self) -> dict[Verdict, int]:
        """Bytes per verdict; the values add up to the size."""
        sums = dict.fromkeys(Verdict, 0)
        for region in self.regions:
            sums[region.verdict] += region.size
        return sums
