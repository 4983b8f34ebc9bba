"""Positions of groups of a dead cluster are committed in a new one, where consumers go on at the same records."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

import kafka_salvage
from kafka_salvage.errors import DestinationError, RequestError
from kafka_salvage.export.replay.config import client_settings
from kafka_salvage.export.replay.group_target import GroupTarget
from kafka_salvage.export.replay.offset_map import OffsetMap
from kafka_salvage.export.replay.positions import NewPositions
from tests.broker.sending import Sent, send, supply_of
from tests.support.broker import Cluster, until
from tests.support.cluster import Trio

pytestmark = pytest.mark.cluster

GROUPS = {
    "billing": {("orders", 0): 7, ("orders", 1): 300},
    "audit,eu": {("orders", 1): 0, ("clicks", 0): 400},
    "forgotten": {("elsewhere", 0): 3},
}
TOPICS = {"orders": 2, "clicks": 1, "elsewhere": 1}
RECORDS = 400


def value(topic: str, partition: int, offset: int) -> bytes:
    return f"{topic}-{partition}@{offset}".encode()


@pytest.fixture(scope="module")
def dead(kafka: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log directory of a broker that was killed behind commits of groups."""
    with Cluster(tmp_path_factory.mktemp("dead")) as cluster:
        cluster.start()
        cluster.create_all(TOPICS)
        for topic, count in TOPICS.items():
            for number in range(count):
                records = [{"value": value(topic, number, at)} for at in range(RECORDS)]
                cluster.produce(topic, number, records)
        for group, positions in GROUPS.items():
            consumer = Consumer({"bootstrap.servers": cluster.address, "group.id": group, "log_level": 0})
            offsets = [TopicPartition(t, n, at, "own text") for (t, n), at in positions.items()]
            consumer.commit(offsets=offsets, asynchronous=False)
            consumer.close()
        cluster.first.kill()
        return cluster.first.data


@pytest.fixture(scope="module")
def runs(dead: Path, trio: Trio) -> OffsetMap:
    """The map of a replay without `elsewhere` and without the records 300 to 304 of orders-1, behind ten others."""
    prefix = {f"groups.{topic}": count for topic, count in TOPICS.items() if topic != "elsewhere"}
    trio.create_all(prefix)
    for topic, count in prefix.items():
        for number in range(count):
            trio.produce(topic, number, [{"value": b"before"}] * 10)
    supply = supply_of(dead)
    supply = dataclasses.replace(supply, lines=tuple(x for x in supply.lines if x.topic in ("orders", "clicks")))

    def change(line: object, rows: Iterator[Sent]) -> Iterator[Sent]:
        for row in rows:
            if (getattr(line, "topic", ""), getattr(line, "partition", 0)) != ("orders", 1) or not 300 <= row[
                "offset"
            ] < 305:
                yield row

    return send(trio, supply, lambda topic: f"groups.{topic}", change)


@pytest.fixture(scope="module")
def positions(dead: Path, runs: OffsetMap) -> NewPositions:
    return kafka_salvage.new_positions(kafka_salvage.groups(dead), runs)


def next_value(trio: Trio, group: str, topic: str, partition: int) -> tuple[int, bytes | None]:
    """Position that a group has, and the value that a consumer of it reads next."""
    consumer = Consumer(
        {"bootstrap.servers": trio.address, "group.id": group, "log_level": 0, "enable.auto.commit": False,
         "enable.partition.eof": True}
    )  # fmt: skip
    try:
        (found,) = consumer.committed([TopicPartition(topic, partition)], timeout=30)
        consumer.assign([TopicPartition(topic, partition, found.offset)])
        message = consumer.poll(30)
        assert message is not None
        return found.offset, None if message.error() else message.value()
    finally:
        consumer.close()


