"""What is replayed into a real broker is what a consumer reads: once, in order, field by field; and what stands against it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

import kafka_salvage
from kafka_salvage import DestinationError
from kafka_salvage.export.replay.checks import Severity
from kafka_salvage.export.replay.config import client_settings
from kafka_salvage.export.replay.map_file import read_map
from kafka_salvage.export.replay.partition_log import PartitionLog
from tests.broker.replays import Read, begin_call, consumed, journal_lines, kill, said
from tests.support.broker import Cluster, free_ports, until
from tests.support.build import GZIP, LZ4, SNAPPY, ZSTD, Build, Rec
from tests.support.damage import damage
from tests.support.logdirs import log_dir

pytestmark = pytest.mark.broker

FIRST = 1000
"""First offset of every partition here."""


@pytest.fixture(scope="module")
def broker(kafka: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("target")) as cluster:
        cluster.start()
        yield cluster


def read_of(record: Rec) -> tuple[int, bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]:
    """A record as a consumer reads it, without its offset."""
    return record.timestamp, record.key, record.value, tuple((k.decode(), v) for k, v in record.headers)


def fields(reads: list[Read]) -> list[Any]:
    return [read[1:] for read in reads]


def put(root: Path, name: str, data: bytes, base: int = FIRST) -> None:
    place = root / name
    place.mkdir(parents=True)
    (place / f"{base:020d}.log").write_bytes(data)


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[tuple[str, int], list[Rec]]]:
    """A damaged log dir, and the records of each partition that must come out of it, by arithmetic on the recipe."""
    root = log_dir(tmp_path_factory.mktemp("dead") / "b1", 1)
    wanted: dict[tuple[str, int], list[Rec]] = {}
    build = Build(base=FIRST)
    for codec in (0, GZIP, SNAPPY, LZ4, ZSTD, 0):
        build.v2(40, codec=codec, headers=True)
    data, infos = build.done()
    put(root, "orders-1", damage(data, infos, "xor b2+90 ff").data)  # a bit of the third batch's payload
    wanted["orders", 1] = [record for info in infos if info is not infos[2] for record in info.records]
    build = Build(base=FIRST)
    for producer, commit in ((7, True), (8, False), (9, None)):
        build.v2(10, producer_id=producer, producer_epoch=0, base_sequence=0, attributes=0x10, headers=True)
        if commit is not None:
            build.marker(commit=commit, producer_id=producer)
    build.v2(5)
    data, infos = build.done()
    put(root, "payments-0", data)
    wanted["payments", 0] = [*infos[0].records, *infos[5].records]
    build = Build(base=FIRST)
    for _ in range(9):
        build.legacy(magic=0)
    data, infos = build.done()
    put(root, "old-0", data)
    wanted["old", 0] = [record for info in infos for record in info.records]
    return root, wanted


def replayed(broker: Cluster, paths: Path, state: Path, suffix: str, topics: list[str], **flags: Any) -> Any:
    return kafka_salvage.replay(
        paths, bootstrap_server=broker.address, execute=True, state=state, create_topics=True,
        topic_map={topic: f"{topic}{suffix}" for topic in topics}, topic=topics, **flags,
    )  # fmt: skip


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_damaged_paths_are_read_back_as_they_were(
    broker: Cluster, dead: tuple[Path, dict[tuple[str, int], list[Rec]]], tmp_path: Path, codec: str
) -> None:
    root, wanted = dead
    suffix = f".{codec}"
    made = replayed(
        broker, root, tmp_path / "s", suffix, ["orders", "payments"], compression=codec, chunk_records=50,
        batch_size=2000,
    )  # fmt: skip
    assert made.exit_code == 3
    runs = read_map(tmp_path / "s" / "offset-map.jsonl")
    for topic, partition in (("orders", 1), ("payments", 0)):
        reads = consumed(broker, f"{topic}{suffix}", partition)
        records = wanted[topic, partition]
        assert fields(reads) == [read_of(record) for record in records]
        for record, read in zip(records, reads, strict=True):
            found = runs.translate(topic, partition, record.offset)
            assert found is not None
            assert (found.topic, found.partition, found.offset) == (f"{topic}{suffix}", partition, read[0])
    assert {p.topic: dict(p.left_out) for p in made.plan.partitions} == {
        "orders": {},
        "payments": {"aborted": 10, "open": 10},
    }


@pytest.mark.parametrize("formats", [["segments"], ["jsonl"], ["parquet"], ["arrow"], ["segments", "jsonl"]])
def test_every_format_of_a_rescue_gives_the_same(
    broker: Cluster, dead: tuple[Path, dict[tuple[str, int], list[Rec]]], tmp_path: Path, formats: list[str]
) -> None:
    root, wanted = dead
    kafka_salvage.salvage(root, out=tmp_path / "r", formats=formats, encoding="utf8")
    suffix = f".from-{'-'.join(formats)}"
    replayed(broker, tmp_path / "r", tmp_path / "s", suffix, ["orders", "payments"])
    for topic, partition in (("orders", 1), ("payments", 0)):
        reads = fields(consumed(broker, f"{topic}{suffix}", partition))
        assert reads == [read_of(record) for record in wanted[topic, partition]]


def test_open_and_aborted_transactions_go_when_they_are_named(
    broker: Cluster, dead: tuple[Path, dict[tuple[str, int], list[Rec]]], tmp_path: Path
) -> None:
    kafka_salvage.salvage(dead[0], out=tmp_path / "r")  # open ones lie beside: segments-undecided/
    for name, source in (("paths", dead[0]), ("rescue", tmp_path / "r")):
        made = replayed(broker, source, tmp_path / name, f".all-{name}", ["payments"], include=["open", "aborted"])
        reads = consumed(broker, f"payments.all-{name}", 0)
        assert len(reads) == 35 == made.plan.records
        assert [read[1] for read in reads] == sorted(read[1] for read in reads)


def test_a_second_run_sends_nothing_and_a_lost_journal_neither(
    broker: Cluster, dead: tuple[Path, dict[tuple[str, int], list[Rec]]], tmp_path: Path
) -> None:
    first = replayed(broker, dead[0], tmp_path / "s", ".twice", ["orders"], chunk_records=70)
    again = replayed(broker, dead[0], tmp_path / "s", ".twice", ["orders"], chunk_records=70)
    blind = replayed(broker, dead[0], tmp_path / "other", ".twice", ["orders"])
    assert (first.receipt.sent, again.receipt.sent, blind.receipt.sent) == (200, 0, 0)
    assert blind.receipt.found == 200
    assert first.receipt.offset_map == again.receipt.offset_map == blind.receipt.offset_map
    assert len(consumed(broker, "orders.twice", 1)) == 200


def test_a_half_filled_target_is_filled_up(
    broker: Cluster, dead: tuple[Path, dict[tuple[str, int], list[Rec]]], tmp_path: Path
) -> None:
    root, wanted = dead
    broker.create("orders.half", 2)
    records = wanted["orders", 1]
    broker.produce(
        "orders.half", 1,
        [
            {"key": r.key, "value": r.value, "timestamp": r.timestamp, "headers": [(k.decode(), v) for k, v in r.headers]}
            for r in records[:77]
        ],
    )  # fmt: skip
    made = replayed(broker, root, tmp_path / "s", ".half", ["orders"])
    assert (made.receipt.found, made.receipt.sent) == (77, 123)
    assert fields(consumed(broker, "orders.half", 1)) == [read_of(record) for record in records]


def test_a_target_with_other_records_is_refused_or_appended_to(
    broker: Cluster, dead: tuple[Path, dict[tuple[str, int], list[Rec]]], tmp_path: Path
) -> None:
    broker.create("orders.mine", 2)
    broker.produce("orders.mine", 1, [{"key": b"k", "value": b"mine"}])
    with pytest.raises(DestinationError, match=r"orders.mine-1 is not empty, and what it holds does not begin like"):
        replayed(broker, dead[0], tmp_path / "s", ".mine", ["orders"])
    made = replayed(broker, dead[0], tmp_path / "a", ".mine", ["orders"], append=True)
    assert made.receipt.sent == 200
    again = replayed(broker, dead[0], tmp_path / "a", ".mine", ["orders"], append=True)
    assert again.receipt.sent == 0
    assert len(consumed(broker, "orders.mine", 1)) == 201


def test_without_transactions_it_is_the_same(
    broker: Cluster, dead: tuple[Path, dict[tuple[str, int], list[Rec]]], tmp_path: Path
) -> None:
    made = replayed(broker, dead[0], tmp_path / "s", ".plain", ["orders"], transactions=False, chunk_records=60)
    reads = consumed(broker, "orders.plain", 1)
    assert fields(reads) == [read_of(record) for record in dead[1]["orders", 1]]
    assert [read[0] for read in reads] == list(range(200))  # no markers between
    assert any("without transactions" in note for note in made.receipt.notes)


def test_records_without_a_timestamp_need_one(
    broker: Cluster, dead: tuple[Path, dict[tuple[str, int], list[Rec]]], tmp_path: Path
) -> None:
    with pytest.raises(DestinationError, match="9 records have no timestamp"):
        replayed(broker, dead[0], tmp_path / "s", ".stamped", ["old"])
    before = int(time.time() * 1000)
    made = replayed(broker, dead[0], tmp_path / "s", ".stamped", ["old"], missing_timestamp="now")
    assert made.plan.without_timestamp == 9
    reads = consumed(broker, "old.stamped", 0)
    assert [(read[2], read[3]) for read in reads] == [(r.key, r.value) for r in dead[1]["old", 0]]
    assert len({read[1] for read in reads}) == 1
    assert before <= reads[0][1] <= time.time() * 1000
    assert replayed(broker, dead[0], tmp_path / "s", ".stamped", ["old"], missing_timestamp="now").receipt.sent == 0
    replayed(broker, dead[0], tmp_path / "t", ".fixed", ["old"], missing_timestamp=123456789)
    assert {read[1] for read in consumed(broker, "old.fixed", 0)} == {123456789}


def checks(broker: Cluster, root: Path, topic: str, **flags: Any) -> dict[str, Any]:
    made = kafka_salvage.replay(
        root, bootstrap_server=broker.address, dry_run=True, topic="orders", topic_map={"orders": topic}, **flags
    )
    assert made.survey is not None
    assert made.exit_code == (5 if made.survey.checks else 3)
    return {check.message.split(" is ")[0].split(",")[0]: check for check in made.survey.checks}


def test_what_would_go_wrong_is_said_before(
    broker: Cluster, dead: tuple[Path, dict[tuple[str, int], list[Rec]]], tmp_path: Path
) -> None:
    root = dead[0]
    assert checks(broker, root, "orders.absent")["the topic"].severity is Severity.PROBLEM
    broker.create("orders.narrow", 1)
    (narrow,) = checks(broker, root, "orders.narrow").values()
    assert narrow.message == "it has 1 partition, and records of partition 1 are to be sent"
    assert "--alter --topic orders.narrow --partitions 2" in narrow.advice
    cases = {
        "max.message.bytes": "100",
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": "86400000",
        "retention.bytes": "3000",
        "message.timestamp.before.max.ms": "86400000",
    }
    for number, (name, value) in enumerate(cases.items()):
        made = checks(
            broker, root, f"orders.new{number}", create_topics=True, topic_config={name: value}, chunk_records=10
        )
        (check,) = made.values()
        assert check.message.startswith(name), check
        assert check.severity is (Severity.PROBLEM if "max" in name else Severity.HARM)
        with pytest.raises(DestinationError, match=name):
            replayed(broker, root, tmp_path / name, f".new{number}", ["orders"], topic_config={name: value})
    assert not [t for t in broker.admin().list_topics(timeout=30).topics if t.startswith("orders.new")]


def test_a_dry_run_reads_the_settings_of_a_topic_that_is_there(
    broker: Cluster, dead: tuple[Path, dict[tuple[str, int], list[Rec]]], tmp_path: Path
) -> None:
    replayed(
        broker, dead[0], tmp_path / "s", ".append", ["orders"], topic_config={"message.timestamp.type": "LogAppendTime"},
        force=True,
    )  # fmt: skip
    (check,) = checks(broker, dead[0], "orders.append").values()
    assert "--add-config message.timestamp.type=CreateTime" in check.advice
    again = replayed(broker, dead[0], tmp_path / "t", ".append", ["orders"], force=True)
    assert (again.receipt.found, again.receipt.sent) == (200, 0)  # recognised although every timestamp was overwritten


def test_a_target_is_looked_into_before_anything_is_sent(
    broker: Cluster, dead: tuple[Path, dict[tuple[str, int], list[Rec]]], tmp_path: Path
) -> None:
    root, wanted = dead
    names = {"orders": "orders.held", "payments": "payments.held"}
    broker.create_all({"orders.held": 2, "payments.held": 1})
    records = wanted["payments", 0]
    sent = [
        {"key": r.key, "value": r.value, "timestamp": r.timestamp, "headers": [(k.decode(), v) for k, v in r.headers]}
        for r in records
    ]
    broker.produce("payments.held", 0, [*sent[:3], {"value": b"theirs"}])
    flags: dict[str, Any] = {
        "bootstrap_server": broker.address, "topic": ["orders", "payments"], "topic_map": names, "state": tmp_path / "s",
    }  # fmt: skip
    looked = kafka_salvage.replay(root, dry_run=True, **flags)
    assert looked.survey is not None
    (check,) = looked.survey.checks
    assert (check.severity, check.topic, looked.exit_code) == (Severity.PROBLEM, "payments.held", 5)
    assert "payments.held-0 is not empty" in check.message
    assert "offset 3" in check.message
    with pytest.raises(DestinationError, match=r"payments\.held-0 is not empty"):
        kafka_salvage.replay(root, execute=True, **flags)
    assert consumed(broker, "orders.held", 1) == []
    allowed = kafka_salvage.replay(root, dry_run=True, append=True, **flags)
    assert allowed.survey is not None
    assert allowed.survey.checks == ()


def test_a_part_that_is_there_is_no_obstacle(
    broker: Cluster, dead: tuple[Path, dict[tuple[str, int], list[Rec]]], tmp_path: Path
) -> None:
    replayed(broker, dead[0], tmp_path / "s", ".part", ["orders"])
    for home, begun in (("s", 0), ("t", 1)):  # with the journal, and without
        made = kafka_salvage.replay(
            dead[0], bootstrap_server=broker.address, topic="orders", topic_map={"orders": "orders.part"}, dry_run=True,
            state=tmp_path / home,
        )  # fmt: skip
        assert made.survey is not None
        assert (made.survey.checks, made.survey.begun, made.exit_code) == ((), begun, 3)


def test_a_partition_ends_where_nothing_is_decided(broker: Cluster) -> None:
    broker.create("undecided", 1)
    broker.produce("undecided", 0, [{"value": b"1"}, {"value": b"2"}])
    other = Producer({"bootstrap.servers": broker.address, "transactional.id": "other", "log_level": 0})
    other.init_transactions(30)
    other.begin_transaction()
    other.produce("undecided", b"3", partition=0)
    other.flush(30)
    log = PartitionLog(client_settings(None, broker.address), ("undecided", 0), "kafka-salvage-undecided", {}, False)
    try:
        log.fence()
        assert broker.offsets("undecided", 0) == (0, 3)
        assert log.bounds() == (0, 2)
        other.abort_transaction(30)
        until(lambda: log.bounds() == (0, 4), "the marker")
        assert [len(table) for table in log.read(0, 4)] == [2]
    finally:
        log.close()


def test_a_record_that_the_broker_refuses_is_one_sentence(broker: Cluster, tmp_path: Path) -> None:
    root = log_dir(tmp_path / "b", 1)
    build = Build(base=FIRST)
    build.v2(3, values=[random.Random(n).randbytes(5000) for n in range(3)])
    put(root, "large-0", build.done()[0])
    flags = {"topic_config": {"max.message.bytes": "3000"}, "compression": "lz4"}  # compressed, nobody knows before
    with pytest.raises(DestinationError, match="a record is larger than the topic allows"):
        replayed(broker, root, tmp_path / "s", "", ["large"], **flags)
    assert consumed(broker, "large", 0) == []


def test_a_cluster_that_does_not_answer_is_one_sentence(
    dead: tuple[Path, dict[tuple[str, int], list[Rec]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kafka_salvage.export.replay.target.Target.__init__.__kwdefaults__", {"wait": 2.0})
    (port,) = free_ports(1)
    with pytest.raises(DestinationError, match=f"no broker answers at 127.0.0.1:{port}"):
        kafka_salvage.replay(dead[0], bootstrap_server=f"127.0.0.1:{port}", dry_run=True)


@pytest.mark.timeout(240)
def test_kills_at_random_moments_change_nothing(broker: Cluster, tmp_path: Path) -> None:
    root = log_dir(tmp_path / "b", 1)
    wanted = {}
    for partition in range(2):
        build = Build(base=FIRST)
        for _ in range(60):
            build.v2(50, headers=True)
        data, infos = build.done()
        put(root, f"busy-{partition}", data)
        wanted[partition] = [read_of(record) for info in infos for record in info.records]
    flags = {
        "paths": [str(root)], "bootstrap_server": broker.address, "state": str(tmp_path / "s"), "create_topics": True,
        "chunk_records": 40, "rate": 250_000, "jobs": 2,
    }  # fmt: skip
    draw, kills = random.Random(20261123), 0
    for number in range(6):
        process = begin_call(tmp_path / "out", **flags)
        before, deadline = journal_lines(tmp_path / "s"), time.monotonic() + 30
        while journal_lines(tmp_path / "s") == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(draw.random() * 0.15 if number else 0)
        kills += kill(process)
    process = begin_call(tmp_path / "out", **{**flags, "rate": None})
    assert process.wait(90) == 0, said(tmp_path / "out")
    assert kills >= 3
    runs = read_map(tmp_path / "s" / "offset-map.jsonl")
    for partition, records in wanted.items():
        reads = consumed(broker, "busy", partition)
        assert fields(reads) == records
        told = runs.partitions["busy", partition]
        assert [told.translate(FIRST + n).offset for n in range(len(reads))] == [read[0] for read in reads]
