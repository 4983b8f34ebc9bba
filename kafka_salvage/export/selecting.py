"""Filters: which batches and records of a line go out. They select output, never analysis.

Segments are cut at batch edges, record formats at records. A marker that closes a transaction of which a batch went out
always goes out too, also when it lies behind the selection: without it a broker would hold the transaction open for ever.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kafka_salvage.export.lines import Line
from kafka_salvage.export.sink import BatchChunk
from kafka_salvage.plan.plan import TRANSACTION_CODES, Step, Transaction
from kafka_salvage.plan.policy import Isolation, Policy
from kafka_salvage.scan.batches import I8, I64, BatchTable, Bool
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.records import RecordTable, decode

LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1

_COMMITTED = np.array([code in (Transaction.NONE, Transaction.COMMITTED) for code in TRANSACTION_CODES])


def _bounds(line: Line, policy: Policy) -> tuple[int, int]:
    """Offsets ``[first, stop)`` that a line gives out."""
    selection = policy.selection
    first = max(v for v in (LOWEST, selection.from_offset, line.log_start) if v is not None)
    return first, HIGHEST if selection.to_offset is None else selection.to_offset


def _isolated(labels: I8, policy: Policy) -> Bool:
    if policy.isolation is Isolation.READ_COMMITTED:
        return np.asarray(_COMMITTED[labels])
    return np.ones(len(labels), np.bool_)


class _Times:
    """The time filter; a record without a time counts as inside."""

    def __init__(self, policy: Policy) -> None:
        selection = policy.selection
        self.set = selection.from_timestamp is not None or selection.to_timestamp is not None
        self.first = LOWEST if selection.from_timestamp is None else selection.from_timestamp
        self.stop = HIGHEST if selection.to_timestamp is None else selection.to_timestamp

    def inside(self, timestamp: I64) -> Bool:
        """Per record."""
        return np.asarray(((timestamp >= self.first) & (timestamp < self.stop)) | (timestamp < 0))


class RecordFilter:
    """Which records of a line go out.

    Args:
        line: what they are of.
        policy: the person's choices.
        latest: only the newest of each key are wanted: `Latest` looks at the fates of transactions itself.
    """

    def __init__(self, line: Line, policy: Policy, *, latest: bool = False) -> None:
        self._first, self._stop = _bounds(line, policy)
        self._policy = policy
        self._times = _Times(policy)
        self._latest = latest

    def batches(self, chunk: BatchChunk) -> Bool:
        """Batches that may hold such records."""
        table = chunk.batches
        inside = (table.last_offset >= self._first) & (table.base_offset < self._stop)
        inside &= ~table.is_control
        return np.asarray(inside if self._latest else inside & _isolated(chunk.labels, self._policy))

    def records(self, table: RecordTable) -> RecordTable:
        """The records to give out."""
        wanted = (table.offset >= self._first) & (table.offset < self._stop)
        wanted &= ~table.batches.is_control[table.batch]
        if self._times.set:
            wanted &= self._times.inside(table.timestamp)
        return table if wanted.all() else table.take(wanted)


class EdgeFilter:
    """Which batches of a line go out whole; remembers which producers have a transaction open in what went out."""

    def __init__(self, line: Line, policy: Policy, limits: Limits) -> None:
        self._first, self._stop = _bounds(line, policy)
        self._policy = policy
        self._times = _Times(policy)
        self._limits = limits
        self._narrow = policy.selection.narrows_records
        self._open: set[int] = set()

    @property
    def producers(self) -> tuple[int, ...]:
        """Those that have a transaction open in what went out."""
        return tuple(sorted(self._open))

    def restore(self, producers: Iterable[int]) -> None:
        """Goes on where these have a transaction open."""
        self._open = set(producers)

    def reaches(self, step: Step) -> bool:
        """Whether anything of a step can go out."""
        if step.offsets.stop <= self._first:
            return False
        return step.offsets.start < self._stop or bool(self._open)

    def wanted(self, chunk: BatchChunk) -> Bool:
        """Which batches go out; to be asked once per chunk, in order."""
        table = chunk.batches
        inside = (table.last_offset >= self._first) & (table.base_offset < self._stop)
        if self._times.set:
            inside &= self._in_time(chunk)
        control = table.is_control
        inside &= control | _isolated(chunk.labels, self._policy)
        if self._narrow:
            self._close(table, np.asarray(control), inside)
        return np.asarray(inside)

    def _close(self, table: BatchTable, control: Bool, inside: Bool) -> None:
        """Adds the markers of open producers to ``inside``, in place."""
        for row in np.flatnonzero(table.is_transactional).tolist():
            producer = int(table.producer_id[row])
            if control[row]:
                inside[row] |= producer in self._open
                self._open.discard(producer)
            elif inside[row]:
                self._open.add(producer)

    def _in_time(self, chunk: BatchChunk) -> Bool:
        """Batches with at least one record inside the time filter; those without records go by their newest time."""
        table = chunk.batches
        inside = np.asarray((table.record_count == 0) & self._times.inside(table.max_timestamp))
        for decoded in decode(chunk.source, table, self._limits):
            made = decoded.table
            hits = np.zeros(len(made.batches), np.bool_)
            hits[made.batch[self._times.inside(made.timestamp)]] = True
            inside[np.searchsorted(table.position, made.batches.position)] |= hits
        return inside
