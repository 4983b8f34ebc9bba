"""Piece: a stretch of batches of one segment that may go to the output as one."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.block import Numbers
from kafka_salvage.regions.compact import Compact, Same
from kafka_salvage.regions.runs import ReplicaSurvey, SegmentSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.replica import State

FIRST = attrgetter("first")
"""Pieces are looked for by their first offset."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A stretch of whole batches of one segment.

    Attributes:
        survey, segment: where it lies.
        start, stop: bytes.
        first, next: offsets ``[first, next)``, explained gaps inside included.
        batches, records, control: counts (records include control records).
        absent: offsets inside that hold no record and never will.
        verdict: intact, repaired, or suspect (when asked for).
        rows: rows of the run table that it comes from, ``[rows[0], rows[1])``.
    """

    survey: ReplicaSurvey
    segment: SegmentSurvey
    start: int
    stop: int
    first: int
    next: int
    batches: int
    records: int
    control: int
    absent: int
    verdict: Verdict
    rows: tuple[int, int]

    @property
    def state(self) -> State:
        """State of the segment file."""
        return self.segment.segment.state

    @property
    def data(self) -> int:
        """Data records."""
        return self.records - self.control

    @property
    def offsets(self) -> OffsetRange:
        """``[first, next)``."""
        return OffsetRange(self.first, self.next)


class PieceCodec:
    """Parts pieces: many of them differ in numbers only."""

    def part(self, value: Piece) -> tuple[Hashable, Numbers]:
        """Shape and numbers."""
        numbers = value.start, value.stop, value.first, value.next, value.batches, value.records, value.control
        return shape_of(value.survey, value.segment, value.verdict), (*numbers, value.absent, *value.rows)

    def make(self, shape: Any, numbers: Numbers) -> Piece:
        """The piece."""
        survey, segment, verdict = shape
        return Piece(survey.value, segment.value, *numbers[:8], verdict, numbers[8:])  # type: ignore[call-arg,arg-type] # two are left


def shape_of(survey: ReplicaSurvey, segment: SegmentSurvey, verdict: Verdict) -> tuple[Same, Same, Verdict]:
    """What pieces of one segment and verdict share."""
    return Same(survey), Same(segment), verdict


def packed_pieces(pieces: Iterable[Piece]) -> Sequence[Piece]:
    """Pieces, packed where there are many."""
    return Compact(PieceCodec(), pieces, FIRST).settled()
