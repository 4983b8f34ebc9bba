"""Terrain: judged batches, damage and tails put together to the total map of one file."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.belief import Why
from kafka_salvage.regions.check_header import damage_findings, tail_offsets
from kafka_salvage.regions.compact import FEW
from kafka_salvage.regions.context import Place, SegmentContext
from kafka_salvage.regions.expanse import Expanse, Gaps, heads_of, row_columns
from kafka_salvage.regions.ground import Ground
from kafka_salvage.regions.heads import Head
from kafka_salvage.regions.hunt import Damage, Doubt, Haul
from kafka_salvage.regions.index_reach import index_reach
from kafka_salvage.regions.judged import CODES, SUSPECT, Judged
from kafka_salvage.regions.map import Region, RegionMap
from kafka_salvage.regions.mend import Copies
from kafka_salvage.regions.over import damaged_region
from kafka_salvage.regions.shapes import findings_of
from kafka_salvage.regions.verdict import Finding, Verdict
from kafka_salvage.scan.batches import I64, Bool
from kafka_salvage.scan.walk import Stop, StopReason
from kafka_salvage.source.source import Source

SHORT_TAIL = 64
"""Zeros behind a torn batch that are not worth a region: batches end with zeros too."""
_MOST_NAMED = 100
_AT_ONCE = 1 << 12
_START = attrgetter("start")


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes between believed rows and what belongs there.

    Attributes:
        start, stop: bytes.
        low: next offset of the placed batch before (or the file's base); None when unknown.
        high: first offset of the placed batch behind; None at the end of the file.
    """

    start: int
    stop: int
    low: int | None
    high: int | None


