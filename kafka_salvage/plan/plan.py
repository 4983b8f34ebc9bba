"""Plan: what will be written, from where, and why. A value; `check` stops here, `salvage` carries it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from kafka_salvage.plan.policy import Include, Policy
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.runs import Compaction, ReplicaSurvey, SegmentSurvey
from kafka_salvage.regions.verdict import Finding, Verdict
from kafka_salvage.scan.batches import I8, I64, BatchTable, Bool
from kafka_salvage.scan.replica import Inventory, State

_NOTHING_KNOWN = Compaction(False, "")


class Status(StrEnum):
    """Statuses of offsets, first that holds."""

    TRIMMED = "trimmed"
    RECOVERED = "recovered"
    REPAIRED = "repaired"
    AMBIGUOUS = "ambiguous"
    UNDECODABLE = "undecodable"
    SUSPECT = "suspect"
    DIVERGENT = "divergent"
    LOST = "lost"
    MISSING = "missing"
    ABSENT = "absent"


class Transaction(StrEnum):
    """Transaction labels of data records."""

    NONE = "none"
    COMMITTED = "committed"
    ABORTED = "aborted"
    OPEN = "open"
    UNKNOWN = "unknown"


TRANSACTION_CODES: tuple[Transaction, ...] = tuple(Transaction)
"""Label of each code that `TransactionLabels.lookup` returns."""


class TransactionLabels(Protocol):
    """Knows the fate of every transactional batch of one partition copy."""

    def lookup(self, batches: BatchTable) -> I8:
        """Code (index into `TRANSACTION_CODES`) per batch, from producer id and base offset."""
        ...

    def loads(self, batches: BatchTable) -> Bool:
        """Per batch: a broker that loads the line as it is comes to the fate that `lookup` says."""
        ...


@dataclass(frozen=True, slots=True)
class OffsetSpan:
    """One range of the ledger.

    Attributes:
        offsets: ``[start, stop)``.
        status: see `Status`.
        source: display name of the source that gives these offsets (recovered, repaired), else None.
        absent: offsets inside that hold no record and never will (only recovered and repaired).
        open_ended: the loss may reach further (only lost, missing).
        upper_bound: at most so many are lost (compacted topics).
        reason: short text, e.g. "remote-tier", "compaction", "between-batches".
        findings: the findings this range is tied to.
    """

    offsets: OffsetRange
    status: Status
    source: str | None = None
    absent: int = 0
    open_ended: bool = False
    upper_bound: bool = False
    reason: str = ""
    findings: Sequence[Finding] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """Bytes of one segment that go to one destination.

    Walking ``[start, stop)`` of the segment with the survey's patches gives exactly the batches that are meant, whole;
    ``offsets`` is what they cover. The log start and the person's filters may cut inside: that is left to the export.
    """

    survey: SegmentSurvey
    start: int
    stop: int
    offsets: OffsetRange
    verdict: Verdict
    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class Branch:
    """A second line of the same partition that is written apart: an incarnation, or a losing branch.

    Attributes:
        kind: "incarnations" or "divergent": the folder under the output directory.
        source: display name.
        directory: original directory name.
    """

    kind: str
    source: str
    directory: str
    state: State
    steps: Sequence[Step]
    labels: TransactionLabels


@dataclass(frozen=True, slots=True)
class Available:
    """Something intact that is not in the output, and the flag that adds it.

    Attributes:
        include: value of `--include`.
        source: display name.
        path: directory, relative to the source.
        records: data records in it.
        size: bytes of its batches.
    """

    include: Include
    source: str
    path: str
    records: int
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """What one live copy has of a partition's line by itself.

    Attributes:
        source, path: the copy.
        starts, stops: offsets of its believed batches on the line, ascending, disjoint.
    """

    source: str
    path: str
    starts: I64
    stops: I64


@dataclass(frozen=True, slots=True)
class PartitionPlan:
    """All decisions on one partition (one incarnation).

    Attributes:
        ledger: contiguous over the range of section 9 of the contract; empty when the partition never held anything.
        steps: in offset order, disjoint: the main line.
        branches: written apart.
        labels: transaction fates of the main line.
        replicas: the surveys it was made from, live ones first, and of these the one that gives most.
        log_start: first offset readers may see.
        epochs: (epoch, start offset) of the main line, derived from its batches.
        leans_on_leftovers: output uses other than live files (those of topics deleted on purpose do not count).
        findings: what only the view of the whole partition shows; those of the surveys stay with the surveys.
        selected: the summary and the exit code count it: the person's filters want it, and its line is written
            (an older incarnation that was not asked for is analysed, but neither counted nor written).
        available: what the person could add, sorted.
        line: the steps of the ledger's recovered ranges, written or not (an older incarnation that was not asked for has
            no ``steps``; one of another cluster has them as a branch).
        needs_choice: nothing tells which cluster, or which incarnation, owns the name: a person must.
        high_watermark: highest checkpointed one of the copies on the line; what lies at or above it may never have been
            acknowledged by all replicas. None when no copy has one.
        shares: of each live copy, in the order of ``replicas``; only where there are several.
        compaction: whether gaps between batches mean nothing, and how that is known.
    """

    cluster_id: str | None
    topic_id: str | None
    state: State
    topic: str
    partition: int
    ledger: Sequence[OffsetSpan]
    steps: Sequence[Step]
    branches: tuple[Branch, ...]
    labels: TransactionLabels
    replicas: tuple[ReplicaSurvey, ...]
    log_start: int
    epochs: tuple[tuple[int, int], ...]
    leans_on_leftovers: bool
    findings: Sequence[Finding] = ()
    selected: bool = True
    available: tuple[Available, ...] = ()
    line: Sequence[Step] = ()
    needs_choice: bool = False
    high_watermark: int | None = None
    shares: tuple[Share, ...] = ()
    compaction: Compaction = _NOTHING_KNOWN


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a salvage would do."""

    inventory: Inventory
    policy: Policy
    partitions: tuple[PartitionPlan, ...]
