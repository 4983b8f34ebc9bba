"""The inventory against trees whose content is known because the test made them."""

from __future__ import annotations

import errno
import gzip
import os
from pathlib import Path

import pytest

from kafka_salvage.scan.replica import State, Use, duplicates_of_partition, take_inventory
from kafka_salvage.wire.filenames import FileKind, Suffix
from tests.support.logdirs import CLUSTER, HEX, TOPIC_ID, log_dir, partition, segment


def test_a_log_dir_gives_its_replicas_and_checkpoint_lines(tmp_path: Path) -> None:
    root = log_dir(
        tmp_path / "data",
        7,
        checkpoints={
            "replication-offset-checkpoint": {("orders", 0): 120, ("other", 0): 9},
            "recovery-point-offset-checkpoint": {("orders", 0): 100},
            "log-start-offset-checkpoint": {("orders", 0): 10},
            "cleaner-offset-checkpoint": {("orders", 0): 50},
        },
    )
    partition(
        root / "orders-0",
        0,
        90,
        files={
            "leader-epoch-checkpoint": b"0\n2\n0 0\n3 95\n",
            f"{90:020d}.snapshot": b"",
            f"{90:020d}.timeindex": b"",
            f"{90:020d}.txnindex": b"",
        },
    )
    (root / ".kafka_cleanshutdown").write_bytes(b"")
    (root / ".lock").write_bytes(b"")
    inventory = take_inventory([root])
    (source,) = inventory.sources
    assert (source.name, source.root, source.covers) == ("broker-7", root, (root,))
    (directory,) = source.log_dirs
    assert (directory.id, directory.path, directory.cluster_id, directory.node_id) == ("broker-7", ".", CLUSTER, 7)
    assert directory.clean_shutdown
    assert directory.checkpoints["replication-offset-checkpoint"] == {("orders", 0): 120, ("other", 0): 9}
    (replica,) = inventory.replicas
    assert (replica.key, replica.path, replica.state) == (("orders", 0), "orders-0", State.LIVE)
    assert (replica.topic_id, replica.cluster_id) == (TOPIC_ID, CLUSTER)
    assert (replica.high_watermark, replica.recovery_point) == (120, 100)
    assert (replica.log_start, replica.cleaner_offset) == (10, 50)
    assert replica.epochs == ((0, 0), (3, 95))
    assert [s.base_offset for s in replica.segments] == [0, 90]
    assert [offset for offset, _ in replica.snapshots] == [90]
    last = replica.segments[1]
    assert [f.path if f else None for f in (last.index, last.time_index, last.txn_index)] == [
        f"orders-0/{90:020d}.index",
        f"orders-0/{90:020d}.timeindex",
        f"orders-0/{90:020d}.txnindex",
    ]
    assert replica.segments[0].time_index is None
    assert not replica.partial


def test_every_file_is_listed_with_kind_use_and_reason(tmp_path: Path) -> None:
    root = log_dir(tmp_path / "d", 1)
    partition(root / "t-0", files={"notes.txt": b"hello", "leader-epoch-checkpoint.tmp": b"0\n"})
    (root / ".lock").write_bytes(b"")
    (root / "lost+found").mkdir()
    (root / "lost+found" / "#1234").write_bytes(b"\0")
    (root / "server.log").write_text("[INFO] started\n")
    (root / "old.tar.gz").write_bytes(gzip.compress(b"x"))
    (root / "remote-log-index-cache").mkdir()
    (root / "remote-log-index-cache" / f"{0:020d}_{TOPIC_ID}.index").write_bytes(b"")
    os.mkfifo(root / "pipe")
    (root / "link").symlink_to("t-0/notes.txt")
    files = {f.path: (f.kind, f.use, f.reason) for f in take_inventory([root]).files}
    on_disk = {os.path.relpath(os.path.join(at, f), root) for at, _, names in os.walk(root) for f in names}  # noqa: PTH118
    assert set(files) == on_disk
    assert files[f"t-0/{segment(0)}"] == (FileKind.SEGMENT, Use.READ, None)
    assert files["meta.properties"] == (FileKind.META_PROPERTIES, Use.READ, None)
    ignored = {path: reason for path, (_, use, reason) in files.items() if use is Use.IGNORED}
    assert set(ignored) == {
        ".lock",
        "lost+found/#1234",
        "server.log",
        "old.tar.gz",
        "pipe",
        "link",
        "t-0/notes.txt",
        "t-0/leader-epoch-checkpoint.tmp",
        f"remote-log-index-cache/{0:020d}_{TOPIC_ID}.index",
    }
    assert all(ignored.values())
    assert files["old.tar.gz"][0] is FileKind.ARCHIVE
    assert "gzip -dk" in str(ignored["old.tar.gz"])
    assert "plain text" in str(ignored["t-0/notes.txt"])
    assert "named pipe" in str(ignored["pipe"])
    assert "symbolic link" in str(ignored["link"])


