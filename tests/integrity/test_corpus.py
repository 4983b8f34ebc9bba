"""The account of real brokers' directories, held to what was produced and read back."""

from __future__ import annotations

import gzip
import itertools
import json
from collections import Counter, defaultdict
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kafka_salvage.integrity.document import dumps
from kafka_salvage.integrity.report import IntegrityReport, make_report
from kafka_salvage.plan.edges import open_patched, read_edges
from kafka_salvage.plan.merge import make_plan
from kafka_salvage.plan.plan import TRANSACTION_CODES, PartitionPlan, Plan, Status
from kafka_salvage.plan.policy import Policy, Selection
from kafka_salvage.regions.survey import SurveyOptions, survey_replica
from kafka_salvage.scan.records import decode
from kafka_salvage.scan.replica import take_inventory
from tests.support.corpus import scene

pytestmark = pytest.mark.corpus

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "report.schema.json"
Key = tuple[str, int]


def truth(where: Path, *names: str) -> dict[Key, dict[int, str]]:
    """Offset -> transaction fate, per partition."""
    found: dict[Key, dict[int, str]] = defaultdict(dict)
    for name in names:
        with gzip.open(where / "truth" / f"{name}.jsonl.gz", "rt") as lines:
            for line in lines:
                row = json.loads(line)
                found[row["topic"], row["partition"]][row["offset"]] = row["txn"]
    return found


def judged(*paths: Path, deep: bool = True, policy: Policy | None = None) -> tuple[Plan, IntegrityReport]:
    policy = policy or Policy()
    inventory = take_inventory([str(path) for path in paths])
    options = SurveyOptions(deep=deep)
    surveys = [
        survey_replica(replica, options)
        for replica in inventory.replicas
        if policy.selection.wants(replica.topic, replica.partition)
    ]
    plan = make_plan(inventory, surveys, policy)
    return plan, make_report(plan, "deep" if deep else "shallow")


@cache
def seen(archive: str, name: str, *parts: str) -> tuple[Plan, IntegrityReport, dict[str, Any]]:
    plan, report = judged(*(scene(archive, name) / part for part in parts))
    return plan, report, report.to_dict()


def records_of(partition: PartitionPlan) -> dict[int, str]:
    """Offset -> label of every data record of the line."""
    found: dict[int, str] = {}
    for step in partition.line:
        table = read_edges(step.survey, step.start, step.stop)
        with closing(open_patched(step.survey)) as source:
            for part in decode(source, table):
                made = part.table
                codes = partition.labels.lookup(made.batches)
                control = made.batches.is_control
                for offset, row in zip(made.offset.tolist(), made.batch.tolist(), strict=True):
                    if not control[row] and offset >= partition.log_start:
                        assert offset not in found
                        found[offset] = str(TRANSACTION_CODES[codes[row]])
    return found


def main_partitions(plan: Plan) -> dict[Key, PartitionPlan]:
    return {(p.topic, p.partition): p for p in plan.partitions if p.selected and not p.topic.startswith("__")}


def harmful(document: dict[str, Any]) -> Counter[str]:
    return Counter(f["code"] for f in document["findings"])


OLD = [
    ("v0", ("records",)),
    ("v09", ("records",)),
    ("v1", ("records", "deleted")),
    ("mixed", ("records",)),
    ("zk39", ("records",)),
]


@pytest.mark.parametrize(("name", "files"), OLD)
def test_old_brokers_come_out_as_they_were_read(name: str, files: tuple[str, ...]) -> None:
    plan, report, document = seen("old-1", name, "broker-0")
    expected = truth(scene("old-1", name), *files)
    partitions = main_partitions(plan)
    assert report.exit_code == 0, harmful(document)
    assert {key for key, p in partitions.items() if p.ledger} == set(expected)
    for key, offsets in expected.items():
        assert records_of(partitions[key]) == dict.fromkeys(offsets, "none"), key
    records = {(p["topic"], p["partition"]): p["records"]["data"] for p in document["partitions"] if p["selected"]}
    assert {key: records[key] for key in expected} == {key: len(offsets) for key, offsets in expected.items()}


@pytest.mark.parametrize("name", ["v0", "v09", "v1", "mixed", "zk39"])
def test_what_compaction_removed_is_absent_and_not_lost(name: str) -> None:
    plan, _, document = seen("old-1", name, "broker-0")
    for key, offsets in truth(scene("old-1", name), "removed").items():
        partition = main_partitions(plan)[key]
        inside = [s for s in partition.ledger if s.status in (Status.RECOVERED, Status.ABSENT)]
        assert all(any(s.offsets.contains(o) for s in inside) for o in offsets), key
    counts = document["summary"]["offsets"]
    assert counts["lost"] == counts["missing"] == 0


@pytest.mark.parametrize("broker", ["broker-1", "broker-2", "broker-3"])
def test_each_broker_of_a_cluster_comes_out_whole(broker: str) -> None:
    plan, report, document = seen("modern-1", "cluster", broker)
    where = scene("modern-1", "cluster")
    names = ["a-b-1", "audit.events_v1", "clicks-gzip", "clicks-lz4", "clicks-snappy", "clicks-zstd", "gone"]
    names += ["payments", "profiles", "trimmed", "trimmed-late"]
    partitions = main_partitions(plan)
    assert report.exit_code == 0, harmful(document)
    for key, fates in truth(where, *names).items():
        assert records_of(partitions[key]) == fates, key
    for key, fates in truth(where, "orders").items():
        found = records_of(partitions[key])
        assert fates.items() <= found.items()
    for (topic, number), fates in truth(where, "orders.burst").items():
        assert set(fates) <= set(records_of(partitions[topic, number]))


