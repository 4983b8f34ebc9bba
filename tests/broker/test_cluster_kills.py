"""A replay and its cluster are killed at random moments; in the end each record is there once, in order, and unchanged."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kafka_salvage.export.replay.map_file import read_map
from tests.broker.replays import begin, begin_call, bulk, consumed, journal_lines, kill, planned, said
from tests.support.broker import Cluster, until
from tests.support.cluster import Trio

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

PARTITIONS, RECORDS = 3, 30_000
KILLS = 10


@pytest.fixture(scope="module")
def dead(kafka: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log directory of a broker that was killed, with 90,000 records."""
    with Cluster(tmp_path_factory.mktemp("bulk")) as cluster:
        cluster.start()
        cluster.create("events", PARTITIONS)
        bulk(cluster, "events", PARTITIONS, RECORDS)
        cluster.first.kill()
        return cluster.first.data


def flags(dead: Path, address: str, state: Path, target: str, **more: Any) -> dict[str, Any]:
    """Of a replay in small transactions."""
    return {
        "paths": [str(dead)], "bootstrap_server": address, "create_topics": True, "replication_factor": 3,
        "topic_map": {"events": target}, "state": str(state), "jobs": 2, "chunk_records": 1500, **more,
    }  # fmt: skip


def whole(cluster: Trio, target: str, state: Path) -> None:
    """Each record is there once, in order, the same; and the map says where."""
    runs = read_map(state / "offset-map.jsonl")
    for partition in range(PARTITIONS):
        read = consumed(cluster, target, partition)
        assert len(read) == RECORDS
        for number, record in enumerate(read):
            assert record[1:] == planned("events", partition, number)[1:], number
        told = runs.partitions["events", partition]
        assert [record[0] for record in read] == told.new_offsets(np.arange(RECORDS)).tolist()


def moments(seed: int) -> Iterator[float]:
    draw = random.Random(seed)
    while True:
        yield draw.random()


def test_ten_kills_of_the_replay_at_random_moments(trio: Trio, dead: Path, tmp_path: Path) -> None:
    state, draw, kills, inside = tmp_path / "state", moments(20261123), 0, 0
    slowly = flags(dead, trio.address, state, "killed.events", rate=300_000)
    while kills < KILLS:
        before = journal_lines(state)
        process = begin_call(tmp_path / "run", **slowly)
        # Up to the first step that is told, and a random time behind it; sometimes before anything is.
        patience, early = time.monotonic() + 60, next(draw) < 0.25
        while not early and process.poll() is None and journal_lines(state) == before and time.monotonic() < patience:
            time.sleep(0.02)
        time.sleep(next(draw) * (2.5 if early else 0.7))
        assert kill(process), f"it ended before it was killed {KILLS} times:\n{said(tmp_path / 'run')}"
        kills += 1
        inside += journal_lines(state) > before
    assert inside >= 4, "most kills met a replay that was sending"
    command = ["--bootstrap-server", trio.address, "--execute", "--topic-map", "events=killed.events"]
    process = begin(tmp_path / "run", str(dead), *command, "--state", str(state))
    assert process.wait(240) == 0, said(tmp_path / "run")
    whole(trio, "killed.events", state)


def test_a_broker_is_killed_in_the_middle(kafka: Path, dead: Path, tmp_path: Path) -> None:
    with Trio(tmp_path / "cluster") as cluster:
        cluster.start()
        state = tmp_path / "state"
        process = begin_call(tmp_path / "run", **flags(dead, cluster.address, state, "struck", rate=600_000))
        until(lambda: journal_lines(state) > 0 or process.poll() is not None, "the first step", 90)
        cluster.nodes[3].kill()
        code = process.wait(240)
        assert code in (0, 5), said(tmp_path / "run")
        if code == 5:
            again = begin_call(tmp_path / "run", **flags(dead, cluster.address, state, "struck"))
            assert again.wait(240) == 0, said(tmp_path / "run")
        cluster.nodes[3].start()
        until(lambda: cluster.in_sync("struck", 0) == [1, 2, 3], "the dead broker's return", 120)
        whole(cluster, "struck", state)


def test_the_whole_cluster_goes_and_comes_back(kafka: Path, dead: Path, tmp_path: Path) -> None:
    with Trio(tmp_path / "cluster", 1) as cluster:
        cluster.start()
        state = tmp_path / "state"
        one = flags(dead, cluster.address, state, "gone", replication_factor=1)
        process = begin_call(tmp_path / "run", **one, rate=600_000)
        until(lambda: journal_lines(state) > 0 or process.poll() is not None, "the first step", 90)
        cluster.first.kill()
        time.sleep(3)
        cluster.first.start()
        code = process.wait(240)
        assert code in (0, 5), said(tmp_path / "run")
        if code == 5:
            process = begin_call(tmp_path / "run", **one)
            assert process.wait(240) == 0, said(tmp_path / "run")
        whole(cluster, "gone", state)
