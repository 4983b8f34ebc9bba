"""Sink: a destination of lines.

Strategy: a sink makes one writer per line. The writer is handed whole batches (`BatchSink`) or decoded records
(`RecordSink`), in offset order, in chunks of bounded size, already filtered; it returns what it wrote when it is
finished. It never decides what is recovered, never opens evidence by itself (it may read the source it is handed, and
only at the batches it is handed), never writes outside the stage, and knows no other sink. Damage does not reach it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from kafka_salvage.export.atomic import Stage
from kafka_salvage.export.evidence_sums import EvidenceSums
from kafka_salvage.export.lines import Line
from kafka_salvage.export.options import ExportOptions
from kafka_salvage.export.receipt import Shortfall, Written
from kafka_salvage.plan.plan import Step
from kafka_salvage.plan.policy import Policy
from kafka_salvage.scan.batches import I8, BatchTable, Bool
from kafka_salvage.scan.frames import Frame
from kafka_salvage.scan.records import RecordTable
from kafka_salvage.source.source import Source


@dataclass(frozen=True, slots=True)
class Setting:
    """What all writers of a run share.

    Attributes:
        stage: where files are made.
        policy: the choices that the plan was made with.
        options: the choices of the writer.
        evidence: sums of the segment files.
    """

    stage: Stage
    policy: Policy
    options: ExportOptions
    evidence: EvidenceSums = field(default_factory=EvidenceSums)


@dataclass(frozen=True, slots=True, eq=False)
class BatchChunk:
    """Batches of one step, in offset order; wrappers of magic 0 and 1 carry their first offset and count.

    Attributes:
        step: where they come from, with their verdict.
        source: gives their bytes, repairs laid over; open as long as the chunk is used.
        batches: control batches included.
        labels: code of each batch (index into `TRANSACTION_CODES`); of no meaning for control batches.
        frame: the bytes whose CRCs agreed, as far as they are in memory.
    """

    step: Step
    source: Source
    batches: BatchTable
    labels: I8
    frame: Frame | None = None

    def take(self, which: Bool) -> BatchChunk:
        """Some of the batches."""
        if which.all():
            return self
        return BatchChunk(self.step, self.source, self.batches.take(which), self.labels[which], self.frame)


@dataclass(frozen=True, slots=True, eq=False)
class RecordChunk:
    """Data records of one step, in offset order.

    Attributes:
        step: where they come from, with their verdict.
        table: no control records.
        labels: code of each batch in ``table.batches``.
    """

    step: Step
    table: RecordTable
    labels: I8


class BatchWriter(Protocol):
    """Writes the batches of one line.

    A writer may have ``state() -> Mapping | None`` (plain JSON values that tell where it stands; None when it cannot tell) and
    ``restore(state, files)`` (goes on from there; see `resuming`). One without begins its line anew after an interruption.
    """

    def take(self, chunk: BatchChunk) -> tuple[Shortfall, ...]:
        """Writes batches; returns those that could not be read again."""
        ...

    def finish(self) -> Written:
        """Closes what is open. Raises: DestinationError."""
        ...


class RecordWriter(Protocol):
    """Writes the records of one line."""

    def take(self, chunk: RecordChunk) -> None:
        """Writes records. Raises: DestinationError."""
        ...

    def finish(self) -> Written:
        """Closes what is open. Raises: DestinationError."""
        ...


class BatchSink(Protocol):
    """Takes whole batches."""

    def batch_writer(self, line: Line, setting: Setting) -> BatchWriter | None:
        """A writer for a line, or None when this line has no such form."""
        ...


class RecordSink(Protocol):
    """Takes decoded records."""

    def record_writer(self, line: Line, setting: Setting) -> RecordWriter | None:
        """A writer for a line, or None when this line has no such form."""
        ...
