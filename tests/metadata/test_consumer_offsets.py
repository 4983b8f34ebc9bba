"""Positions of groups: what counts, what is pending, and what may be newer than what is here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import kafka_salvage
from kafka_salvage.metadata.consumer_offsets import TOPIC
from kafka_salvage.metadata.positions import GroupPositions, Position
from kafka_salvage.plan.plan import Transaction
from tests.support import metadata as write
from tests.support.build import EPOCH_MS, legacy_message
from tests.support.corpus import scene

SCENES = [
    ("modern-1", "cluster"),
    ("old-1", "v0"),
    ("old-1", "v1"),
    ("old-1", "mixed"),
    ("old-1", "zk28"),
    ("old-1", "zk39"),
]
Key = tuple[str, str, int]


def lay(root: Path, log: bytes, partition: int = 0) -> Path:
    write.log_dir(root)
    write.partition(root, f"{TOPIC}-{partition}", log)
    return root


def commits(*records: tuple[str, int, int | None]) -> bytes:
    """One batch for each (group, partition of the topic `t`, offset or tombstone)."""
    return b"".join(
        write.batch(
            at, [(write.commit_key(group, "t", number), None if offset is None else write.commit_value(offset))]
        )
        for at, (group, number, offset) in enumerate(records)
    )


def found(groups: GroupPositions) -> dict[Key, int | None]:
    return {(p.group, p.topic, p.partition): p.committed.offset if p.committed else None for p in groups.positions}


def only(groups: GroupPositions) -> Position:
    (one,) = groups.positions
    return one


def truth_of(root: Path) -> dict[Key, dict[str, Any]]:
    told = json.loads((root / "truth" / "groups.json").read_text())
    made: dict[Key, dict[str, Any]] = {}
    for group, facts in told["groups"].items():
        offsets = facts["offsets"]
        for each in offsets if isinstance(offsets, list) else offsets.values():
            made[group, each["topic"], each["partition"]] = each
    return made


@pytest.mark.corpus
@pytest.mark.parametrize(("archive", "name"), SCENES)
def test_every_position_of_a_real_cluster(archive: str, name: str) -> None:
    root = scene(archive, name)
    groups = kafka_salvage.groups(root)
    committed = {(p.group, p.topic, p.partition): p for p in groups.positions if p.committed}
    truth = truth_of(root)
    assert set(committed) == set(truth)
    for key, each in truth.items():
        commit = committed[key].committed
        assert commit is not None
        assert (commit.offset, commit.metadata) == (each["offset"], each.get("metadataOnDisk", each["metadata"]))
        if "leaderEpoch" in each:
            assert commit.leader_epoch == (-1 if each["leaderEpoch"] is None else each["leaderEpoch"])
        assert (committed[key].offset, committed[key].certainty) == (each["offset"], "certain")
    assert groups.exit_code == 0


@pytest.mark.corpus
def test_pending_offsets_types_and_members_of_a_real_cluster() -> None:
    root = scene("modern-1", "cluster")
    groups = kafka_salvage.groups(root)
    told = json.loads((root / "truth" / "groups.json").read_text())
    (pending,) = told["pendingTransactional"]["etl-txn"]
    waiting = {(p.group, p.topic, p.partition): p.pending for p in groups.positions if p.pending}
    assert set(waiting) == {("etl-txn", pending["topic"], pending["partition"])}
    ((commit,),) = waiting.values()
    assert (commit.offset, commit.transaction) == (pending["offset"], Transaction.OPEN)
    members = {group.name: {member for member, _, _ in group.members} for group in groups.groups}
    assert members == {name: {m["memberId"] for m in each["members"]} for name, each in told["groups"].items()}
    types = {group.name: group.type for group in groups.groups if group.members}
    assert types == {"live-dash": "classic", "next-gen": "consumer"}
    assert "defunct" not in {group.name for group in groups.groups}


@pytest.mark.corpus
def test_one_broker_alone_gives_the_same(tmp_path: Path) -> None:
    root = scene("modern-1", "cluster")
    whole = kafka_salvage.groups(root)
    assert found(kafka_salvage.groups(root / "broker-2")) == found(whole)


@pytest.mark.corpus
def test_what_one_copy_lost_another_gives(tmp_path: Path) -> None:
    root = scene("modern-1", "cluster")
    for number, node in enumerate(("broker-1", "broker-2", "broker-3")):
        write.log_dir(tmp_path / node, number + 1)
        for partition in range(4):
            shutil.copytree(root / node / f"{TOPIC}-{partition}", tmp_path / node / f"{TOPIC}-{partition}")
            for log in (tmp_path / node / f"{TOPIC}-{partition}").glob("*.log"):
                data = bytearray(log.read_bytes())
                third = len(data) // 3
                data[number * third : number * third + third // 2] = bytes(third // 2)
                log.write_bytes(data)
    assert found(kafka_salvage.groups(tmp_path)) == found(kafka_salvage.groups(root))


def test_the_latest_commit_counts_and_tombstones_take_away(tmp_path: Path) -> None:
    log = commits(("a", 0, 5), ("b", 0, 9), ("a", 0, 3), ("a", 1, 7), ("b", 0, None), ("c", 0, None))
    groups = kafka_salvage.groups(lay(tmp_path, log))
    assert found(groups) == {("a", "t", 0): 3, ("a", "t", 1): 7}
    assert groups.to_csv() == "a,t,0,3\na,t,1,7\n"
    assert groups.exit_code == 0
    assert only(kafka_salvage.groups(tmp_path, partition=1)).notes == ("no copy of t-1 is among the sources",)


@pytest.mark.parametrize("version", [0, 1, 2, 3, 4])
def test_every_version_of_a_commit(tmp_path: Path, version: int) -> None:
    value = write.commit_value(77, "mé", version=version, time=EPOCH_MS, epoch=5, expire=EPOCH_MS + 9)
    pair = (write.commit_key("g", "t", 0, version=0 if version == 0 else 1), value)
    commit = only(kafka_salvage.groups(lay(tmp_path, write.batch(0, [pair])))).committed
    assert commit is not None
    assert (commit.offset, commit.metadata, commit.commit_timestamp) == (77, "mé", EPOCH_MS)
    assert commit.leader_epoch == (5 if version >= 3 else -1)
    assert commit.expire_timestamp == (EPOCH_MS + 9 if version == 1 else -1)


@pytest.mark.parametrize("magic", [0, 1])
def test_commits_in_old_messages(tmp_path: Path, magic: int) -> None:
    message = legacy_message(
        0, write.commit_key("g", "t", 0), write.commit_value(4, version=1), magic=magic, timestamp=7
    )
    assert found(kafka_salvage.groups(lay(tmp_path, message))) == {("g", "t", 0): 4}


def test_a_position_that_had_expired_is_noted(tmp_path: Path) -> None:
    old = write.commit_value(1, version=1, time=EPOCH_MS, expire=EPOCH_MS + 10)
    new = write.commit_value(2, version=1, time=EPOCH_MS + 11, expire=EPOCH_MS + 21)
    log = write.batch(0, [(write.commit_key("old", "t", 0), old), (write.commit_key("new", "t", 0), new)])
    assert {p.group: p.expired for p in kafka_salvage.groups(lay(tmp_path, log)).positions} == {
        "old": True,
        "new": False,
    }


def transaction(end: bool | None) -> bytes:
    """A plain commit of 1, one of 2 in a transaction, its end (True: commit, False: abort, None: not there)."""
    key = write.commit_key("g", "t", 0)
    log = write.batch(0, [(key, write.commit_value(1))]) + write.batch(1, [(key, write.commit_value(2))], producer=7)
    return log if end is None else log + write.marker(2, commit=end, producer=7)


@pytest.mark.parametrize(("end", "offset", "pending"), [(True, 2, []), (False, 1, []), (None, 1, [2])])
def test_a_transactional_commit_counts_when_its_transaction_committed(
    tmp_path: Path, end: bool | None, offset: int, pending: list[int]
) -> None:
    position = only(kafka_salvage.groups(lay(tmp_path, transaction(end))))
    assert (position.offset, [each.offset for each in position.pending]) == (offset, pending)


def test_behind_a_lost_range_positions_may_be_newer(tmp_path: Path) -> None:
    parts = [commits(("a", 0, 5))] + [
        write.batch(at, [(write.commit_key(group, "t", 0), write.commit_value(at))])
        for at, group in ((1, "b"), (2, "a"), (3, "c"))
    ]
    parts[2] = parts[2][:-1] + bytes([parts[2][-1] ^ 1])
    groups = kafka_salvage.groups(lay(tmp_path, b"".join(parts)))
    assert {p.group: (p.offset, p.certainty) for p in groups.positions} == {
        "a": (5, "may-be-newer"),
        "b": (1, "may-be-newer"),
        "c": (3, "certain"),
    }
    assert groups.positions[0].notes[-1] == f"offsets 2..2 of {TOPIC}-0 are lost: a newer commit may have been there"
    assert groups.exit_code == 3
    document = groups.to_dict()
    assert document["coordinator"]["partitions"][0]["holes"] == [{"start": 2, "stop": 3, "status": "lost"}]
    assert document["summary"]["may_be_newer"] == 2


def test_a_group_that_was_asked_for_and_is_not_there(tmp_path: Path) -> None:
    # Kafka's own example: `my-group` belongs to partition 12 of 50
    lay(tmp_path, commits(("a", 0, 5)), 49)
    groups = kafka_salvage.groups(tmp_path, group=["my-group"])
    assert groups.positions == ()
    assert groups.unfound == {
        "my-group": f"its positions would be in {TOPIC}-12, of which no copy is among the sources"
    }
    assert groups.absent == tuple(range(49))
    assert groups.exit_code == 3


def test_another_cluster_s_groups_are_not_mixed_in(tmp_path: Path) -> None:
    for name, cluster, group in (("one", "A" * 22, "a"), ("two", "A" * 22, "a"), ("three", "B" * 22, "b")):
        lay(tmp_path / name, commits((group, 0, 5)))
        write.log_dir(tmp_path / name, 1, cluster)
    assert found(kafka_salvage.groups([tmp_path / "one", tmp_path / "two", tmp_path / "three"])) == {("a", "t", 0): 5}


def test_sources_without_the_topic_are_refused(tmp_path: Path) -> None:
    write.log_dir(tmp_path)
    write.partition(tmp_path, "t-0", commits(("a", 0, 1)))
    with pytest.raises(kafka_salvage.RequestError, match="no copy of __consumer_offsets"):
        kafka_salvage.groups(tmp_path)