def test_segments_in_every_state_with_their_own_indexes(tmp_path: Path) -> None:
    root = log_dir(tmp_path / "d", 1)
    extra = {segment(0, s): b"" for s in (".deleted", ".cleaned", ".swap")}
    extra |= {f"{0:020d}.index.deleted": b"", "backup.log": b"", "backup.index": b"", "٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٧.log": b""}
    partition(root / "t-0", 0, 50, files=extra)
    (replica,) = take_inventory([root]).replicas
    assert [(s.base_offset, s.suffix, s.state, s.index.path if s.index else None) for s in replica.segments] == [
        (0, Suffix.NONE, State.LIVE, f"t-0/{0:020d}.index"),
        (0, Suffix.CLEANED, State.LEFTOVER, None),
        (0, Suffix.DELETED, State.DELETED_SEGMENT, f"t-0/{0:020d}.index.deleted"),
        (0, Suffix.SWAP, State.LEFTOVER, None),
        (7, Suffix.NONE, State.LIVE, None),
        (50, Suffix.NONE, State.LIVE, f"t-0/{50:020d}.index"),
        (None, Suffix.NONE, State.LIVE, "t-0/backup.index"),
    ]


def test_directory_states_and_names_at_the_last_hyphen(tmp_path: Path) -> None:
    root = log_dir(tmp_path / "d", 1)
    names = ["a-b-1-0", "a.b_c-12", f"gone-0.{HEX}-delete", f"x-3.{HEX}-stray", f"y-1.{HEX}-future"]
    for name in names:
        partition(root / name)
    (root / "empty-4").mkdir()
    (root / "no_partition").mkdir()
    found = {r.path: (r.topic, r.partition, r.state, r.unique_id) for r in take_inventory([root]).replicas}
    assert found == {
        "a-b-1-0": ("a-b-1", 0, State.LIVE, ""),
        "a.b_c-12": ("a.b_c", 12, State.LIVE, ""),
        names[2]: ("gone", 0, State.DELETED_TOPIC, HEX),
        names[3]: ("x", 3, State.STRAY, HEX),
        names[4]: ("y", 1, State.FUTURE, HEX),
        "empty-4": ("empty", 4, State.LIVE, ""),
    }


def test_a_line_of_a_live_directory_is_not_given_to_a_deleted_one(tmp_path: Path) -> None:
    lines = {"replication-offset-checkpoint": {("t", 0): 5, ("u", 0): 6}}
    root = log_dir(tmp_path / "d", 1, checkpoints=lines)
    partition(root / "t-0")
    partition(root / f"t-0.{HEX}-delete")
    partition(root / f"u-0.{HEX}-stray")
    found = {r.path: r.high_watermark for r in take_inventory([root]).replicas}
    assert found == {"t-0": 5, f"t-0.{HEX}-delete": None, f"u-0.{HEX}-stray": 6}


def test_a_name_that_kafka_cut_short_is_restored_by_the_topic_id(tmp_path: Path) -> None:
    topic = "t" * 240
    cut = f"{'t' * (255 - len(f'-0.{HEX}-stray'))}-0.{HEX}-stray"
    assert len(cut) == 255
    alone = log_dir(tmp_path / "alone", 1)
    partition(alone / cut)
    (replica,) = take_inventory([alone]).replicas
    assert replica.name_cut
    assert replica.topic == "t" * 214
    partition(log_dir(tmp_path / "other", 2) / f"{topic}-0")
    stray = [r for r in take_inventory([alone, tmp_path / "other"]).replicas if r.state is State.STRAY]
    assert [(r.topic, r.name_cut) for r in stray] == [(topic, False)]


def test_damaged_side_files_become_facts(tmp_path: Path) -> None:
    root = log_dir(tmp_path / "d", 1)
    (root / "replication-offset-checkpoint").write_bytes(b"\0" * 40)
    (root / "recovery-point-offset-checkpoint").write_bytes(b"")
    partition(
        root / "t-0",
        topic_id="",
        files={"leader-epoch-checkpoint": b"0\n2\n0 0\n", "partition.metadata": b"version: 0\ntopic_id: !\n"},
    )
    inventory = take_inventory([root])
    (replica,) = inventory.replicas
    assert (replica.epochs, replica.topic_id, replica.high_watermark) == (None, None, None)
    assert [(f.code, f.file.path) for f in replica.facts] == [
        ("checkpoint-corrupt", "t-0/partition.metadata"),
        ("checkpoint-corrupt", "t-0/leader-epoch-checkpoint"),
    ]
    (directory,) = inventory.sources[0].log_dirs
    assert [f.file.path for f in directory.facts] == ["replication-offset-checkpoint"]
    assert set(directory.checkpoints) == {"recovery-point-offset-checkpoint"}


