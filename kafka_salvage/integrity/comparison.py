"""Comparison: what one copy has that another lacks, offset by offset.

Steps, for each partition, along both lines at once:

1. Batches with the same offsets, sizes, checksums and covered bytes are the same, whatever their leader epochs.
2. Where only one side has a batch, its offsets are only there.
3. Where batches overlap and are not the same, their records are compared: one batch of each side is held at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from kafka_salvage import engine
from kafka_salvage.integrity.numbering import text
from kafka_salvage.integrity.sides import Side, other_batches, same_batches, same_bytes
from kafka_salvage.plan.incarnations import INTERNAL
from kafka_salvage.plan.plan import PartitionPlan, Plan
from kafka_salvage.scan.batches import I64, BatchTable, Bool
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.records import RecordTable
from kafka_salvage.scan.replica import State

SCHEMA = "kafka-salvage.comparison/1"
MOST_RANGES = 1000
"""Ranges listed of one kind in one partition; the sums count all."""

_DIFFER = 6
Key = tuple[str, int]


class Kind(StrEnum):
    """What is said of an offset."""

    ONLY_A = "only_a"
    ONLY_B = "only_b"
    DIFFERENT = "different"
    UNDECODABLE = "undecodable"


@dataclass(slots=True)
class Range:
    """Offsets ``[start, stop)`` with ``records`` data and ``control`` records; what lies between them is on no side."""

    start: int
    stop: int
    records: int
    control: int


@dataclass(slots=True)
class Sum:
    """All offsets of one kind in one partition."""

    records: int = 0
    control: int = 0
    ranges: list[Range] = field(default_factory=list)
    omitted: int = 0

    def add(self, start: int, stop: int, records: int, control: int, joins: bool) -> None:
        """Adds a range; it joins the last one when nothing else was said since."""
        self.records += records
        self.control += control
        if joins and self.ranges and not self.omitted:
            last = self.ranges[-1]
            last.stop, last.records, last.control = stop, last.records + records, last.control + control
        elif len(self.ranges) < MOST_RANGES:
            self.ranges.append(Range(start, stop, records, control))
        else:
            self.omitted += not joins

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "records": self.records,
            "control": self.control,
            "ranges": [
                {"start": r.start, "stop": r.stop, "records": r.records, "control": r.control} for r in self.ranges
            ],
            "ranges_omitted": self.omitted,
        }


@dataclass(slots=True)
class PartitionComparison:
    """One partition on both sides.

    Attributes:
        states: of the line on side A and B; None where that side has no such partition.
        topic_ids: on side A and B.
        same: records (data and control) that both have.
        rewritten: of these, how many lie in batches that are not the same (cleaned or compressed again).
        sums: what differs.
        notes: what else is to be said, one sentence each.
    """

    topic: str
    partition: int
    states: tuple[State | None, State | None]
    topic_ids: tuple[str | None, str | None]
    same: int = 0
    rewritten: int = 0
    sums: dict[Kind, Sum] = field(default_factory=lambda: {kind: Sum() for kind in Kind})
    notes: list[str] = field(default_factory=list)
    _last: Kind | None = None

    @property
    def differs(self) -> bool:
        """Whether the sides are not the same."""
        return any(each.records or each.control for each in self.sums.values())

    def tell(self, kind: Kind, start: int, stop: int, records: int, control: int) -> None:
        """Says something of ``[start, stop)``."""
        self.sums[kind].add(start, stop, records, control, self._last is kind)
        self._last = kind

    def agree(self, records: int, rewritten: bool = False) -> None:
        """Records that both sides have."""
        if records:
            self.same += records
            self.rewritten += records if rewritten else 0
            self._last = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        states = [None if state is None else str(state) for state in self.states]
        made: dict[str, Any] = {
            "topic": text(self.topic),
            "partition": self.partition,
            "state_a": states[0],
            "state_b": states[1],
            "topic_id_a": self.topic_ids[0],
            "topic_id_b": self.topic_ids[1],
            "same": self.same,
            "rewritten": self.rewritten,
            "differs": self.differs,
            "notes": [text(note) for note in self.notes],
        }
        return {**made, **{str(kind): self.sums[kind].to_dict() for kind in Kind}}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the verb `compare` says.

    Attributes:
        partitions: sorted by topic and partition.
        skipped: internal partitions that were not looked at.
    """

    partitions: tuple[PartitionComparison, ...]
    skipped: int = 0

    @property
    def exit_code(self) -> int:
        """6 when the sides differ, else 0."""
        return _DIFFER if any(each.differs for each in self.partitions) else 0

    def total(self, kind: Kind) -> tuple[int, int]:
        """(data records, control records) of one kind over all partitions."""
        sums = [each.sums[kind] for each in self.partitions]
        return sum(s.records for s in sums), sum(s.control for s in sums)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        totals = {str(kind): dict(zip(("records", "control"), self.total(kind), strict=True)) for kind in Kind}
        return {
            "schema": SCHEMA,
            "summary": {
                "exit_code": self.exit_code,
                "differs": bool(self.exit_code),
                "partitions": len(self.partitions),
                "internal_skipped": self.skipped,
                "same": sum(each.same for each in self.partitions),
                "rewritten": sum(each.rewritten for each in self.partitions),
                **totals,
            },
            "partitions": [each.to_dict() for each in self.partitions],
        }


