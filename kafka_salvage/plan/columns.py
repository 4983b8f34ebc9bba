"""PieceColumns: the numbers of many pieces column by column, so that a plan over them makes no object for each."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from kafka_salvage.plan.piece import Piece
from kafka_salvage.regions.compact import Compact
from kafka_salvage.regions.runs import ReplicaSurvey, SegmentSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.batches import I64

Home = tuple[ReplicaSurvey, SegmentSurvey, Verdict]
_NUMBERS = ("start", "stop", "first", "next", "batches", "records", "control", "absent", "low", "high")


@dataclass(frozen=True, slots=True, eq=False)
class PieceColumns:
    """Pieces, one row each, in their order.

    Attributes:
        homes: the copies, segments and verdicts that occur.
        home: which of them.
        start, stop: bytes.
        first, next: offsets.
        batches, records, control, absent: counts.
        low, high: rows of the run table.
    """

    homes: tuple[Home, ...]
    home: I64
    start: I64
    stop: I64
    first: I64
    next: I64
    batches: I64
    records: I64
    control: I64
    absent: I64
    low: I64
    high: I64

    def __len__(self) -> int:
        return len(self.home)

    @property
    def file(self) -> I64:
        """A number for each that tells the segments apart."""
        known: dict[int, int] = {}
        files = [known.setdefault(id(segment), len(known)) for _, segment, _ in self.homes]
        return np.array(files, np.int64)[self.home]

    def by_segment(self) -> Iterator[tuple[SegmentSurvey, slice]]:
        """Neighbours of one segment together."""
        if not len(self):
            return
        file = self.file
        heads = [0, *(np.flatnonzero(file[1:] != file[:-1]) + 1).tolist(), len(file)]
        for low, high in pairwise(heads):
            yield self.homes[int(self.home[low])][1], slice(low, high)


class _Recent:
    """The columns that were made last: whoever plans asks for those of one line several times."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: weakref.ref[Any] | None = None
        self._made: PieceColumns | None = None

    def find(self, pieces: Compact[Piece]) -> PieceColumns | None:
        with self._lock:
            if self._of is None or self._of() is not pieces or self._made is None or len(self._made) != len(pieces):
                return None
            return self._made

    def keep(self, pieces: Compact[Piece], made: PieceColumns) -> None:
        with self._lock:
            self._of, self._made = weakref.ref(pieces, self._drop), made

    def _drop(self, gone: weakref.ref[Any]) -> None:
        if self._of is gone:
            self._of = self._made = None


_recent = _Recent()


def columns_of(pieces: Sequence[Piece]) -> PieceColumns:
    """The columns of some pieces; those of packed ones are not made first."""
    if not isinstance(pieces, Compact):
        return _of_values(pieces)
    found = _recent.find(pieces)
    if found is None:
        found = _of_tables(pieces)
        _recent.keep(pieces, found)
    return found


def _of_tables(pieces: Compact[Piece]) -> PieceColumns:
    homes: dict[Any, int] = {}
    home = np.empty(len(pieces), np.int64)
    table = np.empty((len(_NUMBERS), len(pieces)), np.int64)
    for shape, places, columns in pieces.tables():
        home[places] = homes.setdefault(shape, len(homes))
        for row, column in zip(table, columns, strict=True):
            row[places] = column
    return PieceColumns(
        tuple((survey.value, segment.value, verdict) for survey, segment, verdict in homes), home, *table
    )


def _of_values(pieces: Sequence[Piece]) -> PieceColumns:
    homes: dict[tuple[int, int, Verdict], tuple[int, Home]] = {}
    home: list[int] = []
    for piece in pieces:
        key = id(piece.survey), id(piece.segment), piece.verdict
        found = homes.get(key)
        if found is None:
            found = homes[key] = len(homes), (piece.survey, piece.segment, piece.verdict)
        home.append(found[0])
    rows = [(p.start, p.stop, p.first, p.next, p.batches, p.records, p.control, p.absent, *p.rows) for p in pieces]
    table = np.array(rows, np.int64).reshape(len(rows), len(_NUMBERS)).T
    return PieceColumns(tuple(each for _, each in homes.values()), np.array(home, np.int64), *table)
