"""Images of KRaft clusters against what live brokers said, and over damaged logs and snapshots."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from kafka_salvage.metadata.cluster import TOPIC, images_of
from kafka_salvage.metadata.image import ClusterImage
from kafka_salvage.regions.survey import survey_replica
from kafka_salvage.scan.replica import take_inventory
from tests.support import metadata as write
from tests.support.corpus import scene

SCENES = [("cluster", "."), ("unclean", "."), ("eaten", "before"), ("jbod", ".")]


def images(*paths: Path) -> list[ClusterImage]:
    inventory = take_inventory(paths)
    return images_of([survey_replica(replica) for replica in inventory.replicas if replica.topic == TOPIC])


def image(*paths: Path) -> ClusterImage:
    (one,) = images(*paths)
    return one


def lay(root: Path, log: bytes, base: int = 0, snapshots: dict[str, bytes] | None = None) -> Path:
    write.log_dir(root)
    place = write.partition(root, f"{TOPIC}-0", log, base)
    for name, data in (snapshots or {}).items():
        (place / name).write_bytes(data)
    return root


def told(one: ClusterImage) -> dict[str, tuple[str | None, dict[int, tuple[int, ...]], dict[str, str]]]:
    return {t.name: (t.topic_id, {n: p.replicas for n, p in t.partitions.items()}, dict(t.configs)) for t in one.topics}


@pytest.mark.corpus
@pytest.mark.parametrize(("name", "below"), SCENES)
def test_topics_are_as_the_live_cluster_said(name: str, below: str) -> None:
    root = scene("modern-1", name)
    truth = json.loads((root / "truth" / "topics.json").read_text())
    found = told(image(root / below))
    for topic, facts in truth.items():
        replicas = {p["partition"]: tuple(p["replicas"]) for p in facts["partitions"]}
        topic_id = facts["topicId"].replace("/", "_").replace("+", "-")  # once in the other alphabet
        assert found[topic] == (topic_id, replicas, facts["configs"])


@pytest.mark.corpus
def test_terms_of_leaders_and_deleted_topics_are_kept() -> None:
    one = image(scene("modern-1", "cluster"))
    orders = next(topic for topic in one.topics if topic.name == "orders")
    assert {n: p.leaders for n, p in orders.partitions.items()} == {
        0: ((0, 1), (1, 2), (2, 1)),
        1: ((0, 2), (1, 3), (2, 2)),
        2: ((0, 3), (1, 1), (2, 3)),
    }
    assert [topic.name for topic in one.deleted] == ["gone"]
    assert {topic.topic_id for topic in one.topics if topic.name == "gone"}.isdisjoint(t.topic_id for t in one.deleted)
    assert [broker.broker_id for broker in one.brokers] == [1, 2, 3]
    assert one.features["metadata.version"] == 27
    assert (one.gaps, one.unknown) == ((), ())


@pytest.mark.corpus
def test_an_unclean_election_shows() -> None:
    (ledger,) = [t for t in image(scene("modern-1", "unclean")).topics if t.name == "ledger"]
    assert ledger.partitions[0].recovering
    assert (2, 2) in ledger.partitions[0].leaders


@pytest.mark.corpus
def test_with_the_beginning_of_every_log_zeroed_the_snapshots_give_the_same(tmp_path: Path) -> None:
    root = scene("modern-1", "cluster")
    for node in ("broker-1", "broker-2", "broker-3"):
        shutil.copytree(root / node / f"{TOPIC}-0", tmp_path / node / f"{TOPIC}-0")
        shutil.copy(root / node / "meta.properties", tmp_path / node / "meta.properties")
        log = tmp_path / node / f"{TOPIC}-0" / "00000000000000000000.log"
        data = bytearray(log.read_bytes())
        data[2000:12000] = bytes(10000)
        log.write_bytes(data)
    whole, damaged = image(root), image(tmp_path)
    assert told(damaged) == told(whole)
    assert damaged.gaps == ()
    assert "begins with the snapshot" in " ".join(damaged.notes)
    assert {(b.broker_id, b.directories) for b in damaged.brokers} == {
        (b.broker_id, b.directories) for b in whole.brokers
    }


@pytest.mark.corpus
def test_what_one_copy_lost_another_gives(tmp_path: Path) -> None:
    root = scene("modern-1", "cluster")
    for number, node in enumerate(("broker-1", "broker-2", "broker-3")):
        place = tmp_path / node / f"{TOPIC}-0"
        shutil.copytree(root / node / f"{TOPIC}-0", place)
        shutil.copy(root / node / "meta.properties", tmp_path / node / "meta.properties")
        for file in place.glob("*.checkpoint"):
            file.unlink()
        log = place / "00000000000000000000.log"
        data = bytearray(log.read_bytes())
        data[3000 + 6000 * number : 6000 + 6000 * number] = bytes(3000)
        log.write_bytes(data)
    assert told(image(tmp_path)) == told(image(root))
    assert image(tmp_path).gaps == ()


def test_records_are_applied_in_order(tmp_path: Path) -> None:
    values = [
        write.topic_record("a", 1),
        write.partition_record(1, 0, [1, 2], 1),
        write.config_record("a", "cleanup.policy", "compact"),
        write.config_record("a", "retention.ms", "5"),
        write.leader_change(1, 0, 2),
        write.leader_change(1, 0, 1),
        write.topic_record("b", 2),
        write.partition_record(2, 0, [1], 1),
        write.remove_topic(2),
        write.config_record("a", "cleanup.policy", "delete"),
        write.config_record("a", "retention.ms", None),
    ]
    one = image(lay(tmp_path, write.metadata_log(values)))
    assert told(one) == {"a": (write.uuid_text(1), {0: (1, 2)}, {"cleanup.policy": "delete"})}
    assert one.topics[0].partitions[0].leaders == ((0, 1), (1, 2), (2, 1))
    assert one.topics[0].past_policies == ("compact",)
    assert [(t.name, t.topic_id) for t in one.deleted] == [("b", write.uuid_text(2))]
    assert one.reach == len(values)


@pytest.mark.parametrize(
    ("tail", "names"),
    [
        ([write.END, write.topic_record("c", 3)], {"a", "b", "c"}),
        ([write.ABORT, write.topic_record("c", 3)], {"a", "c"}),
        ([], {"a"}),
    ],
)
def test_a_metadata_transaction_counts_when_it_ends(tmp_path: Path, tail: Sequence[bytes], names: set[str]) -> None:
    values = [write.topic_record("a", 1), write.BEGIN, write.topic_record("b", 2), *tail]
    one = image(lay(tmp_path, write.metadata_log(values)))
    assert set(told(one)) == names
    assert ("ends inside a metadata transaction" in " ".join(one.notes)) is (not tail)


def test_the_log_goes_on_where_the_snapshot_ends(tmp_path: Path) -> None:
    log = write.metadata_log([write.NO_OP, write.config_record("a", "x", "2"), write.topic_record("b", 2)], base=9)
    ground = write.snapshot([write.topic_record("a", 1), write.config_record("a", "x", "1")])
    older = write.snapshot([write.topic_record("older", 3)])
    names = {"00000000000000000010-0000000001.checkpoint": ground, "00000000000000000007-0000000001.checkpoint": older}
    one = image(lay(tmp_path, log, 9, names))
    assert told(one) == {"a": (write.uuid_text(1), {}, {"x": "2"}), "b": (write.uuid_text(2), {}, {})}
    assert (one.gaps, one.reach) == ((), 12)


def test_a_snapshot_without_its_end_is_second_to_a_whole_one(tmp_path: Path) -> None:
    torn = write.snapshot([write.topic_record("torn", 1)], footer=False)
    whole = write.snapshot([write.topic_record("whole", 2)])
    names = {"00000000000000000020-0000000001.checkpoint": torn, "00000000000000000010-0000000001.checkpoint": whole}
    log = write.metadata_log([write.NO_OP] * 15, base=10)
    assert set(told(image(lay(tmp_path, log, 10, names)))) == {"whole"}
    (tmp_path / f"{TOPIC}-0" / "00000000000000000010-0000000001.checkpoint").unlink()
    one = image(tmp_path)
    assert set(told(one)) == {"torn"}
    assert any("damaged" in note for note in one.notes)


def test_a_gap_behind_the_snapshot_is_named(tmp_path: Path) -> None:
    log = write.metadata_log([write.topic_record("b", 2)], base=15)
    ground = {"00000000000000000010-0000000001.checkpoint": write.snapshot([write.topic_record("a", 1)])}
    one = image(lay(tmp_path, log, 15, ground))
    assert (set(told(one)), one.gaps) == ({"a", "b"}, ((10, 15),))


def test_records_that_are_not_understood_are_kept_apart(tmp_path: Path) -> None:
    values = [write.topic_record("a", 1), write.frame(99, b""), b"\x07", write.partition_record(5, 0, [1], 1)]
    one = image(lay(tmp_path, write.metadata_log(values)))
    assert set(told(one)) == {"a"}
    assert [offset for offset, _ in one.unknown] == [1, 2, 3]


def test_two_clusters_give_two_images(tmp_path: Path) -> None:
    for name, cluster in (("x", "A" * 22), ("y", "B" * 22)):
        lay(tmp_path / name, write.metadata_log([write.topic_record(name, 1)]))
        write.log_dir(tmp_path / name, cluster=cluster)
    assert [(i.cluster_id, [t.name for t in i.topics]) for i in images(tmp_path)] == [
        ("A" * 22, ["x"]),
        ("B" * 22, ["y"]),
    ]
