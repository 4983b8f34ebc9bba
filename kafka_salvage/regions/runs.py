"""RunTable and the survey values: what `regions` hands to `plan`, small enough to keep for every segment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kafka_salvage.regions.compact import Compact
from kafka_salvage.regions.map import RegionMap
from kafka_salvage.regions.packing import FEW, Column, Packed
from kafka_salvage.regions.shapes import findings_of
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.batches import I8, I16, I32, I64, Bool
from kafka_salvage.scan.replica import Replica, SegmentFile

RUN_COLUMNS: dict[str, np.dtype[Any]] = {
    "start": np.dtype(np.int64),
    "stop": np.dtype(np.int64),
    "first_offset": np.dtype(np.int64),
    "next_offset": np.dtype(np.int64),
    "batches": np.dtype(np.int64),
    "records": np.dtype(np.int64),
    "control": np.dtype(np.int64),
    "absent": np.dtype(np.int64),
    "leader_epoch": np.dtype(np.int32),
    "max_timestamp": np.dtype(np.int64),
    "min_timestamp": np.dtype(np.int64),
    "repaired": np.dtype(np.bool_),
}


@dataclass(frozen=True, slots=True, eq=False)
class RunTable:
    """Runs of believed batches (intact or repaired), one row each, in file order.

    A run is a longest stretch of batches that touch in bytes, follow on in offsets without a gap between batches, have
    one leader epoch and one verdict. Walking ``[start, stop)`` of the file with its patches laid over gives exactly
    these batches.

    Attributes:
        start, stop: bytes.
        first_offset, next_offset: offsets ``[first, next)`` (holes inside batches included).
        batches, records: counts; ``records`` counts data and control records (-1: a wrapper was not inflated).
        control: control records among them.
        absent: offsets inside the batches' own ranges that hold no record (compaction).
        leader_epoch: of all its batches, after repair.
        max_timestamp, min_timestamp: ms over batches (min over base or message timestamps; -1 when none).
        repaired: patches lie over these bytes.
    """

    start: I64
    stop: I64
    first_offset: I64
    next_offset: I64
    batches: I64
    records: I64
    control: I64
    absent: I64
    leader_epoch: I32
    max_timestamp: I64
    min_timestamp: I64
    repaired: Bool

    def __len__(self) -> int:
        return len(self.start)

    def __repr__(self) -> str:
        return f"RunTable({len(self)} runs, {int(self.batches.sum())} batches)"

    def row(self, index: int) -> dict[str, int]:
        """One row as plain integers."""
        return {name: int(getattr(self, name)[index]) for name in RUN_COLUMNS}

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, int]]) -> RunTable:
        """A table from plain rows."""
        listed = list(rows)
        return cls(**{n: np.array([r[n] for r in listed], d) for n, d in RUN_COLUMNS.items()})

    @staticmethod
    def gathered(columns: Iterable[tuple[str, Column]], rows: int) -> RunTable:
        """A table of so many rows from columns that come one after the other; a large one is kept packed."""
        if rows < FEW:
            return RunTable(**dict(columns))
        return _PackedRuns(Packed((name, column.astype(RUN_COLUMNS[name], copy=False)) for name, column in columns))

    def with_batches(self, batches: I64) -> RunTable:
        """The same with other counts of batches."""
        return replace(self, batches=batches)


class _PackedRuns(RunTable):
    """A large table: its columns are unpacked when they are read."""

    def __init__(self, packed: Packed) -> None:
        object.__setattr__(self, "_packed", packed)

    def __len__(self) -> int:
        return len(_packed(self))

    def with_batches(self, batches: I64) -> RunTable:
        """The same with other counts of batches."""
        return _PackedRuns(_packed(self).changed([("batches", batches)]))


def _packed(table: object) -> Packed:
    found: Packed = table._packed  # type: ignore[attr-defined] # of the two packed tables here
    return found


def _reading(name: str) -> property:
    return property(lambda table: _packed(table).column(name))


for _name in RUN_COLUMNS:
    setattr(_PackedRuns, _name, _reading(_name))

TXN_DATA, TXN_COMMIT, TXN_ABORT = 0, 1, 2

TXN_COLUMNS: dict[str, np.dtype[Any]] = {
    "kind": np.dtype(np.int8),
    "producer_id": np.dtype(np.int64),
    "producer_epoch": np.dtype(np.int16),
    "first_offset": np.dtype(np.int64),
    "last_offset": np.dtype(np.int64),
    "position": np.dtype(np.int64),
    "records": np.dtype(np.int64),
}


@dataclass(frozen=True, slots=True, eq=False)
class TransactionTable:
    """Transactional batches and markers among the believed batches of a segment, in offset order.

    Attributes:
        kind: `TXN_DATA`, `TXN_COMMIT` or `TXN_ABORT`. Consecutive data batches of one producer id and epoch may share a row
            (no batch of that producer, lost bytes or gap lies between them).
        producer_id, producer_epoch: of the batch.
        first_offset, last_offset: both inclusive.
        position: byte of the first batch.
        records: data records.
    """

    kind: I8
    producer_id: I64
    producer_epoch: I16
    first_offset: I64
    last_offset: I64
    position: I64
    records: I64

    def __len__(self) -> int:
        return len(self.kind)

    def row(self, index: int) -> dict[str, int]:
        """One row as plain integers."""
        return {name: int(getattr(self, name)[index]) for name in TXN_COLUMNS}

    def take(self, which: Any) -> TransactionTable:
        """Rows chosen by a slice, a mask or an index array."""
        return TransactionTable(**{name: getattr(self, name)[which] for name in TXN_COLUMNS})

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, int]]) -> TransactionTable:
        """A table from plain rows."""
        listed = list(rows)
        return cls(**{n: np.array([r[n] for r in listed], d) for n, d in TXN_COLUMNS.items()})

    @staticmethod
    def gathered(columns: Iterable[tuple[str, Column]], rows: int) -> TransactionTable:
        """A table of so many rows from columns that come one after the other; a large one is kept packed."""
        if rows < FEW:
            return TransactionTable(**dict(columns))
        return _PackedTransactions(
            Packed((name, column.astype(TXN_COLUMNS[name], copy=False)) for name, column in columns)
        )


class _PackedTransactions(TransactionTable):
    """A large table: its columns are unpacked when they are read."""

    def __init__(self, packed: Packed) -> None:
        object.__setattr__(self, "_packed", packed)

    def __len__(self) -> int:
        return len(_packed(self))


for _name in TXN_COLUMNS:
    setattr(_PackedTransactions, _name, _reading(_name))


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes that a proved repair exchanges when the file is read for output; the file itself is never touched."""

    position: int
    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """What the ledger and the forecast of a broker start need to know of a segment besides its map.

    Attributes:
        kafka_stop: position at which Kafka's own iteration over the untouched file ends (its size when all is well).
        kafka_stop_reason: "end", "short", "length-too-small", "length-past-end", "crc-mismatch", "unreadable".
        holes: a believed batch shows holes, emptiness or a delete horizon.
        gap_pairs: pairs of touching believed batches that leave an offset gap between them.
        backwards: a believed batch starts at or below the last offset of the one before (any pair of the raw walk).
        magics: bit mask of magics among believed batches (1, 2, 4).
        index_last: (offset, position) of the last believable entry of a readable `.index`, absolute offset; None without.
        last_offset: highest last offset among believed batches; -1 without any.
        first_offset: lowest first offset among them; -1 without any.
        gaps: the first few of ``gap_pairs`` as (position of the second batch, first missing offset, its first offset).
        jump: the last batch jumps ahead of the one it touches (believed only where gaps mean nothing).
        loose: how many stretches of messages behind damage leave a gap to the batch they touch (believed only there, too).
    """

    kafka_stop: int
    kafka_stop_reason: str
    holes: bool
    gap_pairs: int
    backwards: bool
    magics: int
    index_last: tuple[int, int] | None
    last_offset: int
    first_offset: int = -1
    gaps: tuple[tuple[int, int, int], ...] = ()
    jump: bool = False
    loose: int = 0


