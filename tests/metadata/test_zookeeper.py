"""ZooKeeper's files against what a real ensemble showed, and against damage."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from kafka_salvage.metadata import zookeeper
from kafka_salvage.metadata.zookeeper import Tree, image_of, read_tree
from kafka_salvage.scan.replica import EvidenceFile
from kafka_salvage.wire.filenames import FileKind
from tests.support import metadata as write
from tests.support.corpus import scene

TOPIC = b'{"version":3,"partitions":{"0":[1,2],"1":[2,1]},"topic_id":"x"}'


def files(root: Path) -> list[EvidenceFile]:
    kinds = {"snapshot": FileKind.ZOOKEEPER_SNAPSHOT, "log": FileKind.ZOOKEEPER_LOG}
    return [
        EvidenceFile("zk", p.relative_to(root).as_posix(), p, p.stat().st_size, kinds[p.name.partition(".")[0]])
        for p in sorted(root.rglob("*.*"))
    ]


def lay(root: Path, content: Mapping[str, bytes]) -> list[EvidenceFile]:
    for name, data in content.items():
        (root / name).write_bytes(data)
    return files(root)


def shown(tree: Tree) -> dict[str, dict[str, object]]:
    """Nodes as ZooKeeper's own client shows them."""
    children: dict[str, int] = {}
    for path in tree.nodes:
        if path:
            children[path.rpartition("/")[0]] = children.get(path.rpartition("/")[0], 0) + 1
    return {
        path or "/": {
            "path": path or "/",
            "data": None if node.data is None else base64.b64encode(node.data).decode(),
            "czxid": node.stat.czxid,
            "mzxid": node.stat.mzxid,
            "pzxid": node.stat.pzxid,
            "ctime": node.stat.ctime,
            "mtime": node.stat.mtime,
            "version": node.stat.version,
            # a client is shown the changes of the children: creations and deletions
            "cversion": 2 * node.stat.cversion - children.get(path, 0),
            "aversion": node.stat.aversion,
            "ephemeralOwner": node.stat.ephemeral_owner,
        }
        for path, node in tree.nodes.items()
    }


@pytest.mark.corpus
@pytest.mark.parametrize("name", ["zk28", "zk39"])
def test_every_node_of_a_real_ensemble_comes_out_with_its_state(name: str) -> None:
    root = scene("old-1", name)
    tree = read_tree(files(root / "zookeeper"))
    with gzip.open(root / "truth" / "znodes.jsonl.gz", "rt") as stream:
        truth = {node["path"]: node for node in map(json.loads, stream)}
    assert shown(tree) == truth
    assert tree.notes == ()


@pytest.mark.corpus
@pytest.mark.parametrize("name", ["zk28", "zk39"])
def test_without_snapshots_the_logs_give_the_same(name: str) -> None:
    root = scene("old-1", name)
    logs = [file for file in files(root / "zookeeper") if file.kind is FileKind.ZOOKEEPER_LOG]
    with gzip.open(root / "truth" / "znodes.jsonl.gz", "rt") as stream:
        truth = {node["path"]: node["data"] for node in map(json.loads, stream)}
    # ZooKeeper's own nodes are there before the first transaction
    assert {path: node["data"] for path, node in shown(read_tree(logs)).items()} == {
        path: data for path, data in truth.items() if path != "/" and not path.startswith("/zookeeper")
    }


@pytest.mark.corpus
def test_topics_configs_and_deleted_topics_of_a_real_ensemble() -> None:
    root = scene("old-1", "zk28")
    truth = json.loads((root / "truth" / "topics.json").read_text())
    image = image_of(read_tree(files(root / "zookeeper")))
    topics = {topic.name: topic for topic in image.topics}
    assert set(truth) - set(topics) == set()
    for name, told in truth.items():
        assert topics[name].topic_id == told["topicId"]
        assert {n: (list(p.replicas), sorted(p.isr), p.leader) for n, p in topics[name].partitions.items()} == {
            p["partition"]: (p["replicas"], sorted(p["isr"]), p["leader"]) for p in told["partitions"]
        }
    assert topics["clicks_lz4"].configs["retention.bytes"] == "-1"
    assert [(topic.name, bool(topic.topic_id)) for topic in image.deleted] == [("dropped", True)]
    assert [broker.broker_id for broker in image.brokers] == [0, 1]
    assert image.known_from == "zookeeper"


@pytest.mark.corpus
def test_a_damaged_newest_snapshot_is_passed_over(tmp_path: Path) -> None:
    root = scene("old-1", "zk28") / "zookeeper"
    data = {p.name: p.read_bytes() for p in (root / "version-2").iterdir()}
    data["snapshot.93"] = data["snapshot.93"][:6000] + b"\xff" + data["snapshot.93"][6001:]
    tree = read_tree(lay(tmp_path, data))
    assert shown(tree) == shown(read_tree(files(root)))
    assert any("snapshot.93" in note and "checksum" in note for note in tree.notes)


