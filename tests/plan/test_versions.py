"""Transactions of both versions that a real broker wrote: labels against what it showed, whole and with any batch destroyed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import kafka_salvage
from kafka_salvage.plan.edges import read_edges
from kafka_salvage.plan.plan import TRANSACTION_CODES, PartitionPlan
from kafka_salvage.scan.records import decode
from kafka_salvage.source.opening import open_source
from tests.support.bases import parse
from tests.support.cut_transactions import PLACE, SUMS, sums

HOME = PLACE / "broker-1"
LOG = f"{0:020d}.log"
TRUTH = json.loads((PLACE / "truth.json").read_text())
FATES = {row["offset"]: row["fate"] for row in TRUTH["records"]}
WITNESSES = {"index": "pay-0/*.txnindex", "state": "__transaction_state-0", "snapshot": "pay-0/*.snapshot"}


def home(place: Path, *without: str) -> Path:
    """A copy of the log dir, some witnesses deleted."""
    made = shutil.copytree(HOME, place)
    for name in without:
        for path in made.glob(WITNESSES[name]):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return made


def plan_of(place: Path, topic: str = "pay") -> PartitionPlan:
    (partition,) = [p for p in kafka_salvage.check(place).plan.partitions if p.topic == topic]
    return partition


def labels(plan: PartitionPlan) -> dict[int, str]:
    """Offset of each data record -> its label."""
    found = {}
    for step in plan.line:
        table = read_edges(step.survey, step.start, step.stop)
        codes = plan.labels.lookup(table)
        for row in np.flatnonzero(~table.is_control).tolist():
            for offset in range(int(table.base_offset[row]), int(table.last_offset[row]) + 1):
                found[offset] = str(TRANSACTION_CODES[codes[row]])
    return found


def hurt(place: Path, *batches: int) -> Path:
    """Flips a bit in some batches of the partition."""
    path = place / "pay-0" / LOG
    data = bytearray(path.read_bytes())
    infos = parse(bytes(data))
    for batch in batches:
        data[infos[batch].stop - 3] ^= 4
    path.write_bytes(data)
    return place


def batches() -> list[int]:
    return list(range(len(parse((HOME / "pay-0" / LOG).read_bytes()))))


def test_every_file_has_the_listed_sha256_and_none_is_unlisted() -> None:
    assert sums() == dict(line.split("  ", 1)[::-1] for line in SUMS.read_text().splitlines())


@pytest.mark.parametrize("without", [(), ("index",), ("state",), ("snapshot",), ("index", "state", "snapshot")])
def test_on_intact_data_no_witness_changes_anything(tmp_path: Path, without: tuple[str, ...]) -> None:
    plan = plan_of(home(tmp_path / "in", *without))
    assert labels(plan) == FATES
    stable = min(offset for offset, fate in FATES.items() if fate == "open")
    given = [offset for offset, label in sorted(labels(plan).items()) if label in ("none", "committed")]
    assert [offset for offset in given if offset < stable] == TRUTH["live"]


def told(tmp_path: Path, *without: str) -> Iterator[tuple[int, dict[int, str]]]:
    """With each batch destroyed in turn: the labels of what is left."""
    for batch in batches():
        place = hurt(home(tmp_path / f"{batch}-{'-'.join(without)}", *without), batch)
        yield batch, labels(plan_of(place))


@pytest.mark.parametrize("without", [(), ("index",), ("state",), ("index", "state")])
def test_whatever_batch_is_destroyed_no_label_is_wrong(tmp_path: Path, without: tuple[str, ...]) -> None:
    for batch, found in told(tmp_path, *without):
        wrong = {o: (label, FATES[o]) for o, label in found.items() if label not in (FATES[o], "unknown")}
        assert not wrong, batch


def test_witnesses_decide_what_markers_leave_unknown(tmp_path: Path) -> None:
    unknown = {
        names: sum(list(found.values()).count("unknown") for _, found in told(tmp_path, *names))
        for names in [(), ("index",), ("state",), ("index", "state")]
    }
    assert unknown[()] < min(unknown["index",], unknown["state",])
    assert max(unknown["index",], unknown["state",]) < unknown["index", "state"]


def test_a_coordinator_of_version_2_decides_each_lost_end(tmp_path: Path) -> None:
    """Without any marker of producer A but with its coordinator, the fate of all that its closed epochs hold is known."""
    data = (HOME / "pay-0" / LOG).read_bytes()
    infos = parse(data)
    with_key = {row["offset"]: row["key"] for row in TRUTH["records"]}
    mine = {offset for offset, key in with_key.items() if "-A-" in key}
    producers = {int.from_bytes(data[i.start + 43 : i.start + 51], "big") for i in infos if i.base_offset in mine}
    (producer,) = producers
    ends = [
        n
        for n, i in enumerate(infos)
        if i.control and int.from_bytes(data[i.start + 43 : i.start + 51], "big") == producer
    ]
    assert len(ends) >= 5
    place = hurt(home(tmp_path / "in", "index"), *ends)
    found = labels(plan_of(place))
    assert {offset: found[offset] for offset in mine} == {offset: FATES[offset] for offset in mine}
    (place / "meta.properties").write_text((place / "meta.properties").read_text().replace("cluster.id=", "#"))
    unsure = labels(plan_of(place))
    assert {unsure[offset] for offset in mine} == {"unknown", "open"}


def test_a_damaged_index_commits_nothing(tmp_path: Path) -> None:
    place = home(tmp_path / "in", "state")
    path = place / "pay-0" / f"{0:020d}.txnindex"
    data = path.read_bytes()
    ends = [n for n in batches() if parse((HOME / "pay-0" / LOG).read_bytes())[n].control]
    hurt(place, *ends[:4])
    for at in range(0, len(data), 3):
        changed = bytearray(data)
        changed[at] ^= 1
        path.write_bytes(changed)
        found = labels(plan_of(place))
        assert not [offset for offset, label in found.items() if label == "committed" != FATES[offset]], at


def test_records_are_those_that_were_sent() -> None:
    source = open_source(HOME / "pay-0" / LOG, LOG)
    plan = plan_of(HOME)
    keys: dict[int, str] = {}
    for step in plan.line:
        table = read_edges(step.survey, step.start, step.stop)
        for decoded in decode(source, table.take(np.asarray(~table.is_control))):
            keys |= {row["offset"]: row["key"].decode() for row in decoded.table.to_pylist()}
    source.close()
    assert keys == {row["offset"]: row["key"] for row in TRUTH["records"]}
