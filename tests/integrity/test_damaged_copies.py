"""From bytes on a disk to exit code and ledger: directories built by the second writer, then damaged."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from kafka_salvage.integrity.document import dumps
from kafka_salvage.integrity.report import IntegrityReport, make_report
from kafka_salvage.plan.merge import make_plan
from kafka_salvage.plan.policy import Include, Policy
from kafka_salvage.regions.survey import SurveyOptions, survey_replica
from kafka_salvage.scan.replica import take_inventory
from tests.support.build import BatchInfo, Build, segment, segment_name

BASES = (0, 50, 100, 150)
END = 200


def log_dir(root: Path, *, magic: int = 2, topic: str = "orders", per_file: int = 5) -> dict[int, list[BatchInfo]]:
    """A broker's directory: four segments, offsets 0 to 200 in steps of ten."""
    directory = root / f"{topic}-0"
    directory.mkdir(parents=True)
    infos = {}
    for base in BASES:
        data, infos[base] = segment(per_file if magic == 2 else 50, base=base, magic=magic)
        (directory / segment_name(base)).write_bytes(data)
    (root / "meta.properties").write_text("version=1\nnode.id=1\ncluster.id=abcdefghijklmnopqrstuv\n")
    return infos


def checkpoints(root: Path, *, topic: str = "orders", mark: int = END) -> None:
    (root / "replication-offset-checkpoint").write_text(f"0\n1\n{topic} 0 {mark}\n")
    (root / f"{topic}-0" / "leader-epoch-checkpoint").write_text("0\n1\n0 0\n")


def report_of(*paths: Path, policy: Policy | None = None, deep: bool = False) -> IntegrityReport:
    inventory = take_inventory([str(path) for path in paths])
    surveys = [survey_replica(replica, SurveyOptions(deep=deep)) for replica in inventory.replicas]
    return make_report(make_plan(inventory, surveys, policy or Policy()), "deep" if deep else "shallow")


def shape(document: dict[str, Any], at: int = 0) -> list[tuple[int, int, str]]:
    return [(s["start"], s["stop"], s["status"]) for s in document["partitions"][at]["offsets"]]


def edit(path: Path, at: int, new: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + len(new)] = new
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("magic", [0, 1, 2])
def test_a_clean_directory_is_intact(tmp_path: Path, magic: int) -> None:
    log_dir(tmp_path, magic=magic)
    checkpoints(tmp_path)
    report = report_of(tmp_path)
    assert (report.exit_code, report.conditions, report.outcome) == (0, (), "intact")
    assert shape(report.to_dict()) == [(0, END, "recovered")]
    assert report.to_dict()["summary"]["records"] == {"intact": END, "repaired": 0}


class TestMissingSegments:
    @pytest.mark.parametrize("known", [True, False])
    @pytest.mark.parametrize("base", BASES)
    def test_each_with_and_without_checkpoints(self, tmp_path: Path, base: int, known: bool) -> None:
        log_dir(tmp_path)
        if known:
            checkpoints(tmp_path)
        (tmp_path / "orders-0" / segment_name(base)).unlink()
        report = report_of(tmp_path)
        gone = (base, base + 50, "missing")
        left = [(0, base, "recovered"), gone, (base + 50, END, "recovered")]
        if not known and base in (BASES[0], BASES[-1]):
            left.remove(gone)  # nothing tells that there was more
        expected = [span for span in left if span[0] < span[1]]
        assert shape(report.to_dict()) == expected
        assert report.exit_code == (3 if gone in expected else 0)

    def test_a_file_cut_at_a_batch_edge_is_seen_by_the_next_name(self, tmp_path: Path) -> None:
        infos = log_dir(tmp_path)
        path = tmp_path / "orders-0" / segment_name(50)
        path.write_bytes(path.read_bytes()[: infos[50][3].start])
        report = report_of(tmp_path)
        assert shape(report.to_dict()) == [(0, 80, "recovered"), (80, 100, "missing"), (100, END, "recovered")]
        assert report.exit_code == 3


