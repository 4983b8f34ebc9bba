"""Timeline: which offsets the believed batches of some segments cover, as pieces that never overlap.

Strategy: a `Piece` is a stretch of batches of one segment that may go to the output as one. Pieces are placed in order
of trust; what is covered already is never covered twice, and a batch is placed whole or not at all.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import attrgetter

import numpy as np

from kafka_salvage.plan.edges import Edges, blocks_of
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.runs import ReplicaSurvey, SegmentSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.batches import I64, BatchTable, Bool
from kafka_salvage.scan.replica import State

SUSPECT = Verdict.SUSPECT
UNBOUNDED = (1 << 63) - 1
"""No offset lies above it."""


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


def pieces_of(survey: ReplicaSurvey, segment: SegmentSurvey, compacted: bool) -> list[Piece]:
    """The believed batches of a segment as pieces, in file order.

    Args:
        survey: the copy that the segment belongs to.
        segment: the segment.
        compacted: gaps between touching batches mean nothing, so that they do not part a piece.
    """
    runs = segment.runs
    if not len(runs):
        return []
    touch = runs.start[1:] == runs.stop[:-1]
    follow = (
        runs.first_offset[1:] >= runs.next_offset[:-1] if compacted else runs.first_offset[1:] == runs.next_offset[:-1]
    )
    same = runs.repaired[1:] == runs.repaired[:-1]
    if compacted:
        follow &= ~_doubted(segment, runs.next_offset[:-1], runs.first_offset[1:])
    heads = np.concatenate(([0], np.flatnonzero(~(touch & follow & same)) + 1))
    tails = np.concatenate((heads[1:], [len(runs)]))
    records = np.maximum(runs.records, 0)
    sums = [np.add.reduceat(column, heads).tolist() for column in (runs.batches, records, runs.control, runs.absent)]
    covered = np.add.reduceat(runs.next_offset - runs.first_offset, heads).tolist()
    pieces = []
    for at, (low, high) in enumerate(zip(heads.tolist(), tails.tolist(), strict=True)):
        first, following = int(runs.first_offset[low]), int(runs.next_offset[high - 1])
        pieces.append(
            Piece(
                survey=survey,
                segment=segment,
                start=int(runs.start[low]),
                stop=int(runs.stop[high - 1]),
                first=first,
                next=following,
                batches=sums[0][at],
                records=sums[1][at],
                control=sums[2][at],
                absent=sums[3][at] + (following - first - covered[at]),
                verdict=Verdict.REPAIRED if runs.repaired[low] else Verdict.INTACT,
                rows=(low, high),
            )
        )
    return pieces


def _doubted(segment: SegmentSurvey, low: I64, high: I64) -> Bool:
    """For each gap ``[low, high)``: a suspect batch somewhere in the file names offsets in it."""
    claims = sorted((r.offsets.start, r.offsets.stop) for r in segment.regions if r.verdict is SUSPECT and r.offsets)
    if not claims:
        return np.zeros(len(low), np.bool_)
    starts, stops = np.array(claims, np.int64).T
    before = np.searchsorted(starts, high) - 1
    reach = np.maximum.accumulate(stops)
    return np.asarray((low < high) & (before >= 0) & (reach[np.maximum(before, 0)] > low))


def pieces_from_batches(
    like: Piece, table: BatchTable, wanted: Bool | None = None, homes: I64 | None = None
) -> Iterator[Piece]:
    """The wanted batches of a piece as pieces of touching batches.

    Args:
        like: the piece that was walked again; its place and verdict are kept.
        table: its batches, or some of them, in file order.
        wanted: which of them; None: all.
        homes: a number for each; a piece ends where it changes.
    """
    if wanted is not None:
        table = table.take(wanted)
    if not len(table):
        return
    breaks = table.position[1:] != table.stop[:-1]
    if homes is not None:
        breaks = breaks | (homes[1:] != homes[:-1])
    edges = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(table)]
    for low, high in pairwise(edges):
        part = table.take(slice(low, high))
        first, following = int(part.base_offset[0]), int(part.last_offset[-1]) + 1
        counts = np.maximum(part.record_count.astype(np.int64), 0)
        yield replace(
            like,
            start=int(part.position[0]),
            stop=int(part.stop[-1]),
            first=first,
            next=following,
            batches=len(part),
            records=int(counts.sum()),
            control=int(counts[part.is_control].sum()),
            absent=following - first - int(counts.sum()),
        )


def cut(piece: Piece, ranges: Sequence[tuple[int, int]], edges: Edges) -> list[Piece]:
    """The whole batches of ``piece`` that lie inside one of the ``[low, high)`` ranges (sorted, disjoint)."""
    ranges = [(low, high) for low, high in ranges if low < piece.next and high > piece.first]
    if not ranges:
        return []
    if ranges[0][0] <= piece.first and piece.next <= ranges[0][1]:
        return [piece]
    lows, highs = np.array([low for low, _ in ranges]), np.array([high for _, high in ranges])
    kept: list[BatchTable] = []
    homes: list[I64] = []
    for table in blocks_of(edges, piece.segment, piece.start, piece.stop):
        home = np.searchsorted(lows, table.base_offset, side="right") - 1
        inside = (home >= 0) & (table.last_offset < highs[np.maximum(home, 0)])
        kept.append(table.take(inside))
        homes.append(home[inside])
    return list(pieces_from_batches(piece, BatchTable.concat(kept), homes=np.concatenate([lows[:0], *homes])))


def trim(piece: Piece, low: int, edges: Edges) -> list[Piece]:
    """The batches of ``piece`` that hold an offset of at least ``low`` (the first may begin below it)."""
    if piece.first >= low:
        return [piece]
    if piece.next <= low:
        return []
    table = edges(piece.segment, piece.start, piece.stop)
    return list(pieces_from_batches(piece, table, table.last_offset >= low))


class Timeline:
    """Pieces in offset order, none overlapping another."""

    def __init__(self, edges: Edges) -> None:
        self._edges = edges
        self.pieces: list[Piece] = []
        self.rejected: list[Piece] = []
        """What was offered and is covered already, whole or in part."""

    def place(self, offered: Iterable[Piece], allowed: Sequence[tuple[int, int]] = ((-UNBOUNDED, UNBOUNDED),)) -> bool:
        """Adds whole batches of ``offered`` inside ``allowed`` that overlap nothing placed before.

        Args:
            offered: pieces in order of trust.
            allowed: sorted, disjoint ``[low, high)`` ranges of offsets.

        Returns:
            Whether anything was placed.
        """
        placed = False
        for piece in sorted(offered, key=attrgetter("first")):
            parts = cut(piece, self._free(piece, allowed), self._edges)
            for part in parts:
                self._insert(part)
            placed = placed or bool(parts)
            if parts != [piece]:
                self.rejected.append(piece)
        return placed

    def _insert(self, piece: Piece) -> None:
        self.pieces.insert(bisect_left(self.pieces, piece.first, key=attrgetter("first")), piece)

    def _free(self, piece: Piece, allowed: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Ranges that are allowed, free, and meet ``piece``."""
        free: list[tuple[int, int]] = []
        for place in range(bisect_right(allowed, piece.first, key=lambda pair: pair[1]), len(allowed)):
            low, high = allowed[place]
            if low >= piece.next:
                break
            cursor = low
            at = max(0, bisect_left(self.pieces, max(low, piece.first), key=attrgetter("first")) - 1)
            while at < len(self.pieces) and self.pieces[at].first < min(high, piece.next):
                other = self.pieces[at]
                at += 1
                if other.next <= cursor:
                    continue
                if other.first > cursor:
                    free.append((cursor, other.first))
                cursor = max(cursor, other.next)
            if cursor < high:
                free.append((cursor, high))
        return free


def epochs_of(pieces: Sequence[Piece]) -> tuple[tuple[int, int], ...]:
    """(epoch, first offset) whenever the leader epoch rises along the pieces, as Kafka rebuilds its checkpoint."""
    found: list[tuple[int, int]] = []
    highest = -1
    for piece in pieces:
        runs = piece.segment.runs
        low, high = piece.rows
        low += int(np.searchsorted(runs.next_offset[low:high], piece.first, side="right"))
        high = low + int(np.searchsorted(runs.first_offset[low:high], piece.next))
        for epoch, first in _rises(runs.leader_epoch[low:high].astype(np.int64), runs.first_offset[low:high], highest):
            found.append((epoch, max(first, piece.first)))
            highest = epoch
    return tuple(found)


def _rises(epochs: I64, firsts: I64, highest: int) -> Iterator[tuple[int, int]]:
    if not len(epochs) or int(epochs.max()) <= highest:
        return
    peaks = np.maximum.accumulate(np.concatenate(([highest], epochs)))
    for at in np.flatnonzero(np.diff(peaks) > 0).tolist():
        yield int(epochs[at]), int(firsts[at])
