"""Strand: what one copy of a partition believes by itself, as pieces in offset order, with the columns of its runs.

All arithmetic between copies is on these columns: a run is a stretch of dense offsets of one leader epoch, so that a copy
without damage has a handful of them, however many batches it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from kafka_salvage.plan.columns import columns_of
from kafka_salvage.plan.edges import Edges
from kafka_salvage.plan.incarnations import tiers_of
from kafka_salvage.plan.piece import Piece
from kafka_salvage.plan.timeline import Timeline
from kafka_salvage.regions.runs import Compaction, ReplicaSurvey, RunTable, SegmentSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.batches import I64, Bool
from kafka_salvage.vector.distinct import distinct

Spans = tuple[I64, I64]
"""Starts and stops of disjoint half-open ranges of offsets, ascending."""

EMPTY: Spans = (np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Strand:
    """One copy by itself.

    Attributes:
        survey: the copy.
        segments: its own files, by base offset.
        pieces: its believed batches, in offset order, disjoint.
        rejected: pieces that overlap others of the same copy, whole or in part.
        first, next, epoch, batches: columns of the runs in ``pieces``, in offset order.
    """

    survey: ReplicaSurvey
    segments: tuple[SegmentSurvey, ...]
    pieces: Sequence[Piece]
    rejected: Sequence[Piece]
    first: I64
    next: I64
    epoch: I64
    batches: I64

    @property
    def name(self) -> str:
        """Display name of the source."""
        return self.survey.replica.source

    @property
    def end(self) -> int:
        """Behind the last believed offset; -1 when there is none."""
        return int(self.next[-1]) if len(self.next) else -1

    @property
    def records(self) -> int:
        """Believed records."""
        return int(columns_of(self.pieces).records.sum())

    def covered(self) -> Spans:
        """Offsets in its batches' own ranges."""
        return joined(self.first, self.next)

    def epoch_at(self, offset: int) -> int | None:
        """Leader epoch of the batch there; None where no believed batch lies."""
        at = int(np.searchsorted(self.first, offset, side="right")) - 1
        return int(self.epoch[at]) if at >= 0 and offset < int(self.next[at]) else None


def strand_of(survey: ReplicaSurvey, compaction: Compaction, edges: Edges) -> Strand:
    """What a copy's own files believe.

    Args:
        survey: the copy.
        compaction: what is known of the partition.
        edges: reads batches again where two of its files overlap.
    """
    home = next((tier for tier in tiers_of(survey) if tier.state is survey.replica.state), None)
    timeline = Timeline(edges)
    if home is not None:
        timeline.place(home.pieces(compaction))
    return strand_from(survey, () if home is None else home.segments, timeline.pieces, timeline.rejected)


def strand_from(
    survey: ReplicaSurvey, segments: Sequence[SegmentSurvey], pieces: Sequence[Piece], rejected: Sequence[Piece]
) -> Strand:
    """A strand of pieces that are placed already."""
    first, following, epoch, batches = run_columns(pieces)
    return Strand(survey, tuple(segments), kept(pieces), tuple(rejected), first, following, epoch, batches)


def kept(pieces: Sequence[Piece]) -> Sequence[Piece]:
    """Pieces that do not change any more."""
    return tuple(pieces) if isinstance(pieces, list) else pieces


def run_columns(pieces: Sequence[Piece]) -> tuple[I64, I64, I64, I64]:
    """First and next offset, leader epoch and batches of the runs in some pieces, cut to them."""
    columns: list[list[I64]] = [[], [], [], []]
    all_pieces = columns_of(pieces)
    for segment, group in all_pieces.by_segment():
        runs = segment.runs
        low, high = all_pieces.low[group], all_pieces.high[group]
        first, following = all_pieces.first[group], all_pieces.next[group]
        some: slice | I64 = slice(int(low[0]), int(high[-1]))
        if _whole(runs, low, high, first, following):  # each run from the first to the last, as it is
            first, following = runs.first_offset[some], runs.next_offset[some]
        else:
            counts = high - low
            home = np.repeat(np.arange(len(low)), counts)
            some = np.arange(len(home)) + (low - np.cumsum(counts) + counts)[home]
            first = np.maximum(runs.first_offset[some], first[home])
            following = np.minimum(runs.next_offset[some], following[home])
        inside = first < following
        epoch = runs.leader_epoch[some].astype(np.int64)
        for column, part in zip(columns, (first, following, epoch, runs.batches[some]), strict=True):
            column.append(part[inside])
    none = np.empty(0, np.int64)
    first, following, epoch, batches = (np.concatenate([none, *column]) for column in columns)
    return first, following, epoch, batches


def _whole(runs: RunTable, low: I64, high: I64, first: I64, following: I64) -> bool:
    """Whether pieces of one segment, told by their rows and offsets, are not cut, and leave no run out between them."""
    if not len(runs) or bool((low[1:] != high[:-1]).any()):
        return False
    return bool(((high > low) & (runs.first_offset[low] == first) & (runs.next_offset[high - 1] == following)).all())


