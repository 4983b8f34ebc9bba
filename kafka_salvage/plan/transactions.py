"""Transaction fates: committed, aborted, open or unknown, from the markers of one line.

The rule (section 9 of the contract): a marker closes only those data batches of its producer from which no hole
separates it. A hole is a range whose batches are not there to be read; in it another marker may have stood. So a batch
with a hole before its producer's next marker is `unknown`, and so is one that only a marker of a later producer epoch
would close while batches of that later epoch stand between. A COMMIT carries the epoch of its data or, from transaction
version 2 on, the next one; any other commits nothing. What else decides is told in `endings`. No aborted record is ever
called committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from kafka_salvage.plan.edges import Edges, read_edges
from kafka_salvage.plan.packed import starts_having
from kafka_salvage.plan.piece import Piece
from kafka_salvage.plan.plan import TRANSACTION_CODES, OffsetSpan, Status, Transaction
from kafka_salvage.plan.timeline import segments_in
from kafka_salvage.regions.runs import TXN_ABORT, TXN_COMMIT, TXN_DATA, TransactionTable
from kafka_salvage.scan.batches import I8, I16, I64, BatchTable, Bool
from kafka_salvage.vector.distinct import distinct

CODE = {label: code for code, label in enumerate(TRANSACTION_CODES)}

NO_GAPS: I64 = np.empty(0, np.int64)
HOLES = frozenset({Status.AMBIGUOUS, Status.UNDECODABLE, Status.SUSPECT, Status.DIVERGENT, Status.LOST, Status.MISSING})
"""Statuses of offsets whose batches cannot be asked."""


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The fate of each stretch of transactional data of one line, in offset order.

    Attributes:
        producer_id, first_offset, last_offset: of the stretch (both offsets inclusive).
        code: index into `TRANSACTION_CODES`.
        records: data records in the stretch.
        producer_epoch: of the stretch.
        closed: the producer's next marker on the line ends it as the code says, so that a broker that loads the line
            comes to the same fate.
    """

    producer_id: I64
    first_offset: I64
    last_offset: I64
    code: I8
    records: I64
    producer_epoch: I16
    closed: Bool
    _by_producer: dict[int, I64] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.producer_id):
            return
        order = np.argsort(self.producer_id, kind="stable")
        edges = np.flatnonzero(np.diff(self.producer_id[order])) + 1
        for rows in np.split(order, edges):
            if len(rows):
                self._by_producer[int(self.producer_id[rows[0]])] = rows

    def lookup(self, batches: BatchTable) -> I8:
        """Code per batch: `none` for what is not transactional, `unknown` for what the line does not know."""
        codes = np.full(len(batches), CODE[Transaction.NONE], np.int8)
        codes[batches.is_transactional & ~batches.is_control] = CODE[Transaction.UNKNOWN]
        mine, rows = self._rows(batches)
        codes[mine] = self.code[rows]
        return codes

    def loads(self, batches: BatchTable) -> Bool:
        """Per batch: a broker that loads the whole line comes to the fate that `lookup` says."""
        fine = np.asarray(~(batches.is_transactional & ~batches.is_control))
        mine, rows = self._rows(batches)
        fine[mine] = self.closed[rows]
        return fine

    def _rows(self, batches: BatchTable) -> tuple[I64, I64]:
        """Transactional data batches that the line knows, and the row of each."""
        asked = np.flatnonzero(batches.is_transactional & ~batches.is_control)
        known_batches, known_rows = [asked[:0]], [asked[:0]]
        for producer in distinct(batches.producer_id[asked]).tolist():
            rows = self._by_producer.get(producer)
            if rows is None:
                continue
            mine = asked[batches.producer_id[asked] == producer]
            base = batches.base_offset[mine]
            at = np.searchsorted(self.first_offset[rows], base, side="right") - 1
            found = rows[np.maximum(at, 0)]
            known = (at >= 0) & (base <= self.last_offset[found])
            known_batches.append(mine[known])
            known_rows.append(found[known])
        return np.concatenate(known_batches), np.concatenate(known_rows)

    def totals(self) -> dict[Transaction, int]:
        """Data records per label, `none` excluded."""
        return {
            label: int(self.records[self.code == CODE[label]].sum())
            for label in TRANSACTION_CODES
            if label is not Transaction.NONE
        }

    def unknown(self) -> tuple[int, int, int] | None:
        """(first offset, last offset + 1, data records) of what stays unknown, None when nothing does."""
        rows = self.code == CODE[Transaction.UNKNOWN]
        if not rows.any():
            return None
        return int(self.first_offset[rows].min()), int(self.last_offset[rows].max()) + 1, int(self.records[rows].sum())


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Transactional stretches and markers of one line, in offset order.

    Attributes:
        kind: as in `TransactionTable`.
        producer, epoch, first, last, records: of the stretch or marker.
        hole: number of holes that begin at or below its first offset.
        ended: row of the producer's next marker behind it, -1 when there is none; of no meaning for markers.
    """

    kind: I8
    producer: I64
    epoch: I16
    first: I64
    last: I64
    records: I64
    hole: I64
    ended: I64

    @property
    def is_data(self) -> Bool:
        """Which rows are data."""
        return np.asarray(self.kind == TXN_DATA)

    def of(self, producer: int) -> I64:
        """Rows of one producer."""
        return np.flatnonzero(self.producer == producer)


_NO_ROWS = Rows(NO_GAPS.astype(np.int8), NO_GAPS, NO_GAPS.astype(np.int16), *(NO_GAPS,) * 5)
_NO_CODES: I8 = _NO_ROWS.kind


class Witness(Protocol):
    """Knows more of transactions than the markers of one line tell."""

    def decide(self, rows: Rows, codes: I8) -> I8:
        """The codes of the rows, with some of the data decided, or doubted."""
        ...


def make_labels(
    pieces: Sequence[Piece],
    ledger: Sequence[OffsetSpan],
    edges: Edges = read_edges,
    witness: Witness | None = None,
    gaps: I64 = NO_GAPS,
) -> Labels:
    """Fates of the transactional batches of one line.

    Args:
        pieces: the line, in offset order.
        ledger: its ranges as if nothing were trimmed.
        edges: reads batches again where a piece begins or ends inside a stretch of one producer.
        witness: decides what the markers leave open.
        gaps: offsets where more holes begin, that the ledger does not name.
    """
    if any(len(segment.transactions) for segment in segments_in(pieces)):
        holes = np.sort(np.concatenate([starts_having(ledger, HOLES), gaps]))
        rows = _gather(pieces, holes, edges)
        codes = _judge(rows, len(holes))
    else:
        rows, codes = _NO_ROWS, _NO_CODES
    if witness is not None:
        codes = witness.decide(rows, codes)
    if not len(codes):
        return Labels(rows.producer, rows.first, rows.last, codes, rows.records, rows.epoch, rows.is_data)
    data = np.flatnonzero(rows.is_data)
    ends = np.where(rows.ended[data] < 0, TXN_DATA, rows.kind[rows.ended[data]]) if len(data) else rows.kind[:0]
    wanted = np.select(
        [codes[data] == CODE[Transaction.COMMITTED], codes[data] == CODE[Transaction.ABORTED]],
        [TXN_COMMIT, TXN_ABORT],
        -1,
    )
    return Labels(
        producer_id=rows.producer[data],
        first_offset=rows.first[data],
        last_offset=rows.last[data],
        code=codes[data],
        records=rows.records[data],
        producer_epoch=rows.epoch[data],
        closed=np.asarray(wanted == ends),
    )


def _judge(rows: Rows, holes: int) -> I8:
    """What the markers say of each data row; `none` for markers."""
    codes = np.full(len(rows.kind), CODE[Transaction.NONE], np.int8)
    data = np.flatnonzero(rows.is_data)
    if not len(data):
        return codes
    end = rows.ended[data]
    has_end = end >= 0
    kind, epoch, hole = rows.kind[end], rows.epoch[data].astype(np.int64), rows.hole[data]
    within = np.where(has_end, rows.hole[end] == hole, hole == holes)
    # a newer incarnation of the producer wrote behind it: its end was written before that, and is not there
    overtaken = epoch < _newest(rows.producer[data], end, epoch)
    step = rows.epoch[end].astype(np.int64) - epoch
    commit = has_end & (kind == TXN_COMMIT) & within & ~overtaken & ((step == 0) | (step == 1))
    abort = has_end & (kind == TXN_ABORT) & within
    codes[data] = np.select(
        [commit, abort, ~has_end & within & ~overtaken],
        [CODE[Transaction.COMMITTED], CODE[Transaction.ABORTED], CODE[Transaction.OPEN]],
        CODE[Transaction.UNKNOWN],
    )
    return codes


def _newest(producer: I64, end: I64, epoch: I64) -> I64:
    """For each data row the highest epoch among those that the same marker (or none) follows."""
    order = np.lexsort((end, producer))
    heads = np.flatnonzero(np.concatenate(([True], (np.diff(producer[order]) != 0) | (np.diff(end[order]) != 0))))
    sizes = np.diff(np.concatenate((heads, [len(order)])))
    newest = np.empty(len(order), np.int64)
    newest[order] = np.repeat(np.maximum.reduceat(epoch[order], heads), sizes)
    return newest


def _ends(kind: I8, producer: I64) -> I64:
    """Row of each row's next marker of the same producer, -1 without."""
    count = len(kind)
    order = np.argsort(producer, kind="stable")
    place = np.arange(count)
    following = np.where(kind[order] != TXN_DATA, place, count)
    following = np.minimum.accumulate(following[::-1])[::-1]
    there = following < count
    found = np.minimum(following, count - 1)
    there &= producer[order][found] == producer[order]
    ends = np.full(count, -1, np.int64)
    ends[order] = np.where(there, order[found], -1)
    return ends


