"""Cutter of `fixtures/metadata`: Kafka's own topics and ZooKeeper's files of the large corpus, with their truth.

Run `python -m tests.support.cut_metadata` to make the directory again; the result is byte-identical.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from tests.support.corpus import ROOT, scene
from tests.support.cut import INDEXES

METADATA = ROOT / "fixtures" / "metadata"
SUMS = METADATA / "SHA256SUMS"
BROKER = "broker-2"
DIRECTORIES = (
    "__cluster_metadata-0",
    *(f"__consumer_offsets-{n}" for n in range(4)),
    *(f"__transaction_state-{n}" for n in range(2)),
)
TAIL = 512
"""Zeros kept of a preallocated ZooKeeper log."""


def _copy_directory(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for file in sorted(source.iterdir()):
        data = file.read_bytes()
        if file.suffix in INDEXES:
            step = 8 if file.suffix == ".index" else 12
            data = data[: -(-len(data.rstrip(b"\0")) // step) * step]
        (target / file.name).write_bytes(data)


def _copy_truth(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    topics = json.loads((source / "topics.json").read_text())
    for topic in topics.values():
        topic.pop("effective", None)
    (target / "topics.json").write_text(json.dumps(topics, indent=1, sort_keys=True) + "\n")
    for name in ("groups.json", "znodes.jsonl.gz"):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def cut() -> None:
    """Makes `fixtures/metadata` anew."""
    shutil.rmtree(METADATA, ignore_errors=True)
    cluster, zk39 = scene("modern-1", "cluster"), scene("old-1", "zk39")
    for name in DIRECTORIES:
        _copy_directory(cluster / BROKER / name, METADATA / "cluster" / BROKER / name)
    shutil.copyfile(cluster / BROKER / "meta.properties", METADATA / "cluster" / BROKER / "meta.properties")
    _copy_truth(cluster / "truth", METADATA / "cluster" / "truth")
    target = METADATA / "zk39" / "zookeeper" / "version-2"
    target.mkdir(parents=True)
    for file in sorted((zk39 / "zookeeper" / "version-2").iterdir()):
        data = file.read_bytes()
        if file.name.startswith("log."):
            data = data.rstrip(b"\0") + bytes(TAIL)
        (target / file.name).write_bytes(data)
    _copy_truth(zk39 / "truth", METADATA / "zk39" / "truth")
    SUMS.write_text("".join(f"{digest}  {name}\n" for name, digest in sums().items()))


def sums() -> dict[str, str]:
    """SHA-256 of every file, by path below the directory."""
    files = sorted(p for p in METADATA.rglob("*") if p.is_file() and p != SUMS)
    return {p.relative_to(METADATA).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


if __name__ == "__main__":
    cut()
