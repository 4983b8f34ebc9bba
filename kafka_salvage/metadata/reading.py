"""Reading: the records of Kafka's own topics, from the believed batches of one or several copies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from kafka_salvage.errors import SourceError
from kafka_salvage.plan.edges import open_patched, read_edges
from kafka_salvage.plan.piece import Piece
from kafka_salvage.plan.timeline import Timeline, pieces_in
from kafka_salvage.regions.runs import ReplicaSurvey, SegmentSurvey
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.records import RecordTable, decode
from kafka_salvage.scan.walk import walk
from kafka_salvage.wire.filenames import Suffix

Stretch = tuple[SegmentSurvey, int, int]
"""Bytes ``[start, stop)`` of a segment."""


def reach_of(survey: ReplicaSurvey) -> tuple[int, int]:
    """(leader epoch of the last batch, offset behind it): which of two logs Raft calls more up to date."""
    tables = [
        segment.runs for segment in survey.segments if segment.segment.suffix is Suffix.NONE and len(segment.runs)
    ]
    if not tables:
        return -1, -1
    last = max(tables, key=lambda runs: int(runs.next_offset.max()))
    row = int(last.next_offset.argmax())
    return int(last.leader_epoch[row]), int(last.next_offset[row])


def by_reach(copies: Iterable[ReplicaSurvey]) -> list[ReplicaSurvey]:
    """The most up to date copy first; ties by name."""
    return sorted(copies, key=lambda s: (tuple(-n for n in reach_of(s)), s.replica.source, s.replica.path))


def joined(copies: Iterable[ReplicaSurvey], *, compacted: bool) -> Sequence[Piece]:
    """Believed batches of all copies as one line: the most up to date copy first, the others where it has gaps.

    Args:
        copies: copies of one partition, in any order.
        compacted: gaps between batches mean nothing.
    """
    timeline = Timeline(read_edges)
    for survey in by_reach(copies):
        own = [segment for segment in survey.segments if segment.segment.suffix is Suffix.NONE]
        timeline.place(pieces_in(survey, own, compacted))
    return timeline.pieces


def tables_of(stretches: Iterable[Stretch], limits: Limits, notes: list[str] | None = None) -> Iterator[RecordTable]:
    """Records of some bytes, repairs laid over; a file that cannot be opened any more is a note."""
    for segment, start, stop in stretches:
        try:
            source = open_patched(segment)
        except SourceError as error:
            if notes is None:
                raise
            notes.append(error.message)
            continue
        with closing(source):
            for block in walk(source, start, stop):
                for part in decode(source, block.batches, limits):
                    if notes is not None:
                        notes += [f"{segment.segment.file.path}: {why}" for why in part.detail.values()]
                    yield part.table
