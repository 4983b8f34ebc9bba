"""The recipe that puts rescued segments into a broker, as the runbook tells it, and what a consumer reads afterwards."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.broker import Cluster
from tests.support.checkpoints import forget_partition, set_checkpoint
from tests.support.demo import assemble

Record = tuple[bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]
"""Key, value, headers."""

RECIPE = """
side cluster/broker-1/meta.properties
side cluster/broker-1/log-start-offset-checkpoint
partition cluster/broker-1/orders-0
damage 00000000000000000250.log
field 3 length 2147483647
damage 00000000000000000614.log
xor b40+200 01
zero 30000 30512
partition cluster/broker-1/payments-1
damage 00000000000000000164.log
zero 8192 8704
partition cluster/broker-1/profiles-0
damage 00000000000000002276.log
xor b5+90 10
partition cluster/broker-1/audit.events_v1-0
damage 00000000000000000661.log
cut b-1+90
partition cluster/broker-1/trimmed-0
partition v0/broker-0/v0-none-0
damage 00000000000000000162.log
zero b20 b22
partition v0/broker-0/v0-gzip-1
damage 00000000000000000204.log
xor b4+60 01
partition v0/broker-0/v0-snappy-0
damage 00000000000000000147.log
field 3 length 5
partition v0/broker-0/v0-lz4-0
damage 00000000000000000000.log
scramble b2+30 b2+300 7
partition v09/broker-0/v09-compact-gzip-0
damage 00000000000000000267.log
xor b3+60 01
partition v1/broker-0/v1-none-0
damage 00000000000000000156.log
field 30 length 2147483647
partition v1/broker-0/v1-gzip-0
damage 00000000000000000000.log
xor b4+60 01
partition v1/broker-0/v1-lz4-0
damage 00000000000000000153.log
cut b-1+90
partition v1/broker-0/v1-lat-lz4-0
damage 00000000000000000000.log
zero b3 b4
partition v1/broker-0/v1-compact-gzip-0
damage 00000000000000000390.log
xor b3+60 01
partition mixed/broker-0/mixed-none-0
damage 00000000000000000158.log
zero b30+5 b31+5
damage 00000000000000000375.log
field 66 length 60
partition mixed/broker-0/mixed-gzip-0
damage 00000000000000000398.log
xor b4+50 01
xor b7+90 01
"""
"""Damage in every magic and codec; a partition directory each."""


def damaged(target: Path) -> None:
    """Writes the damaged log directory."""
    assemble(target, RECIPE)


def partitions(rescue: Path) -> dict[str, tuple[str, int]]:
    """Directory name -> (topic, partition) of what a rescue holds as segments."""
    names = sorted(path.name for path in (rescue / "segments").iterdir())
    return {name: (name.rpartition("-")[0], int(name.rpartition("-")[2])) for name in names}


def topics(rescue: Path) -> dict[str, int]:
    """Topic -> partitions that it needs."""
    return {topic: number + 1 for topic, number in sorted(partitions(rescue).values())}


def put(rescue: Path, data: Path) -> None:
    """Replaces the partition directories of a stopped broker by rescued ones, and tends its checkpoint files."""
    lines = log_starts(rescue)
    for name, (topic, number) in partitions(rescue).items():
        target = data / name
        for file in target.iterdir():
            if file.name != "partition.metadata":
                file.unlink()
        for file in (rescue / "segments" / name).iterdir():
            shutil.copyfile(file, target / file.name)
        forget_partition(data, topic, number)
        if name in lines:
            set_checkpoint(data / "log-start-offset-checkpoint", topic, number, lines[name])


def log_starts(rescue: Path) -> dict[str, int]:
    """Directory name -> log start offset that the manifest says to put back."""
    found = {}
    for partition in json.loads((rescue / "manifest.json").read_text())["partitions"]:
        for output in partition["outputs"].values():
            line = output.get("checkpoints", {}).get("log-start-offset-checkpoint")
            if line:
                found[output["directory"].rpartition("/")[2]] = int(line.rpartition(" ")[2])
    return found


def logs(data: Path, names: Mapping[str, Any]) -> dict[str, bytes]:
    """Content of the segment files of some partition directories."""
    return {f"{n}/{p.name}": p.read_bytes() for n in names for p in sorted((data / n).glob("*.log*"))}


def truth(scenes: Path, *, removed: bool = False) -> dict[tuple[str, int], dict[int, Record]]:
    """What consumers read before the damage (or, with ``removed``, before compaction, too), by partition and offset."""
    found: dict[tuple[str, int], dict[int, Record]] = {}
    for path in sorted(scenes.glob("*/truth/*.jsonl.gz")):
        if path.name == "removed.jsonl.gz" and not removed:
            continue
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            row = json.loads(line)
            headers = tuple((name, _bytes(value)) for name, value in row["headers"])
            record = (_bytes(row["key"]), _bytes(row["value"]), headers)
            found.setdefault((row["topic"], row["partition"]), {})[row["offset"]] = record
    return found


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def consumed(cluster: Cluster, topic: str, partition: int) -> dict[int, Record]:
    """What a consumer reads now, by offset."""
    found: dict[int, Record] = {}
    for message in cluster.consume(topic, partition):
        headers = tuple((name, value) for name, value in message.headers() or [])
        assert message.offset() not in found
        found[message.offset()] = (message.key(), message.value(), headers)
    return found


def promised(rescue: Path, name: str) -> tuple[set[int], set[int]]:
    """Offsets of data records in the JSONL of a partition: in decided transactions (or none), and undecided."""
    topic, _, number = name.rpartition("-")
    decided: set[int] = set()
    undecided: set[int] = set()
    with (rescue / "jsonl" / topic / f"{number}.jsonl").open() as stream:
        for line in stream:
            row = json.loads(line)
            side = undecided if row["_salvage"]["transaction"] in {"open", "unknown"} else decided
            side.add(row["offset"])
    return decided, undecided


def accounted(rescue: Path, topic: str, partition: int) -> list[tuple[int, int]]:
    """Offset ranges that the report calls recovered or repaired."""
    for entry in json.loads((rescue / "report.json").read_text())["partitions"]:
        if (entry["topic"], entry["partition"], entry["state"]) == (topic, partition, "live"):
            return [(r["start"], r["stop"]) for r in entry["offsets"] if r["status"] in {"recovered", "repaired"}]
    raise LookupError(f"{topic}-{partition} is not in the report")
