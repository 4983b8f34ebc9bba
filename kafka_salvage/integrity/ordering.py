"""Order: findings of many packed lists, each once, in the order in which a report numbers them.

Steps, for each file by itself:

1. Take what orders a finding as columns: place, code, offsets, and the sentence as the number of its shape and one number that
   stands for those in it. No finding is made.
2. Sort by them; neighbours that agree in all are one finding. Where sentences differ at one place, they are read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from kafka_salvage.regions.shapes import Findings, Picked, numbers_in
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.batches import I64, Bool
from kafka_salvage.vector.distinct import distinct

Place = tuple[str, str]
_MIX = np.uint64(0x9E3779B97F4A7C15)
_NONE = -1


class Marked:
    """Lists of findings, and which of each are asked for."""

    def __init__(self) -> None:
        self.logs: list[Findings] = []
        self._rows: dict[int, Bool | None] = {}

    def add(self, group: Findings | Picked) -> None:
        """Asks for all findings of a list, or for some."""
        log = group.log if isinstance(group, Picked) else group
        if id(log) not in self._rows:
            self.logs.append(log)
            self._rows[id(log)] = np.zeros(len(log), np.bool_)
        if not isinstance(group, Picked):
            self._rows[id(log)] = None
        elif (rows := self._rows[id(log)]) is not None:
            rows[np.asarray(group.rows, np.int64)] = True

    def asked(self, log: Findings, places: I64) -> Bool:
        """Which of some places are asked for."""
        rows = self._rows[id(log)]
        return np.ones(len(places), np.bool_) if rows is None else rows[places]


class Order(Sequence[Finding]):
    """Findings in order.

    Attributes:
        places: (source, path) and how many findings are about that file, in their order.
    """

    def __init__(self, logs: Sequence[Findings]) -> None:
        self._logs = logs
        self.places: list[tuple[Place, int]] = []
        self._parts: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]] = []
        self._stops: list[int] = []

    def add(self, place: Place, log: npt.NDArray[Any], row: npt.NDArray[Any]) -> None:
        """Adds the findings of a file: list and row of each."""
        self.places.append((place, len(row)))
        self._parts.append((log.astype(np.min_scalar_type(len(self._logs))), row.astype(np.uint32)))
        self._stops.append(len(self) + len(row))

    def log(self, number: int) -> Findings:
        """One of the lists."""
        return self._logs[number]

    def __len__(self) -> int:
        return self._stops[-1] if self._stops else 0

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self[at] for at in range(*index.indices(len(self))))
        if not 0 <= index < len(self):
            raise IndexError(index)
        part = int(np.searchsorted(self._stops, index, side="right"))
        log, row = self._parts[part]
        at = index - (self._stops[part - 1] if part else 0)
        return self._logs[int(log[at])][int(row[at])]

    def __iter__(self) -> Iterator[Finding]:
        for log, row in self._parts:
            for one, at in zip(log, row, strict=True):
                yield self._logs[int(one)][int(at)]


@dataclass(slots=True)
class _Keys:
    """What orders the findings of one file.

    Attributes:
        log, row: where each is.
        columns: start, stop, code, first and next offset (-1 without), shape of the sentence, its numbers.
    """

    log: I64
    row: I64
    columns: list[npt.NDArray[Any]]


def ordered(marked: Marked) -> tuple[Order, dict[int, npt.NDArray[Any]]]:
    """All that is asked for, in order, and for each list the numbers of its findings, from 1 on (0: not asked for)."""
    parts: dict[Place, list[tuple[int, I64, list[npt.NDArray[Any]]]]] = defaultdict(list)
    codes = sorted({shape[0] for log in marked.logs for shape in log.all_shapes()})
    ranks = {code: rank for rank, code in enumerate(codes)}
    sentences: dict[Any, int] = {}
    for number, log in enumerate(marked.logs):
        for shape, places, columns in log.tables():
            asked = marked.asked(log, places)
            if asked.any():
                said = sentences.setdefault(shape[4], len(sentences))
                made = _columns(shape, said, ranks[shape[0]], [column[asked] for column in columns])
                parts[shape[1], shape[2]].append((number, places[asked], made))
    order = Order(marked.logs)
    numbers = {id(log): np.zeros(len(log), np.uint32) for log in marked.logs}
    for place in sorted(parts):
        some = parts.pop(place)
        sizes = [len(rows) for _, rows, _ in some]
        which = np.repeat(np.array([number for number, _, _ in some], np.int64), sizes)
        keys = _Keys(which, np.concatenate([rows for _, rows, _ in some]), [])
        keys.columns = [_narrow(np.concatenate(column)) for column in zip(*(made for _, _, made in some), strict=True)]
        del some
        _add(order, numbers, place, keys)
    return order, numbers


def _columns(shape: Any, said: int, code: int, columns: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    count, nowhere = len(columns[0]), shape[3]
    none = np.full(count, _NONE, np.int64)
    first, behind = (none, none) if nowhere else (columns[2], columns[3])
    mixed = np.zeros(count, np.uint64)
    start = 2 if nowhere else 4
    for column in columns[start : start + numbers_in(shape[4])]:
        mixed = mixed * _MIX + column.astype(np.int64).view(np.uint64)
    return [
        columns[0],
        columns[1],
        np.full(count, code, np.int16),
        first,
        behind,
        np.full(count, said, np.int32),
        mixed,
    ]


def _narrow(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The column in four bytes, if they hold it."""
    if column.dtype != np.int64 or int(column.min()) < -(1 << 31) or int(column.max()) >= 1 << 31:
        return column
    return column.astype(np.int32)


def _add(order: Order, numbers: dict[int, npt.NDArray[Any]], place: Place, keys: _Keys) -> None:
    """Sorts the findings of one file and numbers them."""
    sort = np.lexsort(keys.columns[::-1])
    log, row = keys.log[sort], keys.row[sort]
    same = np.ones(len(sort) - 1, np.bool_)
    for column in keys.columns[:5]:
        column = column[sort]
        same &= column[1:] == column[:-1]
    alike = same.copy()
    for column in keys.columns[5:]:
        column = column[sort]
        alike &= column[1:] == column[:-1]
    if not np.array_equal(same, alike):
        log, row, alike = _by_sentence(order, log, row, same, alike)
    heads = np.concatenate([[True], ~alike])
    number = np.cumsum(heads) + len(order)
    for at in distinct(log).tolist():
        mine = log == at
        numbers[id(order.log(at))][row[mine]] = number[mine]
    last = np.concatenate([heads[1:], [True]])
    order.add(place, log[last], row[last])


def _by_sentence(order: Order, log: I64, row: I64, same: Bool, alike: Bool) -> tuple[I64, I64, Bool]:
    """Findings that differ in nothing but their sentences, sorted by these."""
    edges = np.concatenate([[0], np.flatnonzero(~same) + 1, [len(log)]])
    mixed = distinct(np.searchsorted(edges, np.flatnonzero(same & ~alike), side="right") - 1)
    for group in mixed.tolist():
        low, high = int(edges[group]), int(edges[group + 1])
        words = [order.log(int(log[at]))[int(row[at])].message for at in range(low, high)]
        sort = sorted(range(high - low), key=words.__getitem__)
        log[low:high], row[low:high] = log[low:high][sort], row[low:high][sort]
        alike[low : high - 1] = [words[a] == words[b] for a, b in pairwise(sort)]
    return log, row, alike
