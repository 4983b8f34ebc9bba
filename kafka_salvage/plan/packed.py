"""Packed: ranges of a ledger and steps of a line, of which there may be millions that differ in numbers only."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

from kafka_salvage.plan.plan import OffsetSpan, Step
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.block import Numbers
from kafka_salvage.regions.compact import Compact, Same
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.regions.shapes import Told


class SpanCodec:
    """Parts ranges of a ledger."""

    def __init__(self) -> None:
        self._told = Told()

    def part(self, value: OffsetSpan) -> tuple[Hashable, Numbers]:
        """Shape and numbers."""
        why, rows = self._told.part(value.findings)
        shape = value.status, value.source, value.open_ended, value.upper_bound, value.reason, why
        return shape, (value.offsets.start, value.offsets.stop, value.absent, *rows)

    def make(self, shape: Any, numbers: Numbers) -> OffsetSpan:
        """The range."""
        status, source, is_open, upper, reason, why = shape
        start, stop, absent, *rows = numbers
        where, findings = OffsetRange(start, stop), Told.make(why, tuple(rows))
        return OffsetSpan(where, status, source, absent, is_open, upper, reason, findings)


class StepCodec:
    """Parts steps."""

    def part(self, value: Step) -> tuple[Hashable, Numbers]:
        """Shape and numbers."""
        shape = Same(value.survey), value.verdict, value.state, value.reason
        return shape, (value.start, value.stop, value.offsets.start, value.offsets.stop)

    def make(self, shape: Any, numbers: Numbers) -> Step:
        """The step."""
        survey, verdict, state, reason = shape
        start, stop, first, following = numbers
        return Step(survey.value, start, stop, OffsetRange(first, following), verdict, state, reason)


def packed_spans(spans: Iterable[OffsetSpan]) -> Sequence[OffsetSpan]:
    """Ranges of a ledger, packed where there are many."""
    return Compact(SpanCodec(), spans).settled()


def packed_steps(steps: Iterable[Step]) -> Sequence[Step]:
    """Steps of a line, packed where there are many."""
    return Compact(StepCodec(), steps).settled()


def segments_of(steps: Sequence[Step]) -> Iterator[SegmentSurvey]:
    """Segments that some steps lie in; one may come more than once."""
    if isinstance(steps, Compact):
        yield from (shape[0].value for shape in steps.all_shapes())
    else:
        yield from (step.survey for step in steps)