@dataclass(frozen=True, slots=True)
class SegmentSurvey:
    """The judgement of one segment file. Small: no row per batch, and of many damages a few numbers each."""

    segment: SegmentFile
    regions: RegionMap
    runs: RunTable
    transactions: TransactionTable
    patches: tuple[Patch, ...]
    findings: Sequence[Finding]
    facts: SegmentFacts

    def __post_init__(self) -> None:
        if not isinstance(self.findings, Compact):
            object.__setattr__(self, "findings", findings_of(self.findings).settled())


@dataclass(frozen=True, slots=True)
class Compaction:
    """Whether gaps between batches mean nothing on this partition, and how that is known."""

    compacted: bool
    reason: str


@dataclass(frozen=True, slots=True)
class EndEvidence:
    """Something that says the log reached at least up to ``offset`` (exclusive)."""

    offset: int
    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class ReplicaSurvey:
    """The judgement of one copy of one partition.

    Attributes:
        segments: one survey per segment file of the replica, in the replica's order.
        findings: of side files and of the directory as a whole (those of segments are with the segments).
        compaction: section 9 of the contract; decided over all its segments.
        ends: high watermark, recovery point, newest `.snapshot` name, last index entries, epoch starts.
        log_start: confirmed log start offset, None when no checkpoint says one.
    """

    replica: Replica
    segments: tuple[SegmentSurvey, ...]
    findings: tuple[Finding, ...]
    compaction: Compaction
    ends: tuple[EndEvidence, ...]
    log_start: int | None
    extra: Mapping[str, Any] = field(default_factory=dict)
