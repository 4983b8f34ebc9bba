"""PATH arguments: what is meant by them, what they are called, and which are refused."""

from __future__ import annotations

import errno
import gzip
import os
from itertools import permutations
from pathlib import Path

import pytest

from kafka_salvage.errors import RequestError, SourceError
from kafka_salvage.scan.replica import Use, duplicates_of_partition, take_inventory
from tests.support.logdirs import log_dir, partition, segment


def test_three_sources_of_one_name_in_all_six_orders(tmp_path: Path) -> None:
    racks = [log_dir(tmp_path / rack / "kafka", None) for rack in ("r1", "r2", "r3")]
    roots = [partition(rack / "orders-0").parent for rack in racks]
    inventories = [take_inventory(order) for order in permutations(roots)]
    assert all(inventory == inventories[0] for inventory in inventories)
    assert [(s.name, s.root) for s in inventories[0].sources] == [
        ("r1-kafka", roots[0]),
        ("r2-kafka", roots[1]),
        ("r3-kafka", roots[2]),
    ]
    assert list(duplicates_of_partition(inventories[0])) == [("orders", 0)]


def test_equal_nodes_are_numbered_by_path_in_all_orders(tmp_path: Path) -> None:
    roots = [partition(log_dir(tmp_path / name, 1) / "t-0").parent for name in ("b", "a", "c")]
    names = [{s.root.name: s.name for s in take_inventory(order).sources} for order in permutations([*roots, roots[0]])]
    assert all(each == {"a": "broker-1~1", "b": "broker-1~2", "c": "broker-1~3"} for each in names)


def test_names_given_by_the_person(tmp_path: Path) -> None:
    one = partition(log_dir(tmp_path / "one", 1) / "t-0").parent
    two = partition(log_dir(tmp_path / "two", 1) / "t-0").parent
    odd = partition(log_dir(tmp_path / "a=b", 5) / "t-0").parent
    assert [s.name for s in take_inventory([f"x={one}", f"y={two}"]).sources] == ["x", "y"]
    assert [s.name for s in take_inventory([f"x={one}", one, str(one)]).sources] == ["x"]
    assert [s.name for s in take_inventory([os.path.relpath(odd)]).sources] == ["broker-5"]
    with pytest.raises(RequestError, match="two names"):
        take_inventory([f"x={one}", f"y={one}"])


def test_the_same_place_twice_is_one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = partition(log_dir(tmp_path / "d", 1) / "t-0").parent
    (tmp_path / "link").symlink_to("d")
    monkeypatch.chdir(tmp_path)
    forms = [str(root), f"{root}/", "d", "./d/.", "link", "d/t-0", f"d/t-0/{segment(0)}"]
    inventory = take_inventory(forms)
    assert inventory == take_inventory([root])
    assert len(inventory.replicas) == 1


def test_a_named_source_inside_another_keeps_what_is_its_own(tmp_path: Path) -> None:
    root = log_dir(tmp_path / "all", 1)
    partition(root / "t-0")
    partition(root / "u-0")
    inventory = take_inventory([root, f"mine={root / 't-0'}"])
    assert [(r.source, r.path) for r in inventory.replicas] == [("mine", "t-0"), ("broker-1", "u-0")]
    listed = {f.path: f.reason for f in inventory.files if f.source == "broker-1" and f.path.startswith("t-0")}
    assert listed == {"t-0": "the same directory as source mine, which is read"}


def test_partition_directories_alone_read_their_parent_as_context(tmp_path: Path) -> None:
    root = log_dir(tmp_path / "d", 4, checkpoints={"replication-offset-checkpoint": {("t", 0): 5}})
    for name in ("t-0", "u-0", "v-0"):
        partition(root / name)
    inventory = take_inventory([root / "u-0", root / "t-0"])
    assert [(r.source, r.path, r.high_watermark) for r in inventory.replicas] == [
        ("broker-4", "t-0", 5),
        ("broker-4", "u-0", None),
    ]
    assert [f.path for f in inventory.files if f.use is Use.CONTEXT] == [
        "meta.properties",
        "replication-offset-checkpoint",
    ]
    assert not any(f.path.startswith("v-0") for f in inventory.files)
    assert inventory.sources[0].covers == (root / "t-0", root / "u-0")


def test_one_segment_file_reads_its_own_side_files_as_context(tmp_path: Path) -> None:
    place = partition(tmp_path / "d" / "t-0", 0, 50, files={"leader-epoch-checkpoint": b"0\n1\n2 0\n"})
    inventory = take_inventory([place / segment(50)])
    (replica,) = inventory.replicas
    assert (replica.key, replica.epochs, replica.partial) == (("t", 0), ((2, 0),), True)
    assert [s.base_offset for s in replica.segments] == [50]
    assert replica.segments[0].index is not None
    assert {f.path for f in inventory.files if f.use is Use.CONTEXT} == {
        f"t-0/{50:020d}.index",
        "t-0/leader-epoch-checkpoint",
        "t-0/partition.metadata",
    }
    assert not take_inventory([place / segment(0), place / segment(50)]).replicas[0].partial


def test_segments_in_a_directory_of_another_name(tmp_path: Path) -> None:
    (tmp_path / "incident").mkdir()
    (tmp_path / "incident" / segment(0)).write_bytes(b"x")
    for path in (tmp_path / "incident", tmp_path / "incident" / segment(0)):
        (replica,) = take_inventory([path]).replicas
        assert (replica.topic, replica.partition, replica.unnamed) == ("incident", -1, True)
        assert [s.file.path for s in replica.segments] == [segment(0)]


@pytest.mark.parametrize("form", ["missing", "empty", "no kafka", "fifo", "text file", "index", "archive", "no name"])
def test_a_path_that_cannot_be_meant_is_one_sentence(tmp_path: Path, form: str) -> None:
    place = tmp_path / "x"
    wanted = {
        "missing": "does not exist",
        "empty": "is an empty directory",
        "no kafka": "holds no Kafka files",
        "fifo": "is a named pipe",
        "text file": "is no segment file",
        "index": "is no segment file",
        "archive": "is a gzip archive",
        "no name": "is no NAME=PATH",
    }[form]
    path = str(place)
    if form == "empty":
        place.mkdir()
    elif form == "no kafka":
        place.mkdir()
        (place / "a.txt").write_text("hello")
    elif form == "fifo":
        os.mkfifo(place)
    elif form == "text file":
        place.write_text("hello")
    elif form == "index":
        path = str(partition(tmp_path / "t-0") / f"{0:020d}.index")
    elif form == "archive":
        place.write_bytes(gzip.compress(b"hello"))
    elif form == "no name":
        path = "name="
    with pytest.raises(RequestError, match=wanted) as caught:
        take_inventory([path])
    assert caught.value.advice
    assert "\n" not in caught.value.message


def test_a_path_that_may_not_be_listed_is_no_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(place: object, *rest: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(place))

    (tmp_path / "d").mkdir()
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(SourceError, match="may not be read by this user"):
        take_inventory([tmp_path / "d"])


def test_a_link_that_leads_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(RequestError, match="leads back to itself"):
        take_inventory([tmp_path / "loop"])
