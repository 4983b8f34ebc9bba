"""A cluster is consumed back: what was sent is found, and what is wrong there is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import kafka_salvage
from kafka_salvage.cli.main import run
from kafka_salvage.errors import DestinationError, RequestError
from kafka_salvage.export.replay.config import client_settings
from kafka_salvage.export.replay.consuming import verify_cluster
from kafka_salvage.export.replay.map_file import write_map
from kafka_salvage.export.replay.offset_map import OffsetMap
from kafka_salvage.export.replay.supply import Supply, SupplyLine
from kafka_salvage.export.replay.target import Target
from tests.broker.loading import damaged
from tests.broker.sending import Sent, rows_of, send, supply_of, usual
from tests.support.build import Build
from tests.support.cluster import Trio
from tests.support.logdirs import log_dir

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def supply(tmp_path_factory: pytest.TempPathFactory) -> Supply:
    """Damaged partitions of every magic and codec."""
    directory = tmp_path_factory.mktemp("verify") / "broker-1"
    damaged(directory)
    return supply_of(directory)


def counted(supply: Supply) -> dict[tuple[str, int], int]:
    return {(line.topic, line.partition): sum(1 for _ in usual(rows_of(line))) for line in supply.lines}


def create(trio: Trio, supply: Supply, prefix: str) -> None:
    numbers: dict[str, int] = {}
    for line in supply.lines:
        numbers[f"{prefix}.{line.topic}"] = max(numbers.get(f"{prefix}.{line.topic}", 0), line.partition + 1)
    trio.create_all(numbers)


def test_what_was_sent_is_found_again(trio: Trio, supply: Supply) -> None:
    create(trio, supply, "whole")
    runs = send(trio, supply, lambda topic: f"whole.{topic}")
    found = verify_cluster(supply, client_settings(None, trio.address), runs, jobs=2)
    assert found.exit_code == 0
    assert {(p.topic, p.partition): p.counts.equal for p in found.partitions} == counted(supply)
    assert sum(counted(supply).values()) > 3000
    timeless = sum(1 for line in supply.lines for row in usual(rows_of(line)) if row["kind"] == -1)
    assert found.total("retimed") == timeless > 0
    undecided = sum(1 for line in supply.lines for row in rows_of(line) if row["label"] not in ("none", "committed"))
    assert found.total("left_out") == undecided > 0
    assert found.total("unexpected") == 0


def spoiled(line: SupplyLine, rows: Iterator[Sent]) -> Iterator[Sent]:
    """Of `orders`: the third value changed, the fifth record replaced, another one behind the eighth, the last not sent."""
    listed = list(rows)
    for number, row in enumerate(listed):
        if line.topic != "orders":
            yield row
        elif number == 2:
            yield {**row, "value": b"spoiled"}
        elif number == 4:
            yield {**row, "offset": None}  # in no map: missing from it, and there as somebody else's
        elif number == len(listed) - 1:
            return
        else:
            yield row
            if number == 7:
                yield {**row, "offset": None}


def test_what_differs_is_counted_and_named(trio: Trio, supply: Supply) -> None:
    create(trio, supply, "spoiled")
    runs = send(trio, supply, lambda topic: f"spoiled.{topic}", spoiled)
    found = verify_cluster(supply, client_settings(None, trio.address), runs)
    assert found.exit_code == 3
    (bad,) = [p for p in found.partitions if not p.whole]
    offsets = [row["offset"] for line in supply.lines if line.topic == "orders" for row in usual(rows_of(line))]
    assert (bad.topic, bad.counts.differing, bad.counts.not_sent, bad.counts.unexpected) == ("orders", 1, 2, 2)
    assert bad.counts.equal == len(offsets) - 3
    shown = {(d.offset, d.what) for d in bad.counts.differences}
    assert shown == {
        (offsets[2], "value"), (offsets[4], "not sent"), (offsets[-1], "not sent"), (None, "unexpected"),
    }  # fmt: skip


def test_a_map_of_another_cluster_and_a_partition_that_is_not_there(trio: Trio, supply: Supply) -> None:
    settings = client_settings(None, trio.address)
    runs = OffsetMap({}, "AAAAAAAAAAAAAAAAAAAAAA")
    with pytest.raises(RequestError, match="of cluster AAAAAAAAAAAAAAAAAAAAAA"):
        verify_cluster(supply, settings, runs)
    found = verify_cluster(supply, settings, None)
    assert found.exit_code == 3
    assert {p.reason for p in found.partitions} == {"the cluster has no such partition"}
    assert found.total("not_sent") == sum(counted(supply).values())


def test_a_cluster_that_does_not_answer_is_said(supply: Supply, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Target.__init__, "__kwdefaults__", {"wait": 3.0})
    with pytest.raises(DestinationError, match=r"no broker answers at 127.0.0.1:1"):
        verify_cluster(supply, client_settings(None, "127.0.0.1:1"))


def test_as_a_person_runs_it(trio: Trio, supply: Supply, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged(tmp_path / "broker-1")
    out = tmp_path / "out"
    kafka_salvage.salvage([tmp_path / "broker-1"], out=out, formats=["parquet", "jsonl"])
    create(trio, supply, "person")
    runs = send(trio, supply, lambda topic: f"person.{topic}")
    write_map(tmp_path / "map.parquet", runs)
    flags = ["--bootstrap-server", trio.address, "--offset-map", str(tmp_path / "map.parquet"), "--no-progress"]
    assert run(["verify", str(out), *flags]) == 0
    told = capsys.readouterr().out.splitlines()
    total = sum(counted(supply).values())
    assert told[1] == f"AGREES: {total:,} records of 17 partitions are at {trio.address}, each once and the same."
    for narrowed in (["--topic", "orders"], ["--partition", "1"]):
        assert run(["verify", str(out), *flags, *narrowed]) == 0, capsys.readouterr().out
    capsys.readouterr()
    document = tmp_path / "verified.json"
    assert run(["verify", str(out), *flags[:2], "--topic", "orders", "--json", str(document), "--no-progress"]) == 3
    assert "orders-0: the cluster has no such partition" in capsys.readouterr().out
    assert json.loads(document.read_text())["cluster"]["partitions"][0]["records"]["not_sent"] > 500
    assert run(["verify", str(out), "--bootstrap-server", "nonsense", "--no-progress"]) == 2
    assert "is no address of a broker" in capsys.readouterr().err
    (out / "jsonl" / "orders" / "0.jsonl").write_text("")
    assert run(["verify", str(out), *flags]) == 3
    said = capsys.readouterr().out
    assert said.startswith("DISAGREES: ")
    assert said.endswith("The cluster was not asked: the rescue has to be right first.\n")


def test_a_losing_branch_is_compared_with_its_own_topic(trio: Trio, tmp_path: Path) -> None:
    for name, fork in (("b1", b"x"), ("b2", b"y")):
        build = Build(base=0)
        build.v2(10, epoch=0)
        for _ in range(3):
            build.v2(4, epoch=1 if name == "b1" else 2, values=[fork] * 4)
        place = log_dir(tmp_path / name, int(name[1])) / "forked-0"
        place.mkdir()
        (place / f"{0:020d}.log").write_bytes(build.done()[0])
    kafka_salvage.salvage([tmp_path / "b1", tmp_path / "b2"], out=tmp_path / "r")
    done = kafka_salvage.replay(
        tmp_path / "r", bootstrap_server=trio.address, execute=True, state=tmp_path / "state", create_topics=True,
        replication_factor=3, include=["divergent"], topic_config={"retention.ms": "-1"},
        topic_map={"forked.divergent.broker-1": "kept.apart"},
    )  # fmt: skip
    assert done.receipt is not None
    found = kafka_salvage.verify_cluster(
        tmp_path / "r", bootstrap_server=trio.address, offset_map=done.receipt.offset_map
    )
    counted = {(p.topic, p.new_topic): p.counts.equal for p in found.partitions}
    assert counted == {("forked", "forked"): 22, ("forked.divergent.broker-1", "kept.apart"): 12}
    assert found.exit_code == 0
    plain = OffsetMap(
        {place: runs for place, runs in done.receipt.offset_map.partitions.items() if place[0] == "forked"}
    )
    assert kafka_salvage.verify_cluster(tmp_path / "r", bootstrap_server=trio.address, offset_map=plain).exit_code == 0
