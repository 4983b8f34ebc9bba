"""Three copies of a cluster that was killed, damaged besides, are replayed; a consumer reads what the truth says."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import kafka_salvage
from tests.broker.replays import consumed
from tests.broker.test_cluster_replay import Content, _bytes
from tests.support.cluster import Trio
from tests.support.corpus import scene

pytestmark = [pytest.mark.cluster, pytest.mark.corpus, pytest.mark.timeout(600)]

TOPICS = ("orders", "clicks-gzip", "clicks-lz4", "clicks-snappy", "clicks-zstd", "audit.events_v1", "a-b-1", "payments",
          "trimmed")  # fmt: skip


def known(directory: Path, topic: str) -> tuple[dict[tuple[int, int], Content], set[tuple[int, int]]]:
    """Records by partition and offset that must be there: plain or committed; and those that must not: aborted."""
    must: dict[tuple[int, int], Content] = {}
    never: set[tuple[int, int]] = set()
    for name in (f"{topic}.jsonl.gz", f"{topic}.burst.jsonl.gz"):
        path = directory / "truth" / name
        for line in gzip.decompress(path.read_bytes()).decode().splitlines() if path.exists() else ():
            row = json.loads(line)
            place = (row["partition"], row["offset"])
            if row["txn"] == "aborted":
                never.add(place)
            elif row["txn"] in ("none", "committed"):
                headers = tuple((key, _bytes(value)) for key, value in row["headers"])
                must[place] = (row["timestamp"], _bytes(row["key"]), _bytes(row["value"]), headers)
    return must, never


def spoiled(directory: Path) -> Path:
    """The first copy with a zeroed stretch in the middle of each partition of `orders`; the other copies have it."""
    target = directory / "broker-1"
    for log in sorted(target.glob("**/orders-*/*.log")):
        data = bytearray(log.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 700] = bytes(min(700, len(data) - middle))
        log.write_bytes(data)
    return target


def test_three_copies_become_one_cluster(trio: Trio, tmp_path: Path) -> None:
    source = scene("modern-1", "cluster")
    shutil.copytree(source / "broker-1", tmp_path / "broker-1", copy_function=_copied, symlinks=True)
    paths = [spoiled(tmp_path), source / "broker-2", source / "broker-3"]
    done = kafka_salvage.replay(
        paths, bootstrap_server=trio.address, execute=True, state=tmp_path / "state", create_topics=True,
        replication_factor=3, topic=TOPICS, topic_map={topic: f"corpus.{topic}" for topic in TOPICS},
        topic_config={"retention.ms": "-1", "message.timestamp.type": "CreateTime"},
    )  # fmt: skip
    assert done.receipt is not None
    runs, total = done.receipt.offset_map, 0
    for topic in TOPICS:
        must, never = known(source, topic)
        found: dict[tuple[int, int], Content] = {}
        for (old_topic, number), placed in runs.partitions.items():
            if old_topic != topic:
                continue
            for new, stamp, key, value, headers in consumed(trio, f"corpus.{topic}", number):
                old = int(placed.old_offsets(np.array([new], np.int64))[0])
                assert old >= 0, f"{topic}-{number}: {new} is none of ours"
                assert (number, old) not in found
                found[number, old] = (stamp, key, value, headers)
        for place, content_known in must.items():
            assert found.get(place) == content_known, f"{topic}: {place}"
        assert not never & found.keys()
        more = found.keys() - must.keys()
        assert not more or topic == "orders", (
            f"{topic}: {sorted(more)[:3]}"
        )  # sent, and killed before it was acknowledged
        total += len(found)
    assert total == done.receipt.sent > 20_000


def _copied(source: str, target: str) -> None:
    """Copies a file; large sparse indexes keep their holes by not being copied at all."""
    if Path(source).stat().st_size < 64 << 20:
        shutil.copyfile(source, target)
