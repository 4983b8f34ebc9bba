"""Segment files of a rescue: read back batch by batch, with the fates of transactions that their markers tell.

What a salvage wrote is judged no more: a file may have holes on purpose, where undecided batches were withheld. Its CRCs are
checked, and a marker closes a batch only if the report knows of no lost offset between the two: the rule that the salvage
itself went by. What closes otherwise cannot be told from the files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from kafka_salvage.errors import SourceError
from kafka_salvage.export.replay.supply import Piece
from kafka_salvage.plan.plan import TRANSACTION_CODES, Transaction
from kafka_salvage.scan.batches import I8, I64, BatchTable
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.records import Outcome, decode, validate
from kafka_salvage.scan.walk import StopReason, walk
from kafka_salvage.source.opening import open_source
from kafka_salvage.source.source import Source

_CODE = {label: code for code, label in enumerate(TRANSACTION_CODES)}
_ABORT, _COMMIT = 0, 1


@dataclass(frozen=True, slots=True, eq=False)
class _Fates:
    """Label of each transactional batch of the loadable files, by base offset.

    Attributes:
        untold: such batches whose end the files do not tell.
    """

    base: I64
    label: I8
    untold: int


class SegmentLine:
    """One line of a rescue as segments.

    Args:
        loadable: files of `segments/`, in order.
        undecided: files of `segments-undecided/`, in order.
        holes: first offsets of ranges that are lost, ascending.
        undecided_label: what batches of ``undecided`` are: open or unknown.
        limits: bounds of decompression.
    """

    def __init__(
        self,
        loadable: Sequence[Path],
        undecided: Sequence[Path],
        holes: I64,
        undecided_label: Transaction,
        limits: Limits,
    ) -> None:
        self._loadable, self._undecided, self._holes = loadable, undecided, holes
        self._aside = _CODE[undecided_label]
        self._limits = limits

    @cached_property
    def _fates(self) -> _Fates:
        batches: list[tuple[int, int]] = []
        markers: dict[int, list[tuple[int, int]]] = {}
        for source, table in _blocks(self._loadable):
            transactional = table.is_transactional & ~table.is_control
            batches += zip(
                table.base_offset[transactional].tolist(), table.producer_id[transactional].tolist(), strict=True
            )
            control = table.take(np.asarray(table.is_control))
            for seen in validate(source, control, self._limits) if len(control) else ():
                kinds = zip(
                    seen.batches.base_offset.tolist(),
                    seen.batches.producer_id.tolist(),
                    seen.control_type.tolist(),
                    strict=True,
                )
                for offset, producer, kind in kinds:
                    if kind in (_ABORT, _COMMIT):
                        markers.setdefault(producer, []).append((offset, kind))
        labels = np.full(len(batches), _CODE[Transaction.UNKNOWN], np.int8)
        for row, (base, producer) in enumerate(batches):
            labels[row] = self._label(base, markers.get(producer, []))
        untold = int((labels == _CODE[Transaction.UNKNOWN]).sum())
        return _Fates(np.array([base for base, _ in batches], np.int64), labels, untold)

    def _label(self, base: int, markers: Sequence[tuple[int, int]]) -> int:
        at = np.searchsorted([offset for offset, _ in markers], base)
        if at == len(markers):
            return _CODE[Transaction.UNKNOWN]
        offset, kind = markers[int(at)]
        if np.searchsorted(self._holes, base) != np.searchsorted(self._holes, offset):  # something between is lost
            return _CODE[Transaction.UNKNOWN]
        return _CODE[Transaction.COMMITTED if kind == _COMMIT else Transaction.ABORTED]

    @property
    def tells(self) -> bool:
        """Whether the files tell how every transaction of the loadable ones ended."""
        return not self._fates.untold

    def labels(self, first: int) -> Counter[str]:
        """Data records from an offset on, by label."""
        counts = np.zeros(len(TRANSACTION_CODES), np.int64)
        for piece in self.pieces():
            counts += np.bincount(piece.labels[piece.table.offset >= first], minlength=len(counts))
        return Counter({str(code): int(n) for code, n in zip(TRANSACTION_CODES, counts, strict=True) if n})

    def pieces(self) -> Iterator[Piece]:
        """Data records in offset order.

        Raises:
            SourceError: a file cannot be read, or is not what was written.
        """
        if not self._undecided:
            return self._from(self._loadable, self._fates)
        if not self._loadable:
            return self._from(self._undecided, None)
        return merged(self._from(self._loadable, self._fates), self._from(self._undecided, None))

    def _from(self, files: Sequence[Path], fates: _Fates | None) -> Iterator[Piece]:
        for source, block in _blocks(files):
            for decoded in decode(source, block, self._limits):
                table = decoded.table
                for row in np.flatnonzero(decoded.outcome != Outcome.OK).tolist():
                    reason = decoded.detail.get(row, Outcome(int(decoded.outcome[row])).name.lower())
                    raise SourceError(f"{source.name}: the batch at byte {int(table.batches.position[row])}: {reason}")
                labels = self._labels_of(table.batches, fates)[table.batch]
                data = ~table.batches.is_control[table.batch]
                if data.all():
                    yield Piece(table, labels)
                elif data.any():
                    yield Piece(table.take(data), labels[data])

    def _labels_of(self, batches: BatchTable, fates: _Fates | None) -> I8:
        labels = np.zeros(len(batches), np.int8)
        transactional = np.asarray(batches.is_transactional & ~batches.is_control)
        if fates is None:
            labels[transactional] = self._aside
        elif transactional.any():
            labels[transactional] = fates.label[np.searchsorted(fates.base, batches.base_offset[transactional])]
        return labels


def _blocks(files: Sequence[Path]) -> Iterator[tuple[Source, BatchTable]]:
    """Batches of files, in order. Raises: SourceError."""
    for place in files:
        with closing(open_source(place, str(place))) as source:
            stop = None
            for block in walk(source):
                stop = block.stop or stop
                if len(block.batches):
                    yield source, block.batches
            if source.unreadable:
                raise SourceError(f"{place}: bytes from {source.unreadable[0].start} on cannot be read")
            if stop is not None and stop.reason is not StopReason.END:
                raise SourceError(
                    f"{place}: no batch at byte {stop.position} ({stop.reason}), which is not as it was written",
                    advice="Run kafka-salvage verify on the rescue.",
                )


def merged(one: Iterator[Piece], other: Iterator[Piece]) -> Iterator[Piece]:
    """Two halves of the same line by offset; no offset is in both."""
    sides = [one, other]
    heads = [next(side, None) for side in sides]
    while True:
        left, right = heads
        if left is None or right is None:
            for head, side in zip(heads, sides, strict=True):
                if head is not None:
                    yield head
                    yield from side
            return
        low = int(left.table.offset[0] > right.table.offset[0])
        piece, rival = (left, right) if low == 0 else (right, left)
        rows = int(np.searchsorted(piece.table.offset, rival.table.offset[0]))
        if rows == len(piece.table):
            heads[low] = next(sides[low], None)
            yield piece
        else:
            heads[low] = Piece(piece.table.take(slice(rows, None)), piece.labels[rows:])
            yield Piece(piece.table.take(slice(0, rows)), piece.labels[:rows])
