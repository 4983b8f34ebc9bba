"""ReplayPlan: what a replay would send, what it would leave out, and why. A value, made without a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kafka_salvage.export.replay.choices import ReplayChoices
from kafka_salvage.export.replay.target import NewTopic


@dataclass(frozen=True, slots=True)
class PartitionReplay:
    """One partition's share.

    Attributes:
        topic, partition: as they were; ``partition`` is the same on the target.
        branch: source whose losing branch this is; None for what the copies agree on.
        new_topic: name on the target.
        records, size: data records to send, and the bytes of their keys, values and headers.
        first, last: their lowest and highest offset; None without records.
        earliest, latest: least and greatest timestamp (ms) of those that have one.
        largest: bytes of the largest record as it goes into a batch, an upper bound.
        without_timestamp: records of these that have none (magic 0, or -1).
        at_epoch: records whose timestamp is exactly 0, which librdkafka takes for "none given".
        left_out: reason -> data records that are not sent.
        gaps: status -> offsets that no copy gives (lost, missing, ambiguous, …).
        end: the old log's end offset, as far as it is known.
        fingerprint: SHA-256 over offsets, timestamps and sizes; tells one replay from another.
        keyless: records whose key is null.
    """

    topic: str
    partition: int
    branch: str | None
    new_topic: str
    records: int
    size: int
    first: int | None
    last: int | None
    earliest: int | None
    latest: int | None
    largest: int
    without_timestamp: int
    at_epoch: int
    left_out: Mapping[str, int]
    gaps: Mapping[str, int]
    end: int
    fingerprint: str
    keyless: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        made: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        return {**made, "left_out": dict(self.left_out), "gaps": dict(self.gaps)}


@dataclass(frozen=True, slots=True)
class TopicReplay:
    """One topic on the target.

    Attributes:
        topic: as it was.
        new_topic: name on the target.
        partitions: how many it needs there: as many as it had, as far as that is known.
        configs: what was recovered of its settings.
    """

    topic: str
    new_topic: str
    partitions: int
    configs: Mapping[str, str] = field(default_factory=dict)

    def to_create(self, choices: ReplayChoices) -> NewTopic:
        """The topic as it would be made."""
        configs = {**self.configs, **choices.topic_configs}
        return NewTopic(self.new_topic, self.partitions, configs, choices.replication_factor)


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """Everything that a replay would do.

    Attributes:
        source: what is read: a rescue and the format of it, or the paths.
        topics, partitions: sorted by name and number.
        choices: what the person decided.
        notes: one sentence each: what else is not sent, or not known.
        exit_code: of the source: 0 intact, 3 offsets are lost, 4 copies disagree, 6 damage but nothing lost.
        replay_id: stable name of this replay: the same source, records and choices give the same.
    """

    source: str
    topics: tuple[TopicReplay, ...]
    partitions: tuple[PartitionReplay, ...]
    choices: ReplayChoices
    notes: tuple[str, ...]
    exit_code: int
    replay_id: str

    def __repr__(self) -> str:
        return f"ReplayPlan({len(self.partitions)} partitions, {self.records} records, {self.size} bytes)"

    @property
    def records(self) -> int:
        """Data records to send."""
        return sum(p.records for p in self.partitions)

    @property
    def size(self) -> int:
        """Bytes of their keys, values and headers."""
        return sum(p.size for p in self.partitions)

    @property
    def without_timestamp(self) -> int:
        """Records that cannot be sent without ``missing_timestamp``."""
        return sum(p.without_timestamp + p.at_epoch for p in self.partitions)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schema": "kafka-salvage.replay-plan/1",
            "replay_id": self.replay_id,
            "source": self.source,
            "records": self.records,
            "bytes": self.size,
            "topics": [
                {"topic": t.topic, "new_topic": t.new_topic, "partitions": t.partitions, "configs": dict(t.configs)}
                for t in self.topics
            ],
            "partitions": [p.to_dict() for p in self.partitions],
            "notes": list(self.notes),
        }