def test_consumers_go_on_at_the_same_records(trio: Trio, positions: NewPositions) -> None:
    assert positions.exit_code == 3
    (lost,) = [p for p in positions.positions if p.new_offset is None]
    assert (lost.group, lost.topic) == ("forgotten", "elsewhere")
    target = GroupTarget(client_settings(None, trio.address))
    shown = target.look(positions)
    assert len(shown.wanted) == 4
    assert not shown.executed
    assert next_value_is_unset(trio, "billing", "groups.orders", 0)
    done = target.commit(shown)
    assert done.executed
    assert next_value(trio, "billing", "groups.orders", 0) == (17, value("orders", 0, 7))
    assert next_value(trio, "billing", "groups.orders", 1)[1] == value("orders", 1, 305)
    assert next_value(trio, "audit,eu", "groups.orders", 1) == (10, value("orders", 1, 0))
    assert next_value(trio, "audit,eu", "groups.clicks", 0) == (410, None)
    again = target.look(positions)
    assert not again.wanted
    assert all(line.done for line in again.lines)


def next_value_is_unset(trio: Trio, group: str, topic: str, partition: int) -> bool:
    consumer = Consumer({"bootstrap.servers": trio.address, "group.id": group, "log_level": 0})
    try:
        (found,) = consumer.committed([TopicPartition(topic, partition)], timeout=30)
        return bool(found.offset < 0)
    finally:
        consumer.close()


def renamed(positions: NewPositions, suffix: str) -> NewPositions:
    made = tuple(dataclasses.replace(p, group=f"{p.group}{suffix}") for p in positions.positions)
    return dataclasses.replace(positions, positions=made)


def test_a_group_that_has_gone_on_stays_unless_forced(trio: Trio, positions: NewPositions) -> None:
    mine = renamed(positions, ".on")
    target = GroupTarget(client_settings(None, trio.address))
    consumer = Consumer({"bootstrap.servers": trio.address, "group.id": "billing.on", "log_level": 0})
    consumer.commit(offsets=[TopicPartition("groups.orders", 0, 200)], asynchronous=False)
    consumer.close()
    shown = target.look(mine)
    assert [line.present for line in shown.kept] == [200]
    target.commit(shown)
    assert next_value(trio, "billing.on", "groups.orders", 0)[0] == 200
    assert next_value(trio, "billing.on", "groups.orders", 1)[1] == value("orders", 1, 305)
    target.commit(target.look(mine, forced=True))
    assert next_value(trio, "billing.on", "groups.orders", 0)[0] == 17


def test_a_group_at_work_is_refused(trio: Trio, positions: NewPositions) -> None:
    mine = renamed(positions, ".busy")
    target = GroupTarget(client_settings(None, trio.address))
    stop = threading.Event()
    assigned = threading.Event()
    consumer = Consumer({"bootstrap.servers": trio.address, "group.id": "billing.busy", "log_level": 0})
    consumer.subscribe(["groups.orders"], on_assign=lambda *_: assigned.set())

    def work() -> None:
        while not stop.is_set():
            consumer.poll(0.2)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        until(assigned.is_set, "the member's assignment")
        shown = target.look(mine)
        assert set(shown.active) == {"billing.busy"}
        assert not [line for line in shown.wanted if line.position.group == "billing.busy"]
        with pytest.raises(DestinationError, match=r"group billing.busy has members at work: nothing was committed"):
            target.commit(shown)
        hasty = dataclasses.replace(shown, active={})  # it began to work after it was looked at
        with pytest.raises(DestinationError, match=r"group billing.busy has members at work"):
            target.commit(hasty)
    finally:
        stop.set()
        worker.join()
        consumer.close()
    target.commit(target.look(mine))
    assert next_value(trio, "billing.busy", "groups.orders", 0) == (17, value("orders", 0, 7))


def test_another_cluster_is_refused(trio: Trio, positions: NewPositions) -> None:
    with pytest.raises(RequestError, match="is of cluster elsewhere"):
        GroupTarget(client_settings(None, trio.address)).look(dataclasses.replace(positions, cluster="elsewhere"))
    astray = tuple(dataclasses.replace(p, new_topic="nowhere") if p.new_topic else p for p in positions.positions)
    with pytest.raises(DestinationError, match="nowhere-0 is not in the cluster"):
        GroupTarget(client_settings(None, trio.address)).look(dataclasses.replace(positions, positions=astray))
