"""Facts: images of clusters and states of transactions, as the values that a plan may use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from kafka_salvage.metadata import cluster, zookeeper
from kafka_salvage.metadata.image import ClusterImage, TopicImage
from kafka_salvage.metadata.replay import POLICY
from kafka_salvage.plan.facts import BrokerFacts, ClusterFacts, KnownFrom, TopicFacts
from kafka_salvage.regions.runs import ReplicaSurvey
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.replica import EvidenceFile, Inventory, TopicPartition

METADATA_TOPICS = frozenset({cluster.TOPIC})
"""Topics whose surveys `clusters_of` needs."""

_DEFAULT_POLICY = "log.cleanup.policy"
_REMOTE = "remote.storage.enable"


def clusters_of(
    inventory: Inventory, surveys: Iterable[ReplicaSurvey], limits: Limits | None = None
) -> tuple[ClusterFacts, ...]:
    """What is known of the clusters that the sources come from, sorted by cluster id.

    Where both a KRaft log and ZooKeeper know a cluster (one was migrated to the other), the KRaft log is newer.

    Args:
        inventory: of all sources; ZooKeeper's files are read from it.
        surveys: at least those of `METADATA_TOPICS`.
        limits: bounds on decompression.
    """
    images = cluster.images_of(surveys, limits)
    known = {image.cluster_id for image in images}
    for image in _zookeepers(inventory):
        if image.topics and (image.cluster_id is None or image.cluster_id not in known):
            images.append(image)
            known.add(image.cluster_id)
    return tuple(facts_of(image) for image in sorted(images, key=lambda i: (i.cluster_id or "", i.known_from)))


def facts_of(image: ClusterImage) -> ClusterFacts:
    """An image as plain facts."""
    default = _default_policy(image.broker_configs)
    topics = [_topic(topic, default, False) for topic in image.topics]
    topics += [_topic(topic, default, True) for topic in image.deleted]
    unknown = len(image.unknown)
    return ClusterFacts(
        cluster_id=image.cluster_id,
        known_from=cast(KnownFrom, image.known_from),
        topics=tuple(sorted(topics, key=lambda t: (t.name, t.deleted, t.topic_id or ""))),
        brokers=tuple(BrokerFacts(b.broker_id, b.endpoints, b.rack, b.directories) for b in image.brokers),
        features=image.features,
        reach=image.reach,
        notes=(*image.notes, *([f"{unknown} metadata records were not understood"] if unknown else [])),
    )


def compacted_of(clusters: Iterable[ClusterFacts]) -> dict[TopicPartition, bool]:
    """Cleanup policy by (topic, partition); what two clusters or two topics of one name disagree on is left out."""
    told: dict[TopicPartition, set[bool | None]] = {}
    for each in clusters:
        for topic in each.topics:
            for partition in topic.replicas:
                told.setdefault((topic.name, partition), set()).add(topic.compacted)
    return {
        key: answer for key in sorted(told) if len(told[key]) == 1 and (answer := next(iter(told[key]))) is not None
    }


def tiered_of(clusters: Iterable[ClusterFacts]) -> frozenset[str]:
    """Topics with remote storage."""
    return frozenset(t.name for c in clusters for t in c.topics if t.configs.get(_REMOTE) == "true")


def _zookeepers(inventory: Inventory) -> list[ClusterImage]:
    """Images of the ensembles; of several servers of one, the one that got furthest."""
    images: dict[str | None, ClusterImage] = {}
    by_source: dict[str, list[str]] = {}
    files = zookeeper.files_of(inventory.files)
    for source, directory in sorted(files):
        # a server may keep logs in another directory than snapshots: those of one source belong together when apart
        by_source.setdefault(source, []).append(directory)
    for source, directories in sorted(by_source.items()):
        for group in _servers(source, directories, files):
            image = zookeeper.image_of(zookeeper.read_tree(group))
            other = images.get(image.cluster_id)
            if other is None or image.reach > other.reach:
                images[image.cluster_id] = image
    return [images[key] for key in sorted(images, key=lambda k: k or "")]


def _servers(
    source: str, directories: list[str], files: Mapping[tuple[str, str], list[EvidenceFile]]
) -> list[list[EvidenceFile]]:
    """Files of one server together: a directory with both kinds is a server; the rest of a source are one."""
    groups, rest = [], list[EvidenceFile]()
    for directory in directories:
        here = files[source, directory]
        kinds = {file.path.rpartition("/")[2].partition(".")[0] for file in here}
        if len(kinds) == 2:
            groups.append(here)
        else:
            rest += here
    return [*groups, *([rest] if rest else [])]


def _default_policy(configs: Mapping[str, Mapping[str, str]]) -> str | None:
    return next(
        (configs[name][_DEFAULT_POLICY] for name in ("", "<default>") if _DEFAULT_POLICY in configs.get(name, {})), None
    )


def _topic(topic: TopicImage, default: str | None, deleted: bool) -> TopicFacts:
    policy = topic.configs.get(POLICY, default)
    compacted: bool | None = None
    if policy is not None:
        compacted = "compact" in policy.split(",") or any("compact" in past.split(",") for past in topic.past_policies)
    return TopicFacts(
        name=topic.name,
        topic_id=topic.topic_id,
        replicas={number: partition.replicas for number, partition in topic.partitions.items()},
        leaders={number: partition.leaders for number, partition in topic.partitions.items() if partition.leaders},
        configs=topic.configs,
        compacted=compacted,
        deleted=deleted,
    )
