"""Displaced: believed batches whose base offset cannot be true, as another copy or the bytes before them show.

The base offset of a batch lies outside its CRC. A batch that does not follow on densely in its own file stands at a wrong one when

1. another copy has the same bytes at another offset, dense between its neighbours there: it is a `duplicate` of that;
2. it touches the batch before it and leaves a gap, and another copy has other batches of its leader epoch at its offsets, which
   are dense with a neighbour: it is `suspect`;
3. it ends its file, and jumps ahead by more offsets than the damaged bytes before it have bytes: it is `suspect`.

Only for topics that are not compacted: elsewhere nothing is dense.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kafka_salvage.plan.believing import disbelieve
from kafka_salvage.plan.cursors import Rows, chunks
from kafka_salvage.plan.edges import Edges
from kafka_salvage.plan.strands import Strand, spans_of
from kafka_salvage.plan.timeline import UNBOUNDED
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.map import RegionMap
from kafka_salvage.regions.runs import ReplicaSurvey, SegmentSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.batches import BatchTable

_CONTENT = ("crc", "size", "record_count", "magic", "producer_id", "base_sequence", "max_timestamp")
_Content = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Odd:
    """A run of one batch that does not follow on densely.

    Attributes:
        segment: number of the segment in its survey.
        row: of the run.
        low, high: offsets between which its place in the file puts it.
        first, next: offsets that it says.
        epoch: its leader epoch.
        leaps: it touches the batch before it, and leaves a gap.
        jumps: rule 3 holds.
    """

    segment: int
    row: int
    low: int
    high: int
    first: int
    next: int
    epoch: int
    leaps: bool
    jumps: bool


def put_right(strands: Sequence[Strand], edges: Edges) -> list[ReplicaSurvey]:
    """The copies without batches that another copy proves to stand at a wrong offset.

    Args:
        strands: copies of one incarnation of a topic that is not compacted.
        edges: reads batches again.

    Raises:
        SourceError: a file that must be read again cannot be opened any more.
    """
    odd = [list(_odd(strand)) for strand in strands]
    made = []
    for at, strand in enumerate(strands):
        survey = strand.survey
        tables = {each: edges(survey.segments[each.segment], *_bytes(survey, each)) for each in odd[at]}
        others = [other for place, other in enumerate(strands) if place != at]
        seen = _Places(tables, others, edges)
        for each, table in tables.items():
            if len(table) == 1:
                survey = _judged(survey, each, table, seen)
        made.append(survey)
    return made


def _judged(survey: ReplicaSurvey, odd: _Odd, table: BatchTable, seen: _Places) -> ReplicaSurvey:
    """The copy, with one odd batch no longer believed where one of the rules holds."""
    bases = seen.of(table)
    if odd.first in bases:
        return survey
    said = f"This batch says base offset {odd.first}; "
    if len(bases) == 1:
        (base,) = bases
        told = f"another copy has its very bytes at {base}, dense between their neighbours"
        where = OffsetRange(base, base + odd.next - odd.first)
        return _changed(survey, odd, disbelieve(_segment(survey, odd), table, where, "offset-overlap", said + told))
    if odd in seen.contested:
        told = "it follows on from nothing, and another copy has other batches there that do"
        code = "offset-overlap"
    elif odd.jumps:
        told = f"behind {odd.low} that is more offsets ahead than damaged bytes lie between"
        code = "offset-gap"
    else:
        return survey
    made = disbelieve(_segment(survey, odd), table, None, code, said + told, Verdict.SUSPECT)
    return _changed(survey, odd, _shortened(made, odd) if odd.jumps else made)


def _shortened(segment: SegmentSurvey, odd: _Odd) -> SegmentSurvey:
    """The survey in which damaged bytes no longer name offsets up to where a batch jumped."""
    wrong = OffsetRange(odd.low, odd.first)
    least = OffsetRange(odd.low, odd.low + 1)
    regions = [
        replace(region, offsets=least, open_ended=True) if region.offsets == wrong else region
        for region in segment.regions
    ]
    return replace(segment, regions=RegionMap(segment.regions.size, regions))


def _segment(survey: ReplicaSurvey, odd: _Odd) -> SegmentSurvey:
    return survey.segments[odd.segment]


def _changed(survey: ReplicaSurvey, odd: _Odd, segment: SegmentSurvey) -> ReplicaSurvey:
    segments = list(survey.segments)
    segments[odd.segment] = segment
    return replace(survey, segments=tuple(segments))


def _odd(strand: Strand) -> Iterator[_Odd]:
    for number, segment in enumerate(strand.survey.segments):
        if segment.segment.state is not strand.survey.replica.state:
            continue
        runs = segment.runs
        first, following = runs.first_offset, runs.next_offset
        before = np.concatenate([[segment.segment.base_offset or 0], following[:-1]])
        behind = np.append(first[1:], UNBOUNDED)
        loose = (runs.batches == 1) & ~((before == first) & ((behind == following) | (behind == UNBOUNDED)))
        between = runs.start - np.concatenate([[0], runs.stop[:-1]])
        jumps = (between > 0) & (first - before > between) & (behind == UNBOUNDED)
        leaps = (between == 0) & (before < first) & (behind != following)
        for row in np.flatnonzero(loose).tolist():
            yield _Odd(
                number,
                row,
                low=int(before[row]),
                high=int(behind[row]),
                first=int(first[row]),
                next=int(following[row]),
                epoch=int(runs.leader_epoch[row]),
                leaps=bool(leaps[row]),
                jumps=bool(jumps[row]),
            )


def _bytes(survey: ReplicaSurvey, odd: _Odd) -> tuple[int, int]:
    runs = survey.segments[odd.segment].runs
    return int(runs.start[odd.row]), int(runs.stop[odd.row])


def _contents(table: BatchTable) -> list[_Content]:
    return list(zip(*(getattr(table, name).tolist() for name in _CONTENT), strict=True))


class _Places:
    """What other copies have of some odd batches, and instead of them.

    Attributes:
        contested: those at whose offsets another copy has batches that follow on, and other ones.
    """

    def __init__(self, tables: Mapping[_Odd, BatchTable], others: Sequence[Strand], edges: Edges) -> None:
        self._bases: dict[_Content, set[int]] = {}
        self.contested: set[_Odd] = set()
        if not tables:
            return
        asked = {content for table in tables.values() for content in _contents(table)}
        wanted = spans_of([*((each.low, each.high) for each in tables), *((each.first, each.next) for each in tables)])
        for chunk in chunks(others, wanted, edges):
            for strand, rows in zip(others, chunk, strict=True):
                self._look(strand, rows, asked)
                for each in tables:
                    self._compare(strand, rows.table, each)

    def of(self, table: BatchTable) -> set[int]:
        """Base offsets at which other copies have the bytes of a batch, dense between their neighbours."""
        return self._bases.get(_contents(table)[0], set())

    def _look(self, strand: Strand, rows: Rows, asked: set[_Content]) -> None:
        """Only batches that nobody moved tell where they belong."""
        table = rows.table
        columns = (_contents(table), table.base_offset.tolist(), table.last_offset.tolist(), rows.piece.tolist())
        for content, base, last, piece in zip(*columns, strict=True):
            intact = content in asked and strand.pieces[piece].verdict is Verdict.INTACT
            if intact and _is_dense(strand, base, last + 1):
                self._bases.setdefault(content, set()).add(base)

    def _compare(self, strand: Strand, table: BatchTable, odd: _Odd) -> None:
        if odd in self.contested or not odd.leaps:
            return
        low = int(np.searchsorted(table.last_offset, odd.first))
        high = int(np.searchsorted(table.base_offset, odd.next))
        if low < high:
            first, following = int(table.base_offset[low]), int(table.last_offset[high - 1]) + 1
            epochs = set(table.leader_epoch[low:high].tolist())
            other = (first, following) != (odd.first, odd.next) and epochs == {odd.epoch}
            if other and any(_touches(strand, first, following)):
                self.contested.add(odd)


def _is_dense(strand: Strand, low: int, high: int) -> bool:
    """Whether offsets follow on without a gap before and behind a batch of a copy, or nothing is there."""
    at = int(np.searchsorted(strand.first, low, side="right")) - 1
    starts, ends = int(strand.first[at]) == low, int(strand.next[at]) == high
    before = not starts or at == 0 or int(strand.next[at - 1]) == low
    behind = not ends or at + 1 == len(strand.first) or int(strand.first[at + 1]) == high
    return before and behind


def _touches(strand: Strand, low: int, high: int) -> tuple[bool, bool]:
    """Whether believed offsets of a copy end right before a batch, and begin right behind it."""
    before, behind = strand.epoch_at(low - 1), strand.epoch_at(high)
    return before is not None, behind is not None