class Terrain:
    """Builds the map of one file; findings of damage are added to the judged ones.

    Attributes:
        many: damages from which on they are told in columns; has no influence on what is told.
    """

    many = FEW

    def __init__(
        self, ground: Ground, judged: Judged, haul: Haul, context: SegmentContext, place: Place, base: int | None
    ) -> None:
        self._ground = ground
        self._judged = judged
        self._damages = {damage.start: damage for damage in haul.damages}
        self._over = haul.over
        self._doubts = sort_doubts(haul.doubts, judged, ground.source)
        self._doubt_starts = [int(d.batches.position[0]) for d in self._doubts]
        self._context = context
        self._place = place
        self._base = base
        self._unreadable = ground.source.unreadable

    def build(self, late: Sequence[Finding] = ()) -> RegionMap:
        """The map; then the findings are complete.

        Args:
            late: findings that no region is told.
        """
        judged, columns = self._judged, self._gap_columns()
        over = (columns[-1] >= 0) & (columns[3] < int(judged.placed.sum()))
        if int(over.sum()) + sum(len(sheet) for _, sheet in judged.sheets) >= self.many:
            return self._expanse(columns, over, late)
        judged.findings, judged.sheets = judged.told(), []
        early = sorted(judged.findings, key=_START)
        starts = [finding.start for finding in early]
        judged.findings = findings_of(judged.findings)
        rows = (_told(region, early, starts) for region in self._row_regions())
        gaps = chain.from_iterable(self._told_gaps(columns, over, early, starts))
        made = RegionMap(self._ground.size, _joined(heapq.merge(rows, gaps, key=_START)))
        judged.findings.extend(late)
        return made

    def _expanse(self, columns: Sequence[I64], over: Bool, late: Sequence[Finding]) -> RegionMap:
        """The same where there is very much damage, most of it in columns."""
        judged, early = self._judged, list(self._judged.findings)
        by_place = sorted(early, key=_START)
        others, judged.findings = [column[~over] for column in columns], []
        found = self._told_gaps(others, over[~over], by_place, [finding.start for finding in by_place])
        regions = list(chain.from_iterable(_joined(gap) for gap in found))
        _, start, stop, place, high, before, row = (column[over] for column in columns)
        low = np.where(place > 0, before + 1, high if self._base is None else self._base)
        gaps = Gaps(start, stop, row, low, high, low < high)
        every = [*judged.findings, *late]
        expanse = Expanse(judged, self._place, self._over, self._ground.size, early, every)
        made, judged.findings = expanse.build(gaps, regions), expanse.log
        return made

    def _told_gaps(
        self, columns: Sequence[I64], over: Bool, early: Sequence[Finding], starts: Sequence[int]
    ) -> Iterator[list[Region]]:
        """Regions of each byte range that no row covers; those that say nothing themselves with what is said of them."""
        findings = self._judged.findings
        for gap in self._gaps(columns, over):
            told, regions = len(findings), []
            for region in list(gap):
                if region.findings or region.verdict is Verdict.BLANK:
                    regions.append(region)
                    continue
                known = early[bisect_left(starts, region.start) : bisect_left(starts, region.stop)]
                here = sorted([*known, *(findings[at] for at in range(told, len(findings)))], key=_START)
                regions.append(_told(region, here, [finding.start for finding in here]))
            yield regions

    def _row_regions(self) -> Iterator[Region]:
        """Touching rows of one verdict."""
        heads = heads_of(self._judged)
        if not len(heads):
            return
        tails = np.append(heads[1:], len(self._judged.table))
        columns = heads, tails, *row_columns(self._judged, heads, tails)
        for head, tail, start, stop, code, count, low, high in _each(columns):
            offsets = OffsetRange(low, high + 1) if low <= high else None
            if code == SUSPECT:
                offsets = self._judged.holes.get(head)
            yield Region(start, stop, CODES[code], tail - head, count, offsets)

    def _gap_columns(self) -> tuple[I64, ...]:
        """Byte ranges that no row covers: the row behind, first byte and end, how many placed rows lie before, the first offset of
        the one behind and the last of the one before, and the row of what was gone over if that is all there is; -1 otherwise.
        """
        table, placed = self._judged.table, np.flatnonzero(self._judged.placed)
        starts = np.concatenate([[0], table.stop])
        stops = np.concatenate([table.position, [self._ground.size]])
        gaps = np.flatnonzero(stops > starts)
        behind = np.searchsorted(placed, gaps)
        first, last = np.append(table.base_offset[placed], -1)[behind], np.append(table.last_offset[placed], -1)
        over = self._over.at(starts[gaps], stops[gaps])
        return gaps, starts[gaps], stops[gaps], behind, first, last[behind - 1], over

    def _gaps(self, columns: Sequence[I64], simple: Bool) -> Iterator[Iterable[Region]]:
        """Regions of each byte range that no row covers; what they find is judged once they are taken.

        Args:
            columns: as `_gap_columns` gives them.
            simple: which were gone over between batches whose place is believed.
        """
        count = int(self._judged.placed.sum())
        for (at, start, stop, place, high, before, row), over in zip(_each(columns), simple.tolist(), strict=True):
            low = before + 1 if place else self._base
            if over:
                lost = OffsetRange(low, high) if low is not None and low < high else None
                region, found = damaged_region(self._place, self._over, row, lost, self._ground.size)
                self._judged.findings.extend(found)
                yield (region,)
                continue
            known_high = high if place < count else self._doubted_start(at, low)
            yield self._gap_regions(Gap(start, stop, low, known_high))

    def _doubted_start(self, row: int, low: int | None) -> int | None:
        """First offset of a batch whose place is doubted, if it is believed to lie behind some that are not there."""
        hole = self._judged.holes.get(row)
        return hole.start if hole is not None and low is not None and hole.start > low else None

    def _gap_regions(self, gap: Gap) -> Iterable[Region]:
        damage = self._damages.get(gap.start) or self._gone_over(gap)
        head = damage.heads[0] if damage.heads and damage.heads[0].position == gap.start else None
        if gap.high is not None:
            lost = OffsetRange(gap.low, gap.high) if gap.low is not None and gap.low < gap.high else None
            return self._damaged(gap.start, gap.stop, damage, lost, False, torn=False)
        return self._tail(gap, damage, head)

    def _gone_over(self, gap: Gap) -> Damage:
        """A batch that was gone over, where what stands behind it has no place."""
        row = int(self._over.at(np.array([gap.start]), np.array([gap.stop]))[0])
        if row < 0:
            return Damage(gap.start, gap.stop, Stop(gap.start, StopReason.CRC_MISMATCH))
        head = self._ground.head(gap.start) if self._ground.sane(gap.start) else None
        return Damage(gap.start, gap.stop, self._over.fact(row), [] if head is None else [head])

    def _tail(self, gap: Gap, damage: Damage, head: Head | None) -> Iterable[Region]:
        """The end of the file: torn batches, blank or lost zeros."""
        ground, ceiling = self._ground, self._context.next_base
        zeros = gap.stop if gap.stop < ground.size else max(gap.start, ground.data_stop)
        if gap.stop == ground.size and gap.start < ground.data_stop:
            claimed = head.stop if head is not None and head.stop <= ground.size else zeros
            zeros = max(zeros, claimed)
            if ground.size - zeros < SHORT_TAIL:
                zeros = ground.size
        low = gap.low
        regions: list[Region] = []
        if gap.start < zeros:
            lost, is_open = None, False
            if low is not None:
                available = ground.size - gap.start
                reaches = head is not None and head.stop >= min(gap.stop, ground.data_stop)
                lost, is_open = tail_offsets(head, low, available, ceiling, reaches)
                lost = lost if lost.size else None
                if lost is not None and not is_open and head is not None and head.stop > ground.data_stop:
                    # its length may lie, and the last batch be damaged
                    behind = ground.last_header(gap.start + 1, lost.stop)
                    lost = lost if behind is None else OffsetRange(lost.start, behind.last_offset + 1)
                low = lost.stop if lost is not None and not is_open else low
            torn = ceiling is None and (head is not None or damage.fact.reason is StopReason.SHORT)
            regions += self._damaged(gap.start, zeros, damage, lost, is_open, torn=torn)
            zeros = max(zeros, regions[-1].stop)  # a doubted batch may end in zeros of its own
        if zeros < gap.stop:
            regions.append(self._zeros(zeros, low))
        return regions

    def _zeros(self, start: int, low: int | None) -> Region:
        """Zeros up to the end of the file: blank, unless something says that data was there."""
        ground, context = self._ground, self._context
        size = ground.size
        said, reached = [], -1
        entries = ground.index_positions
        inside = np.flatnonzero((entries >= start) & (entries < size) & (entries > 0))
        if len(inside):
            said.append(f"the index names position {int(entries[inside[0]])}")
            believed = self._judged.table.take(np.flatnonzero(self._judged.placed))
            last = index_reach(ground.index_positions, ground.index_offsets, believed, ground.base)
            reached = max(reached, last[0] + 1 if last is not None else -1)
        if low is not None and context.reached > low:
            said.append(f"{context.reached_by} says {context.reached}")
            reached = max(reached, context.reached)
        ceiling = context.next_base
        if low is not None and ceiling is not None and ceiling > low and not context.compacted:
            said.append(f"the next segment begins at {ceiling}")
            reached = ceiling
        if not said:
            return Region(start, size, Verdict.BLANK)
        lost = OffsetRange(low, max(reached, low + 1)) if low is not None else None
        sentence = f"{size - start} zero bytes where data was: {'; '.join(said)}"
        finding = self._place.finding("zero-fill", start, size, sentence, lost)
        self._judged.findings.append(finding)
        return Region(start, size, Verdict.DAMAGED, offsets=lost, open_ended=ceiling is None, findings=(finding,))

    def _damaged(
        self, start: int, stop: int, damage: Damage, lost: OffsetRange | None, is_open: bool, *, torn: bool
    ) -> list[Region]:
        """Damaged bytes, with the suspects and the unreadable bytes in them."""
        ground, place = self._ground, self._place
        head = ground.head(start)
        found = damage_findings(place, ground.source, damage.fact, head, start, stop, torn, lost)
        found += self._embedded(damage, stop)
        if damage.fact.reason is StopReason.UNREADABLE:
            found = [f for f in found if f.code != "unreadable"]
        regions: list[Region] = []
        at = start
        low = bisect_left(self._doubt_starts, start)
        for doubt in self._doubts[low : bisect_left(self._doubt_starts, stop)]:
            region = self._suspect(doubt, lost)
            regions += self._readable(at, region.start, lost, is_open, found)
            regions.append(region)
            at = region.stop
        regions += self._readable(at, stop, lost, is_open, found)
        self._judged.findings.extend(found)
        return regions

    def _readable(
        self, start: int, stop: int, lost: OffsetRange | None, is_open: bool, found: Sequence[Finding]
    ) -> Iterator[Region]:
        """Damaged bytes, parted by what could not be read."""
        at = start
        for hole in self._unreadable:
            low, high = max(hole.start, at), min(hole.stop, stop)
            if low >= high:
                continue
            if at < low:
                yield Region(at, low, Verdict.DAMAGED, offsets=lost, open_ended=is_open, findings=tuple(found))
            finding = self._place.finding("unreadable", low, high, "the disk refused to give these bytes", lost)
            self._judged.findings.append(finding)
            yield Region(low, high, Verdict.UNREADABLE, offsets=lost, open_ended=is_open, findings=(finding,))
            at = high
        if at < stop:
            yield Region(at, stop, Verdict.DAMAGED, offsets=lost, open_ended=is_open, findings=tuple(found))

    def _suspect(self, doubt: Doubt, lost: OffsetRange | None) -> Region:
        table = doubt.batches
        start, stop = int(table.position[0]), int(table.stop[-1])
        first, last = int(table.base_offset[0]), int(table.last_offset[-1])
        count = int(np.maximum(table.record_count, 0).sum())
        if doubt.why is Why.COPY:
            return Region(start, stop, Verdict.DUPLICATE, len(table), count, OffsetRange(first, last + 1))
        fits = lost is not None and lost.start <= first <= last < lost.stop
        offsets = OffsetRange(first, last + 1) if fits else None
        finding = self._place.finding(
            "uncorroborated",
            start,
            stop,
            f"{len(table)} batches whose CRC holds, but nothing proves that this is their place ({doubt.why.value})",
            offsets,
            first_offset=first,
            last_offset=last,
        )
        self._judged.findings.append(finding)
        return Region(start, stop, Verdict.SUSPECT, len(table), count, offsets, findings=(finding,))

    def _embedded(self, damage: Damage, stop: int) -> list[Finding]:
        named = sorted(one for one in damage.embedded if one[0] < stop)
        found = [
            self._place.finding(
                "embedded-batch",
                at,
                end,
                "a valid batch inside the payload of a damaged one: it is no batch of this log",
            )
            for at, end in named[:_MOST_NAMED]
        ]
        if len(named) > _MOST_NAMED:
            more = len(named) - _MOST_NAMED
            message = f"{more} more valid batches inside damaged payload"
            found.append(
                self._place.finding("embedded-batch", named[_MOST_NAMED][0], named[-1][1], message, count=more)
            )
        return found


