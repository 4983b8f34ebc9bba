"""Rescued segments of damaged topics of every magic load in a fresh broker, and every record is read at its old offset."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import kafka_salvage
from tests.broker.loading import (
    accounted,
    consumed,
    damaged,
    log_starts,
    logs,
    partitions,
    promised,
    put,
    topics,
    truth,
)
from tests.support.broker import Cluster, until
from tests.support.cut import CLEAN

pytestmark = pytest.mark.broker

TROUBLE = re.compile(r"truncat|corrupt|Deleting segment|marked stray|invalid messages|Found an orphaned", re.IGNORECASE)
HARMLESS = re.compile(r"caused truncation of conflicting entries|LeaderEpochCache|Truncated .* entries")
"""Lines about the epoch *cache*, which drops what the new batches contradict."""


@dataclass(frozen=True)
class Loaded:
    """A broker that has started on rescued segments."""

    cluster: Cluster
    rescue: Path
    before: dict[str, bytes]
    output: str


@pytest.fixture(scope="module")
def rescue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("rescue")
    damaged(directory / "broker-1")
    receipt = kafka_salvage.salvage([directory / "broker-1"], out=directory / "out", formats=["segments", "jsonl"])
    assert receipt.report.exit_code == 3
    return directory / "out"


@pytest.fixture(scope="module")
def loaded(kafka: Path, rescue: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    with Cluster(tmp_path_factory.mktemp("load")) as cluster:
        cluster.start()
        cluster.create_all(topics(rescue))
        cluster.first.stop()
        put(rescue, cluster.first.data)
        before = logs(cluster.first.data, partitions(rescue))
        output = cluster.first.start()
        yield Loaded(cluster, rescue, before, output)


def test_nothing_is_truncated_deleted_or_renamed(loaded: Loaded) -> None:
    data = loaded.cluster.first.data
    assert len(partitions(loaded.rescue)) == 17
    assert logs(data, partitions(loaded.rescue)) == loaded.before
    assert not [p.name for p in data.iterdir() if p.name.endswith(("-stray", "-delete"))]
    lines = [line for line in loaded.output.splitlines() if TROUBLE.search(line) and not HARMLESS.search(line)]
    assert not lines


def test_every_record_is_read_at_its_old_offset(loaded: Loaded) -> None:
    live, known = truth(CLEAN), truth(CLEAN, removed=True)
    for name, (topic, number) in partitions(loaded.rescue).items():
        read = consumed(loaded.cluster, topic, number)
        start = log_starts(loaded.rescue).get(name, 0)
        decided, undecided = promised(loaded.rescue, name)
        assert set(read) == {offset for offset in decided if offset >= start}, name
        ranges = accounted(loaded.rescue, topic, number)
        known_there = {offset for offset in live[topic, number] if any(a <= offset < b for a, b in ranges)}
        assert known_there <= read.keys() | undecided, name
        # Where a compacted segment is damaged, its `.deleted` original fills in, with what compaction had removed.
        assert read == {offset: known[topic, number][offset] for offset in read}, name
        assert len(known_there) > 0.6 * len(live[topic, number]), name


def test_verification_agrees_with_the_broker_that_loaded_it(loaded: Loaded, capsys: pytest.CaptureFixture[str]) -> None:
    found = kafka_salvage.verify_cluster(loaded.rescue, bootstrap_server=loaded.cluster.address)
    assert found.exit_code == 0, found.to_dict()
    promises = [promised(loaded.rescue, name) for name in partitions(loaded.rescue)]
    assert found.total("equal") > 3000
    assert found.total("equal") + found.total("left_out") == sum(len(one) + len(two) for one, two in promises)


def test_the_log_start_of_a_trimmed_partition_is_kept(loaded: Loaded) -> None:
    assert loaded.cluster.offsets("trimmed", 0) == (333, 900)


def test_producers_can_go_on_at_the_end(loaded: Loaded) -> None:
    _, end = loaded.cluster.offsets("mixed-none", 0)
    loaded.cluster.produce("mixed-none", 0, [{"key": b"next", "value": b"record"}])
    read = consumed(loaded.cluster, "mixed-none", 0)
    assert max(read) == end
    assert read[end] == (b"next", b"record", ())


@pytest.mark.cluster
def test_with_leader_epoch_0_replication_to_a_second_broker_completes(
    kafka: Path, rescue: Path, tmp_path: Path
) -> None:
    damaged(tmp_path / "broker-1")
    out = tmp_path / "out"
    kafka_salvage.salvage([tmp_path / "broker-1"], out=out, formats=["segments", "jsonl"], leader_epoch=0)
    with Cluster(tmp_path / "cluster", nodes=2) as cluster:
        cluster.start()
        cluster.create_all(topics(out))
        for node in reversed(cluster.nodes.values()):
            node.stop()
        put(out, cluster.first.data)
        cluster.start()
        for topic, number in partitions(out).values():
            cluster.reassign(topic, number, [1, 2])
        for topic, number in partitions(out).values():
            until(lambda t=topic, n=number: cluster.in_sync(t, n) == [1, 2], f"ISR of {topic}-{number}", 120)  # type: ignore[misc]
        names = partitions(out)
        first, second = (logs(cluster.nodes[n].data, names) for n in (1, 2))
        for name in names:
            # The follower rolls where it likes; the bytes are the same.
            one, two = (b"".join(d for n, d in sorted(s.items()) if n.startswith(f"{name}/")) for s in (first, second))
            assert two, name
            assert one[one.find(two[:64]) :] == two, name  # a follower begins at the leader's log start
