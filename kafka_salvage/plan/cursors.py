"""Chunk: believed batches of several copies, read side by side in offset order, a few thousand at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from kafka_salvage.plan.edges import Edges, Reader
from kafka_salvage.plan.piece import Piece
from kafka_salvage.plan.strands import Spans, Strand
from kafka_salvage.plan.timeline import UNBOUNDED
from kafka_salvage.scan.batches import I64, BatchTable

_AT_LEAST = 1 << 10
"""Batches that are read at a time, where pieces are small."""


@dataclass(slots=True)
class Rows:
    """Batches of one strand, and the number of the piece that each lies in."""

    table: BatchTable
    piece: I64


class _Cursor:
    """Batches of one strand in offset order, read as far as they are asked for."""

    def __init__(self, strand: Strand, wanted: Spans, edges: Edges) -> None:
        self.strand = strand
        self._blocks = self._read(wanted, edges)
        self.waiting: list[Rows] = []
        self.reached = -1
        self.done = False

    def _read(self, wanted: Spans, edges: Edges) -> Iterator[Rows]:
        with closing(Reader(edges)) as reader:
            for number, piece in enumerate(self.strand.pieces):
                at = int(np.searchsorted(wanted[1], piece.first, side="right"))
                if at >= len(wanted[0]) or int(wanted[0][at]) >= piece.next:
                    continue
                for table in reader.blocks(piece.segment, *_bytes_of(piece, wanted)):
                    last = int(table.last_offset[-1]) if len(table) else -1
                    ahead = np.searchsorted(wanted[1], table.base_offset, side="right")
                    reach = np.append(wanted[0], UNBOUNDED)[ahead] <= table.last_offset
                    yield Rows(table.take(reach), np.full(int(reach.sum()), number))
                    self.reached = max(self.reached, last)

    def fill(self) -> None:
        """Reads a block more, or several small ones."""
        count = 0
        while count < _AT_LEAST:
            rows = next(self._blocks, None)
            if rows is None:
                self.done = True
                self.reached = UNBOUNDED - 1
                return
            if len(rows.table):
                self.waiting.append(rows)
                self.reached = max(self.reached, int(rows.table.last_offset[-1]))
                count += len(rows.table)

    def merge(self) -> Rows:
        """All that waits, as one."""
        if len(self.waiting) != 1:
            tables = [rows.table for rows in self.waiting]
            pieces = np.concatenate([np.empty(0, np.int64), *(rows.piece for rows in self.waiting)])
            self.waiting = [Rows(BatchTable.concat(tables), pieces)]
        return self.waiting[0]

    def take(self, cut: int) -> Rows:
        """Batches that begin below ``cut``; the rest goes on waiting."""
        rows = self.merge()
        at = int(np.searchsorted(rows.table.base_offset, cut))
        self.waiting = [Rows(rows.table.take(slice(at, None)), rows.piece[at:])]
        return Rows(rows.table.take(slice(0, at)), rows.piece[:at])


def _bytes_of(piece: Piece, wanted: Spans) -> tuple[int, int]:
    """The bytes of a piece that may hold wanted offsets, cut where its runs begin and end."""
    runs, (low, high) = piece.segment.runs, piece.rows
    first, last = int(wanted[0][0]), int(wanted[1][-1])
    at = low + int(np.searchsorted(runs.next_offset[low:high], first, side="right"))
    to = low + int(np.searchsorted(runs.first_offset[low:high], last))
    start = max(piece.start, int(runs.start[at])) if low <= at < high else piece.start
    stop = min(piece.stop, int(runs.stop[to - 1])) if low < to <= high else piece.stop
    return (start, stop) if start < stop else (piece.start, piece.stop)


def chunks(strands: Sequence[Strand], wanted: Spans, edges: Edges) -> Iterator[list[Rows]]:
    """Batches of all strands in step; no batch of a later chunk overlaps one of an earlier.

    Args:
        strands: the copies.
        wanted: offsets that are asked for; batches that hold none of them are left out.
        edges: reads batches again.

    Yields:
        Rows for each strand, in offset order.

    Raises:
        SourceError: a file can no longer be opened.
    """
    cursors = [_Cursor(strand, wanted, edges) for strand in strands]
    while True:
        for cursor in cursors:
            if not cursor.done and not any(len(rows.table) for rows in cursor.waiting):
                cursor.fill()
        cut = min(cursor.reached + 1 for cursor in cursors)
        rows = [cursor.merge() for cursor in cursors]
        cut = _clean_cut(rows, cut)
        lowest = min((int(r.table.base_offset[0]) for r in rows if len(r.table)), default=UNBOUNDED)
        if cut > lowest:
            yield [cursor.take(cut) for cursor in cursors]
            continue
        if all(cursor.done for cursor in cursors):
            if lowest < UNBOUNDED:
                yield [cursor.take(UNBOUNDED) for cursor in cursors]
            return
        min((c for c in cursors if not c.done), key=lambda c: c.reached).fill()


def _clean_cut(rows: Sequence[Rows], cut: int) -> int:
    """The highest offset at or below ``cut`` that no batch lies across."""
    moved = True
    while moved:
        moved = False
        for each in rows:
            at = int(np.searchsorted(each.table.base_offset, cut)) - 1
            if at >= 0 and int(each.table.last_offset[at]) >= cut:
                cut, moved = int(each.table.base_offset[at]), True
    return cut