def test_the_tree_after_creations_changes_and_deletions(tmp_path: Path) -> None:
    ground = write.zookeeper_snapshot({"/a": b"1", "/a/b": b"2", "/gone": None}, zxid=4)
    log = write.zookeeper_log(
        [
            write.zookeeper_create(5, "/a/c", b"new"),
            write.zookeeper_set(6, "/a", b"changed"),
            write.zookeeper_delete(7, "/gone"),
            write.zookeeper_create(8, "/mine", b"", ephemeral=True, client=9),
            write.zookeeper_create(9, "/yours", b"", ephemeral=True, client=10),
            write.zookeeper_entry(10, -11, b"", client=9),
        ]
    )
    tree = read_tree(lay(tmp_path, {"snapshot.4": ground, "log.5": log}))
    assert {path: node.data for path, node in tree.nodes.items()} == {
        "": b"", "/a": b"changed", "/a/b": b"2", "/a/c": b"new", "/yours": b"",
    }  # fmt: skip
    assert (tree.zxid, tree.notes) == (10, ())


def test_an_entry_that_is_damaged_costs_itself_and_is_named(tmp_path: Path) -> None:
    entries = [write.zookeeper_create(n, f"/n{n}", bytes([n])) for n in range(1, 9)]
    torn = bytearray(b"".join(entries[:3]))
    torn[len(entries[0]) + len(entries[1]) + 40] ^= 1  # inside the third
    log = write.zookeeper_log([bytes(torn), bytes(512), *entries[3:]])
    tree = read_tree(lay(tmp_path, {"log.1": log}))
    assert set(tree.nodes) == {"/n1", "/n2", *(f"/n{n}" for n in range(4, 9))}
    assert any("are no entry" in note for note in tree.notes)
    assert any("0x3 to 0x3 are in no log" in note for note in tree.notes)


def test_a_gap_behind_the_snapshot_is_named(tmp_path: Path) -> None:
    content = {
        "snapshot.4": write.zookeeper_snapshot({"/a": b""}, zxid=4),
        "log.9": write.zookeeper_log([write.zookeeper_create(9, "/b", b"")]),
    }
    tree = read_tree(lay(tmp_path, content))
    assert set(tree.nodes) == {"", "/a", "/b"}
    assert tree.notes == ("transactions 0x5 to 0x8 are in no log",)


def test_a_failed_multi_changes_nothing_and_leaves_no_gap(tmp_path: Path) -> None:
    error = write.zookeeper_entry(2, 14, b"\0\0\0\x01" + b"\xff\xff\xff\xff" + b"\0\0\0\x04" + b"\0\0\0\x9d")
    log = write.zookeeper_log([write.zookeeper_create(1, "/a", b""), error, write.zookeeper_create(3, "/b", b"")])
    tree = read_tree(lay(tmp_path, {"log.1": log}))
    assert (set(tree.nodes), tree.notes) == ({"/a", "/b"}, ())


@pytest.mark.parametrize("cut", [0, 3, 15, 16, 30, 60])
def test_files_that_are_cut_anywhere_are_damage_not_errors(tmp_path: Path, cut: int) -> None:
    ground = write.zookeeper_snapshot({"/a": b"1"}, zxid=1)
    log = write.zookeeper_log([write.zookeeper_create(2, "/b", b"")], zeros=0)
    tree = read_tree(lay(tmp_path, {"snapshot.1": ground[:cut], "log.2": log[:cut]}))
    assert set(tree.nodes) <= {"", "/a", "/b"}
    assert tree.notes


def test_a_chroot_is_found_and_topics_are_read_below_it(tmp_path: Path) -> None:
    nodes: dict[str, bytes | None] = {
        "/kafka": b"",
        "/kafka/cluster": None,
        "/kafka/cluster/id": b'{"version":"1","id":"abc"}',
        "/kafka/brokers": None,
        "/kafka/brokers/ids": None,
        "/kafka/brokers/ids/2": b'{"endpoints":["PLAINTEXT://h:9092"],"rack":"r1"}',
        "/kafka/brokers/topics": None,
        "/kafka/brokers/topics/t": TOPIC,
        "/kafka/brokers/topics/t/partitions": None,
        "/kafka/brokers/topics/t/partitions/1": None,
        "/kafka/brokers/topics/t/partitions/1/state": b'{"leader":2,"leader_epoch":7,"isr":[2]}',
        "/kafka/config/topics/t": b'{"version":1,"config":{"cleanup.policy":"compact"}}',
        "/kafka/brokers/topics/broken": b"{",
    }
    image = image_of(read_tree(lay(tmp_path, {"snapshot.1": write.zookeeper_snapshot(nodes)})))
    topic = image.topics[1]
    assert (image.cluster_id, [t.name for t in image.topics]) == ("abc", ["broken", "t"])
    assert (topic.topic_id, topic.configs) == ("x", {"cleanup.policy": "compact"})
    assert {n: (p.replicas, p.leader, p.leader_epoch) for n, p in topic.partitions.items()} == {
        0: ((1, 2), -1, -1),
        1: ((2, 1), 2, 7),
    }
    assert image.brokers[0].endpoints == ("PLAINTEXT://h:9092",)


def test_a_compressed_snapshot_is_inflated(tmp_path: Path) -> None:
    data = gzip.compress(write.zookeeper_snapshot({"/a": b"1"}, zxid=1))
    assert set(read_tree(lay(tmp_path, {"snapshot.1.gz": data})).nodes) == {"", "/a"}


def test_files_are_told_by_source_and_directory(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "log.1").write_bytes(b"")
    (tmp_path / "b" / "log.2").write_bytes(b"")
    assert set(zookeeper.files_of(files(tmp_path))) == {("zk", "a"), ("zk", "b")}
