"""Packed: ranges of a ledger and steps of a line, of which there may be millions that differ in numbers only."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from kafka_salvage.plan.plan import OffsetSpan, Status, Step
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.block import Numbers
from kafka_salvage.regions.compact import Compact, Same
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.regions.shapes import Told
from kafka_salvage.scan.batches import I64
from kafka_salvage.scan.replica import State


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


def starts_having(spans: Sequence[OffsetSpan], statuses: Collection[Status]) -> I64:
    """First offsets of those ranges that have one of some statuses, in their order."""
    if not isinstance(spans, Compact):
        return np.array([span.offsets.start for span in spans if span.status in statuses], np.int64)
    starts = np.empty(len(spans), np.int64)
    wanted = np.zeros(len(spans), np.bool_)
    for shape, places, columns in spans.tables():
        if shape[0] in statuses:
            starts[places], wanted[places] = columns[0], True
    return starts[wanted]


def statuses_of(spans: Sequence[OffsetSpan]) -> set[Status]:
    """Statuses that occur."""
    if isinstance(spans, Compact):
        return {shape[0] for shape in spans.all_shapes()}
    return {span.status for span in spans}


def homes_of(steps: Sequence[Step]) -> set[State]:
    """States of the files that some steps lie in."""
    if isinstance(steps, Compact):
        return {shape[2] for shape in steps.all_shapes()}
    return {step.state for step in steps}


def segments_of(steps: Sequence[Step]) -> Iterator[SegmentSurvey]:
    """Segments that some steps lie in; one may come more than once."""
    if isinstance(steps, Compact):
        yield from (shape[0].value for shape in steps.all_shapes())
    else:
        yield from (step.survey for step in steps)