def _gather(pieces: Sequence[Piece], holes: I64, edges: Edges) -> Rows:
    """Rows of the segments' tables that lie in a piece, cut to it, in offset order."""
    of_segment: dict[int, list[Piece]] = {}
    for piece in pieces:
        if len(piece.segment.transactions):
            of_segment.setdefault(id(piece.segment), []).append(piece)
    parts = [TransactionTable.from_rows([])]
    for group in of_segment.values():
        parts += _inside(group[0].segment.transactions, sorted(group, key=lambda piece: piece.first), edges)
    first = np.concatenate([part.first_offset for part in parts])
    order = np.argsort(first, kind="stable") if (first[1:] < first[:-1]).any() else slice(None)
    first = first[order]

    def column(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])[order]

    kind, producer = column("kind"), column("producer_id")
    ended = _ends(kind, producer) if len(kind) else first[:0]
    return Rows(
        kind=kind,
        producer=producer,
        epoch=column("producer_epoch"),
        first=first,
        last=column("last_offset"),
        records=column("records"),
        hole=np.searchsorted(holes, first, side="right"),
        ended=ended,
    )


def _inside(table: TransactionTable, pieces: Sequence[Piece], edges: Edges) -> Iterator[TransactionTable]:
    """Rows that lie in pieces of their segment; those that a piece cuts are read again."""
    first, following = (np.array([getattr(piece, name) for piece in pieces], np.int64) for name in ("first", "next"))
    start, stop = (np.array([getattr(piece, name) for piece in pieces], np.int64) for name in ("start", "stop"))
    low = np.searchsorted(following, table.first_offset, side="right")
    high = np.searchsorted(first, table.last_offset, side="right")
    home = np.minimum(low, len(pieces) - 1)
    whole = (high - low == 1) & (first[home] <= table.first_offset) & (table.last_offset < following[home])
    wanted = whole & (start[home] <= table.position) & (table.position < stop[home])
    yield table if wanted.all() else table.take(wanted)  # a large table is packed, and stays so
    for row in np.flatnonzero((high > low) & ~whole).tolist():
        for piece in pieces[int(low[row]) : int(high[row])]:
            if int(table.position[row]) < piece.stop:
                yield from _cut_row(table, row, piece, edges)


def _cut_row(table: TransactionTable, row: int, piece: Piece, edges: Edges) -> Iterator[TransactionTable]:
    """The part of a row that lies in a piece."""
    batches = edges(piece.segment, piece.start, piece.stop)
    mine = batches.is_transactional & (batches.producer_id == table.producer_id[row])
    mine &= batches.is_control == (table.kind[row] != TXN_DATA)
    mine &= (batches.base_offset >= table.first_offset[row]) & (batches.last_offset <= table.last_offset[row])
    part = batches.take(mine)
    if len(part):
        data = 0 if table.kind[row] != TXN_DATA else int(np.maximum(part.record_count, 0).sum())
        changed = {
            "first_offset": int(part.base_offset.min()),
            "last_offset": int(part.last_offset.max()),
            "position": int(part.position[0]),
            "records": data,
        }
        yield TransactionTable.from_rows([{**table.row(row), **changed}])
