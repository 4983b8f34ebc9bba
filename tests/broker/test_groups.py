"""Positions that `groups` wrote load with Kafka's own `kafka-consumer-groups`, and a live broker reads them back."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

import kafka_salvage
from kafka_salvage.cli.main import run
from tests.support.broker import Cluster
from tests.support.jars import UnavailableError, run_tool, tools

pytestmark = pytest.mark.broker

GROUPS = {"billing": {("orders", 0): 7, ("orders", 1): 3}, "audit,eu": {("orders", 1): 10, ("clicks", 0): 0}}
TOPICS = {"orders": 2, "clicks": 1}


def commit(cluster: Cluster, group: str, positions: dict[tuple[str, int], int]) -> None:
    consumer = Consumer({"bootstrap.servers": cluster.address, "group.id": group, "log_level": 0})
    try:
        offsets = [TopicPartition(topic, number, offset) for (topic, number), offset in positions.items()]
        consumer.commit(offsets=offsets, asynchronous=False)
    finally:
        consumer.close()


def committed(cluster: Cluster, group: str) -> dict[tuple[str, int], int]:
    consumer = Consumer({"bootstrap.servers": cluster.address, "group.id": group, "log_level": 0})
    try:
        asked = [TopicPartition(topic, number) for topic, count in TOPICS.items() for number in range(count)]
        found = consumer.committed(asked, timeout=30)
        return {(each.topic, each.partition): each.offset for each in found if each.offset >= 0}
    finally:
        consumer.close()


def fill(cluster: Cluster) -> None:
    cluster.create_all(TOPICS)
    for topic, count in TOPICS.items():
        for number in range(count):
            cluster.produce(topic, number, [{"key": b"%d" % n, "value": b"v"} for n in range(10)])


@pytest.fixture(scope="module")
def positions(kafka: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CSV of the positions on the disk of a broker that was killed."""
    directory = tmp_path_factory.mktemp("before")
    with Cluster(directory / "cluster") as cluster:
        cluster.start()
        fill(cluster)
        for group, offsets in GROUPS.items():
            commit(cluster, group, dict.fromkeys(offsets, 1))
            commit(cluster, group, offsets)
        cluster.first.kill()
        out = directory / "positions.csv"
        assert run(["groups", str(cluster.first.data), "--csv", str(out), "--no-progress"]) == 0
        found = kafka_salvage.groups(cluster.first.data)
        assert {p.certainty for p in found.positions} == {"certain"}
    return out


@pytest.fixture(scope="module")
def programs() -> Path:
    """Jars of Kafka's command-line programs."""
    try:
        return tools()
    except UnavailableError as error:
        pytest.skip(f"no kafka-consumer-groups here: {error}")


@pytest.fixture(scope="module")
def fresh(positions: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("after")) as cluster:
        cluster.start()
        fill(cluster)
        yield cluster


def test_the_csv_holds_the_last_commits(positions: Path) -> None:
    with positions.open(newline="") as stream:
        rows = [(group, topic, int(number), int(offset)) for group, topic, number, offset in csv.reader(stream)]
    assert rows == sorted((g, t, n, offset) for g, offsets in GROUPS.items() for (t, n), offset in offsets.items())


@pytest.mark.parametrize("asked", [["billing"], ["billing", "audit,eu"]])
def test_kafka_consumer_groups_loads_it(
    fresh: Cluster, positions: Path, programs: Path, tmp_path: Path, asked: list[str]
) -> None:
    flags = [word for group in asked for word in ("--group", group)]
    done = run_tool(
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "--bootstrap-server",
        fresh.address,
        *flags,
        "--reset-offsets",
        "--from-file",
        str(positions),
        "--execute",
        directory=tmp_path,
        classpath=programs,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for group in asked:
        assert committed(fresh, group) == GROUPS[group], done.stdout + done.stderr
