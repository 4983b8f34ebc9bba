"""Kafka's own topics and ZooKeeper's files of real clusters, in the checkout: what they say is what the live ones said."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import kafka_salvage
from kafka_salvage.metadata.facts import METADATA_TOPICS, clusters_of
from kafka_salvage.metadata.transaction_state import transactional_ids
from kafka_salvage.metadata.zookeeper import read_tree
from kafka_salvage.plan.facts import ClusterFacts
from kafka_salvage.regions.survey import survey_replica
from kafka_salvage.scan.replica import take_inventory
from tests.metadata.test_consumer_offsets import truth_of
from tests.metadata.test_zookeeper import files, shown
from tests.support.cut_metadata import METADATA, SUMS, sums

CLUSTER = METADATA / "cluster" / "broker-2"
ZOOKEEPER = METADATA / "zk39" / "zookeeper"


def facts(*paths: Path) -> ClusterFacts:
    inventory = take_inventory(paths)
    surveys = [survey_replica(replica) for replica in inventory.replicas if replica.topic in METADATA_TOPICS]
    (one,) = clusters_of(inventory, surveys)
    return one


def check_topics(found: ClusterFacts, truth: Path) -> None:
    topics = {topic.name: topic for topic in found.topics if not topic.deleted}
    told = json.loads(truth.read_text())
    assert told
    for name, each in told.items():
        assert topics[name].topic_id == each["topicId"].replace("/", "_").replace("+", "-")
        assert topics[name].replicas == {p["partition"]: tuple(p["replicas"]) for p in each["partitions"]}
        assert each["configs"].items() <= topics[name].configs.items()


def test_every_file_has_the_listed_sha256_and_none_is_unlisted() -> None:
    assert sums() == dict(line.split("  ", 1)[::-1] for line in SUMS.read_text().splitlines())


def test_topics_of_a_kraft_cluster() -> None:
    check_topics(facts(CLUSTER), METADATA / "cluster" / "truth" / "topics.json")


def test_topics_of_a_cluster_with_zookeeper(tmp_path: Path) -> None:
    shutil.copytree(CLUSTER / "__consumer_offsets-0", tmp_path / "__consumer_offsets-0")
    check_topics(facts(tmp_path, ZOOKEEPER), METADATA / "zk39" / "truth" / "topics.json")


def test_every_node_of_zookeeper() -> None:
    with gzip.open(METADATA / "zk39" / "truth" / "znodes.jsonl.gz", "rt") as stream:
        truth = {node["path"]: node for node in map(json.loads, stream)}
    assert shown(read_tree(files(ZOOKEEPER))) == truth


def test_every_position_of_every_group() -> None:
    groups = kafka_salvage.groups(CLUSTER)
    truth = truth_of(METADATA / "cluster")
    committed = {(p.group, p.topic, p.partition): p.committed for p in groups.positions if p.committed}
    assert set(committed) == set(truth)
    assert {key: (c.offset, c.metadata) for key, c in committed.items()} == {
        key: (each["offset"], each["metadataOnDisk"]) for key, each in truth.items()
    }


def test_transactional_ids() -> None:
    inventory = take_inventory([CLUSTER])
    surveys = [survey_replica(replica) for replica in inventory.replicas]
    found = {one.transactional_id: one.decisions[-1].outcome for one in transactional_ids(surveys)}
    assert found == {"etl-1": "commit", "pay-A": "abort", "pay-B": "commit", "pay-OPEN": "open", "pay-Z": "commit"}
