"""Displaced: believed batches whose base offset another copy proves wrong.

The base offset of a batch lies outside its CRC. A batch that does not follow on densely in its own file, and that another copy
has with the same bytes at another offset, dense between its neighbours there, stands here at a wrong one: it is a `duplicate` of
that. Only for topics that are not compacted: elsewhere nothing is dense.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kafka_salvage.plan.believing import disbelieve
from kafka_salvage.plan.cursors import chunks
from kafka_salvage.plan.edges import Edges
from kafka_salvage.plan.strands import Strand, spans_of
from kafka_salvage.plan.timeline import UNBOUNDED
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.runs import ReplicaSurvey
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
    """

    segment: int
    row: int
    low: int
    high: int


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
        true = _places(others, tables, edges) if tables else {}
        for each, table in tables.items():
            base = true.get(_contents(table)[0]) if len(table) == 1 else None
            if base is not None and base != int(table.base_offset[0]):
                survey = _moved(survey, each, table, base)
        made.append(survey)
    return made


def _odd(strand: Strand) -> Iterator[_Odd]:
    for number, segment in enumerate(strand.survey.segments):
        if segment.segment.state is not strand.survey.replica.state:
            continue
        runs = segment.runs
        first, following = runs.first_offset, runs.next_offset
        before = np.concatenate([[segment.segment.base_offset or 0], following[:-1]])
        behind = np.append(first[1:], UNBOUNDED)
        loose = (runs.batches == 1) & ~((before == first) & ((behind == following) | (behind == UNBOUNDED)))
        for row in np.flatnonzero(loose).tolist():
            yield _Odd(number, row, int(before[row]), int(behind[row]))


def _bytes(survey: ReplicaSurvey, odd: _Odd) -> tuple[int, int]:
    runs = survey.segments[odd.segment].runs
    return int(runs.start[odd.row]), int(runs.stop[odd.row])


def _contents(table: BatchTable) -> list[_Content]:
    return list(zip(*(getattr(table, name).tolist() for name in _CONTENT), strict=True))


def _places(others: Sequence[Strand], tables: dict[_Odd, BatchTable], edges: Edges) -> dict[_Content, int]:
    """Where other copies have such batches, dense between their neighbours; what several places have is left out."""
    wanted = spans_of((each.low, each.high) for each in tables)
    asked = {content for table in tables.values() for content in _contents(table)}
    found: dict[_Content, set[int]] = {}
    for chunk in chunks(others, wanted, edges):
        for strand, rows in zip(others, chunk, strict=True):
            for content, base, last in zip(
                _contents(rows.table), rows.table.base_offset.tolist(), rows.table.last_offset.tolist(), strict=True
            ):
                if content in asked and _is_dense(strand, base, last + 1):
                    found.setdefault(content, set()).add(base)
    return {content: bases.pop() for content, bases in found.items() if len(bases) == 1}


def _is_dense(strand: Strand, low: int, high: int) -> bool:
    """Whether offsets follow on without a gap before and behind a batch of a copy."""
    at = int(np.searchsorted(strand.first, low, side="right")) - 1
    starts, ends = int(strand.first[at]) == low, int(strand.next[at]) == high
    before = not starts or at == 0 or int(strand.next[at - 1]) == low
    behind = not ends or at + 1 == len(strand.first) or int(strand.first[at + 1]) == high
    return before and behind


def _moved(survey: ReplicaSurvey, odd: _Odd, table: BatchTable, base: int) -> ReplicaSurvey:
    """The copy with one batch no longer believed."""
    segment = survey.segments[odd.segment]
    size = int(table.last_offset[0]) - int(table.base_offset[0]) + 1
    message = (
        f"This batch says base offset {int(table.base_offset[0])}; another copy has its very bytes at {base}, dense between their "
        "neighbours"
    )
    where = OffsetRange(base, base + size)
    changed = disbelieve(segment, table, where, "offset-overlap", message)
    segments = list(survey.segments)
    segments[odd.segment] = changed
    return replace(survey, segments=tuple(segments))
