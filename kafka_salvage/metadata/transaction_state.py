"""Transaction state: what the coordinators decided, from `__transaction_state` over all copies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from kafka_salvage.metadata.reading import joined, tables_of
from kafka_salvage.plan.facts import Decision
from kafka_salvage.regions.runs import ReplicaSurvey
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.replica import State
from kafka_salvage.wire.transaction_state import TransactionStatus, read_key, read_value

TOPIC = "__transaction_state"

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
    found: dict[tuple[str, str | None], TransactionalId] = {}
    for (cluster, partition), some in copies.items():
        for offset, key, value in _records(some, limits or Limits()):
            name = read_key(key).fields.get("transactional_id")
            if name is None:
                continue
            before = found.get((name, cluster))
            after = _told(name, cluster, partition, offset, value, before)
            if after is not None:
                found[name, cluster] = after
    return [found[key] for key in sorted(found, key=lambda k: (k[0], k[1] or ""))]


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


def _told(
    name: str, cluster: str | None, partition: int, offset: int, value: bytes | None, before: TransactionalId | None
) -> TransactionalId | None:
    """The id after one more record; None when the record says nothing."""
    if value is None:
        return replace(before, expired=True, offset=offset) if before else None
    fields = read_value(value).fields
    if not fields:
        return None
    raw = fields["transaction_status"]
    status = TransactionStatus(raw) if raw in TransactionStatus._value2member_map_ else None
    producer, epoch = fields["producer_id"], fields["producer_epoch"]
    time, start = fields["transaction_last_update_timestamp_ms"], fields["transaction_start_timestamp_ms"]
    history = before.decisions if before else ()
    outcome = _OUTCOMES.get(status) if status is not None else None
    if outcome is not None:
        parts = frozenset(
            (each["topic"], number)
            for each in fields["transaction_partitions"] or ()
            for number in each["partition_ids"]
        )
        one = Decision(name, producer, (epoch, epoch), outcome, parts or None, start, time)
        history = _continued(history, one, fields.get("previous_producer_id", -1))
    return TransactionalId(name, cluster, producer, epoch, status, time, partition, offset, history)


def _continued(history: tuple[Decision, ...], one: Decision, previous: int) -> tuple[Decision, ...]:
    """The history with one more state: of the last transaction if it is the same, else of a new one.

    The start time stays the same through all states of a transaction. Its end may bump the epoch, or, when epochs run
    out, go on under another producer id.
    """
    last = history[-1] if history else None
    if last is None or last.start != one.start or last.producer_id not in (one.producer_id, previous):
        return (*history, one)
    parts = last.partitions if one.partitions is None else (last.partitions or frozenset()) | one.partitions
    epochs = (
        (last.epochs[0], max(last.epochs[1], one.epochs[1])) if last.producer_id == one.producer_id else last.epochs
    )
    return (*history[:-1], replace(last, epochs=epochs, outcome=one.outcome, partitions=parts, time=one.time))
