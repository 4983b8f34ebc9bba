"""The report of hand-made plans: totals, ids, order, schema."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kafka_salvage.errors import RequestError
from kafka_salvage.integrity.document import dumps, loads
from kafka_salvage.integrity.report import IntegrityReport, make_report
from kafka_salvage.plan.policy import Include, Policy, Selection
from kafka_salvage.regions.runs import ReplicaSurvey
from kafka_salvage.regions.verdict import Finding, Verdict
from kafka_salvage.scan.replica import State
from kafka_salvage.wire.filenames import Suffix
from tests.support.sketch import B, Desk, X, seg

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "report.schema.json"

pytestmark = pytest.mark.usefixtures("no_forecast")

P = 1000


def made(desk: Desk, *surveys: ReplicaSurvey, policy: Policy | None = None) -> IntegrityReport:
    return make_report(desk.plan(*surveys, policy=policy), "shallow", edges=desk.edges)


def valid(report: IntegrityReport) -> dict[str, Any]:
    document = json.loads(dumps(report.to_dict()))
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(document)
    return dict(document)


def busy(desk: Desk) -> list[ReplicaSurvey]:
    damaged = desk.copy(
        seg(0, B(0, 10), B(10, 20, repaired=True), X(Verdict.DAMAGED, (20, 25)), B(25, 30, records=3)),
        seg(0, B(18, 22), B(22, 25), suffix=Suffix.DELETED),
        seg(30, B(30, 40), X(Verdict.BLANK)),
        topic="orders",
        topic_id="a" * 22,
        ends={"high watermark": 45},
    )
    old = desk.copy(seg(0, B(0, 7)), topic="orders", topic_id="b" * 22, state=State.DELETED_TOPIC)
    other = desk.copy(seg(5, B(5, 9), X(Verdict.SUSPECT, (9, 10), records=1)), topic="orders", partition=1, source="b2")
    return [damaged, old, other]


def test_the_document_accounts_for_everything() -> None:
    desk = Desk()
    document = valid(made(desk, *busy(desk)))
    summary = document["summary"]
    assert summary["exit_code"] == 3
    assert summary["conditions"] == [3, 6]
    assert summary["outcome"] == "loss"
    assert summary["segments"] == 4  # the old incarnation's is listed, not counted
    assert len(document["segments"]) == 5
    assert summary["bytes"]["total"] == sum(v for k, v in summary["bytes"].items() if k != "total") == 1000
    assert summary["bytes"] == {
        "total": 1000,
        "intact": 600,
        "repaired": 100,
        "suspect": 100,
        "undecodable": 0,
        "duplicate": 0,
        "damaged": 100,
        "foreign": 0,
        "blank": 100,
        "unreadable": 0,
        "unread": 0,
    }
    # orders-0: 0..10, 22..25 (deleted), 25..30 (3 of 5 there), 30..40; repaired 10..20; lost 20..22; missing 40..45
    # orders-1: 5..9; suspect 9..10
    assert summary["batches"] == {"intact": 5, "repaired": 1}
    assert summary["records"] == {"intact": 10 + 3 + 3 + 10 + 4, "repaired": 10}
    assert summary["offsets"] == {
        "recovered": 30,
        "repaired": 10,
        "lost": 2,
        "lost_at_least": False,
        "missing": 5,
        "absent": 2,
        "trimmed": 0,
        "divergent": 0,
        "ambiguous": 0,
        "undecodable": 0,
        "suspect": 1,
    }
    assert summary["findings_total"] == len(document["findings"])
    assert [f["id"] for f in document["findings"]] == [f"f{n + 1}" for n in range(len(document["findings"]))]
    known = {f["id"] for f in document["findings"]}
    named = {i for s in document["segments"] for r in s["regions"] for i in r["findings"]}
    named |= {i for p in document["partitions"] for s in p["offsets"] for i in s.get("findings", [])}
    assert named <= known


def test_partitions_show_their_ledger_records_and_copies() -> None:
    desk = Desk()
    document = valid(made(desk, *busy(desk)))
    live, old, other = document["partitions"]
    assert [(s["start"], s["stop"], s["status"]) for s in live["offsets"]] == [
        (0, 10, "recovered"),
        (10, 20, "repaired"),
        (20, 22, "lost"),
        (22, 25, "recovered"),
        (25, 40, "recovered"),
        (40, 45, "missing"),
    ]
    assert live["offsets"][4] == {"start": 25, "stop": 40, "status": "recovered", "absent": 2, "source": "b1"}
    assert live["offsets"][2]["upper_bound"] is False
    assert live["records"]["data"] == 36
    assert live["replicas"][0]["intact_records"] == 33
    assert (old["selected"], old["state"], old["records"]["data"]) == (False, "deleted-topic", 7)
    assert other["log_start_offset"] == 5
    assert "--include deleted-topics" in " ".join(document["hints"])


def test_topics_are_told_apart_by_id() -> None:
    desk = Desk()
    document = valid(made(desk, *busy(desk)))
    assert [(t["name"], t["topic_id"], t["partitions"], t["known_from"]) for t in document["topics"]] == [
        ("orders", None, 2, "directories"),
        ("orders", "a" * 22, 1, "partition-metadata"),
        ("orders", "b" * 22, 1, "partition-metadata"),
    ]


def test_transaction_labels_are_counted() -> None:
    desk = Desk()
    log = seg(
        0,
        B(0, 5, producer=P),
        B(5, 6, producer=P, marker="commit"),
        B(6, 9),
        B(9, 12, producer=P),
        B(12, 13, producer=P, marker="abort"),
        B(13, 15, producer=P),
    )
    (partition,) = valid(made(desk, desk.copy(log)))["partitions"]
    assert partition["records"] == {
        "data": 13,
        "control": 2,
        "none": 3,
        "committed": 5,
        "aborted": 3,
        "open": 2,
        "unknown": 0,
    }


@pytest.mark.parametrize(("low", "high"), [(None, None), (3, None), (None, 11), (4, 10), (9, 14), (50, None)])
def test_counts_follow_the_selected_offsets(low: int | None, high: int | None) -> None:
    desk = Desk()
    log = seg(
        0,
        B(0, 5, producer=P),
        B(5, 6, producer=P, marker="commit"),
        B(6, 9),
        B(9, 12, producer=P),
        B(12, 13, producer=P, marker="abort"),
    )
    wanted = range(low or 0, 13 if high is None else high)
    policy = Policy(selection=Selection(from_offset=low, to_offset=high))
    document = valid(made(desk, desk.copy(log), policy=policy))
    (partition,) = document["partitions"]
    inside = [o for o in range(13) if o in wanted]
    assert document["summary"]["offsets"]["recovered"] == len(inside)
    assert document["summary"]["records"]["intact"] == len(inside)
    assert partition["records"]["committed"] == len([o for o in inside if o < 5])
    assert partition["records"]["aborted"] == len([o for o in inside if 9 <= o < 12])
    assert partition["records"]["none"] == len([o for o in inside if 6 <= o < 9])
    assert partition["records"]["control"] == len([o for o in inside if o in (5, 12)])


def test_an_empty_batch_that_the_selection_cuts_holds_no_record() -> None:
    desk = Desk()
    survey = desk.copy(seg(0, B(0, 100, records=0), B(100, 110)), compacted=True)
    document = valid(made(desk, survey, policy=Policy(selection=Selection(from_offset=40, to_offset=105))))
    assert document["partitions"][0]["records"]["data"] == 5
    assert document["summary"]["offsets"]["recovered"] == 5
    assert document["summary"]["offsets"]["absent"] == 60


def test_trimmed_records_are_counted_only_when_asked_for() -> None:
    desk = Desk()
    survey = desk.copy(seg(0, B(0, 10), B(10, 20)), log_start=14)
    plain = valid(made(desk, survey))
    assert plain["summary"]["offsets"]["trimmed"] == 14
    assert plain["summary"]["offsets"]["recovered"] == 6
    assert plain["summary"]["records"]["intact"] == 6
    asked = valid(made(desk, survey, policy=Policy(include=frozenset({Include.TRIMMED}))))
    assert asked["summary"]["offsets"]["trimmed"] == 14
    assert asked["summary"]["records"]["intact"] == 20
    assert asked["partitions"][0]["records"]["data"] == 20


def test_lost_at_least_is_said_of_an_open_end() -> None:
    desk = Desk()
    torn = desk.copy(seg(0, B(0, 10), X(Verdict.DAMAGED, (10, 11), "torn-tail", open_ended=True)))
    assert valid(made(desk, torn))["summary"]["offsets"]["lost_at_least"] is True


def test_reports_are_the_same_bytes_for_any_order_of_sources() -> None:
    desk = Desk()
    copies = busy(desk)
    assert len({dumps(made(desk, *order).to_dict()) for order in permutations(copies)}) == 1


def test_findings_beyond_ten_thousand_of_a_partition_overflow() -> None:
    desk = Desk()
    many = tuple(Finding("garbage", "b1", "t-0/x", n, n + 1, None, "x", {}) for n in range(10_002))
    report = made(desk, desk.copy(seg(0, B(0, 10)), findings=many))
    document = valid(report)
    assert document["summary"]["findings_total"] == 10_002
    assert document["summary"]["findings_omitted"] == 2
    assert len(document["findings"]) == 10_000
    assert [f["id"] for f in report.findings_overflow] == ["f10001", "f10002"]


def test_names_that_are_not_text_are_shown_escaped() -> None:
    desk = Desk()
    odd = "caf\udce9-0"
    document = valid(made(desk, desk.copy(seg(0, B(0, 10)), topic="caf\udce9", directory=odd)))
    assert document["segments"][0]["path"].startswith("caf\\xe9-0/")


def test_a_document_reads_back() -> None:
    desk = Desk()
    document = made(desk, *busy(desk)).to_dict()
    assert loads(dumps(document)) == document
    with pytest.raises(RequestError, match="no report of the version"):
        loads('{"schema": "kafka-salvage.report/2"}')
    with pytest.raises(RequestError, match="no JSON"):
        loads("{")


def test_large_integers_stay_exact() -> None:
    desk = Desk()
    top = (1 << 62) + 1
    document = valid(made(desk, desk.copy(seg(top, B(top, top + 3)))))
    assert document["partitions"][0]["offsets"][0]["stop"] == top + 3
    assert f'"stop": {top + 3}' in dumps(document)
