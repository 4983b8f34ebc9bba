"""From a damaged directory to a new cluster, by the commands of docs/replay.md: records, then groups, in their right places."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.broker.replays import bulk, consumed, planned
from tests.support.broker import Cluster
from tests.support.cluster import Trio

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

PARTITIONS, RECORDS = 2, 2_000
POSITIONS = {0: 700, 1: 1_999}


@pytest.fixture(scope="module")
def dead(kafka: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log directory of a dead broker: 4,000 records and a group; a byte in the middle of events-0 is flipped."""
    with Cluster(tmp_path_factory.mktemp("handover")) as cluster:
        cluster.start()
        cluster.create("events", PARTITIONS)
        bulk(cluster, "events", PARTITIONS, RECORDS, batch=50)
        consumer = Consumer({"bootstrap.servers": cluster.address, "group.id": "billing", "log_level": 0})
        offsets = [TopicPartition("events", number, offset) for number, offset in POSITIONS.items()]
        consumer.commit(offsets=offsets, asynchronous=False)
        consumer.close()
        cluster.first.stop()
        (log,) = (cluster.first.data / "events-0").glob("*.log")
        data = bytearray(log.read_bytes())
        data[len(data) // 2] ^= 1
        log.write_bytes(data)
        return cluster.first.data


def command(directory: Path, *words: str | Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "kafka_salvage", *map(str, words)],
        capture_output=True, text=True, check=False, timeout=240, cwd=directory,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def recovered(rescue: Path) -> dict[int, list[int]]:
    """Offsets of each partition that the report calls recovered."""
    report = json.loads((rescue / "report.json").read_text())
    return {
        entry["partition"]: [
            offset
            for span in entry["offsets"]
            if span["status"] in ("recovered", "repaired")
            for offset in range(span["start"], span["stop"])
        ]
        for entry in report["partitions"]
        if entry["topic"] == "events"
    }


def test_by_the_docs(trio: Trio, dead: Path, tmp_path: Path) -> None:
    to = ["--bootstrap-server", trio.address, "--no-progress"]
    code, said = command(tmp_path, "salvage", dead, "--out", "rescued", "--internal", "--no-progress")
    assert code == 3, said
    there = recovered(tmp_path / "rescued")
    assert len(there[1]) == RECORDS
    assert 0 < RECORDS - len(there[0]) < RECORDS // 2
    named = ["--topic-map", "events=handed.events", "--create-topics", "--topic-config", "retention.ms=-1"]
    code, said = command(tmp_path, "replay", "rescued", *named, *to)
    assert code == 3, said
    assert "handed.events" not in trio.admin().list_topics(timeout=30).topics
    code, said = command(tmp_path, "replay", "rescued", *named, "--dry-run", *to)
    assert code == 3, said
    assert "handed.events" not in trio.admin().list_topics(timeout=30).topics
    code, said = command(tmp_path, "replay", "rescued", *named, "--state", "state", "--execute", *to)
    assert code == 3, said
    for number, offsets in there.items():
        read = consumed(trio, "handed.events", number)
        assert [record[1:] for record in read] == [planned("events", number, offset)[1:] for offset in offsets]
    code, said = command(tmp_path, "verify", "rescued", *to, "--offset-map", "state/offset-map.jsonl")
    assert code == 0, said
    assert f"AGREES: {sum(map(len, there.values())):,} records of 2 partitions" in said


@pytest.mark.parametrize("source", ["paths", "rescued"])
def test_the_groups_follow(trio: Trio, dead: Path, tmp_path: Path, source: str) -> None:
    to = ["--bootstrap-server", trio.address, "--no-progress"]
    topic = f"{source}.events"
    command(tmp_path, "salvage", dead, "--out", "rescued", "--internal", "--no-progress")
    named = ["--topic-map", f"events={topic}", "--create-topics", "--topic-config", "retention.ms=-1"]
    code, said = command(tmp_path, "replay", "rescued", *named, "--state", "state", "--execute", *to)
    assert code == 3, said
    groups = [dead if source == "paths" else "rescued", "--groups", "--offset-map", "state/offset-map.parquet"]
    code, said = command(tmp_path, "replay", *groups, *to)
    assert "Would commit 2 positions" in said
    assert "Nothing was committed yet" in said
    code, said = command(tmp_path, "replay", *groups, "--execute", *to)
    assert "Committed: 2 positions." in said
    assert code in (0, 3, 6), said
    there = recovered(tmp_path / "rescued")
    for number, offset in POSITIONS.items():
        expected = next(each for each in there[number] if each >= offset)
        assert following(trio, topic, number) == planned("events", number, expected)[3]
    code, said = command(tmp_path, "replay", *groups, "--execute", *to)
    assert "Committed: 0 positions; 2 stood there already." in said


def following(trio: Trio, topic: str, partition: int) -> bytes | None:
    """The value that the group reads next."""
    settings = {"bootstrap.servers": trio.address, "group.id": "billing", "log_level": 0, "enable.auto.commit": False}
    consumer = Consumer(settings)
    try:
        (found,) = consumer.committed([TopicPartition(topic, partition)], timeout=30)
        assert found.offset >= 0
        consumer.assign([TopicPartition(topic, partition, found.offset)])
        message = consumer.poll(30)
        assert message is not None
        assert message.error() is None
        value: bytes | None = message.value()
        return value
    finally:
        consumer.close()


def test_a_target_that_holds_half_is_filled_up(trio: Trio, dead: Path, tmp_path: Path) -> None:
    trio.create_all({"half": PARTITIONS})
    to = ["--bootstrap-server", trio.address, "--no-progress", "--topic-map", "events=half"]
    code, said = command(tmp_path, "replay", dead, "--to-offset", "777", "--state", "first", "--execute", *to)
    assert code in (0, 3), said
    assert len(consumed(trio, "half", 1)) == 777
    code, said = command(tmp_path, "replay", dead, "--state", "second", "--execute", *to)
    assert code == 3, said
    read = [record[1:] for record in consumed(trio, "half", 1)]
    assert read == [planned("events", 1, number)[1:] for number in range(RECORDS)]
    assert "777" in said or "there already" in said
