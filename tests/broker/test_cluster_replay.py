"""Damaged scenes are replayed into clusters, and a consumer reads what the truth says, each record once and in order."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest

import kafka_salvage
from kafka_salvage.export.replay.map_file import read_map
from kafka_salvage.export.replay.offset_map import OffsetMap
from kafka_salvage.export.replay.replaying import replay
from tests.broker.loading import accounted, damaged
from tests.broker.replays import consumed
from tests.support.cluster import Trio
from tests.support.cut import CLEAN
from tests.support.jars import OLDER

pytestmark = pytest.mark.cluster

Content = tuple[int | None, bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]
"""Timestamp (None for none), key, value, headers."""
Place = tuple[str, int, int]
STAMP = 1_234_567_890_123


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def truth(scenes: Path) -> tuple[dict[tuple[str, int], dict[int, Content]], set[Place], set[Place]]:
    """What consumers read of each partition, by offset; what compaction removed afterwards; what was aborted."""
    found: dict[tuple[str, int], dict[int, Content]] = {}
    removed: set[Place] = set()
    aborted: set[Place] = set()
    for path in sorted(scenes.glob("*/truth/*.jsonl.gz")):
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            row = json.loads(line)
            stamp = None if row["timestampType"] == "NoTimestampType" else row["timestamp"]
            headers = tuple((name, _bytes(value)) for name, value in row["headers"])
            place = (row["topic"], row["partition"])
            found.setdefault(place, {})[row["offset"]] = (stamp, _bytes(row["key"]), _bytes(row["value"]), headers)
            if path.name == "removed.jsonl.gz":
                removed.add((*place, row["offset"]))
            if row.get("txn") == "aborted":
                aborted.add((*place, row["offset"]))
    return found, removed, aborted


@pytest.fixture(scope="module")
def rescue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of damaged partitions of every magic and codec."""
    directory = tmp_path_factory.mktemp("replayed")
    damaged(directory / "broker-1")
    kafka_salvage.salvage([directory / "broker-1"], out=directory / "out", formats=["segments", "jsonl"])
    return directory / "out"


def labels(rescue: Path) -> dict[tuple[str, int], dict[int, str]]:
    """Fates of transactions, by offset, that the JSONL of a rescue tells."""
    found: dict[tuple[str, int], dict[int, str]] = {}
    for path in sorted((rescue / "jsonl").glob("*/*.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        fates = {row["offset"]: row["_salvage"]["transaction"] for row in rows}
        found[rows[0]["topic"], rows[0]["partition"]] = fates
    return found


def held(rescue: Path) -> dict[tuple[str, int], set[int]]:
    """Offsets of plain and committed records of a rescue."""
    return {
        place: {offset for offset, fate in fates.items() if fate in ("none", "committed")}
        for place, fates in labels(rescue).items()
    }


def agrees(cluster: Trio, rescue: Path, runs: OffsetMap, prefix: str) -> int:
    """Holds what a consumer reads against the truth; returns how many records there are."""
    known, removed, aborted = truth(CLEAN)
    fates = labels(rescue)
    total = 0
    for (topic, number), offsets in held(rescue).items():
        assert not {offset for offset in offsets if (topic, number, offset) in aborted}
        read = consumed(cluster, f"{prefix}{topic}", number)
        listed = sorted(offsets)
        assert len(read) == len(listed), f"{topic}-{number}"
        for (new, stamp, key, value, headers), old in zip(read, listed, strict=True):
            expected = known[topic, number][old]
            assert (key, value, headers) == expected[1:], f"{topic}-{number}@{old}"
            assert stamp == (STAMP if expected[0] is None else expected[0]), f"{topic}-{number}@{old}"
            there = runs.translate(topic, number, old)
            assert there is not None
            assert (there.topic, there.partition, there.offset) == (f"{prefix}{topic}", number, new)
        ranges = accounted(rescue, topic, number)
        promised = {o for o in known[topic, number] if any(a <= o < b for a, b in ranges)}
        others = fates[topic, number].keys() - offsets
        assert {o for o in promised if (topic, number, o) not in removed} <= offsets | others, f"{topic}-{number}"
        total += len(read)
    return total


def renamed(rescue: Path, prefix: str) -> dict[str, str]:
    return {topic: f"{prefix}{topic}" for topic, _ in held(rescue)}


def test_a_rescue_is_replayed_and_reads_as_the_truth(trio: Trio, rescue: Path, tmp_path: Path) -> None:
    done = replay(
        rescue, bootstrap_server=trio.address, execute=True, state=tmp_path / "state", create_topics=True,
        replication_factor=3, missing_timestamp=STAMP, topic_map=renamed(rescue, "first."),
    )  # fmt: skip
    assert done.receipt is not None
    assert done.exit_code == 3  # as the rescue's report
    runs = read_map(tmp_path / "state" / "offset-map.jsonl")
    assert runs == read_map(tmp_path / "state" / "offset-map.parquet")
    total = agrees(trio, rescue, runs, "first.")
    assert total == done.receipt.sent == runs.records > 7_000
    found = kafka_salvage.verify_cluster(rescue, bootstrap_server=trio.address, offset_map=runs)
    assert found.exit_code == 0, found.to_dict()
    assert found.total("equal") == total


def test_twice_is_once(trio: Trio, rescue: Path, tmp_path: Path) -> None:
    flags = {
        "bootstrap_server": trio.address, "execute": True, "create_topics": True, "replication_factor": 3,
        "missing_timestamp": STAMP, "topic_map": renamed(rescue, "twice."),
    }  # fmt: skip
    first = replay(rescue, state=tmp_path / "state", **flags)  # type: ignore[arg-type]
    again = replay(rescue, state=tmp_path / "state", **flags)  # type: ignore[arg-type]
    assert first.receipt is not None
    assert again.receipt is not None
    assert again.receipt.sent == 0
    assert again.receipt.offset_map == first.receipt.offset_map
    # The journal is gone: what is there is recognised by reading it.
    lost = replay(rescue, state=tmp_path / "other", **flags)  # type: ignore[arg-type]
    assert lost.receipt is not None
    assert (lost.receipt.sent, lost.receipt.found) == (0, first.receipt.sent)
    assert lost.receipt.offset_map == first.receipt.offset_map
    agrees(trio, rescue, lost.receipt.offset_map, "twice.")


def test_from_the_damaged_paths_themselves_into_an_older_release(rescue: Path, tmp_path: Path, kafka: Path) -> None:
    with Trio(tmp_path / "older", 1, version=OLDER) as cluster:
        cluster.start()
        done = replay(
            rescue.parent / "broker-1", bootstrap_server=cluster.address, execute=True, state=tmp_path / "state",
            create_topics=True, replication_factor=1, missing_timestamp=STAMP, compression="zstd",
        )  # fmt: skip
        assert done.receipt is not None
        assert agrees(cluster, rescue, done.receipt.offset_map, "") == done.receipt.sent
        found = kafka_salvage.verify_cluster(rescue, bootstrap_server=cluster.address, offset_map=done.receipt.files[0])
        assert found.exit_code == 0, found.to_dict()
