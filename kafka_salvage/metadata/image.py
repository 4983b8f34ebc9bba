"""ClusterImage: what a cluster knew of itself: topics, ids, partitions, configs, brokers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PartitionImage:
    """One partition.

    Attributes:
        replicas, isr: broker ids, the preferred leader first.
        leader: broker id, -1 for none.
        leader_epoch: current one, -1 when not known.
        directories: directory ids in the order of ``replicas``; empty before Kafka 3.7.
        leaders: (epoch, broker id) of every term that is on record, ascending.
        recovering: it is recovering from an unclean election.
    """

    partition: int
    replicas: tuple[int, ...] = ()
    isr: tuple[int, ...] = ()
    leader: int = -1
    leader_epoch: int = -1
    directories: tuple[str, ...] = ()
    leaders: tuple[tuple[int, int], ...] = ()
    recovering: bool = False


@dataclass(frozen=True, slots=True)
class TopicImage:
    """One topic; a deleted one as it was last.

    Attributes:
        topic_id: 22 characters; None before topics had ids.
        configs: those that differ from the broker's defaults.
        past_policies: values that `cleanup.policy` had before, oldest first.
    """

    name: str
    topic_id: str | None
    partitions: Mapping[int, PartitionImage] = field(default_factory=dict)
    configs: Mapping[str, str] = field(default_factory=dict)
    past_policies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BrokerImage:
    """One broker that was registered.

    Attributes:
        endpoints: ``NAME://host:port``.
        incarnation_id: of its last start; None when not known.
        directories: ids of its log dirs.
        fenced: it had not (or no longer) joined.
    """

    broker_id: int
    endpoints: tuple[str, ...] = ()
    rack: str | None = None
    incarnation_id: str | None = None
    directories: tuple[str, ...] = ()
    fenced: bool = False


@dataclass(frozen=True, slots=True)
class ClusterImage:
    """Metadata of one cluster.

    Attributes:
        cluster_id: None when not known.
        known_from: ``cluster-metadata`` or ``zookeeper``.
        topics: sorted by name.
        deleted: topics that are gone, sorted by name and id.
        brokers: sorted by id.
        controllers: ids of registered controllers, sorted.
        features: name -> level (``metadata.version`` and others).
        broker_configs: broker id as text ("" or ``<default>`` for all) -> dynamic configs.
        reach: end offset of the metadata log, or last transaction of ZooKeeper.
        gaps: ranges of the metadata log that no file has, ``[start, stop)``; what changed in them is not known.
        unknown: (offset, sentence) of records that were not understood.
        notes: what was used, and what is missing or damaged; one sentence each.
    """

    cluster_id: str | None
    known_from: str
    topics: tuple[TopicImage, ...] = ()
    deleted: tuple[TopicImage, ...] = ()
    brokers: tuple[BrokerImage, ...] = ()
    controllers: tuple[int, ...] = ()
    features: Mapping[str, int] = field(default_factory=dict)
    broker_configs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    reach: int = -1
    gaps: tuple[tuple[int, int], ...] = ()
    unknown: tuple[tuple[int, str], ...] = ()
    notes: tuple[str, ...] = ()