class TestZeros:
    def test_a_zeroed_batch_is_lost(self, tmp_path: Path) -> None:
        infos = log_dir(tmp_path)
        hit = infos[100][2]
        edit(tmp_path / "orders-0" / segment_name(100), hit.start, bytes(hit.size))
        report = report_of(tmp_path)
        assert shape(report.to_dict()) == [(0, 120, "recovered"), (120, 130, "lost"), (130, END, "recovered")]
        assert report.exit_code == 3
        assert "zero-fill" in {f["code"] for f in report.to_dict()["findings"]}

    def test_a_preallocated_tail_is_harmless(self, tmp_path: Path) -> None:
        log_dir(tmp_path)
        checkpoints(tmp_path)
        path = tmp_path / "orders-0" / segment_name(150)
        path.write_bytes(path.read_bytes() + bytes(4096))
        report = report_of(tmp_path)
        assert report.exit_code == 0, report.to_dict()["findings"]
        assert report.to_dict()["summary"]["bytes"]["blank"] == 4096

    def test_zeros_that_the_high_watermark_contradicts_are_a_loss(self, tmp_path: Path) -> None:
        log_dir(tmp_path)
        checkpoints(tmp_path, mark=END + 7)
        path = tmp_path / "orders-0" / segment_name(150)
        path.write_bytes(path.read_bytes() + bytes(4096))
        report = report_of(tmp_path)
        assert shape(report.to_dict()) == [(0, END, "recovered"), (END, END + 7, "lost")]
        assert report.exit_code == 3


class TestTornTail:
    def test_it_ends_where_its_header_says(self, tmp_path: Path) -> None:
        infos = log_dir(tmp_path)
        path = tmp_path / "orders-0" / segment_name(150)
        path.write_bytes(path.read_bytes()[: infos[150][-1].start + 40])
        report = report_of(tmp_path)
        assert shape(report.to_dict()) == [(0, 190, "recovered"), (190, END, "lost")]
        assert report.to_dict()["summary"]["offsets"]["lost_at_least"] is False
        assert report.exit_code == 3

    def test_it_is_open_ended_where_the_header_is_cut(self, tmp_path: Path) -> None:
        infos = log_dir(tmp_path)
        path = tmp_path / "orders-0" / segment_name(150)
        path.write_bytes(path.read_bytes()[: infos[150][-1].start + 20])
        report = report_of(tmp_path)
        assert shape(report.to_dict()) == [(0, 190, "recovered"), (190, 191, "lost")]
        assert report.to_dict()["summary"]["offsets"]["lost_at_least"] is True
        assert report.exit_code == 3


def test_a_length_that_claims_everything_is_repaired_and_nothing_is_lost(tmp_path: Path) -> None:
    infos = log_dir(tmp_path)
    edit(tmp_path / "orders-0" / segment_name(50), infos[50][1].start + 8, b"\x7f\xff\xff\xff")
    report = report_of(tmp_path)
    assert shape(report.to_dict()) == [(0, 60, "recovered"), (60, 70, "repaired"), (70, END, "recovered")]
    assert (report.exit_code, report.outcome) == (6, "covered")
    assert report.to_dict()["summary"]["records"] == {"intact": 190, "repaired": 10}


