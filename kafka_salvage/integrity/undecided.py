"""Undecided transactions: those that nothing ended, and those whose end may be lost, with what their coordinator says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kafka_salvage.integrity.numbering import text
from kafka_salvage.plan.facts import Decision
from kafka_salvage.plan.incarnations import INTERNAL
from kafka_salvage.plan.plan import PartitionPlan, Plan, Transaction
from kafka_salvage.plan.policy import Policy
from kafka_salvage.plan.transactions import CODE, Labels

_MOST = 1_000
"""Transactions of a partition that are listed of each kind."""
_NAMED = 3


def undecided_transactions(partition: PartitionPlan, policy: Policy) -> dict[str, list[dict[str, Any]]]:
    """Open and unknown transactions of one partition, by first offset, for the document.

    A transaction that is open here, and not open for its coordinator, is *hanging*: nothing will ever end it, and a live
    consumer waits for ever. Where no copy of `__transaction_state` of the same cluster knows the producer, nothing is said.
    """
    return {
        "open_transactions": _listed(partition, policy, Transaction.OPEN),
        "unknown_transactions": _listed(partition, policy, Transaction.UNKNOWN),
    }


def _listed(partition: PartitionPlan, policy: Policy, label: Transaction) -> list[dict[str, Any]]:
    """Of each producer epoch one entry."""
    labels = partition.labels
    if not isinstance(labels, Labels):
        return []
    rows = np.flatnonzero(labels.code == CODE[label])
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for row in rows[np.argsort(labels.first_offset[rows], kind="stable")].tolist():
        key = int(labels.producer_id[row]), int(labels.producer_epoch[row])
        entry = found.get(key)
        if entry is None:
            if len(found) == _MOST:
                break
            entry = found[key] = {
                "producer_id": key[0],
                "producer_epoch": key[1],
                "first_offset": int(labels.first_offset[row]),
                "last_offset": -1,
                "records": 0,
                **_coordinator(partition, policy, *key, label),
            }
        entry["last_offset"] = int(labels.last_offset[row])
        entry["records"] += int(labels.records[row])
    return list(found.values())


def _coordinator(
    partition: PartitionPlan, policy: Policy, producer: int, epoch: int, label: Transaction
) -> dict[str, Any]:
    """What the coordinator's log says of a producer's transactions here."""
    known = [d for d in policy.decisions.get(producer, ()) if _is_ours(d, partition, policy)]
    here = [
        d for d in known
        if d.epochs[0] == epoch and d.partitions is not None and (partition.topic, partition.partition) in d.partitions
    ]  # fmt: skip
    told: dict[str, Any] = {
        "transactional_id": text(known[-1].transactional_id) if known else None,
        "coordinator": here[-1].outcome if here else None,
    }
    if label is Transaction.OPEN:
        told["hanging"] = not any(d.outcome == "open" for d in here) if known else None
    return told


def _is_ours(decision: Decision, partition: PartitionPlan, policy: Policy) -> bool:
    return policy.same_cluster or decision.cluster_id == partition.cluster_id is not None


def transaction_hints(plan: Plan) -> Iterator[str]:
    """One sentence for each kind of undecided transaction in what is written."""
    for label, because in (
        (Transaction.OPEN, "nothing ended their transactions"),
        (Transaction.UNKNOWN, "the end of their transactions lies in what is lost"),
    ):
        records, places = 0, list[str]()
        for partition in plan.partitions:
            if partition.selected and partition.topic not in INTERNAL and isinstance(partition.labels, Labels):
                count = partition.labels.totals()[label]
                records += count
                places += [f"{partition.topic}-{partition.partition}"] if count else []
        if records:
            shown = ", ".join(places[:_NAMED]) + (f" and {len(places) - _NAMED} more" if len(places) > _NAMED else "")
            plural = "" if records == 1 else "s"
            yield (
                f"{records:,} record{plural} ({text(shown)}) are labelled {label}: {because}; segments keep them apart in "
                "segments-undecided/ (--undecided)."
            )
