"""The inventory against data directories of real brokers: every partition directory, with what its name says."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from kafka_salvage.scan.replica import State, Use, take_inventory
from kafka_salvage.wire.filenames import FileKind
from tests.support.corpus import scene

pytestmark = pytest.mark.corpus

SCENES = [
    ("modern-1", "cluster"),
    ("modern-1", "unclean"),
    ("modern-1", "eaten"),
    ("modern-1", "jbod"),
    ("old-1", "v0"),
    ("old-1", "v09"),
    ("old-1", "v1"),
    ("old-1", "mixed"),
    ("old-1", "zk28"),
    ("old-1", "zk39"),
]
STATES = {"": State.LIVE, "delete": State.DELETED_TOPIC, "stray": State.STRAY, "future": State.FUTURE}


def _expected(root: Path) -> dict[str, tuple[str, int, State]]:
    """Directories that hold `.log` files, read by a pattern of the test's own."""
    found = {}
    for path in root.rglob("*.log*"):
        name = path.parent.name
        match = re.fullmatch(r"(.+)-(\d+)(?:\.[0-9a-f]{32}-(delete|stray|future))?", name)
        if match and re.match(r"\d{20}\.log", path.name):
            found[str(path.parent.relative_to(root))] = (match[1], int(match[2]), STATES[match[3] or ""])
    return found


@pytest.mark.parametrize(("archive", "name"), SCENES)
def test_every_partition_directory_is_recognised(archive: str, name: str) -> None:
    root = scene(archive, name)
    inventory = take_inventory([root])
    assert {r.path: (r.topic, r.partition, r.state) for r in inventory.replicas} == _expected(root)
    assert not any(r.facts for r in inventory.replicas)
    assert not any(d.facts for s in inventory.sources for d in s.log_dirs)
    on_disk = {str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir()}
    assert {f.path for f in inventory.files} == on_disk
    segments = {s.file.path for r in inventory.replicas for s in r.segments}
    assert segments == {p for p in on_disk if re.search(r"/\d{20}\.log(\.deleted|\.swap|\.cleaned)?$", p)}
    unexplained = [f.path for f in inventory.files if f.use is not Use.READ and not f.reason]
    assert unexplained == []


def test_ids_of_a_cluster_are_those_its_description_names() -> None:
    root = scene("modern-1", "cluster")
    described = json.loads((root / "scene.json").read_text())
    inventory = take_inventory([root / "broker-2", root / "broker-3", root / "broker-1"])
    assert [s.name for s in inventory.sources] == ["broker-1", "broker-2", "broker-3"]
    (cluster,) = {r.cluster_id for r in inventory.replicas}
    assert str(cluster) in json.dumps(described)
    gone = {(r.state, r.topic_id) for r in inventory.replicas if r.topic == "gone"}
    assert len(gone) == 2, "the deleted and the re-created topic have an id of their own"
    trimmed = {r.log_start for r in inventory.replicas if r.topic == "trimmed-late"}
    assert trimmed == {410}


def test_a_snapshot_in_mode_0400_and_a_sparse_index_are_no_obstacle() -> None:
    root = scene("modern-1", "cluster") / "broker-1"
    inventory = take_inventory([root])
    snapshots = [f for f in inventory.files if f.kind is FileKind.METADATA_SNAPSHOT]
    assert {f.path.startswith("__cluster_metadata-0/"): f.use for f in snapshots} == {
        True: Use.READ,
        False: Use.IGNORED,  # bootstrap.checkpoint says what the cluster began with
    }
    assert any(f.size == 10 << 20 for f in inventory.files if f.kind is FileKind.OFFSET_INDEX)
    assert os.fspath(inventory.sources[0].root) == os.path.realpath(root)