def test_the_deleted_topic_is_named_beside_the_one_created_again() -> None:
    plan, _, document = seen("modern-1", "cluster", "broker-1")
    old = next(p for p in plan.partitions if p.topic == "gone" and not p.selected)
    expected = truth(scene("modern-1", "cluster"), "gone.deleted")
    assert set(records_of(old)) == set(next(iter(expected.values())))
    assert any("deleted-topics" in hint for hint in document["hints"])


def test_trimmed_partitions_begin_where_the_broker_said() -> None:
    plan, _, _ = seen("modern-1", "cluster", "broker-1")
    partitions = main_partitions(plan)
    assert partitions["trimmed", 0].log_start == 333
    assert partitions["trimmed-late", 0].log_start == 410
    assert partitions["trimmed-late", 0].ledger[0].offsets.start == 0


@pytest.mark.parametrize(("broker", "branch"), [("broker-1", "ledger.branch-a"), ("broker-2", "ledger.branch-b")])
def test_each_side_of_an_unclean_election_is_whole_by_itself(broker: str, branch: str) -> None:
    plan, report, document = seen("modern-1", "unclean", broker)
    expected = truth(scene("modern-1", "unclean"), "ledger.common", branch)
    assert report.exit_code == 0, harmful(document)
    assert records_of(main_partitions(plan)["ledger", 0]) == expected["ledger", 0]


def test_the_directory_before_the_damages_is_intact() -> None:
    plan, report, document = seen("modern-1", "eaten", "before")
    assert report.exit_code == 0, harmful(document)
    for key, fates in truth(scene("modern-1", "eaten"), "events", "other").items():
        assert records_of(main_partitions(plan)[key]) == fates


def test_a_directory_that_a_broker_start_cut_shows_no_more_than_it_can_know() -> None:
    plan, _, _ = seen("modern-1", "eaten", "after-D1")
    partition = main_partitions(plan)["events", 0]
    assert set(records_of(partition)) == set(range(1557))


def test_two_disks_of_one_broker_stand_side_by_side() -> None:
    plan, report, document = seen("modern-1", "jbod", "broker-1")
    where = scene("modern-1", "jbod")
    partitions = main_partitions(plan)
    assert report.exit_code == 6, harmful(document)  # the stray topic is nowhere else
    for key, fates in truth(where, "metrics", "readings", "moving").items():
        assert records_of(partitions[key]) == fates, key
    for key, fates in truth(where, "doomed.stray").items():
        assert records_of(partitions[key]) == fates, key
        assert partitions[key].leans_on_leftovers
    assert any("--include future" in hint for hint in document["hints"])


@pytest.mark.parametrize(
    ("archive", "name", "part"),
    [("old-1", name, "broker-0") for name, _ in OLD]
    + [("modern-1", "cluster", "broker-2"), ("modern-1", "jbod", "broker-1"), ("modern-1", "eaten", "before")],
)
def test_documents_are_valid_and_both_accounts_add_up(archive: str, name: str, part: str) -> None:
    _, _, document = seen(archive, name, part)
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(json.loads(dumps(document)))
    for segment in document["segments"]:
        at = 0
        for region in segment["regions"]:
            assert region["start"] == at
            at = region["stop"]
        assert at == segment["size"]
    size = document["summary"]["bytes"]
    assert size["total"] == sum(count for verdict, count in size.items() if verdict != "total")
    for partition in document["partitions"]:
        spans = partition["offsets"]
        assert all(left["stop"] == right["start"] for left, right in itertools.pairwise(spans))
        assert (
            sum(partition["records"][label] for label in ("none", "committed", "aborted", "open", "unknown"))
            == (partition["records"]["data"])
        )


def test_the_same_report_for_any_order_of_sources() -> None:
    where = scene("old-1", "zk39") / "broker-0"
    parts = sorted(p for p in where.iterdir() if p.is_dir() and p.name.startswith(("payments", "recoded")))
    one, two = judged(*parts, deep=False)[1], judged(*reversed(parts), deep=False)[1]
    assert dumps(one.to_dict()) == dumps(two.to_dict())


def test_selected_offsets_are_counted_exactly_in_wrappers_and_transactions() -> None:
    where = scene("modern-1", "cluster")
    fates = truth(where, "payments")["payments", 0]
    policy = Policy(selection=Selection(topics=frozenset({"payments"}), partition=0, from_offset=57, to_offset=233))
    _, report = judged(where / "broker-1", policy=policy, deep=False)
    (partition,) = [p for p in report.to_dict()["partitions"] if p["selected"]]
    counted = Counter(fate for offset, fate in fates.items() if 57 <= offset < 233)
    assert {k: v for k, v in partition["records"].items() if k in counted} == dict(counted)
    assert partition["records"]["data"] == sum(counted.values())
    old = scene("old-1", "v1")
    offsets = truth(old, "records")["v1-compact-gzip", 0]
    policy = Policy(selection=Selection(topics=frozenset({"v1-compact-gzip"}), from_offset=101, to_offset=307))
    _, report = judged(old / "broker-0", policy=policy, deep=False)
    assert report.to_dict()["summary"]["records"]["intact"] == len([o for o in offsets if 101 <= o < 307])