class TestOtherStates:
    @pytest.mark.parametrize("suffix", ["stray", "future"])
    def test_only_a_renamed_directory(self, tmp_path: Path, suffix: str) -> None:
        log_dir(tmp_path)
        (tmp_path / "orders-0").rename(tmp_path / f"orders-0.{'0123456789abcdef' * 2}-{suffix}")
        report = report_of(tmp_path)
        assert report.exit_code == 6
        (partition,) = report.to_dict()["partitions"]
        assert (partition["state"], partition["records"]["data"]) == (suffix, END)

    def test_only_a_deleted_topic_is_no_damage(self, tmp_path: Path) -> None:
        log_dir(tmp_path)
        (tmp_path / "orders-0").rename(tmp_path / f"orders-0.{'0123456789abcdef' * 2}-delete")
        report = report_of(tmp_path)
        assert report.exit_code == 0
        assert report.to_dict()["summary"]["records"]["intact"] == END

    def test_only_deleted_files(self, tmp_path: Path) -> None:
        log_dir(tmp_path)
        for base in BASES:
            path = tmp_path / "orders-0" / segment_name(base)
            path.rename(path.with_name(f"{path.name}.deleted"))
        report = report_of(tmp_path)
        assert report.exit_code == 6
        assert shape(report.to_dict()) == [(0, END, "recovered")]

    @pytest.mark.parametrize("suffix", ["deleted", "swap", "cleaned"])
    def test_a_leftover_covers_a_damaged_live_file(self, tmp_path: Path, suffix: str) -> None:
        infos = log_dir(tmp_path)
        path = tmp_path / "orders-0" / segment_name(50)
        path.with_name(f"{path.name}.{suffix}").write_bytes(path.read_bytes())
        for place in (1, 2):
            edit(path, infos[50][place].start + 70, b"\xff\x00\xff\x00")
        report = report_of(tmp_path)
        document = report.to_dict()
        assert report.exit_code == 6, document["findings"]
        assert document["summary"]["offsets"]["recovered"] == END
        assert [s["reason"] for s in document["partitions"][0]["offsets"] if "reason" in s] == [
            "deleted-segment" if suffix == "deleted" else "leftover"
        ]
        (step,) = [s for s in report.plan.partitions[0].steps if s.survey.segment.suffix == f".{suffix}"]
        assert (step.start, step.stop) == (infos[50][1].start, infos[50][2].stop)

    def test_a_broker_that_cut_its_log_left_the_rest_as_deleted_files(self, tmp_path: Path) -> None:
        infos = log_dir(tmp_path)
        checkpoints(tmp_path)
        path = tmp_path / "orders-0" / segment_name(50)
        path.write_bytes(path.read_bytes()[: infos[50][2].start])
        for base in BASES[2:]:
            later = tmp_path / "orders-0" / segment_name(base)
            later.rename(later.with_name(f"{later.name}.deleted"))
        report = report_of(tmp_path)
        assert shape(report.to_dict()) == [(0, 70, "recovered"), (70, 100, "missing"), (100, END, "recovered")]
        assert report.conditions == (3, 6)

    def test_a_topic_that_was_deleted_and_made_again(self, tmp_path: Path) -> None:
        log_dir(tmp_path)
        old = tmp_path / f"orders-0.{'0123456789abcdef' * 2}-delete"
        (tmp_path / "orders-0").rename(old)
        (old / "partition.metadata").write_text("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ")
        new = tmp_path / "orders-0"
        new.mkdir()
        (new / "partition.metadata").write_text("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAg")
        (new / segment_name(0)).write_bytes(segment(3)[0])
        report = report_of(tmp_path)
        assert report.exit_code == 0
        live, deleted = report.to_dict()["partitions"]
        assert (live["records"]["data"], deleted["records"]["data"]) == (30, END)
        assert (live["selected"], deleted["selected"]) == (True, False)
        assert report.hints[0].startswith("Left out: 200 intact records")
        asked = report_of(tmp_path, policy=Policy(include=frozenset({Include.DELETED_TOPICS})))
        assert asked.to_dict()["summary"]["records"]["intact"] == 30 + END


def test_garbage_between_dense_batches_is_6(tmp_path: Path) -> None:
    infos = log_dir(tmp_path)
    path = tmp_path / "orders-0" / segment_name(50)
    data = path.read_bytes()
    at = infos[50][2].start
    path.write_bytes(data[:at] + b"\xee" * 100 + data[at:])
    report = report_of(tmp_path)
    assert shape(report.to_dict()) == [(0, END, "recovered")]
    assert report.conditions == (6,)


def test_transactions_around_a_destroyed_marker(tmp_path: Path) -> None:
    build = Build()
    for commit in (True, False, True):
        build.v2(5, producer_id=7, producer_epoch=0, base_sequence=0, attributes=0x10)
        build.marker(commit=commit, producer_id=7)
    build.v2(4, producer_id=7, producer_epoch=0, base_sequence=0, attributes=0x10)
    data, infos = build.done()
    (tmp_path / "pay-0").mkdir()
    path = tmp_path / "pay-0" / segment_name(0)
    path.write_bytes(data)
    labels = {"none": 0, "committed": 10, "aborted": 5, "open": 4, "unknown": 0}
    found = report_of(tmp_path).to_dict()["partitions"][0]["records"]
    assert found == {"data": 19, "control": 3, **labels}
    edit(path, infos[3].start + 62, b"\xff\xff")
    document = report_of(tmp_path).to_dict()
    labels = {"none": 0, "committed": 10, "aborted": 0, "open": 4, "unknown": 5}
    assert document["partitions"][0]["records"] == {"data": 19, "control": 2, **labels}
    assert "marker-missing" in {f["code"] for f in document["findings"]}


def test_three_sources_of_one_name_give_one_report_in_every_order(tmp_path: Path) -> None:
    roots = []
    for place, topic in enumerate(("a", "b", "c")):
        root = tmp_path / str(place) / "data"
        log_dir(root, topic=topic)
        roots.append(root)
    edit(roots[1] / "b-0" / segment_name(50), 100, b"\xff\x00\xff\x00")
    documents = {dumps(report_of(*order).to_dict()) for order in permutations(roots)}
    assert len(documents) == 1
