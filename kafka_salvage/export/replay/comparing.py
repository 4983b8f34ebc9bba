"""Comparison: records of a rescue beside those that a cluster gives back, column by column.

Strategy:

1. Both sides come as record tables in rising order of old offsets (those of the cluster through the offset map), and are taken
   in step: as far as both reach, no further, so that memory holds one table of each.
2. Where the old offsets of both are the same, columns are compared as a whole: sizes, then the bytes laid end to end. Only
   where they differ are rows looked at.
3. What a difference shows is where and in what fields, never bytes of a payload.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kafka_salvage.export.replay.offset_map import Runs
from kafka_salvage.export.replay.supply import at_epoch, timeless
from kafka_salvage.scan.batches import I64, Bool
from kafka_salvage.scan.records import RecordTable
from kafka_salvage.source.source import U8
from kafka_salvage.vector.gather import gather

SHOWN = 20
"""Most differences of a partition that are named; all are counted."""

Part = tuple[RecordTable, Bool]
"""Records of a rescue, and which of them every replay sends (those outside of transactions, and committed ones)."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One record that is not on the cluster as it is in the rescue.

    Attributes:
        offset: in the rescue; None for a record that only the cluster has.
        new_offset: on the cluster; None for one that should be there and is not known where.
        what: ``not sent``, ``missing``, ``unexpected``, or the fields that differ.
    """

    offset: int | None
    new_offset: int | None
    what: str


@dataclass(slots=True)
class Counts:
    """Records of one partition.

    Attributes:
        equal: there, the same in key, value, headers and timestamp.
        differing: there, and not the same.
        missing: mapped, and not there.
        not_sent: committed or outside of transactions, and not in the map.
        left_out: in open, unknown or aborted transactions, and not in the map.
        unexpected: records of the cluster between ours that are in no run of the map, or that the rescue does not have.
        retimed: equal ones that had no timestamp and were given one.
        differences: the first of them, in order.
    """

    equal: int = 0
    differing: int = 0
    missing: int = 0
    not_sent: int = 0
    left_out: int = 0
    unexpected: int = 0
    retimed: int = 0
    differences: list[Difference] = field(default_factory=list)

    def note(self, difference: Difference) -> None:
        """Keeps one of the first differences."""
        if len(self.differences) < SHOWN:
            self.differences.append(difference)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        names = ("equal", "differing", "missing", "not_sent", "left_out", "unexpected", "retimed")
        shown = [{"offset": d.offset, "new_offset": d.new_offset, "what": d.what} for d in self.differences]
        return {**{name: getattr(self, name) for name in names}, "differences": shown}


class Comparing:
    """One partition under comparison.

    Args:
        runs: of the offset map.
        usual: only records that every replay sends are expected; others are not looked for.
    """

    def __init__(self, runs: Runs, *, usual: bool = False) -> None:
        self._runs = runs
        self._usual = usual
        self.counts = Counts()

    def compare(self, rescue: Iterator[Part], cluster: Iterator[RecordTable]) -> Counts:
        """Compares all records.

        Args:
            rescue: records in rising order of old offsets.
            cluster: tables in rising order of new offsets.
        """
        ours, theirs = _Side(self._expected(rescue)), _Side(self._found(cluster))
        while ours.fill() and theirs.fill():
            end = min(ours.last, theirs.last)
            self._together(ours.upto(end), theirs.upto(end))
        while ours.fill():
            self._missing(ours.upto(ours.last))
        while theirs.fill():
            self._unexpected(theirs.upto(theirs.last))
        return self.counts

    def _expected(self, rescue: Iterator[Part]) -> Iterator[RecordTable]:
        """Records of the rescue that are mapped; what else should be there is counted."""
        for table, usual in rescue:
            mapped = self._runs.new_offsets(table.offset) >= 0
            if self._usual:
                mapped &= usual
            if not mapped.all():
                wanted = ~mapped & usual
                self.counts.left_out += int((~mapped & ~wanted).sum())
                self.counts.not_sent += int(wanted.sum())
                for offset in table.offset[wanted][:SHOWN].tolist():
                    self.counts.note(Difference(offset, None, "not sent"))
                table = table.take(mapped)
            if len(table):
                yield table

    def _found(self, cluster: Iterator[RecordTable]) -> Iterator[RecordTable]:
        """Records of the cluster that are mapped, by their old offsets; others between ours are counted."""
        for table in cluster:
            old = self._runs.old_offsets(table.offset)
            if (old < 0).any():
                for offset in table.offset[old < 0][:SHOWN].tolist():
                    self.counts.note(Difference(None, offset, "unexpected"))
                self.counts.unexpected += int((old < 0).sum())
                table, old = table.take(old >= 0), old[old >= 0]
            if len(table):
                yield replace(table, offset=old)

    def _new(self, old: I64) -> I64:
        return self._runs.new_offsets(old)

    def _missing(self, table: RecordTable) -> None:
        self.counts.missing += len(table)
        for old, new in zip(table.offset[:SHOWN].tolist(), self._new(table.offset[:SHOWN]).tolist(), strict=True):
            self.counts.note(Difference(old, new, "missing"))

    def _unexpected(self, table: RecordTable) -> None:
        self.counts.unexpected += len(table)
        for new in self._new(table.offset[:SHOWN]).tolist():
            self.counts.note(Difference(None, new, "unexpected"))

    def _together(self, ours: RecordTable, theirs: RecordTable) -> None:
        """Compares two stretches that end at the same offset."""
        if len(ours) != len(theirs) or not np.array_equal(ours.offset, theirs.offset):
            both = np.intersect1d(ours.offset, theirs.offset)  # an offset that comes twice is unexpected
            here, there = np.isin(ours.offset, both), _first_of(theirs.offset, both)
            if not here.all():
                self._missing(ours.take(~here))
                ours = ours.take(here)
            if not there.all():
                self._unexpected(theirs.take(~there))
                theirs = theirs.take(there)
        if len(ours):
            self._alike(ours, theirs)

    def _alike(self, ours: RecordTable, theirs: RecordTable) -> None:
        """Compares records that stand for each other, row by row."""
        fields = {
            "timestamp": _timestamps_differ(ours, theirs),
            "key": _slices_differ(ours, theirs, "key"),
            "value": _slices_differ(ours, theirs, "value"),
            "headers": _headers_differ(ours, theirs),
        }
        wrong = np.logical_or.reduce(list(fields.values()))
        count = int(wrong.sum())
        self.counts.differing += count
        self.counts.equal += len(ours) - count
        self.counts.retimed += int((lacking(ours) & ~wrong).sum())
        for row in np.flatnonzero(wrong)[:SHOWN].tolist():
            what = ", ".join(name for name, differ in fields.items() if differ[row])
            old = ours.offset[row : row + 1]
            self.counts.note(Difference(int(old[0]), int(self._new(old)[0]), what))


class _Side:
    """Tables of one side, taken piece by piece."""

    def __init__(self, tables: Iterator[RecordTable]) -> None:
        self._tables = tables
        self._table = RecordTable.empty()

    def fill(self) -> bool:
        """Whether there is a row; brings the next table when the last one is used up."""
        while not len(self._table):
            found = next(self._tables, None)
            if found is None:
                return False
            self._table = found
        return True

    @property
    def last(self) -> int:
        """Last offset that is at hand."""
        return int(self._table.offset[-1])

    def upto(self, offset: int) -> RecordTable:
        """Takes the rows up to an offset, it included."""
        cut = int(np.searchsorted(self._table.offset, offset, side="right"))
        table = self._table
        if cut == len(table):
            self._table = RecordTable.empty()
            return table
        self._table = table.take(slice(cut, None))
        return table.take(slice(0, cut))


def _first_of(offsets: I64, wanted: I64) -> Bool:
    """Rows whose offset is wanted and was not there before."""
    fresh = np.ones(len(offsets), np.bool_)
    fresh[1:] = offsets[1:] != offsets[:-1]
    return np.asarray(fresh & np.isin(offsets, wanted))


def lacking(table: RecordTable) -> Bool:
    """Records that a replay has to give a timestamp."""
    return np.asarray(timeless(table) | at_epoch(table))


def _timestamps_differ(ours: RecordTable, theirs: RecordTable) -> Bool:
    return np.asarray((ours.timestamp != theirs.timestamp) & ~lacking(ours))


def _differ(data: U8, starts: I64, sizes: I64, other: U8, places: I64, lengths: I64) -> Bool:
    """Which slices of two buffers differ; null (size -1) is not empty."""
    differ = np.asarray(sizes != lengths)
    same = np.where(differ, -1, sizes)
    left, ends = gather(data, starts, same)
    right, _ = gather(other, places, same)
    if not np.array_equal(left, right):
        differ[np.searchsorted(ends, np.flatnonzero(left != right), side="right") - 1] = True
    return differ


def _slices_differ(ours: RecordTable, theirs: RecordTable, name: str) -> Bool:
    """Rows whose slices (``<name>_start``, ``<name>_size``) differ."""
    (a, b), (c, d) = (
        (getattr(t, f"{name}_start"), getattr(t, f"{name}_size").astype(np.int64)) for t in (ours, theirs)
    )
    return _differ(ours.data, a, b, theirs.data, c, d)


def _headers_differ(ours: RecordTable, theirs: RecordTable) -> Bool:
    counts, others = (np.diff(table.header_first) for table in (ours, theirs))
    differ = np.asarray(counts != others)
    if differ.any():
        alike = ~differ
        if alike.any():
            differ[np.flatnonzero(alike)[_headers_differ(ours.take(alike), theirs.take(alike))]] = True
        return differ
    names = _header_slices_differ(ours, theirs)
    if names.any():
        rows = np.searchsorted(ours.header_first - ours.header_first[0], np.flatnonzero(names), side="right") - 1
        differ[rows] = True
    return differ


def _header_slices_differ(ours: RecordTable, theirs: RecordTable) -> Bool:
    """Which headers differ, of tables whose records have as many each."""
    made = []
    for name in ("header_key", "header_value"):
        (data, starts, sizes), (other, places, lengths) = _headers_of(ours, name), _headers_of(theirs, name)
        differ = _differ(data, starts, sizes, other, places, lengths)
        if name == "header_key":
            for at in np.flatnonzero(differ).tolist():
                one = _shown(data, int(starts[at]), int(sizes[at]))
                differ[at] = one != _shown(other, int(places[at]), int(lengths[at]))
        made.append(differ)
    return np.asarray(made[0] | made[1])


def _headers_of(table: RecordTable, name: str) -> tuple[U8, I64, I64]:
    """The buffer, starts and sizes of a column of headers."""
    low, high = int(table.header_first[0]), int(table.header_first[-1])
    starts, sizes = getattr(table, f"{name}_start")[low:high], getattr(table, f"{name}_size")[low:high]
    return table.data, starts, sizes.astype(np.int64)


def _shown(data: U8, start: int, size: int) -> bytes:
    """A header's name as far as a client's interface shows it: up to the first zero byte."""
    return data[start : start + size].tobytes().partition(b"\0")[0]
