"""The report says whether a partition counts as compacted, and how that is known."""

from __future__ import annotations

import shutil
from pathlib import Path

import kafka_salvage
from tests.support.bases import FIXTURES
from tests.support.cut_metadata import METADATA

BROKER = FIXTURES / "cluster" / "broker-1"
CONTROLLER = METADATA / "cluster" / "broker-2"


def compaction(*paths: Path) -> dict[str, tuple[bool, str]]:
    document = kafka_salvage.check([str(path) for path in paths]).to_dict()
    found = {f"{p['topic']}-{p['partition']}": p["compaction"] for p in document["partitions"]}
    return {name: (each["compacted"], each["because"]) for name, each in found.items()}


def test_metadata_tells_the_policy() -> None:
    told = compaction(BROKER, CONTROLLER)
    assert told["profiles-0"] == (True, "cluster metadata says so")
    assert told["orders-0"] == (False, "no batch shows a sign of compaction")  # nobody set a policy
    assert told["__consumer_offsets-0"][0]


def test_without_metadata_it_is_inferred_and_said_so(tmp_path: Path) -> None:
    told = compaction(BROKER)
    assert told["profiles-0"] == (True, "the cleaner checkpoint lists the partition")
    assert told["orders-0"] == (False, "no batch shows a sign of compaction")
    shutil.copytree(BROKER / "profiles-0", tmp_path / "profiles-0")
    assert compaction(tmp_path)["profiles-0"] == (True, "batches show holes, emptiness or a delete horizon")
