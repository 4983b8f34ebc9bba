"""Ending: what other witnesses than markers say of transactions that a line leaves open or unknown.

1. `.txnindex`: an entry says that a producer's batches in its range were aborted. It is asked after the markers, since no CRC
   covers it, and it never says that anything was committed.
2. The coordinator's own record of a transaction, where the producer's epoch tells it from every other: from transaction
   version 2 on each end raises the epoch, so that a transaction that began with one epoch and was committed with the next is
   the only one of that epoch.
3. The coordinator's abort of the last transaction that a producer had open at the end of the line.

A bare rise of the epoch decides nothing: the transaction before it may have been committed or aborted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kafka_salvage.plan.facts import Decision
from kafka_salvage.plan.plan import Transaction
from kafka_salvage.plan.transactions import CODE, Labels
from kafka_salvage.regions.runs import ReplicaSurvey
from kafka_salvage.scan.sidecars import load_txn_index

Aborted = tuple[int, int, int]
"""(producer id, first offset, offset of the ABORT marker)."""


@dataclass(frozen=True, slots=True)
class Endings:
    """What is known of one partition's transactions besides its markers.

    Attributes:
        aborted: gives the entries of `.txnindex` files; asked only when something is undecided.
        decisions: producer id -> its transactions as the coordinator had them, oldest first.
        partition: (topic, partition).
    """

    aborted: Callable[[], Sequence[Aborted]]
    decisions: Mapping[int, tuple[Decision, ...]]
    partition: tuple[str, int]

    def decide(self, labels: Labels) -> Labels:
        """The labels with what these witnesses decide."""
        open_codes = (CODE[Transaction.OPEN], CODE[Transaction.UNKNOWN])
        rows = np.flatnonzero(np.isin(labels.code, open_codes)).tolist()
        if not rows:
            return labels
        code = labels.code.copy()
        ranges: dict[int, list[tuple[int, int]]] = {}
        for producer, first, last in self.aborted():
            ranges.setdefault(producer, []).append((first, last))
        for row in rows:
            producer, low, high = (int(c[row]) for c in (labels.producer_id, labels.first_offset, labels.last_offset))
            if any(first <= low and high <= last for first, last in ranges.get(producer, ())):
                code[row] = CODE[Transaction.ABORTED]
            else:
                is_open = int(code[row]) == CODE[Transaction.OPEN]
                code[row] = self._coordinated(producer, int(labels.producer_epoch[row]), is_open, int(code[row]))
        return replace(labels, code=code)

    def _coordinated(self, producer: int, epoch: int, is_open: bool, code: int) -> int:
        known = [d for d in self.decisions.get(producer, ()) if self.partition in (d.partitions or ())]
        only = [d for d in known if d.epochs == (epoch, epoch + 1)]
        if len(only) == 1 and only[0].outcome == "commit" and not self._shared(producer, epoch, only[0]):
            return CODE[Transaction.COMMITTED]
        last = known[-1] if known else None
        if is_open and last is not None and last.outcome == "abort" and last.epochs[0] <= epoch <= last.epochs[1]:
            return CODE[Transaction.ABORTED]
        return code

    def _shared(self, producer: int, epoch: int, one: Decision) -> bool:
        """Whether another transaction of the producer began with the same epoch."""
        return any(d is not one and d.epochs[0] == epoch for d in self.decisions.get(producer, ()))


def aborted_in(surveys: Iterable[ReplicaSurvey], cuts: Sequence[int]) -> list[Aborted]:
    """Entries of the `.txnindex` files of some copies, as far as each is on the line."""
    found: set[Aborted] = set()
    for survey, cut in zip(surveys, cuts, strict=True):
        for segment in survey.segments:
            file = segment.segment.txn_index
            entries = load_txn_index(file).value if file is not None else None
            found.update((e.producer_id, e.first_offset, e.last_offset) for e in entries or () if e.last_offset < cut)
    return sorted(found)
