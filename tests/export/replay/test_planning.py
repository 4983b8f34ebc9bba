"""What a replay would send, and what stands against it, without a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kafka_salvage
from kafka_salvage.errors import RequestError, SourceError
from kafka_salvage.export.replay.checks import Severity, checks_of
from kafka_salvage.export.replay.choices import ReplayChoices
from kafka_salvage.export.replay.execution import Survey, producer_settings, refuse
from kafka_salvage.export.replay.plan import PartitionReplay, ReplayPlan, TopicReplay
from kafka_salvage.export.replay.rescue import Rescue
from kafka_salvage.export.replay.segment_files import merged
from kafka_salvage.export.replay.supply import Piece, picked
from kafka_salvage.export.replay.target import Description, TargetTopic
from kafka_salvage.plan.policy import Selection
from kafka_salvage.scan.limits import Limits
from tests.export.replay.cluster_log import Row, row_of, table_of
from tests.support.build import EPOCH_MS, Build, Rec
from tests.support.logdirs import log_dir

NOW = EPOCH_MS + 3_600_000
SERVER = "127.0.0.1:1"


def put(root: Path, name: str, build: Build, base: int) -> list[Rec]:
    place = root / name
    place.mkdir(parents=True)
    data, infos = build.done()
    (place / f"{base:020d}.log").write_bytes(data)
    return [record for info in infos for record in info.records]


def transactions(base: int = 100) -> Build:
    """Committed, aborted, plain, and one that is open behind everything."""
    build = Build(base=base)
    for producer, commit in ((7, True), (8, False)):
        build.v2(4, producer_id=producer, producer_epoch=0, base_sequence=0, attributes=0x10, headers=True)
        build.marker(commit=commit, producer_id=producer)
    build.v2(3, headers=True)
    build.v2(2, producer_id=9, producer_epoch=0, base_sequence=0, attributes=0x10)
    return build


def rows(supply: Any, choices: ReplayChoices) -> dict[tuple[str, int], list[Row]]:
    return {
        (line.topic, line.partition): [
            row_of(table, at) for table in picked(line, choices, NOW) for at in range(len(table))
        ]
        for line in supply.lines
    }


def content(records: list[Rec]) -> list[Row]:
    return [(r.timestamp, r.key, r.value, r.headers) for r in records]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return log_dir(tmp_path / "b1", 1)


def test_the_plan_counts_what_is_sent_and_what_is_not(root: Path) -> None:
    records = put(root, "pay-2", transactions(), 100)
    made = kafka_salvage.replay(root, bootstrap_server=SERVER)
    (part,) = made.plan.partitions
    sent = [*records[:4], *records[8:11]]
    assert (part.records, part.first, part.last) == (7, 100, 112)
    assert part.size == sum(
        len(r.key or b"") + len(r.value or b"") + sum(len(k) + len(v or b"") for k, v in r.headers) for r in sent
    )
    assert part.left_out == {"aborted": 4, "open": 2}
    assert (part.earliest, part.latest) == (sent[0].timestamp, sent[-1].timestamp)
    assert made.plan.topics == (TopicReplay("pay", "pay", 3),)
    assert made.exit_code == 0
    assert made.receipt is None
    everything = kafka_salvage.replay(root, bootstrap_server=SERVER, include=["open", "aborted"])
    assert everything.plan.records == 13
    assert everything.plan.replay_id != made.plan.replay_id


def test_the_plan_does_not_depend_on_the_way_to_it(root: Path, tmp_path: Path) -> None:
    put(root, "pay-2", transactions(), 100)
    plans = [kafka_salvage.replay(root, bootstrap_server=SERVER).plan]
    for formats in (["segments"], ["jsonl"], ["parquet"], ["arrow"]):
        out = tmp_path / formats[0]
        kafka_salvage.salvage(root, out=out, formats=formats)
        plans.append(kafka_salvage.replay(out, bootstrap_server=SERVER).plan)
    assert len({plan.replay_id for plan in plans}) == 1
    assert len({json.dumps([p.to_dict() for p in plan.partitions]) for plan in plans}) == 1


@pytest.mark.parametrize("formats", ["segments", "jsonl", "parquet", "arrow"])
@pytest.mark.parametrize("encoding", ["base64", "utf8"])
def test_every_format_keeps_every_field(root: Path, tmp_path: Path, formats: str, encoding: str) -> None:
    build = Build(base=5)
    odd = Rec(5, EPOCH_MS, b"\xff\x00", None, ((b"\xff", b""), (b"a", None), (b"a", b"\x80"), (b"", b"x")))
    build.add(_batch([odd]), magic=2, first=5, last=5, records=(odd,))
    build.v2(40, headers=True)
    records = put(root, "odd-0", build, 5)
    kafka_salvage.salvage(root, out=tmp_path / "r", formats=[formats], encoding=encoding)
    supply = Rescue(tmp_path / "r", Limits()).supply(ReplayChoices(), Selection())
    assert rows(supply, ReplayChoices()) == {("odd", 0): content(records)}
    assert supply.source.endswith(f"({formats})")


def _batch(records: list[Rec]) -> bytes:
    from tests.support.build import v2_batch

    return v2_batch(records[0].offset, records)


def test_filters_and_the_log_start_hold_for_a_rescue(root: Path, tmp_path: Path) -> None:
    build = Build(base=0)
    for _ in range(4):
        build.v2(10)
    records = put(root, "t-0", build, 0)
    (root / "log-start-offset-checkpoint").write_text("0\n1\nt 0 13\n")
    kafka_salvage.salvage(root, out=tmp_path / "r")
    supply = Rescue(tmp_path / "r", Limits()).supply(ReplayChoices(), Selection(to_offset=37))
    assert rows(supply, ReplayChoices()) == {("t", 0): content(records[13:37])}
    straight = kafka_salvage.replay(root, bootstrap_server=SERVER, to_offset=37).plan
    assert (straight.partitions[0].first, straight.partitions[0].last) == (13, 36)


def test_segments_that_do_not_tell_are_not_guessed(root: Path, tmp_path: Path) -> None:
    """The report says that a batch was committed whose marker is not in the files: another witness told."""
    put(root, "pay-0", transactions(), 100)
    kafka_salvage.salvage(root, out=tmp_path / "r", formats=["segments", "jsonl"])
    report = tmp_path / "r" / "report.json"
    told = json.loads(report.read_text())
    told["partitions"][0]["records"].update({"committed": 6, "open": 0})
    report.write_text(json.dumps(told))
    supply = Rescue(tmp_path / "r", Limits()).supply(ReplayChoices(), Selection())
    assert supply.source.endswith("(jsonl)")
    manifest = tmp_path / "r" / "manifest.json"
    listed = json.loads(manifest.read_text())
    del listed["partitions"][0]["outputs"]["jsonl"]
    manifest.write_text(json.dumps(listed))
    with pytest.raises(RequestError, match="do not tell which of its transactions were committed"):
        Rescue(tmp_path / "r", Limits()).supply(ReplayChoices(), Selection())


def test_a_rescue_that_lost_records_is_noticed(root: Path, tmp_path: Path) -> None:
    build = Build(base=0)
    for _ in range(3):
        build.v2(5)
    put(root, "t-0", build, 0)
    kafka_salvage.salvage(root, out=tmp_path / "r", formats=["jsonl"])
    path = tmp_path / "r" / "jsonl" / "t" / "0.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(SourceError, match="14 records of t-0 are here, and the manifest counts 15"):
        kafka_salvage.replay(tmp_path / "r", bootstrap_server=SERVER)
    path.write_bytes(b"{\n")
    with pytest.raises(SourceError, match="does not read as what a salvage wrote"):
        kafka_salvage.replay(tmp_path / "r", bootstrap_server=SERVER)


def test_a_segment_of_a_rescue_that_changed_is_noticed(root: Path, tmp_path: Path) -> None:
    build = Build(base=0)
    for _ in range(3):
        build.v2(5)
    put(root, "t-0", build, 0)
    kafka_salvage.salvage(root, out=tmp_path / "r")
    (log,) = (tmp_path / "r" / "segments" / "t-0").glob("*.log")
    data = bytearray(log.read_bytes())
    data[-5] ^= 1
    log.write_bytes(data)
    with pytest.raises(SourceError, match="is not as it was written"):
        kafka_salvage.replay(tmp_path / "r", bootstrap_server=SERVER)


def test_topics_are_mapped_and_never_mixed(root: Path) -> None:
    for name in ("a-0", "b-0"):
        put(root, name, Build(base=0).v2(3), 0)
    made = kafka_salvage.replay(root, bootstrap_server=SERVER, topic_map={"a": "c"})
    assert [(p.topic, p.new_topic) for p in made.plan.partitions] == [("b", "b"), ("a", "c")]
    with pytest.raises(RequestError, match="would both go to b"):
        kafka_salvage.replay(root, bootstrap_server=SERVER, topic_map={"a": "b"})
    with pytest.raises(RequestError, match="no topic of this name is to be sent"):
        kafka_salvage.replay(root, bootstrap_server=SERVER, topic_map={"z": "y"})
    with pytest.raises(RequestError, match="Kafka takes no topic of this name"):
        kafka_salvage.replay(root, bootstrap_server=SERVER, topic_map={"a": "no/such"})
    swapped = kafka_salvage.replay(root, bootstrap_server=SERVER, topic_map={"a": "b", "b": "a"})
    assert [(p.topic, p.new_topic) for p in swapped.plan.partitions] == [("b", "a"), ("a", "b")]


def test_a_losing_branch_goes_to_a_topic_of_its_own(tmp_path: Path) -> None:
    for name, fork in (("b1", b"x"), ("b2", b"y")):
        build = Build(base=0)
        build.v2(10, epoch=0)
        for _ in range(3):
            build.v2(4, epoch=1 if name == "b1" else 2, values=[fork] * 4)
        put(log_dir(tmp_path / name, int(name[1])), "t-0", build, 0)
    sources = [tmp_path / "b1", tmp_path / "b2"]
    plain = kafka_salvage.replay(sources, bootstrap_server=SERVER)
    assert [(p.new_topic, p.records) for p in plain.plan.partitions] == [("t", 22)]
    assert any("losing branch" in note for note in plain.plan.notes)
    both = kafka_salvage.replay(sources, bootstrap_server=SERVER, include=["divergent"])
    assert [(p.new_topic, p.records) for p in both.plan.partitions] == [("t", 22), ("t.divergent.broker-1", 12)]
    kafka_salvage.salvage(sources, out=tmp_path / "r")
    rescued = kafka_salvage.replay(tmp_path / "r", bootstrap_server=SERVER, include=["divergent"])
    assert rescued.plan.replay_id == both.plan.replay_id


def test_records_without_a_timestamp_get_the_chosen_one(root: Path) -> None:
    build = Build(base=0)
    for _ in range(3):
        build.legacy(magic=0)
    records = [Rec(3, 0, b"k", b"v"), Rec(4, -1, b"k", b"v"), Rec(5, 7, b"k", b"v")]
    build.add(_batch(records), magic=2, first=3, last=5, records=records)
    put(root, "t-0", build, 0)
    made = kafka_salvage.replay(root, bootstrap_server=SERVER, missing_timestamp=99)
    (part,) = made.plan.partitions
    assert (part.without_timestamp, part.at_epoch, part.earliest, part.latest) == (4, 1, 0, 7)
    kafka_salvage.salvage(root, out=root.parent / "r")
    supply = Rescue(root.parent / "r", Limits()).supply(ReplayChoices(), Selection())
    for choice, stamp in ((99, 99), ("now", NOW)):
        (found,) = rows(supply, ReplayChoices(missing_timestamp=choice)).values()
        assert [row[0] for row in found] == [stamp] * 5 + [7]


def test_two_halves_of_a_line_are_joined_by_offset() -> None:
    def side(*runs: range) -> Iterator[Piece]:
        for run in runs:
            table = table_of([(n + 1, None, b"", ()) for n in run], list(run))
            yield Piece(table, np.zeros(len(run), np.int8))

    for left, right in (
        ((range(5), range(9, 12)), (range(5, 7), range(8, 9), range(20, 22))),
        ((range(2), range(2, 9)), ()),
        ((range(2),), (range(2, 4),)),
    ):
        found = [int(n) for piece in merged(side(*left), side(*right)) for n in piece.table.offset]
        assert found == sorted(n for run in (*left, *right) for n in run)


def plan_of(**changes: Any) -> ReplayPlan:
    values: dict[str, Any] = {
        "topic": "t", "partition": 1, "branch": None, "new_topic": "t", "records": 5, "size": 5000, "first": 0, "last": 4,
        "earliest": NOW - 10 * 86_400_000, "latest": NOW, "largest": 1500, "without_timestamp": 0, "at_epoch": 0,
        "left_out": {}, "gaps": {}, "end": 5, "fingerprint": "f",
    }  # fmt: skip
    choices = changes.pop("choices", ReplayChoices(create_topics=True))
    topics = (TopicReplay("t", "t", 2, changes.pop("configs", {})),)
    return ReplayPlan("s", topics, (PartitionReplay(**{**values, **changes}),), choices, (), 0, "id")


def found_with(
    topic: dict[str, str] | None = None, partitions: int = 2, broker: dict[str, str] | None = None
) -> Description:
    topics = {} if topic is None else {"t": TargetTopic("t", partitions, topic)}
    return Description("c", 3, topics, broker or {})


@pytest.mark.parametrize(
    ("topic", "severity", "start"),
    [
        ({}, None, ""),
        ({"retention.ms": "604800000"}, Severity.HARM, "retention.ms is 604,800,000 (7 days)"),
        ({"retention.ms": "864000001"}, None, ""),
        ({"retention.ms": "-1"}, None, ""),
        ({"retention.ms": "604800000", "cleanup.policy": "compact"}, Severity.WARNING, "cleanup.policy is compact"),
        ({"retention.bytes": "4999"}, Severity.HARM, "retention.bytes is 4,999"),
        ({"retention.bytes": "5000"}, None, ""),
        ({"max.message.bytes": "1499"}, Severity.PROBLEM, "max.message.bytes is 1,499"),
        ({"max.message.bytes": "1500"}, None, ""),
        ({"message.timestamp.type": "LogAppendTime"}, Severity.HARM, "message.timestamp.type is LogAppendTime"),
        ({"message.timestamp.before.max.ms": "1000"}, Severity.PROBLEM, "message.timestamp.before.max.ms is 1,000"),
        ({"message.timestamp.difference.max.ms": "1000"}, Severity.PROBLEM, "message.timestamp.difference.max.ms"),
        ({"message.timestamp.after.max.ms": "0"}, None, ""),
    ],
)
def test_settings_that_would_harm_are_named(topic: dict[str, str], severity: Severity | None, start: str) -> None:
    for found, made in (
        (found_with(topic), plan_of()),
        (found_with(None), plan_of(configs=topic)),
        (
            found_with(None, broker={_BROKER.get(name, f"log.{name}"): value for name, value in topic.items()}),
            plan_of(),
        ),
    ):
        checks = checks_of(made, found, "host:1", NOW)
        assert [check.severity for check in checks] == ([] if severity is None else [severity])
        assert all(check.message.startswith(start) for check in checks)
        if found.topics and checks:
            assert (
                "kafka-configs --bootstrap-server host:1 --alter --entity-type topics --entity-name t"
                in checks[0].advice
            )


def test_records_without_a_key_stop_a_replay_into_a_compacted_topic() -> None:
    found = found_with({"cleanup.policy": "compact,delete"})
    (check,) = checks_of(plan_of(keyless=3), found, "host:1", NOW)
    assert check.severity is Severity.PROBLEM
    assert "would refuse 3 records without a key" in check.message
    (warning,) = checks_of(plan_of(), found, "host:1", NOW)
    assert warning.severity is Severity.WARNING
    assert "refuse" not in warning.message


_BROKER = {"max.message.bytes": "message.max.bytes"}


def test_a_broker_that_knows_retention_in_hours() -> None:
    (check,) = checks_of(plan_of(), found_with(None, broker={"log.retention.hours": "168"}), "h:1", NOW)
    assert check.severity is Severity.HARM
    assert check.advice == "Give --topic-config retention.ms=-1."


def test_what_stops_a_replay_is_told_first_and_counted() -> None:
    checks = checks_of(plan_of(), found_with({"retention.ms": "1", "retention.bytes": "1"}), "h:1", NOW)
    made = Survey(found_with(), checks, ())
    with pytest.raises(kafka_salvage.DestinationError, match=r"topic t: retention.ms is 1 .* \(and 1 more") as caught:
        refuse(made, ReplayChoices(), "h:1")
    assert "--force" in caught.value.advice
    refuse(made, ReplayChoices(force=True), "h:1")


def test_partitions_replicas_and_missing_topics() -> None:
    (absent,) = checks_of(plan_of(choices=ReplayChoices()), found_with(), "h:1", NOW)
    assert absent.message == "the topic is not there"
    (few,) = checks_of(plan_of(), found_with({}, 1), "h:1", NOW)
    assert (few.severity, few.message[:18]) == (Severity.PROBLEM, "it has 1 partition")
    (many,) = checks_of(plan_of(), found_with({}, 7), "h:1", NOW)
    assert many.severity is Severity.WARNING
    (factor,) = checks_of(
        plan_of(choices=ReplayChoices(create_topics=True, replication_factor=4)), found_with(), "h:1", NOW
    )
    assert "the cluster has 3 brokers" in factor.message
    (insync,) = checks_of(
        plan_of(choices=ReplayChoices(create_topics=True, replication_factor=1), configs={"min.insync.replicas": "2"}),
        found_with(), "h:1", NOW,
    )  # fmt: skip
    assert insync.severity is Severity.PROBLEM
    unread = Description("c", 3, {"t": TargetTopic("t", 2, None)}, None)
    assert [c.severity for c in checks_of(plan_of(), unread, "h:1", NOW)] == [Severity.WARNING]


def test_batches_fit_what_the_topic_takes() -> None:
    part = plan_of().partitions[0]
    assert producer_settings(part, ReplayChoices(), {"max.message.bytes": "5000"})["batch.size"] == 5000 - 1024
    assert producer_settings(part, ReplayChoices(batch_size=2000), None)["batch.size"] == 2000
    assert producer_settings(part, ReplayChoices(compression="lz4"), None)["compression.codec"] == "lz4"
    huge = plan_of(largest=9_000_000).partitions[0]
    assert int(str(producer_settings(huge, ReplayChoices(), None)["message.max.bytes"])) >= 9_000_000


@pytest.mark.parametrize(
    "choices",
    [
        {"include": frozenset({"everything"})}, {"missing_timestamp": "yesterday"}, {"missing_timestamp": -1},
        {"compression": "rar"}, {"chunk_records": 0}, {"topic_map": {"a": "b", "c": "b"}},
    ],
)  # fmt: skip
def test_choices_that_make_no_sense_are_refused(choices: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        ReplayChoices(**choices)


def test_the_journal_has_no_default_place_inside_a_named_source(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reachable:
        def __init__(self, settings: object) -> None:
            pass

        def describe(self, names: object) -> None:
            pass

    put(root, "t-0", Build(base=0).v2(3), 0)
    monkeypatch.setattr("kafka_salvage.export.replay.replaying.Target", Reachable)
    monkeypatch.chdir(root)
    with pytest.raises(RequestError, match="lies inside"):
        kafka_salvage.replay(f"b1={root}", bootstrap_server=SERVER, execute=True)


def test_nothing_is_written_into_a_source(root: Path, tmp_path: Path) -> None:
    put(root, "t-0", Build(base=0).v2(3), 0)
    with pytest.raises(RequestError, match="lies inside"):
        kafka_salvage.replay(root, bootstrap_server=SERVER, state=root / "state")
    kafka_salvage.salvage(root, out=tmp_path / "r")
    with pytest.raises(RequestError, match="lies inside"):
        kafka_salvage.replay(tmp_path / "r", bootstrap_server=SERVER, state=tmp_path / "r" / "state")
    with pytest.raises(RequestError, match="is a rescue, and is replayed by itself"):
        kafka_salvage.replay([tmp_path / "r", root], bootstrap_server=SERVER)
