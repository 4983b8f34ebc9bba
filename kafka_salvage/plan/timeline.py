"""Timeline: which offsets the believed batches of some segments cover, as pieces that never overlap.

Strategy: a `Piece` is a stretch of batches of one segment that may go to the output as one. Pieces are placed in order
of trust; what is covered already is never covered twice, and a batch is placed whole or not at all.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from kafka_salvage.plan.columns import PieceColumns, columns_of
from kafka_salvage.plan.edges import Edges, blocks_of
from kafka_salvage.plan.piece import FIRST, Piece, PieceCodec, shape_of
from kafka_salvage.regions.compact import Compact
from kafka_salvage.regions.runs import ReplicaSurvey, SegmentSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.batches import I32, I64, BatchTable, Bool
from kafka_salvage.scan.replica import State

SUSPECT = Verdict.SUSPECT
UNBOUNDED = (1 << 63) - 1
"""No offset lies above it."""


def piece_at(columns: PieceColumns, at: int) -> Piece:
    """One of many pieces."""
    survey, segment, verdict = columns.homes[int(columns.home[at])]
    numbers = (columns.start, columns.stop, columns.first, columns.next, columns.batches, columns.records)
    counts = (int(column[at]) for column in (*numbers, columns.control, columns.absent))
    return Piece(survey, segment, *counts, verdict, (int(columns.low[at]), int(columns.high[at])))  # type: ignore[call-arg,arg-type] # two are left


def ends_of(pieces: Sequence[Piece]) -> tuple[Piece, Piece] | None:
    """The first and the last."""
    if not len(pieces):
        return None
    if not isinstance(pieces, Compact):
        return pieces[0], pieces[-1]
    columns = columns_of(pieces)
    return piece_at(columns, 0), piece_at(columns, len(columns) - 1)


def pieces_of(survey: ReplicaSurvey, segment: SegmentSurvey, compacted: bool) -> Sequence[Piece]:
    """The believed batches of one segment as pieces, in file order; arguments as for `pieces_in`."""
    return pieces_in(survey, [segment], compacted)


def pieces_in(survey: ReplicaSurvey, segments: Iterable[SegmentSurvey], compacted: bool) -> Sequence[Piece]:
    """The believed batches of segments as pieces, one segment after the other, each in file order.

    Args:
        survey: the copy that the segments belong to.
        segments: some of its segments.
        compacted: gaps between touching batches mean nothing, so that they do not part a piece.
    """
    pieces = Compact(PieceCodec(), (), FIRST)
    for segment in segments:
        if len(segment.runs):
            _add_pieces(pieces, survey, segment, compacted)
    return pieces.settled()


def _add_pieces(pieces: Compact[Piece], survey: ReplicaSurvey, segment: SegmentSurvey, compacted: bool) -> None:
    runs = segment.runs
    if len(runs) == 1:
        pieces.append(_of_run(survey, segment))
        return
    starts, stops, first, following = runs.start, runs.stop, runs.first_offset, runs.next_offset
    repaired = runs.repaired
    touch = starts[1:] == stops[:-1]
    follow = first[1:] >= following[:-1] if compacted else first[1:] == following[:-1]
    if compacted:
        follow &= ~_doubted(segment, following[:-1], first[1:])
    heads = np.concatenate(([0], np.flatnonzero(~(touch & follow & (repaired[1:] == repaired[:-1]))) + 1))
    tails = np.concatenate((heads[1:], [len(runs)]))
    records = np.maximum(runs.records, 0)
    sums = [np.add.reduceat(column, heads) for column in (runs.batches, records, runs.control, runs.absent)]
    covered = np.add.reduceat(following - first, heads)
    low, high = first[heads], following[tails - 1]
    sums[3] = sums[3] + (high - low - covered)
    pieces.add_columns(
        [shape_of(survey, segment, verdict) for verdict in (Verdict.INTACT, Verdict.REPAIRED)],
        repaired[heads].astype(np.int8),
        [starts[heads], stops[tails - 1], low, high, *sums, heads, tails],
    )


def _of_run(survey: ReplicaSurvey, segment: SegmentSurvey) -> Piece:
    """The only run of a segment."""
    row = segment.runs.row(0)
    counts = row["batches"], max(row["records"], 0), row["control"], row["absent"]
    verdict = Verdict.REPAIRED if row["repaired"] else Verdict.INTACT
    where = row["start"], row["stop"], row["first_offset"], row["next_offset"]
    return Piece(survey, segment, *where, *counts, verdict, (0, 1))


def _doubted(segment: SegmentSurvey, low: I64, high: I64) -> Bool:
    """For each gap ``[low, high)``: a suspect batch somewhere in the file names offsets in it."""
    claims = sorted((r.offsets.start, r.offsets.stop) for r in segment.regions.of((SUSPECT,)) if r.offsets)
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
        self.pieces: Sequence[Piece] = []
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
        everywhere = tuple(allowed) == ((-UNBOUNDED, UNBOUNDED),)
        if everywhere and not len(self.pieces) and isinstance(offered, Compact) and _disjoint(offered):
            self.pieces = offered
            return True
        placed = False
        for piece in sorted(offered, key=FIRST):
            parts = cut(piece, self._free(piece, allowed), self._edges)
            for part in parts:
                self._insert(part)
            placed = placed or bool(parts)
            if parts != [piece]:
                self.rejected.append(piece)
        return placed

    def _insert(self, piece: Piece) -> None:
        if not isinstance(self.pieces, list):
            self.pieces = list(self.pieces)
        self.pieces.insert(bisect_left(self.pieces, piece.first, key=FIRST), piece)

    def _free(self, piece: Piece, allowed: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Ranges that are allowed, free, and meet ``piece``."""
        free: list[tuple[int, int]] = []
        for place in range(bisect_right(allowed, piece.first, key=lambda pair: pair[1]), len(allowed)):
            low, high = allowed[place]
            if low >= piece.next:
                break
            cursor = low
            at = max(0, bisect_left(self.pieces, max(low, piece.first), key=FIRST) - 1)
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


