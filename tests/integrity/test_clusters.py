"""The report's topics and clusters: from metadata where it is there, and what should be somewhere and is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import kafka_salvage
from kafka_salvage.cli.verdict import verdict
from kafka_salvage.metadata.learning import learn
from kafka_salvage.regions.context import SurveyOptions
from kafka_salvage.regions.survey import survey_replica
from kafka_salvage.scan.replica import take_inventory
from tests.support import metadata as write
from tests.support.build import Build, segment
from tests.support.corpus import ROOT, scene

SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text())
METADATA = "__cluster_metadata-0"


def report(*paths: Path, **flags: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(kafka_salvage.check(paths, **flags).to_dict()))
    jsonschema.validate(document, SCHEMA)
    return document


def topics(document: dict[str, Any]) -> dict[tuple[str, bool | None], dict[str, Any]]:
    return {(topic["name"], topic["deleted"]): topic for topic in document["topics"]}


def lay(root: Path, node: int = 1) -> Path:
    """A broker that knows `t` (two partitions, on brokers 1 and 2) and `u` (on broker 3), and holds `t-0`."""
    write.log_dir(root, node)
    values = [
        write.topic_record("t", 1),
        write.partition_record(1, 0, [1, 2], 1),
        write.partition_record(1, 1, [2, 1], 2),
        write.config_record("t", "retention.ms", "9"),
        write.topic_record("u", 2),
        write.partition_record(2, 0, [3], 3),
        write.topic_record("old", 3),
        write.remove_topic(3),
    ]
    write.partition(root, METADATA, write.metadata_log(values))
    write.partition(root, "t-0", segment(2)[0], topic_id=write.uuid_text(1))
    return root


def test_topics_are_told_from_metadata(tmp_path: Path) -> None:
    document = report(lay(tmp_path))
    found = topics(document)
    topic = found["t", False]
    assert (topic["known_from"], topic["topic_id"], topic["partitions"]) == ("cluster-metadata", write.uuid_text(1), 2)
    assert (topic["configs"], topic["replicas"]) == ({"retention.ms": "9"}, {"0": [1, 2], "1": [2, 1]})
    assert (topic["directories"], topic["size"]) == (1, (tmp_path / "t-0" / f"{0:020d}.log").stat().st_size)
    assert found["old", True]["directories"] == 0
    (cluster,) = document["clusters"]
    assert (cluster["cluster_id"], cluster["known_from"], cluster["reach"]) == (write.CLUSTER, "cluster-metadata", 8)


def test_what_an_assignment_promises_and_no_directory_holds_is_named(tmp_path: Path) -> None:
    document = report(lay(tmp_path))
    found = topics(document)
    promised = {"partition": 1, "expected": [2, 1], "given": [1], "here": False, "gone": True}
    elsewhere = {"partition": 0, "expected": [3], "given": [], "here": False, "gone": False}
    assert found["t", False]["absent"] == [promised]
    assert found["u", False]["absent"] == [elsewhere]
    hint = next(hint for hint in document["hints"] if "No copy of" in hint)
    assert "2 partitions" in hint
    assert "t-1, u-0" in hint
    assert "brokers 1, 2, 3" in hint
    assert document["summary"]["exit_code"] == 3
    assert "no copy of 1 partition is here (t-1), and nobody knows how much" in verdict(document)[1]


def test_what_other_brokers_or_disks_may_hold_is_no_loss(tmp_path: Path) -> None:
    lay(tmp_path)
    assert report(tmp_path, topic="t", partition=0)["summary"]["exit_code"] == 0
    write.partition(tmp_path, "t-1.0123456789abcdef0123456789abcdef-stray", segment(2)[0], topic_id=write.uuid_text(1))
    found = report(tmp_path)
    assert found["summary"]["exit_code"] == 6
    assert not topics(found)["t", False]["absent"][0]["gone"]


def test_a_given_broker_that_lacks_its_copy_is_named(tmp_path: Path) -> None:
    lay(tmp_path / "one")
    write.log_dir(tmp_path / "two", 2)
    write.partition(tmp_path / "two", "t-1", segment(2)[0], topic_id=write.uuid_text(1))
    document = report(tmp_path / "one", tmp_path / "two")
    assert topics(document)["t", False]["absent"] == [
        {"partition": 0, "expected": [1, 2], "given": [2], "here": True, "gone": False},
        {"partition": 1, "expected": [2, 1], "given": [1], "here": True, "gone": False},
    ]
    assert any("Brokers 1, 2 should have a copy of 2 partitions" in hint for hint in document["hints"])


def test_filters_and_single_directories_promise_nothing(tmp_path: Path) -> None:
    lay(tmp_path)
    assert topics(report(tmp_path, partition=0, topic="t"))["t", False]["absent"] == []
    document = report(tmp_path / "t-0", tmp_path / METADATA)
    assert topics(document)["t", False]["absent"] == []
    assert not any("No copy" in hint for hint in document["hints"])


def test_without_metadata_directories_speak(tmp_path: Path) -> None:
    lay(tmp_path)
    shutil.rmtree(tmp_path / METADATA)
    document = report(tmp_path)
    assert [(t["name"], t["known_from"], t["deleted"]) for t in document["topics"]] == [
        ("t", "partition-metadata", None)
    ]
    (cluster,) = document["clusters"]
    assert (cluster["known_from"], [b["id"] for b in cluster["brokers"]]) == ("directories", [1])


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("archive", "name", "below", "known_from"),
    [("modern-1", "cluster", "broker-2", "cluster-metadata"), ("old-1", "zk39", ".", "zookeeper")],
)
def test_topics_of_real_clusters(archive: str, name: str, below: str, known_from: str) -> None:
    root = scene(archive, name)
    truth = json.loads((root / "truth" / "topics.json").read_text())
    document = report(root / below)
    found = {t["name"]: t for t in document["topics"] if not t["deleted"]}
    for topic, facts in truth.items():
        assert found[topic]["known_from"] == known_from
        assert found[topic]["partitions"] == len(facts["partitions"])
        assert found[topic]["absent"] == []
        assert facts["configs"].items() <= found[topic]["configs"].items()


@pytest.mark.corpus
def test_zookeeper_s_directory_may_be_given_apart() -> None:
    root = scene("old-1", "zk28")
    document = report(root / "broker-1", root / "zookeeper")
    assert {t["name"] for t in document["topics"] if t["known_from"] == "zookeeper"} >= {"orders", "state-compact"}
    assert {f["kind"] for f in document["files"] if f["source"] == "zookeeper"} == {
        "zookeeper-log",
        "zookeeper-snapshot",
    }
    with pytest.raises(kafka_salvage.RequestError, match="holds no Kafka files"):
        kafka_salvage.check(root / "zookeeper")


def test_cleanup_policies_reach_the_judges(tmp_path: Path) -> None:
    root = write.log_dir(tmp_path)
    values = []
    for number, (name, policy) in enumerate([("thin", "compact"), ("full", "delete"), ("unsaid", "")], 1):
        values += [write.topic_record(name, number), write.partition_record(number, 0, [1], 1)]
        values += [write.config_record(name, "cleanup.policy", policy)] if policy else []
        data, _ = Build().v2(5).gap(3).v2(5).gap(2).v2(5).v2(5).done()
        write.partition(root, f"{name}-0", data, topic_id=write.uuid_text(number))
    write.partition(root, METADATA, write.metadata_log(values))
    inventory = take_inventory([root])
    learned = learn(inventory, inventory, SurveyOptions(), survey_replica)
    told = {s.replica.topic: (s.compaction.compacted, s.compaction.reason) for s in learned.surveys}
    assert told["thin"] == (True, "cluster metadata says so")
    assert told["full"] == (False, "cluster metadata says so")
    assert told["unsaid"][0] is True  # several gaps between batches that touch
    document = report(root)
    missing = {
        p["topic"]: sum(s["stop"] - s["start"] for s in p["offsets"] if s["status"] == "missing")
        for p in document["partitions"]
    }
    assert (missing["thin"], missing["full"], missing["unsaid"]) == (0, 5, 0)


def test_signs_of_a_cleaning_weigh_more_than_the_policy_of_today(tmp_path: Path) -> None:
    root = write.log_dir(tmp_path)
    data, _ = Build().v2(10, keep=[0, 5, 9]).gap(3).v2(5).v2(5).done()
    write.partition(root, "t-0", data)
    values = [
        write.topic_record("t", 1),
        write.partition_record(1, 0, [1], 1),
        write.config_record("t", "cleanup.policy", "delete"),
    ]
    write.partition(root, METADATA, write.metadata_log(values))
    document = report(root)
    assert document["summary"]["offsets"]["missing"] == 0


def test_topics_with_remote_storage_are_known(tmp_path: Path) -> None:
    root = write.log_dir(tmp_path)
    values = [
        write.topic_record("t", 1),
        write.partition_record(1, 0, [1], 1),
        write.config_record("t", "remote.storage.enable", "true"),
    ]
    write.partition(root, METADATA, write.metadata_log(values))
    write.partition(root, "t-0", segment(2, base=100)[0], base=100)
    (root / "log-start-offset-checkpoint").write_text("0\n1\nt 0 40\n")
    (partition,) = [p for p in report(root)["partitions"] if p["topic"] == "t"]
    first = partition["offsets"][0]
    assert (first["start"], first["stop"], first["status"], first["reason"]) == (40, 100, "absent", "remote-tier")
