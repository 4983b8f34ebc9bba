"""Transaction fates: committed, aborted, open or unknown, from the markers of one line.

The rule (section 9 of the contract): a marker closes only those data batches of its producer from which no hole
separates it. A hole is a range whose batches are not there to be read; in it another marker may have stood. So a batch
with a hole before its producer's next marker is `unknown`, and so is one that only a marker of a later producer epoch
would close while batches of that later epoch stand between. No aborted record is ever called committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from kafka_salvage.plan.edges import Edges, read_edges
from kafka_salvage.plan.plan import TRANSACTION_CODES, OffsetSpan, Status, Transaction
from kafka_salvage.plan.timeline import Piece
from kafka_salvage.regions.runs import TXN_ABORT, TXN_COMMIT, TXN_DATA, TransactionTable
from kafka_salvage.scan.batches import I8, I16, I64, BatchTable

CODE = {label: code for code, label in enumerate(TRANSACTION_CODES)}

HOLES = frozenset({Status.AMBIGUOUS, Status.UNDECODABLE, Status.SUSPECT, Status.DIVERGENT, Status.LOST, Status.MISSING})
"""Statuses of offsets whose batches cannot be asked."""

_FATE = {TXN_COMMIT: Transaction.COMMITTED, TXN_ABORT: Transaction.ABORTED}


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The fate of each stretch of transactional data of one line, in offset order.

    Attributes:
        producer_id, first_offset, last_offset: of the stretch (both offsets inclusive).
        code: index into `TRANSACTION_CODES`.
        records: data records in the stretch.
        producer_epoch: of the stretch.
    """

    producer_id: I64
    first_offset: I64
    last_offset: I64
    code: I8
    records: I64
    producer_epoch: I16
    _by_producer: dict[int, I64] = field(default_factory=dict)

    def __post_init__(self) -> None:
        order = np.argsort(self.producer_id, kind="stable")
        edges = np.flatnonzero(np.diff(self.producer_id[order])) + 1
        for rows in np.split(order, edges):
            if len(rows):
                self._by_producer[int(self.producer_id[rows[0]])] = rows

    def lookup(self, batches: BatchTable) -> I8:
        """Code per batch: `none` for what is not transactional, `unknown` for what the line does not know."""
        codes = np.full(len(batches), CODE[Transaction.NONE], np.int8)
        asked = np.flatnonzero(batches.is_transactional & ~batches.is_control)
        codes[asked] = CODE[Transaction.UNKNOWN]
        for producer in np.unique(batches.producer_id[asked]).tolist():
            rows = self._by_producer.get(producer)
            if rows is None:
                continue
            mine = asked[batches.producer_id[asked] == producer]
            base = batches.base_offset[mine]
            at = np.searchsorted(self.first_offset[rows], base, side="right") - 1
            found = rows[np.maximum(at, 0)]
            known = (at >= 0) & (base <= self.last_offset[found])
            codes[mine[known]] = self.code[found[known]]
        return codes

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


class Witness(Protocol):
    """Knows more of transactions than the markers of one line tell."""

    def decide(self, labels: Labels) -> Labels:
        """The same labels, with some that are open or unknown decided."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    kind: I8
    producer: I64
    epoch: I16
    first: I64
    last: I64
    records: I64


def make_labels(
    pieces: Sequence[Piece], ledger: Sequence[OffsetSpan], edges: Edges = read_edges, witness: Witness | None = None
) -> Labels:
    """Fates of the transactional batches of one line.

    Args:
        pieces: the line, in offset order.
        ledger: its ranges as if nothing were trimmed.
        edges: reads batches again where a piece begins or ends inside a stretch of one producer.
        witness: decides what the markers leave open.
    """
    rows = _gather(pieces, edges)
    holes = [span.offsets for span in ledger if span.status in HOLES]
    starts = np.array([hole.start for hole in holes], np.int64)
    stretch = np.searchsorted(starts, rows.first, side="right")
    codes = np.full(len(rows.kind), CODE[Transaction.UNKNOWN], np.int8)
    order = np.argsort(rows.producer, kind="stable")
    for mine in np.split(order, np.flatnonzero(np.diff(rows.producer[order])) + 1):
        _judge(rows, mine, stretch, len(holes), codes)
    data = rows.kind == TXN_DATA
    made = Labels(
        rows.producer[data], rows.first[data], rows.last[data], codes[data], rows.records[data], rows.epoch[data]
    )
    return made if witness is None else witness.decide(made)


def _judge(rows: _Rows, mine: I64, stretch: I64, holes: int, codes: I8) -> None:
    """Walks one producer's rows backwards, with the marker that comes next in mind."""
    fate, marker_stretch, marker_epoch = Transaction.OPEN, holes, None
    for row in mine[::-1].tolist():
        kind = int(rows.kind[row])
        if kind != TXN_DATA:
            fate, marker_stretch, marker_epoch = _FATE[kind], int(stretch[row]), None
            continue
        epoch = int(rows.epoch[row])
        if int(stretch[row]) != marker_stretch:
            label = Transaction.UNKNOWN
        elif marker_epoch is not None and epoch < marker_epoch and fate is not Transaction.ABORTED:
            # a newer incarnation of the producer wrote behind it: its end was written before that, and is not there
            label = Transaction.UNKNOWN
        else:
            label = fate
        codes[row] = CODE[label]
        marker_epoch = epoch if marker_epoch is None else max(marker_epoch, epoch)


def _gather(pieces: Sequence[Piece], edges: Edges) -> _Rows:
    """Rows of the segments' tables that lie in a piece, cut to it, in offset order."""
    of_segment: dict[int, list[Piece]] = {}
    for piece in pieces:
        if len(piece.segment.transactions):
            of_segment.setdefault(id(piece.segment), []).append(piece)
    parts = [TransactionTable.from_rows([])]
    for group in of_segment.values():
        parts += _inside(group[0].segment.transactions, sorted(group, key=lambda piece: piece.first), edges)
    first = np.concatenate([part.first_offset for part in parts])
    order = np.argsort(first, kind="stable")
    return _Rows(
        kind=np.concatenate([part.kind for part in parts])[order],
        producer=np.concatenate([part.producer_id for part in parts])[order],
        epoch=np.concatenate([part.producer_epoch for part in parts])[order],
        first=first[order],
        last=np.concatenate([part.last_offset for part in parts])[order],
        records=np.concatenate([part.records for part in parts])[order],
    )


def _inside(table: TransactionTable, pieces: Sequence[Piece], edges: Edges) -> Iterator[TransactionTable]:
    """Rows that lie in pieces of their segment; those that a piece cuts are read again."""
    first, following = (np.array([getattr(piece, name) for piece in pieces], np.int64) for name in ("first", "next"))
    start, stop = (np.array([getattr(piece, name) for piece in pieces], np.int64) for name in ("start", "stop"))
    low = np.searchsorted(following, table.first_offset, side="right")
    high = np.searchsorted(first, table.last_offset, side="right")
    home = np.minimum(low, len(pieces) - 1)
    whole = (high - low == 1) & (first[home] <= table.first_offset) & (table.last_offset < following[home])
    yield table.take(whole & (start[home] <= table.position) & (table.position < stop[home]))
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