def _disjoint(pieces: Compact[Piece]) -> bool:
    """Whether each begins at or behind the end of the one before."""
    columns = columns_of(pieces)
    return bool((columns.next[:-1] <= columns.first[1:]).all())


def segments_in(pieces: Sequence[Piece]) -> Iterator[SegmentSurvey]:
    """Segments that some pieces lie in; one may come more than once."""
    if isinstance(pieces, Compact):
        return (shape[1].value for shape in pieces.all_shapes())
    return (piece.segment for piece in pieces)


def states_of(pieces: Sequence[Piece]) -> set[State]:
    """States of the files that some pieces lie in."""
    return {segment.segment.state for segment in segments_in(pieces)}


def epochs_of(pieces: Sequence[Piece]) -> tuple[tuple[int, int], ...]:
    """(epoch, first offset) whenever the leader epoch rises along the pieces, as Kafka rebuilds its checkpoint."""
    found: list[tuple[int, int]] = []
    highest = -1
    columns = columns_of(pieces)
    for segment, group in columns.by_segment():
        runs = segment.runs
        epochs = runs.leader_epoch
        most = int(epochs.max()) if len(epochs) else -1
        if most <= highest:
            continue
        firsts, nexts = runs.first_offset, runs.next_offset
        lows, highs, starts, stops = (c[group] for c in (columns.low, columns.high, columns.first, columns.next))
        whole = len(lows) > 1 and bool(((starts == firsts[lows]) & (stops == nexts[highs - 1])).all())
        for at in _peaks(epochs, lows, highs, whole):
            if most <= highest:
                break
            low, high, start = int(lows[at]), int(highs[at]), int(starts[at])
            low += int(np.searchsorted(nexts[low:high], start, side="right"))
            high = low + int(np.searchsorted(firsts[low:high], int(stops[at])))
            for epoch, first in _rises(epochs[low:high].astype(np.int64), firsts[low:high], highest):
                found.append((epoch, max(first, start)))
                highest = epoch
    return tuple(found)


def _peaks(epochs: I32, low: I64, high: I64, whole: bool) -> Iterator[int]:
    """The first of some ranges of rows, and those others in which an epoch may rise; all where some are cut."""
    yield 0  # mostly the only one that matters
    if not whole:
        yield from range(1, len(low))
        return
    padded = np.append(epochs, epochs[-1:])  # the last range may end behind the last row
    peaks = np.maximum.reduceat(padded, np.stack((low, high), axis=1).ravel())[::2]
    yield from (np.flatnonzero(peaks[1:] > np.maximum.accumulate(peaks)[:-1]) + 1).tolist()


def _rises(epochs: I64, firsts: I64, highest: int) -> Iterator[tuple[int, int]]:
    if len(epochs) == 1 and int(epochs[0]) > highest:
        yield int(epochs[0]), int(firsts[0])
    if len(epochs) < 2 or int(epochs.max()) <= highest:
        return
    peaks = np.maximum.accumulate(np.concatenate(([highest], epochs)))
    for at in np.flatnonzero(np.diff(peaks) > 0).tolist():
        yield int(epochs[at]), int(firsts[at])
