"""A plain replay for tests: records of a supply sent one by one with the Python client, and the map of where they went."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Producer

from kafka_salvage.export.replay.choices import ReplayChoices
from kafka_salvage.export.replay.from_plan import plan_supply
from kafka_salvage.export.replay.offset_map import OffsetMap, OffsetMapBuilder
from kafka_salvage.export.replay.supply import Supply, SupplyLine
from kafka_salvage.integrity.asking import limits_of, plan_of
from kafka_salvage.integrity.report import make_report
from kafka_salvage.plan.plan import TRANSACTION_CODES
from kafka_salvage.scan.replica import take_inventory
from tests.support.cluster import Trio

Sent = dict[str, Any]
"""What `Producer.produce` takes, and ``offset``, ``label`` and ``kind`` (timestamp type)."""


def supply_of(directory: Path) -> Supply:
    """Everything that can be recovered under a directory."""
    plan = plan_of(take_inventory([str(directory)]), True, {})
    document = make_report(plan, "deep").to_dict()
    return plan_supply(plan, document, ReplayChoices(), limits_of({}), "paths")


def rows_of(line: SupplyLine) -> Iterator[Sent]:
    """The records of a line."""
    for piece in line.read():
        for at, row in enumerate(piece.table.to_pylist()):
            yield {
                "offset": row["offset"],
                "label": str(TRANSACTION_CODES[int(piece.labels[at])]),
                "kind": row["timestamp_type"],
                "key": row["key"],
                "value": row["value"],
                "headers": [(name.decode(), value) for name, value in row["headers"]],
                "timestamp": row["timestamp"],
            }


def usual(rows: Iterator[Sent]) -> Iterator[Sent]:
    """What a replay sends without further flags; a record without a timestamp is given one."""
    for row in rows:
        if row["label"] in ("none", "committed"):
            yield row if row["timestamp"] > 0 else {**row, "timestamp": 1_700_000_000_000}


def send(
    cluster: Trio,
    supply: Supply,
    rename: Callable[[str], str],
    change: Callable[[SupplyLine, Iterator[Sent]], Iterator[Sent]] = lambda line, rows: rows,
) -> OffsetMap:
    """Sends what a supply has.

    Args:
        cluster: has the topics.
        supply: the records.
        rename: old topic -> new topic.
        change: records as they are sent instead; one whose ``offset`` is None is in no map.
    """
    builder = OffsetMapBuilder()
    producer = Producer({"bootstrap.servers": cluster.address, "log_level": 0, "linger.ms": 5, "acks": "all"})
    for line in supply.lines:
        topic, pairs = rename(line.topic), list[tuple[int, int]]()
        for row in change(line, usual(rows_of(line))):
            fields = {name: row[name] for name in ("key", "value", "headers", "timestamp")}
            producer.produce(topic, partition=line.partition, on_delivery=_noting(pairs, row["offset"]), **fields)
            producer.poll(0)
        if producer.flush(60):
            raise RuntimeError(f"not everything of {topic} was delivered")
        old, new = np.array(pairs, np.int64).reshape(-1, 2).T
        builder.add(line.topic, line.partition, old, topic, line.partition, new)
    return builder.map(cluster.admin().list_topics(timeout=30).cluster_id)


def _noting(pairs: list[tuple[int, int]], offset: int | None) -> Callable[[Any, Any], None]:
    def note(error: Any, message: Any) -> None:
        if error is not None:
            raise RuntimeError(str(error))
        if offset is not None:
            pairs.append((offset, message.offset()))

    return note