def _about(region: Region, findings: Sequence[Finding], starts: Sequence[int]) -> tuple[Finding, ...]:
    """Findings that begin inside a region of batches; intact bytes have only those that say so little."""
    low = bisect_left(starts, region.start)
    if low == len(starts) or starts[low] >= region.stop:
        return ()
    here = findings[low : bisect_left(starts, region.stop)]
    if region.verdict is Verdict.INTACT:
        return tuple(f for f in here if f.code == "uncorroborated")
    return tuple(here) if region.verdict is not Verdict.BLANK else ()


def _told(region: Region, findings: Sequence[Finding], starts: Sequence[int]) -> Region:
    """The region with what is said of it, if that is anything."""
    about = _about(region, findings, starts)
    return replace(region, findings=about) if about else region


def _each(columns: Iterable[npt.NDArray[Any]]) -> Iterator[tuple[int, ...]]:
    """Rows of columns, as plain integers; there may be millions of them."""
    listed = list(columns)
    for start in range(0, len(listed[0]), _AT_ONCE):
        yield from zip(*(column[start : start + _AT_ONCE].tolist() for column in listed), strict=True)


def _joined(regions: Iterable[Region]) -> Iterator[Region]:
    """Neighbours of one verdict as one region, as long as they tell the same of offsets."""
    last: Region | None = None
    for region in regions:
        if (
            last is not None
            and last.verdict is region.verdict
            and last.verdict in (Verdict.DAMAGED, Verdict.UNREADABLE)
            and last.offsets == region.offsets
            and last.open_ended == region.open_ended
        ):
            findings = (*last.findings, *(f for f in region.findings if all(f is not known for known in last.findings)))
            last = replace(last, stop=region.stop, findings=findings)
            continue
        if last is not None:
            yield last
        last = region
    if last is not None:
        yield last


def sort_doubts(doubts: Sequence[Doubt], judged: Judged, source: Source) -> list[Doubt]:
    """The same doubts by position, parted into what is a second copy of believed batches and what is not."""
    parted: list[Doubt] = []
    if not doubts:
        return parted
    wanted = np.concatenate([doubt.batches.crc for doubt in doubts])
    offsets = np.concatenate([doubt.batches.offset for doubt in doubts])
    originals = Copies(judged.table, judged.placed, wanted, offsets, source)
    for doubt in doubts:
        rows = doubt.batches
        copies = np.array([originals.has(rows, at) for at in range(len(rows))], np.bool_)
        edges = np.flatnonzero(copies[1:] != copies[:-1]) + 1
        groups = np.split(np.arange(len(rows)), edges)
        parted += [Doubt(rows.take(group), Why.COPY if copies[group[0]] else doubt.why) for group in groups]
    return sorted(parted, key=lambda one: int(one.batches.position[0]))
