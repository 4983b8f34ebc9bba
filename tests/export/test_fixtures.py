"""Salvage of clean segments of real brokers: what comes out is what a consumer of the live broker read."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kafka_salvage
from tests.export.scenes import json_lines, tree

CLEAN = Path(__file__).resolve().parents[2] / "fixtures" / "clean"
SCENES = sorted(path.name for path in CLEAN.iterdir() if path.is_dir())
FIELDS = ("topic", "partition", "offset", "timestamp", "timestampType", "key", "value", "headers")

Record = dict[str, Any]


def truth(scene: str, name: str = "records") -> dict[tuple[str, int], list[Record]]:
    """Records by partition, as a consumer read them."""
    found: dict[tuple[str, int], list[Record]] = defaultdict(list)
    for path in sorted((CLEAN / scene / "truth").glob("*.jsonl.gz")):
        if name != "records" or path.name != "removed.jsonl.gz":
            for line in gzip.decompress(path.read_bytes()).splitlines():
                record = json.loads(line)
                found[record["topic"], record["partition"]].append(record)
    return {key: sorted(records, key=lambda r: int(r["offset"])) for key, records in found.items()}


def plain(record: Record) -> Record:
    """A truth line or an output line with the fields that both have; magic 0 has no time in either."""
    made = {name: record[name] for name in FIELDS}
    made["headers"] = [tuple(h.values()) if isinstance(h, dict) else tuple(h) for h in record["headers"]]
    if made["timestampType"] == "NoTimestampType":
        made["timestamp"] = None
    return made


def rescued(out: Path) -> Iterator[tuple[tuple[str, int], list[Record]]]:
    for path in sorted((out / "jsonl").glob("*/*.jsonl")):
        lines = json_lines(path.read_bytes())
        yield (lines[0]["topic"], lines[0]["partition"]), lines


@pytest.mark.parametrize("scene", SCENES)
def test_records_equal_what_a_consumer_read(scene: str, tmp_path: Path) -> None:
    brokers = [path for path in (CLEAN / scene).iterdir() if path.name.startswith("broker")]
    kafka_salvage.salvage(brokers, out=tmp_path / "out", formats=["jsonl", "segments"])
    expected = truth(scene)
    made = dict(rescued(tmp_path / "out"))
    assert set(made) == set(expected)
    for key, lines in made.items():
        assert [plain(line) for line in lines] == [plain(record) for record in expected[key]], key


@pytest.mark.parametrize("scene", SCENES)
def test_intact_segments_are_copied_byte_for_byte(scene: str, tmp_path: Path) -> None:
    brokers = [path for path in (CLEAN / scene).iterdir() if path.name.startswith("broker")]
    kafka_salvage.salvage(brokers, out=tmp_path / "out", undecided="keep", include=["trimmed"])
    made = {path: data for path, data in tree(tmp_path / "out").items() if path.endswith(".log")}
    live = {
        f"segments/{path.parent.name}/{path.name}": path.read_bytes()
        for broker in brokers
        for path in broker.glob("*/*.log")
        if path.stat().st_size
    }
    assert made == live
