"""Facts: what Kafka's own topics say of clusters and of transactions, as plain values that a plan may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

KnownFrom = Literal["cluster-metadata", "zookeeper"]


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """One topic of a cluster, as its metadata has it.

    Attributes:
        topic_id: 22 characters; None before topics had ids.
        replicas: partition -> ids of the brokers that should have a copy, the preferred leader first.
        leaders: partition -> (leader epoch, broker id) of the terms that are on record, ascending.
        configs: what differs from the broker's defaults.
        compacted: by its cleanup policy, or by the cluster's default; None when neither says.
        deleted: the topic is gone.
    """

    name: str
    topic_id: str | None
    replicas: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    leaders: Mapping[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    configs: Mapping[str, str] = field(default_factory=dict)
    compacted: bool | None = None
    deleted: bool = False

    @property
    def partitions(self) -> int:
        """How many partitions it has."""
        return max(self.replicas, default=-1) + 1


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """One broker that was registered.

    Attributes:
        endpoints: ``NAME://host:port``.
        directories: ids of its log dirs.
    """

    broker_id: int
    endpoints: tuple[str, ...] = ()
    rack: str | None = None
    directories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """Metadata of one cluster.

    Attributes:
        cluster_id: None when not known.
        topics: sorted by name and id, deleted ones too.
        features: name -> level.
        reach: end offset of the metadata log, or last transaction of ZooKeeper.
        notes: what was used, and what is missing or damaged; one sentence each.
    """

    cluster_id: str | None
    known_from: KnownFrom
    topics: tuple[TopicFacts, ...] = ()
    brokers: tuple[BrokerFacts, ...] = ()
    features: Mapping[str, int] = field(default_factory=dict)
    reach: int = -1
    notes: tuple[str, ...] = ()

    def topic(self, name: str, topic_id: str | None) -> TopicFacts | None:
        """The topic of a directory: by its id where both sides have one, else the living one of that name."""
        for topic in self.topics:
            if topic.name == name and topic_id is not None and topic.topic_id == topic_id:
                return topic
        for topic in self.topics:
            if topic.name == name and not topic.deleted and (topic_id is None or topic.topic_id is None):
                return topic
        return None


@dataclass(frozen=True, slots=True)
class Decision:
    """One transaction, as its coordinator had it.

    Attributes:
        producer_id: of its batches.
        epochs: lowest and highest producer epoch on record for it; a fenced transaction ends with a higher one.
        outcome: ``open`` while nothing is decided; the others hold even where a marker was never written.
        partitions: (topic, partition) that took part; None when only the end is on record.
        start: ms, -1 when not known.
        time: ms of the last change.
        sealed: the coordinator's log has, without a gap, every transaction that began with this one's first epoch.
        cluster_id: of the coordinator; None when not known.
    """

    transactional_id: str
    producer_id: int
    epochs: tuple[int, int]
    outcome: Literal["commit", "abort", "open"]
    partitions: frozenset[tuple[str, int]] | None
    start: int
    time: int
    sealed: bool = False
    cluster_id: str | None = None