def test_two_log_dirs_of_one_broker_in_one_tree(tmp_path: Path) -> None:
    for name, topic in (("d0", "a-0"), ("d1", "b-0")):
        partition(log_dir(tmp_path / "vol" / name, 3) / topic)
    inventory = take_inventory([tmp_path / "vol"])
    (source,) = inventory.sources
    assert source.name == "broker-3"
    assert [(d.id, d.path) for d in source.log_dirs] == [("broker-3/d0", "d0"), ("broker-3/d1", "d1")]
    assert [(r.path, r.log_dir.id if r.log_dir else "") for r in inventory.replicas] == [
        ("d0/a-0", "broker-3/d0"),
        ("d1/b-0", "broker-3/d1"),
    ]


def test_links_to_log_dirs_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    real = partition(log_dir(tmp_path / "elsewhere" / "data", 1) / "t-0").parent
    (real / "loop").symlink_to("..")
    root = tmp_path / "mnt"
    (root / "deep").mkdir(parents=True)
    (root / "deep" / "kafka").symlink_to(real)
    (root / "again").symlink_to(real)
    (root / "home").symlink_to(tmp_path)
    inventory = take_inventory([root])
    assert [r.path for r in inventory.replicas] == ["again/t-0"]
    links = {f.path: f.reason for f in inventory.files if f.use is Use.IGNORED}
    assert set(links) == {"deep/kafka", "home", "again/loop"}
    assert "again, which is read" in str(links["deep/kafka"])


def test_a_segment_that_may_not_be_opened_is_kept_as_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = partition(log_dir(tmp_path / "d", 1) / "t-0", 0, 50).parent
    real = os.open

    def guarded(path: str, *rest: int) -> int:
        if str(path).endswith(segment(50)):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *rest)

    monkeypatch.setattr(os, "open", guarded)
    (replica,) = take_inventory([root]).replicas
    assert [(s.base_offset, s.file.use) for s in replica.segments] == [(0, Use.READ), (50, Use.UNREADABLE)]
    assert "may not be read" in str(replica.segments[1].file.reason)


def test_a_directory_that_may_not_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = log_dir(tmp_path / "d", 1)
    partition(root / "t-0")
    partition(root / "u-0")
    real = os.open

    def guarded(place: object, *rest: int) -> int:
        if str(place).endswith("u-0"):
            raise PermissionError(errno.EACCES, "Permission denied", str(place))
        return real(place, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", guarded)
    inventory = take_inventory([root])
    assert [r.path for r in inventory.replicas] == ["t-0"]
    assert [(f.path, f.reason) for f in inventory.files if f.use is Use.UNREADABLE] == [
        ("u-0", "may not be read by this user")
    ]


def test_names_that_are_no_text_and_terminal_escapes_are_kept(tmp_path: Path) -> None:
    root = log_dir(tmp_path / "d", 1)
    name = os.fsdecode(b"bad\xff\x1b[2J\n-0")
    partition(root / name)
    (replica,) = take_inventory([root]).replicas
    assert (replica.topic, replica.partition) == (name[:-2], 0)
    assert replica.segments[0].file.real.read_bytes() == b"x"


def test_five_volumes_of_a_deleted_cluster(tmp_path: Path) -> None:
    """Four volumes of one cluster, one with two log dirs, and one foreign volume."""
    for node in (1, 2, 3):
        volume = log_dir(tmp_path / f"vol{node}", node)
        (volume / "lost+found").mkdir()
        (volume / ".lock").write_bytes(b"")
        partition(volume / f"a-b-1-{node}")
        partition(volume / f"a.b_c-{node}")
        partition(volume / f"old-{node}.{HEX}-stray")
    for name in ("d0", "d1"):
        partition(log_dir(tmp_path / "vol4" / name, 4) / f"moved-{name[1]}")
    partition(tmp_path / "vol4" / "d1" / f"moved-0.{HEX}-future")
    partition(log_dir(tmp_path / "vol5", 1, cluster="another") / "a-b-1-1")
    inventory = take_inventory([tmp_path / f"vol{n}" for n in (5, 3, 1, 4, 2)])
    assert [s.name for s in inventory.sources] == ["broker-1~1", "broker-1~2", "broker-2", "broker-3", "broker-4"]
    assert {s.root.name: {d.cluster_id for d in s.log_dirs} for s in inventory.sources}["vol5"] == {"another"}
    topics = {(r.topic, r.state) for r in inventory.replicas}
    assert topics == {
        ("a-b-1", State.LIVE),
        ("a.b_c", State.LIVE),
        ("old", State.STRAY),
        ("moved", State.LIVE),
        ("moved", State.FUTURE),
    }
    assert [[r.cluster_id for r in copies] for copies in duplicates_of_partition(inventory).values()] == [
        [CLUSTER, "another"]
    ]
