"""Supply: the records that a replay may send, line by line, and what is known of what is not there.

A line is one partition's records in offset order, each with the fate of its transaction. Where they come from (a plan over
damaged paths, the files of a rescue) is for whoever makes the line to know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kafka_salvage.export.replay.choices import NOW, ReplayChoices
from kafka_salvage.plan.plan import TRANSACTION_CODES
from kafka_salvage.scan.batches import I8
from kafka_salvage.scan.records import CREATE_TIME, NO_TIMESTAMP_TYPE, RecordTable

LOST = ("ambiguous", "undecodable", "suspect", "divergent", "lost", "missing")
"""Statuses of offsets that a person may have hoped for."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Some records of a line.

    Attributes:
        table: no control records.
        labels: per record, its code among `TRANSACTION_CODES`.
    """

    table: RecordTable
    labels: I8


@dataclass(frozen=True, slots=True, eq=False)
class SupplyLine:
    """The records of one partition.

    Attributes:
        topic, partition: as they were.
        branch: source whose losing branch this is; None for what the copies agree on.
        read: goes through the records once more, in offset order. Raises: SourceError.
        promised: records that somebody counted; what is read must come to it. None when nobody did.
    """

    topic: str
    partition: int
    branch: str | None
    read: Callable[[], Iterator[Piece]]
    promised: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Supply:
    """Everything that there is to send.

    Attributes:
        source: what is read, as text.
        document: the report of it (see `integrity.report`).
        lines: of the partitions that are wanted.
        notes: one sentence each.
    """

    source: str
    document: Mapping[str, Any]
    lines: tuple[SupplyLine, ...]
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """Of the report."""
        return int(self.document["summary"]["exit_code"])

    @property
    def size(self) -> int:
        """Bytes of batches that are there, about."""
        told = self.document["summary"]["bytes"]
        return int(told["intact"]) + int(told["repaired"])

    @property
    def bytes_per_record(self) -> float:
        """Of these, about."""
        records = sum(int(p["records"]["data"]) for p in self.document["partitions"])
        return self.size / max(1, records)

    def partition(self, topic: str, number: int) -> Mapping[str, Any] | None:
        """What the report says of a partition; of several incarnations the living one."""
        found = [p for p in self.document["partitions"] if p["topic"] == topic and p["partition"] == number]
        return next((p for p in found if p["state"] == "live"), found[0] if found else None)

    def topic(self, name: str) -> Mapping[str, Any] | None:
        """What the report says of a topic; of several incarnations one that is not deleted."""
        found = [t for t in self.document["topics"] if t["name"] == name]
        return next((t for t in found if not t.get("deleted")), found[0] if found else None)

    def gaps(self, line: SupplyLine) -> dict[str, int]:
        """Offsets of a partition that no copy gives, by status."""
        told = self.partition(line.topic, line.partition)
        counts: dict[str, int] = {}
        for span in () if told is None or line.branch is not None else told["offsets"]:
            if span["status"] in LOST:
                counts[span["status"]] = counts.get(span["status"], 0) + span["stop"] - span["start"]
        return counts

    def end(self, line: SupplyLine) -> int:
        """The old log's end, as far as the report knows; 0 without."""
        told = self.partition(line.topic, line.partition)
        return max((span["stop"] for span in told["offsets"]), default=0) if told is not None else 0


def wanted_labels(choices: ReplayChoices) -> I8:
    """Per code of `TRANSACTION_CODES`, 1 where such records are sent."""
    return np.array([code in choices.transactional for code in TRANSACTION_CODES], np.int8)


def timeless(table: RecordTable) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Records without a timestamp: magic 0, or -1."""
    return np.asarray((table.timestamp_type == NO_TIMESTAMP_TYPE) | (table.timestamp == -1))


def at_epoch(table: RecordTable) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Records whose timestamp is 0, which librdkafka takes for none."""
    return np.asarray((table.timestamp == 0) & (table.timestamp_type != NO_TIMESTAMP_TYPE))


def picked(line: SupplyLine, choices: ReplayChoices, now: int) -> Iterator[RecordTable]:
    """The records of a line that are sent, as they are sent.

    Args:
        line: where they come from.
        choices: which labels, and which timestamp for records without one.
        now: what ``now`` stands for (ms).

    Raises:
        SourceError: bytes cannot be read again.
    """
    wanted = wanted_labels(choices)
    stamp = now if choices.missing_timestamp == NOW else choices.missing_timestamp
    for piece in line.read():
        inside = wanted[piece.labels] == 1
        table = piece.table if inside.all() else piece.table.take(inside)
        if not len(table):
            continue
        lacking = timeless(table) | at_epoch(table)
        if isinstance(stamp, int) and lacking.any():
            table = replace(
                table,
                timestamp=np.where(lacking, stamp, table.timestamp),
                timestamp_type=np.where(lacking, CREATE_TIME, table.timestamp_type).astype(np.int8),
            )
        yield table