def compare_plans(a: Plan, b: Plan, *, limits: Limits | None = None, jobs: int = 1) -> Comparison:
    """Compares what would be recovered on both sides.

    Args:
        a: one side.
        b: the other.
        limits: bounds on decompression.
        jobs: partitions compared at the same time.

    Raises:
        SourceError: a file that was checked cannot be read again.
    """
    internal = a.policy.selection.internal
    sides = _lines(a, internal), _lines(b, internal)
    keys = sorted(set(sides[0]) | set(sides[1]))

    def one(key: Key) -> list[PartitionComparison]:
        return _partition(key, sides[0].get(key), sides[1].get(key), limits or Limits())

    found = [each for some in engine.ordered_map(one, keys, jobs) for each in some]
    skipped = {(p.topic, p.partition) for plan in (a, b) for p in plan.partitions if p.topic in INTERNAL}
    return Comparison(tuple(found), 0 if internal else len(skipped))


def _lines(plan: Plan, internal: bool) -> dict[Key, PartitionPlan]:
    """The line of each partition that is selected: the living one, or what stands for it."""
    found: dict[Key, list[PartitionPlan]] = defaultdict(list)
    for each in plan.partitions:
        if plan.policy.selection.wants(each.topic, each.partition) and (internal or each.topic not in INTERNAL):
            found[each.topic, each.partition].append(each)
    return {key: next((p for p in some if p.steps), some[0]) for key, some in found.items()}


def _partition(key: Key, a: PartitionPlan | None, b: PartitionPlan | None, limits: Limits) -> list[PartitionComparison]:
    ids = a.topic_id if a else None, b.topic_id if b else None
    if a is not None and b is not None and None not in ids and ids[0] != ids[1]:
        note = f"side A holds the topic id {ids[0]}, side B {ids[1]}: two topics of one name are not compared"
        apart = _partition(key, a, None, limits) + _partition(key, None, b, limits)
        for each in apart:
            each.notes.append(note)
        return apart
    made = PartitionComparison(*key, (a.state if a else None, b.state if b else None), ids)
    _merge(Side(a, limits), Side(b, limits), made)
    return [made]


def _merge(one: Side, other: Side, made: PartitionComparison) -> None:
    """Goes along both sides until both have ended."""
    while not (one.ended and other.ended):
        if other.ended or (not one.ended and int(one.table.last_offset[0]) < other.first):
            _alone(one, other, made, Kind.ONLY_A)
        elif one.ended or int(other.table.last_offset[0]) < one.first:
            _alone(other, one, made, Kind.ONLY_B)
        else:
            count = same_batches(one, other) if one.untouched and other.untouched else 0
            count = same_bytes(one, other, count) if count else 0
            if count:
                made.agree(_count(one.table.take(slice(0, count))))
                one.advance(count)
                other.advance(count)
            else:
                _overlap(one, other, made)


def _count(table: BatchTable) -> int:
    return int(np.maximum(table.record_count.astype(np.int64), 0).sum())


def _alone(side: Side, other: Side, made: PartitionComparison, kind: Kind) -> None:
    """Batches before anything of the other side."""
    table = side.table
    rows = len(table) if other.ended else int(np.searchsorted(table.last_offset, other.first))
    if not side.untouched:
        rows = 1
        _tell_rest(side, int(table.last_offset[0]), made, kind)
    else:
        part = table.take(slice(0, rows))
        counts = np.maximum(part.record_count.astype(np.int64), 0)
        control = int(counts[part.is_control].sum())
        start, stop = int(part.base_offset[0]), int(part.last_offset[-1]) + 1
        if int(counts.sum()):
            made.tell(kind, start, stop, int(counts.sum()) - control, control)
    side.advance(rows)


