"""Transaction state: what the coordinators decided, from `__transaction_state` over all copies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kafka_salvage.metadata import topics
from kafka_salvage.metadata.reading import joined, tables_of
from kafka_salvage.plan.facts import Decision
from kafka_salvage.regions.runs import ReplicaSurvey
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.replica import State
from kafka_salvage.wire.transaction_state import TransactionStatus, read_key, read_value

TOPIC = topics.TRANSACTIONS

_OUTCOMES: Mapping[TransactionStatus, Literal["commit", "abort", "open"]] = {
    TransactionStatus.ONGOING: "open",
    TransactionStatus.PREPARE_COMMIT: "commit",
    TransactionStatus.COMPLETE_COMMIT: "commit",
    TransactionStatus.PREPARE_ABORT: "abort",
    TransactionStatus.COMPLETE_ABORT: "abort",
    TransactionStatus.PREPARE_EPOCH_FENCE: "abort",
}


@dataclass(frozen=True, slots=True)
class TransactionalId:
    """One transactional id.

    Attributes:
        cluster_id: of the log dir that knows it.
        producer_id, producer_epoch, status, time: as its last record says; status None when it is none of Kafka's.
        offset, partition: where that record lies.
        decisions: its transactions, oldest first, as far as compaction left them.
        expired: its last record is a tombstone.
    """

    transactional_id: str
    cluster_id: str | None
    producer_id: int
    producer_epoch: int
    status: TransactionStatus | None
    time: int
    partition: int
    offset: int
    decisions: tuple[Decision, ...]
    expired: bool = False


@dataclass(slots=True)
class _History:
    """One transactional id while its records are read.

    Attributes:
        stretch: the stretch of the partition's log without a gap that its last record lies in.
        begun: its current epoch began in that stretch, so that all transactions of the epoch are known.
    """

    last: TransactionalId
    stretch: int
    decisions: list[Decision] = field(default_factory=list)
    begun: bool = False

    def take(self, now: TransactionalId, one: Decision | None, previous: int, stretch: int) -> None:
        """Adds a state: ``one`` is its transaction, ``previous`` the producer id before this one, -1 without."""
        before = self.last
        unbroken = self.stretch == stretch and not before.expired
        same = (before.producer_id, before.producer_epoch) == (now.producer_id, now.producer_epoch)
        if one is not None:
            self._add(one, previous)
        if unbroken and self.begun and not same:
            self._seal(before.producer_id, before.producer_epoch)
        self.begun = now.status is TransactionStatus.EMPTY or (unbroken and (self.begun or not same))
        self.last, self.stretch = now, stretch

    def expire(self, offset: int, stretch: int) -> None:
        """Its record is deleted."""
        self.last, self.stretch, self.begun = replace(self.last, expired=True, offset=offset), stretch, False

    def _add(self, one: Decision, previous: int) -> None:
        """A state of the last transaction if it is the same, else of a new one.

        The start time stays the same through all states of a transaction. Its end may bump the epoch, or, when epochs run
        out, go on under another producer id.
        """
        last = self.decisions[-1] if self.decisions else None
        if last is None or last.start != one.start or last.producer_id not in (one.producer_id, previous):
            self.decisions.append(one)
            return
        parts = last.partitions if one.partitions is None else (last.partitions or frozenset()) | one.partitions
        epochs = (
            (last.epochs[0], max(last.epochs[1], one.epochs[1])) if last.producer_id == one.producer_id else last.epochs
        )
        self.decisions[-1] = replace(last, epochs=epochs, outcome=one.outcome, partitions=parts, time=one.time)

    def _seal(self, producer: int, epoch: int) -> None:
        """The epoch is over, and was known from its beginning."""
        for at in range(len(self.decisions) - 1, -1, -1):
            each = self.decisions[at]
            if (each.producer_id, each.epochs[0]) != (producer, epoch):
                if each.producer_id == producer and each.epochs[0] < epoch:
                    return
                continue
            self.decisions[at] = replace(each, sealed=True)


def transactional_ids(surveys: Iterable[ReplicaSurvey], limits: Limits | None = None) -> list[TransactionalId]:
    """Every transactional id with its history, sorted by id and cluster.

    Args:
        surveys: of all copies, in any order; those of other topics are passed over.
        limits: bounds on decompression.
    """
    copies: dict[tuple[str | None, int], list[ReplicaSurvey]] = defaultdict(list)
    for survey in surveys:
        if survey.replica.topic == TOPIC and survey.replica.state is State.LIVE:
            copies[survey.replica.cluster_id, survey.replica.partition].append(survey)
    found: dict[tuple[str, str | None], _History] = {}
    for (cluster, partition), some in copies.items():
        stretch, following = 0, -1
        for offset, key, value in _records(some, limits or Limits()):
            stretch += offset != following
            following = offset + 1
            name = read_key(key).fields.get("transactional_id")
            if name is not None:
                _tell(found, (name, cluster), (partition, offset, stretch), value)
    return [
        replace(found[key].last, decisions=tuple(found[key].decisions))
        for key in sorted(found, key=lambda k: (k[0], k[1] or ""))
    ]


def decisions_of(ids: Iterable[TransactionalId]) -> dict[int, tuple[Decision, ...]]:
    """Producer id -> transactions, oldest first. A producer id that two clusters use says nothing, and is left out."""
    clusters: dict[int, set[str | None]] = defaultdict(set)
    found: dict[int, list[Decision]] = defaultdict(list)
    for one in ids:
        for decision in one.decisions:
            clusters[decision.producer_id].add(one.cluster_id)
            found[decision.producer_id].append(decision)
    return {
        producer: tuple(sorted(found[producer], key=lambda d: (d.start, d.time)))
        for producer in sorted(found)
        if len(clusters[producer]) == 1
    }


def _records(copies: Iterable[ReplicaSurvey], limits: Limits) -> Iterator[tuple[int, bytes | None, bytes | None]]:
    """Offset, key and value of every record that the copies have together, in offset order."""
    stretches = [(piece.segment, piece.start, piece.stop) for piece in joined(copies, compacted=True)]
    for table in tables_of(stretches, limits, []):
        control = table.batches.is_control[table.batch]
        for at in range(len(table)):
            if not control[at]:
                row = table.row(at)
                yield row["offset"], row["key"], row["value"]


def _tell(
    found: dict[tuple[str, str | None], _History],
    key: tuple[str, str | None],
    at: tuple[int, int, int],
    value: bytes | None,
) -> None:
    """Takes one record in, ``at`` (partition, offset, stretch)."""
    partition, offset, stretch = at
    history = found.get(key)
    if value is None:
        if history is not None:
            history.expire(offset, stretch)
        return
    fields = read_value(value).fields
    if not fields:
        return
    raw = fields["transaction_status"]
    status = TransactionStatus(raw) if raw in TransactionStatus._value2member_map_ else None
    producer, epoch = fields["producer_id"], fields["producer_epoch"]
    time = fields["transaction_last_update_timestamp_ms"]
    now = TransactionalId(key[0], key[1], producer, epoch, status, time, partition, offset, ())
    if history is None:
        history = found[key] = _History(now, stretch)
    history.take(now, _decision(now, fields), fields.get("previous_producer_id", -1), stretch)


def _decision(now: TransactionalId, fields: dict[str, Any]) -> Decision | None:
    """The transaction that a record speaks of; None when it speaks of none."""
    outcome = _OUTCOMES.get(now.status) if now.status is not None else None
    if outcome is None:
        return None
    parts = frozenset(
        (each["topic"], number) for each in fields["transaction_partitions"] or () for number in each["partition_ids"]
    )
    return Decision(
        transactional_id=now.transactional_id,
        producer_id=now.producer_id,
        epochs=(now.producer_epoch, now.producer_epoch),
        outcome=outcome,
        partitions=parts or None,
        start=fields["transaction_start_timestamp_ms"],
        time=now.time,
        cluster_id=now.cluster_id,
    )
