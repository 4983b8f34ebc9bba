"""Comparisons of two copies against what was done to them."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import kafka_salvage
from kafka_salvage.integrity import comparison, sides
from kafka_salvage.integrity.comparison import Comparison, Kind, PartitionComparison
from tests.support import metadata as write
from tests.support.build import GZIP, LZ4, NONE, Build, Rec, record_for, segment, v2_batch
from tests.support.corpus import scene


def lay(root: Path, data: bytes, name: str = "t-0", base: int = 0, topic_id: str | None = None) -> Path:
    write.log_dir(root)
    write.partition(root, name, data, base, topic_id)
    return root


def compared(tmp_path: Path, a: bytes, b: bytes) -> PartitionComparison:
    (one,) = kafka_salvage.compare(lay(tmp_path / "a", a), lay(tmp_path / "b", b)).partitions
    return one


def ranges(one: PartitionComparison, kind: Kind) -> list[tuple[int, int, int]]:
    return [(r.start, r.stop, r.records) for r in one.sums[kind].ranges]


def batches(first: int, sizes: list[int], codec: int = NONE, changed: frozenset[int] = frozenset()) -> bytes:
    """Batches of so many records each; records in ``changed`` have another value."""
    made, base = b"", first
    for size in sizes:
        records = [record_for(base + i) for i in range(size)]
        records = [Rec(r.offset, r.timestamp, r.key, b"other") if r.offset in changed else r for r in records]
        made += v2_batch(base, records, codec=codec)
        base += size
    return made


@pytest.mark.corpus
def test_a_broker_s_recovery_destroyed_what_was_recorded() -> None:
    root = scene("modern-1", "eaten")
    cases = json.loads((root / "scene.json").read_text())["facts"]["cases"]
    found = kafka_salvage.compare(root / "before", root / "after-D1")
    (events,) = [each for each in found.partitions if each.differs]
    end = cases["D1"]["logEndOffset"]
    assert (events.topic, events.partition) == ("events", 0)
    assert ranges(events, Kind.ONLY_A) == [(end, 3000, cases["D1"]["recordsLost"])]
    assert (found.total(Kind.ONLY_A), found.total(Kind.ONLY_B)) == ((cases["D1"]["recordsLost"], 0), (0, 0))
    assert found.total(Kind.DIFFERENT) == (0, 0)
    assert found.exit_code == 6


@pytest.mark.corpus
def test_the_two_branches_of_an_unclean_election() -> None:
    root = scene("modern-1", "unclean")
    one, two = root / "broker-1", root / "broker-2"
    (ledger,) = kafka_salvage.compare(one, two).partitions
    assert ledger.same == 2000
    assert ranges(ledger, Kind.DIFFERENT) == [(2000, 2100, 100)]
    assert ranges(ledger, Kind.ONLY_A) == [(2100, 2340, 240)]
    (back,) = kafka_salvage.compare(two, one).partitions
    assert ranges(back, Kind.ONLY_B) == [(2100, 2340, 240)]


@pytest.mark.corpus
@pytest.mark.parametrize(("archive", "name", "nodes"), [("modern-1", "cluster", (1, 2, 3)), ("old-1", "zk28", (0, 1))])
def test_replicas_of_a_real_cluster_differ_at_their_tails_only(archive: str, name: str, nodes: tuple[int, ...]) -> None:
    root = scene(archive, name)
    for one, two in itertools.pairwise(nodes):
        found = kafka_salvage.compare(root / f"broker-{one}", root / f"broker-{two}")
        assert found.total(Kind.DIFFERENT) == (0, 0)
        assert all(len(each.sums[kind].ranges) <= 1 for each in found.partitions for kind in (Kind.ONLY_A, Kind.ONLY_B))
        assert sum(each.same for each in found.partitions) > 2000


@pytest.mark.corpus
def test_cleaned_and_uncleaned_segments_hold_the_same_records_where_both_have_them(tmp_path: Path) -> None:
    root = scene("old-1", "v1") / "broker-0" / "v1-compact-gzip-0"
    deleted = sorted(root.glob("*.log.deleted"))
    assert deleted
    for file in deleted:
        target = tmp_path / "before" / "v1-compact-gzip-0" / file.name.removesuffix(".deleted")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    for file in root.glob("*.log"):
        if (tmp_path / "before" / "v1-compact-gzip-0" / file.name).exists():
            target = tmp_path / "after" / "v1-compact-gzip-0" / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    (one,) = kafka_salvage.compare(tmp_path / "before", tmp_path / "after").partitions
    assert one.sums[Kind.DIFFERENT].records == 0
    assert one.sums[Kind.ONLY_A].records > 0
    assert one.rewritten > 0


def test_the_same_bytes_are_the_same(tmp_path: Path) -> None:
    data, infos = segment(20)
    found = kafka_salvage.compare(lay(tmp_path / "a", data), lay(tmp_path / "b", data))
    assert (found.exit_code, found.partitions[0].same) == (0, 200)
    assert found.to_dict()["summary"]["differs"] is False
    assert len(infos) == 20


def test_leader_epochs_alone_make_no_difference(tmp_path: Path) -> None:
    one = compared(tmp_path, segment(5, epoch=1)[0], segment(5, epoch=4)[0])
    assert (one.differs, one.same, one.rewritten) == (False, 50, 0)


def test_a_damaged_batch_and_a_missing_tail(tmp_path: Path) -> None:
    data, infos = segment(10)
    at = infos[3].stop - 1
    harmed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 : infos[8].start]
    one = compared(tmp_path, data, harmed)
    assert ranges(one, Kind.ONLY_A) == [(30, 40, 10), (80, 100, 20)]
    assert (one.same, one.sums[Kind.ONLY_B].records) == (70, 0)


def test_the_sides_are_told_apart(tmp_path: Path) -> None:
    a = batches(0, [10, 10]) + batches(30, [10, 10])
    b = batches(0, [10]) + batches(20, [10, 10, 10])
    one = compared(tmp_path, a, b)
    assert (ranges(one, Kind.ONLY_A), ranges(one, Kind.ONLY_B)) == ([(10, 20, 10)], [(20, 30, 10)])
    assert one.same == 30


@pytest.mark.parametrize("codec", [NONE, GZIP, LZ4])
def test_other_batch_edges_with_the_same_records(tmp_path: Path, codec: int) -> None:
    one = compared(tmp_path, batches(0, [7, 13, 1, 9]), batches(0, [10, 5, 15], codec))
    assert (one.differs, one.same, one.rewritten) == (False, 30, 30)


def test_other_batch_edges_and_one_record_that_differs(tmp_path: Path) -> None:
    a = batches(0, [7, 13, 10])
    b = batches(0, [10, 10, 10], changed=frozenset({12, 25}))
    one = compared(tmp_path, a, b)
    assert ranges(one, Kind.DIFFERENT) == [(12, 13, 1), (25, 26, 1)]
    assert one.same == 28


def test_records_that_compaction_took_are_only_in_the_older_copy(tmp_path: Path) -> None:
    whole = Build().v2(10).v2(10).v2(10)
    thin = Build().v2(10, keep=[0, 9]).v2(10, keep=[]).v2(10)
    one = compared(tmp_path, whole.done()[0], thin.done()[0])
    assert ranges(one, Kind.ONLY_A) == [(1, 9, 8), (10, 20, 10)]
    assert one.same == 12


def test_null_and_empty_differ(tmp_path: Path) -> None:
    a = v2_batch(0, [Rec(0, 1, b"k", None), Rec(1, 1, None, b"v"), Rec(2, 1, b"k", b"v", ((b"h", None),))])
    b = v2_batch(0, [Rec(0, 1, b"k", b""), Rec(1, 1, b"", b"v"), Rec(2, 1, b"k", b"v", ((b"h", b""),))])
    assert compared(tmp_path, a, b).sums[Kind.DIFFERENT].records == 3


def test_a_time_that_differs_is_a_difference(tmp_path: Path) -> None:
    a, b = v2_batch(0, [Rec(0, 1, b"k", b"v")]), v2_batch(0, [Rec(0, 2, b"k", b"v")])
    assert compared(tmp_path, a, b).sums[Kind.DIFFERENT].records == 1


def test_markers_are_counted_apart(tmp_path: Path) -> None:
    a = Build().v2(3, producer_id=7, producer_epoch=0, attributes=0x10).marker(commit=True, producer_id=7)
    b = Build().v2(3, producer_id=7, producer_epoch=0, attributes=0x10).marker(commit=False, producer_id=7)
    one = compared(tmp_path, a.done()[0], b.done()[0])
    assert (one.sums[Kind.DIFFERENT].records, one.sums[Kind.DIFFERENT].control, one.same) == (0, 1, 3)


def test_what_lies_below_a_log_start_is_not_there(tmp_path: Path) -> None:
    data, _ = segment(5)
    a, b = lay(tmp_path / "a", data), lay(tmp_path / "b", data)
    (b / "log-start-offset-checkpoint").write_text("0\n1\nt 0 13\n")
    (one,) = kafka_salvage.compare(a, b).partitions
    assert ranges(one, Kind.ONLY_A) == [(0, 13, 13)]
    assert one.same == 37


def test_a_partition_of_one_side_and_two_topics_of_one_name(tmp_path: Path) -> None:
    a = lay(tmp_path / "a", segment(2)[0], "only-0")
    lay(a, segment(2)[0], "t-0", topic_id=write.uuid_text(1))
    b = lay(tmp_path / "b", segment(2)[0], "t-0", topic_id=write.uuid_text(2))
    found = {(each.topic, each.states): each for each in kafka_salvage.compare(a, b).partitions}
    assert len(found) == 3
    assert sum(each.sums[Kind.ONLY_A].records for each in found.values()) == 40
    assert sum(each.sums[Kind.ONLY_B].records for each in found.values()) == 20
    assert sum("two topics of one name" in " ".join(each.notes) for each in found.values()) == 2


def test_internal_topics_are_compared_when_asked_for(tmp_path: Path) -> None:
    a = lay(tmp_path / "a", segment(2)[0], "__consumer_offsets-0")
    b = lay(tmp_path / "b", segment(1)[0], "__consumer_offsets-0")
    found = kafka_salvage.compare(a, b)
    assert (found.exit_code, found.skipped) == (0, 1)
    assert kafka_salvage.compare(a, b, internal=True).total(Kind.ONLY_A) == (10, 0)


def _document(found: Comparison) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(found.to_dict()))
    return made


def test_workers_blocks_and_pieces_have_no_influence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [1 + (n * 7) % 13 for n in range(300)]
    other = [1 + (n * 5) % 17 for n in range(300)]
    total = min(sum(sizes), sum(other)) - 50
    a = lay(tmp_path / "a", batches(0, sizes) + batches(sum(sizes), [3] * 400))
    b = lay(tmp_path / "b", batches(0, other, changed=frozenset(range(0, total, 37))))
    expected = _document(kafka_salvage.compare(a, b, jobs=1))
    assert expected["partitions"][0]["different"]["records"] > 40
    assert _document(kafka_salvage.compare(a, b, jobs=3)) == expected
    monkeypatch.setattr(sides, "PIECE", 100)
    assert _document(kafka_salvage.compare(a, b)) == expected
    assert _document(kafka_salvage.compare(a, a))["summary"]["same"] == sum(sizes) + 1200


def test_lines_of_many_segments_with_other_roll_points(tmp_path: Path) -> None:
    sizes = [1 + (n * 7) % 13 for n in range(120)]
    ends = [sum(sizes[: n + 1]) for n in range(120)]
    a, b = write.log_dir(tmp_path / "a"), write.log_dir(tmp_path / "b")
    for low in range(0, 120, 8):
        base = ends[low - 1] if low else 0
        write.partition(a, "t-0", batches(base, sizes[low : low + 8]), base)
    total = ends[-1]
    for low in range(0, total, 50):
        sizes_b = [min(9, total - low, low + 50 - at) for at in range(low, min(low + 50, total), 9)]
        sizes_b[-1] = min(50, total - low) - 9 * (len(sizes_b) - 1)
        write.partition(b, "t-0", batches(low, sizes_b, changed=frozenset({77, 400})), low)
    (one,) = kafka_salvage.compare(a, b).partitions
    assert ranges(one, Kind.DIFFERENT) == [(77, 78, 1), (400, 401, 1)]
    assert (one.same, one.sums[Kind.ONLY_A].records, one.sums[Kind.ONLY_B].records) == (total - 2, 0, 0)


def test_ranges_beyond_a_thousand_are_counted_and_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "MOST_RANGES", 5)
    one = compared(tmp_path, batches(0, [100]), batches(0, [100], changed=frozenset(range(0, 100, 2))))
    entry = one.sums[Kind.DIFFERENT]
    assert (entry.records, len(entry.ranges), entry.omitted) == (50, 5, 45)


def test_a_batch_larger_than_a_piece_is_compared_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "PIECE", 512)
    big = [Rec(i, 1, b"k", os.urandom(200)) for i in range(20)]
    data = v2_batch(0, big, epoch=3)
    one = compared(tmp_path, data, v2_batch(0, big, epoch=4))
    assert (one.differs, one.same, one.rewritten) == (False, 20, 0)