def _tell_rest(side: Side, last: int, made: PartitionComparison, kind: Kind) -> None:
    """Records of the first batch from the floor up to ``last``."""
    records, _ = side.records(1)
    if records is None:
        made.tell(Kind.UNDECODABLE, side.floor, last + 1, 1, 0)
        return
    _tell(records, _rows(records, side.floor, last), made, kind)


def _rows(records: RecordTable, low: int, last: int) -> I64:
    """Rows with offsets in ``[low, last]``."""
    return np.flatnonzero((records.offset >= low) & (records.offset <= last)).astype(np.int64)


def _tell(records: RecordTable, rows: I64, made: PartitionComparison, kind: Kind) -> None:
    if not len(rows):
        return
    control = int(records.batches.is_control[records.batch[rows]].sum())
    start, stop = int(records.offset[rows[0]]), int(records.offset[rows[-1]]) + 1
    made.tell(kind, start, stop, len(rows) - control, control)


def _overlap(one: Side, other: Side, made: PartitionComparison) -> None:
    """The first batches of both up to the next that both have, record by record, a piece at a time."""
    left, left_end = one.records(other_batches(one.table, other.table))
    right, right_end = other.records(other_batches(other.table, one.table))
    last = min(left_end, right_end)
    if left is None or right is None:
        made.tell(Kind.UNDECODABLE, min(one.first, other.first), last + 1, 1, 0)
    else:
        _compare(left, _rows(left, one.floor, last), right, _rows(right, other.floor, last), made)
    one.pass_by(last)
    other.pass_by(last)


def _compare(left: RecordTable, mine: I64, right: RecordTable, yours: I64, made: PartitionComparison) -> None:
    """Merges records by offset."""
    a, b = left.offset[mine], right.offset[yours]
    at, to = np.isin(a, b), np.isin(b, a)
    equal = same_records(left, mine[at], right, yours[to])
    if at.all() and to.all() and equal.all():
        made.agree(len(mine), rewritten=True)
        return
    kinds = np.array([None, *Kind], object)
    codes = np.concatenate([np.full(int((~at).sum()), 1), np.full(int((~to).sum()), 2), np.where(equal, 0, 3)])
    rows = np.concatenate([mine[~at], yours[~to], mine[at]])
    order = np.argsort(np.concatenate([a[~at], b[~to], a[at]]), kind="stable")
    codes, rows = codes[order], rows[order]
    for part in np.split(np.arange(len(codes)), np.flatnonzero(np.diff(codes)) + 1):
        kind = kinds[codes[part[0]]]
        if kind is None:
            made.agree(len(part), rewritten=True)
        else:
            _tell(right if kind is Kind.ONLY_B else left, rows[part], made, kind)


def same_records(left: RecordTable, mine: I64, right: RecordTable, yours: I64) -> Bool:
    """Which pairs of rows say the same: time, key, value, headers, and what they are."""
    equal = left.batches.is_control[left.batch[mine]] == right.batches.is_control[right.batch[yours]]
    for name in ("offset", "timestamp", "timestamp_type", "key_size", "value_size"):
        equal &= getattr(left, name)[mine] == getattr(right, name)[yours]
    headers = [
        table.header_first[rows + 1] - table.header_first[rows] for table, rows in ((left, mine), (right, yours))
    ]
    equal &= headers[0] == headers[1]
    for place in np.flatnonzero(equal).tolist():
        i, j = int(mine[place]), int(yours[place])
        same = all(
            np.array_equal(
                left.data[(start := int(getattr(left, f"{name}_start")[i])) : start + size],
                right.data[(begin := int(getattr(right, f"{name}_start")[j])) : begin + size],
            )
            for name in ("key", "value")
            if (size := int(getattr(left, f"{name}_size")[i])) > 0
        )
        if same and headers[0][place]:
            same = left.row(i)["headers"] == right.row(j)["headers"]
        equal[place] = same
    return np.asarray(equal)


def differing(comparisons: Iterable[PartitionComparison]) -> list[PartitionComparison]:
    """Those that differ, most records first."""
    found = [each for each in comparisons if each.differs]
    return sorted(found, key=lambda each: (-sum(s.records for s in each.sums.values()), each.topic, each.partition))
