"""Tests of decoding against Kafka's own classes and against what consumers of live brokers read."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.scan.test_records import whole
from tests.support.corpus import scene
from tests.wire import vectors

TYPES = {"NoTimestampType": -1, "CreateTime": 0, "LogAppendTime": 1}
VECTORS = {v.name: v for v in vectors.load()}
STRICTER = {"v1_wrap_truncinner"}
"""Kafka takes an inner message that is cut for the end of the set, and then gets the others' offsets wrong."""


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_kafka_reads_the_same(name: str) -> None:
    vector = VECTORS[name]
    made = whole(vector.data)
    rows = [r for d in made for r in d.table.to_pylist()]
    outcomes = [o for d in made for o in d.outcome.tolist()]
    refused = vector.raises_at_once or any(b.raises for b in vector.batches)
    if refused and any(outcomes):
        assert not rows
        return
    if name in STRICTER:
        assert any(outcomes)
        assert not rows
        return
    assert not any(outcomes)
    wanted = [r for b in vector.batches for r in b.records]
    if not refused:
        assert [(r["offset"], r["timestamp"], r["sequence"]) for r in rows] == [
            (r.offset, r.timestamp, r.sequence) for r in wanted
        ]
        assert [(r["key"], r["value"], tuple(r["headers"])) for r in rows] == [
            (r.key, r.value, r.headers) for r in wanted
        ]


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def truth_of(place: Path) -> dict[tuple[str, int, int], set[tuple[Any, ...]]]:
    truth = defaultdict(set)
    for file in sorted((place / "truth").glob("*.jsonl.gz")):
        with gzip.open(file, "rt") as stream:
            for line in stream:
                r = json.loads(line)
                if r.get("offset") is None:
                    continue
                headers = tuple((k.encode(), _bytes(v)) for k, v in r["headers"])
                kind = TYPES[r["timestampType"]]
                truth[r["topic"], r["partition"], r["offset"]].add(
                    (r["timestamp"], kind, _bytes(r["key"]), _bytes(r["value"]), headers)
                )
    return dict(truth)


SCENES = [
    ("old-1", "v0", 4_336),
    ("old-1", "v09", 1_432),
    ("old-1", "v1", 6_680),
    ("old-1", "mixed", 6_109),
    ("old-1", "zk28", 3_589),
    ("old-1", "zk39", 1_770),
    ("modern-1", "cluster", 22_519),
    ("modern-1", "unclean", 2_340),
    ("modern-1", "jbod", 3_180),
]


@pytest.mark.corpus
@pytest.mark.parametrize(("archive", "name", "met"), SCENES)
def test_real_segments_say_what_a_consumer_read(archive: str, name: str, met: int) -> None:
    place = scene(archive, name)
    truth = truth_of(place)
    found = set()
    for log in sorted(place.rglob("*.log*")):
        partition = re.match(r"(.+)-(\d+)(\.[0-9a-f]{32}-\w+)?$", log.parent.name)
        if not partition:
            continue
        for made in whole(log.read_bytes(), chunk=1 << 18):
            assert not made.detail, log
            data = ~made.table.batches.is_control[made.table.batch]
            for r in made.table.take(data).to_pylist():
                key = (partition[1], int(partition[2]), r["offset"])
                if key in truth:
                    row = (r["timestamp"], r["timestamp_type"], r["key"], r["value"], tuple(r["headers"]))
                    assert row in truth[key], (log, key)
                    found.add(key)
    assert len(found) == met  # the others were compacted or trimmed away