def joined(first: I64, following: I64) -> Spans:
    """Ranges, ascending and disjoint, with those that touch made one."""
    if not len(first):
        return EMPTY
    heads = np.concatenate([[True], first[1:] > following[:-1]])
    tails = np.concatenate([heads[1:], [True]])
    return first[heads], following[tails]


def spans_of(ranges: Iterable[tuple[int, int]]) -> Spans:
    """Any ranges as spans: sorted, those that overlap or touch made one, empty ones dropped."""
    listed = sorted((low, high) for low, high in ranges if low < high)
    if not listed:
        return EMPTY
    low, high = np.array(listed, np.int64).T
    return joined(low, np.maximum.accumulate(high))


def spans_from(low: I64, high: I64) -> Spans:
    """The same of two columns."""
    full = low < high
    order = np.argsort(low[full], kind="stable")
    return joined(low[full][order], np.maximum.accumulate(high[full][order])) if len(order) else EMPTY


def minus(spans: Spans, taken: Spans) -> Spans:
    """What of ``spans`` lies in none of ``taken``."""
    if not len(spans[0]) or not len(taken[0]):
        return spans
    edges = distinct(*spans, *taken)
    low, high = edges[:-1], edges[1:]
    keep = inside(low, spans) & ~inside(low, taken)
    return joined(low[keep], high[keep])


def both(spans: Spans, other: Spans) -> Spans:
    """What lies in both."""
    if not len(spans[0]) or not len(other[0]):
        return EMPTY
    edges = distinct(*spans, *other)
    low, high = edges[:-1], edges[1:]
    keep = inside(low, spans) & inside(low, other)
    return joined(low[keep], high[keep])


def union(parts: Iterable[Spans]) -> Spans:
    """What lies in any of them."""
    listed = list(parts)
    low = np.concatenate([EMPTY[0], *(part[0] for part in listed)])
    high = np.concatenate([EMPTY[0], *(part[1] for part in listed)])
    order = np.argsort(low, kind="stable")
    return joined(low[order], np.maximum.accumulate(high[order])) if len(low) else EMPTY


def inside(offsets: I64, spans: Spans) -> Bool:
    """Which offsets lie in one of the spans."""
    at = np.searchsorted(spans[0], offsets, side="right") - 1
    if not len(spans[0]):
        return np.zeros(len(offsets), np.bool_)
    return np.asarray((at >= 0) & (offsets < spans[1][np.maximum(at, 0)]))


def clipped(spans: Spans, low: int, high: int) -> Spans:
    """The part in ``[low, high)``."""
    at = slice(int(np.searchsorted(spans[1], low, side="right")), int(np.searchsorted(spans[0], high)))
    first, following = np.maximum(spans[0][at], low), np.minimum(spans[1][at], high)
    keep = first < following
    return first[keep], following[keep]


def size_of(spans: Spans) -> int:
    """How many offsets."""
    return int((spans[1] - spans[0]).sum())


def parted(piece: Piece, others: Spans) -> list[Piece]:
    """A piece, parted at those gaps between its runs in which another copy has offsets.

    A piece that was cut inside a run stays whole: its counts are not those of its runs.
    """
    runs, (low, high) = piece.segment.runs, piece.rows
    whole = int(runs.start[low]) == piece.start and int(runs.stop[high - 1]) == piece.stop
    if high - low < 2 or not whole or not len(others[0]):
        return [piece]
    left, right = runs.next_offset[low : high - 1], runs.first_offset[low + 1 : high]
    at = np.searchsorted(others[1], left, side="right")
    reached = (at < len(others[0])) & (others[0][np.minimum(at, len(others[0]) - 1)] < right)
    cuts = np.flatnonzero((left < right) & reached) + low + 1
    edges = [low, *cuts.tolist(), high]
    return [_rows(piece, a, b) for a, b in pairwise(edges)] if len(cuts) else [piece]


def _rows(piece: Piece, low: int, high: int) -> Piece:
    runs = piece.segment.runs
    first, following = int(runs.first_offset[low]), int(runs.next_offset[high - 1])
    covered = int((runs.next_offset[low:high] - runs.first_offset[low:high]).sum())
    return replace(
        piece,
        start=int(runs.start[low]),
        stop=int(runs.stop[high - 1]),
        first=first,
        next=following,
        batches=int(runs.batches[low:high].sum()),
        records=int(np.maximum(runs.records[low:high], 0).sum()),
        control=int(runs.control[low:high].sum()),
        absent=int(runs.absent[low:high].sum()) + following - first - covered,
        rows=(low, high),
    )


def is_intact(piece: Piece) -> bool:
    """Whether nothing of it was changed."""
    return piece.verdict is Verdict.INTACT
