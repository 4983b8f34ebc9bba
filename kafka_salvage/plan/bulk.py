"""Bulk: the ranges that a line of many pieces gives, and those between them, as columns.

What most damages come to, one harmed region that fills the gap between two pieces of one file, is told of all of them at once;
only what is not like that is explained one by one (see `gaps`). The result equals that of `spans`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from kafka_salvage.plan.columns import PieceColumns, columns_of
from kafka_salvage.plan.gaps import HARMFUL, Ground, cast_doubt, explain
from kafka_salvage.plan.odd import OddRegions, odd_regions
from kafka_salvage.plan.piece import Piece
from kafka_salvage.plan.plan import OffsetSpan, Status
from kafka_salvage.plan.span_columns import Shapes, SpanColumns, together_in_order
from kafka_salvage.plan.spans import OUTPUT, span_of
from kafka_salvage.plan.timeline import piece_at
from kafka_salvage.regions.compact import Same
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.batches import I64, Bool
from kafka_salvage.scan.replica import State

_LOST = HARMFUL - {Verdict.UNDECODABLE, Verdict.SUSPECT}
_OPEN = (Status.MISSING, Status.ABSENT)


class Odd:
    """Remembers the odd regions of segments."""

    def __init__(self) -> None:
        self._known: dict[int, OddRegions] = {}

    def of(self, segment: SegmentSurvey) -> OddRegions:
        """Those of a segment, which outlives this."""
        found = self._known.get(id(segment))
        if found is None:
            found = self._known[id(segment)] = odd_regions(segment)
        return found


def spans_in_bulk(pieces: Sequence[Piece], ground: Ground, home: State, low: int, high: int, odd: Odd) -> SpanColumns:
    """What pieces give, and why the rest of ``[low, high)`` is not there; pieces as for `spans_between`, at least one."""
    columns, shapes = columns_of(pieces), Shapes()
    parts = list(_given(columns, home, odd, shapes))
    open_gap = np.flatnonzero(columns.next[:-1] < columns.first[1:])
    rows, plain = _filled(columns, open_gap, odd, shapes, ground.compaction.compacted)
    parts.append((2 * rows + 2, plain))
    keys: list[int] = []
    told: list[OffsetSpan] = []

    def tell(key: int, start: int, stop: int, before: Piece | None, behind: Piece | None) -> None:
        spans = explain(ground, start, stop, before, behind)
        told.extend(spans)
        keys.extend([key] * len(spans))

    last = len(columns) - 1
    if int(columns.first[0]) > low:
        tell(0, low, int(columns.first[0]), None, piece_at(columns, 0))
    for at in np.setdiff1d(open_gap, rows, assume_unique=True).tolist():
        before, behind = piece_at(columns, at), piece_at(columns, at + 1)
        tell(2 * at + 2, before.next, behind.first, before, behind)
    if high > int(columns.next[last]):
        tell(2 * last + 2, int(columns.next[last]), high, piece_at(columns, last), None)
    parts.append((np.array(keys, np.int64), shapes.columns(told)))
    return together_in_order(parts)


def _given(columns: PieceColumns, home: State, odd: Odd, shapes: Shapes) -> Iterator[tuple[I64, SpanColumns]]:
    """What the pieces give, each with its key."""
    order = np.argsort(columns.home, kind="stable")
    edges = np.searchsorted(columns.home[order], np.arange(len(columns.homes) + 1))
    shape = np.zeros(len(columns), np.int64)
    low, high = np.zeros((2, len(columns)), np.int64)
    done = np.zeros(len(columns), np.bool_)
    for at, (survey, segment, verdict) in enumerate(columns.homes):
        mine = order[edges[at] : edges[at + 1]]
        state = segment.segment.state
        said = OUTPUT[verdict], survey.replica.source, False, False, "" if state is home else str(state)
        if verdict is Verdict.INTACT:
            shape[mine], done[mine] = shapes.place((*said, None)), True
            continue
        regions = odd.of(segment)
        regions = regions.take(regions.having((verdict,)))
        first = np.searchsorted(regions.stop, columns.start[mine], side="right")
        behind = np.searchsorted(regions.start, columns.stop[mine])
        fine = _side_by_side(regions, first, behind)
        mine, first, behind = mine[fine], first[fine], behind[fine]
        places = np.array([shapes.place((*said, why)) for why in regions.whys], np.int64)
        shape[mine], done[mine] = places[regions.why[first]], True
        low[mine], high[mine] = regions.low[first], regions.high[behind - 1]
    rows = np.flatnonzero(done)
    table = SpanColumns(shapes, shape, columns.first, columns.next, columns.absent, low, high).take(rows)
    yield 2 * rows + 1, table
    rest = np.flatnonzero(~done)
    yield 2 * rest + 1, shapes.columns(span_of(piece_at(columns, at), home) for at in rest.tolist())


def _side_by_side(regions: OddRegions, first: I64, behind: I64) -> Bool:
    """For ranges of regions: there is at least one, and their findings lie side by side in one log."""
    if not len(regions):
        return np.zeros(len(first), np.bool_)
    ranged = np.array([isinstance(why, Same) for why in regions.whys], np.bool_)[regions.why]
    onward = regions.low < regions.high  # else they are told backwards
    parted = (regions.why[1:] != regions.why[:-1]) | (regions.high[:-1] != regions.low[1:]) | ~onward[1:] | ~onward[:-1]
    breaks = np.concatenate(([0], np.cumsum(parted)))
    at, last = np.minimum(first, len(regions) - 1), np.maximum(behind - 1, 0)
    alone = (behind - first == 1) | (breaks[at] == breaks[last])
    return np.asarray((behind > first) & ranged[at] & alone)


def _filled(columns: PieceColumns, gaps: I64, odd: Odd, shapes: Shapes, compacted: bool) -> tuple[I64, SpanColumns]:
    """Those of the gaps behind some pieces that one harmed region fills, and what is said of each."""
    kept: list[I64] = [gaps[:0]]
    numbers: list[I64] = [np.empty((6, 0), np.int64)]
    for segment, group in columns.by_segment():
        mine = gaps[np.searchsorted(gaps, group.start) : np.searchsorted(gaps, group.stop - 1)]
        if not len(mine):
            continue
        regions = odd.of(segment)
        regions = regions.take(regions.having(HARMFUL))
        first = np.searchsorted(regions.start, columns.stop[mine])
        alone = np.searchsorted(regions.stop, columns.start[mine + 1], side="right") - first == 1
        mine, first = mine[alone], first[alone]
        low, high = columns.next[mine], columns.first[mine + 1]
        exact = (regions.first[first] == low) & (regions.next[first] == high)
        ranged = np.array([isinstance(why, Same) for why in regions.whys], np.bool_)[regions.why[first]]
        fine = regions.having(_LOST)[first] & regions.named[first] & (exact | ranged)
        places = [shapes.place((Status.LOST, None, False, compacted, "", why)) for why in regions.whys]
        shape = np.array(places, np.int64)[regions.why[first]]
        rows = np.stack((shape, low, high, np.zeros_like(low), regions.low[first], regions.high[first]))
        kept.append(mine[fine])
        numbers.append(rows[:, fine])
    return np.concatenate(kept), SpanColumns(shapes, *np.concatenate(numbers, axis=1))


def doubted(spans: SpanColumns, segments: Sequence[SegmentSurvey], odd: Odd) -> SpanColumns:
    """As `cast_doubt`: what suspect batches name among the missing and the absent."""
    open_ = spans.having(_OPEN)
    suspect = (odd.of(segment) for segment in segments)
    if not open_.any() or not any(bool((r.having((Verdict.SUSPECT,)) & r.named).any()) for r in suspect):
        return spans
    told = spans.shapes.columns(cast_doubt(spans.take(open_).values(), segments))
    rest = spans.take(~open_)
    return together_in_order([(rest.start, rest), (told.start, told)])
