"""Salvage of clean segments of real brokers: what comes out is what a consumer of the live broker read."""

from __future__ import annotations

import gzip
import json
import shutil
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


def damaged(tmp_path: Path) -> Path:
    """Copies of real partitions with one damage each: flipped payload, forged length, garbage between, zeroed sector, cut."""
    broker = tmp_path / "broker"
    for scene, name in (("cluster", "orders-0"), ("v1", "v1-none-0"), ("v0", "v0-gzip-1"), ("mixed", "mixed-none-0")):
        (origin,) = CLEAN.glob(f"{scene}/broker-*/{name}")
        shutil.copytree(origin, broker / name)
        for index in (broker / name).glob("*index"):
            index.unlink()
    orders = sorted((broker / "orders-0").glob("*.log"))
    flip(orders[0], 5000)
    forge = bytearray(orders[1].read_bytes())
    at = list(starts(bytes(forge)))[3]
    forge[at + 8 : at + 12] = b"\x7f\xff\xff\xff"
    orders[1].write_bytes(forge)
    plain_one = sorted((broker / "v1-none-0").glob("*.log"))[0]
    whole = plain_one.read_bytes()
    at = list(starts(whole))[4]
    plain_one.write_bytes(whole[:at] + b"garbage" * 11 + whole[at:])
    zeroed = sorted((broker / "mixed-none-0").glob("*.log"))[0]
    whole = zeroed.read_bytes()
    zeroed.write_bytes(whole[:4096] + bytes(512) + whole[4608:])
    cut = sorted((broker / "v0-gzip-1").glob("*.log"))[-1]
    cut.write_bytes(cut.read_bytes()[:-33])
    return broker


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def starts(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        yield at
        at += 12 + int.from_bytes(data[at + 8 : at + 12], "big")


def test_of_damaged_copies_every_byte_is_accounted_for(tmp_path: Path) -> None:
    broker = damaged(tmp_path)
    out = tmp_path / "out"
    kafka_salvage.salvage(broker, out=out, formats=["jsonl", "segments"])
    made = tree(out)
    report = json.loads(made["report.json"])
    kept = {(e["path"], e["start"], e["stop"]): e for e in json_lines(made["quarantine/index.jsonl"])}
    seen = set()
    for segment in report["segments"]:
        data = (broker / segment["path"]).read_bytes()
        at = 0
        for region in segment["regions"]:
            assert region["start"] == at
            at = region["stop"]
            if region["verdict"] in ("damaged", "foreign", "suspect", "undecodable", "repaired"):
                entry = kept[segment["path"], region["start"], region["stop"]]
                assert made[entry["file"]] == data[region["start"] : at]
                seen.add((segment["path"], region["start"], region["stop"]))
        assert at == len(data)
    assert seen == set(kept)
    assert {entry["verdict"] for entry in kept.values()} >= {"damaged", "repaired"}


def test_of_damaged_copies_all_untouched_records_come_out_and_nothing_else(tmp_path: Path) -> None:
    broker = damaged(tmp_path)
    out = tmp_path / "out"
    kafka_salvage.salvage(broker, out=out, formats=["jsonl", "segments"])
    expected = {key: records for scene in SCENES for key, records in truth(scene).items()}
    made = dict(rescued(out))
    assert set(made) == {("orders", 0), ("v1-none", 0), ("v0-gzip", 1), ("mixed-none", 0)}
    for key, lines in made.items():
        true = {record["offset"]: plain(record) for record in expected[key]}
        assert all(true[line["offset"]] == plain(line) for line in lines), key
        lost = len(true) - len(lines)
        # one batch each at most, none where garbage was put between
        assert lost == 0 if key[0] == "v1-none" else 0 < lost <= 120, (key, lost)
    assert any(line["_salvage"]["verdict"] == "repaired" for line in made["orders", 0])


def test_order_and_repetition_of_sources_change_nothing(tmp_path: Path) -> None:
    brokers = [path for scene in SCENES for path in (CLEAN / scene).iterdir() if path.name.startswith("broker")]
    named = [f"{path.parent.name}={path}" for path in brokers]
    kafka_salvage.salvage(named, out=tmp_path / "a", formats=["jsonl", "segments"], jobs=1)
    kafka_salvage.salvage([*reversed(named)], out=tmp_path / "b", formats=["segments", "jsonl"], jobs=3)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert len(tree(tmp_path / "a")) > 20
