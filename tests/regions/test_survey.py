"""Surveys of whole copies: what segments and side files say of each other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kafka_salvage.integrity.report import make_report
from kafka_salvage.plan.merge import make_plan
from kafka_salvage.plan.policy import Policy
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.runs import ReplicaSurvey
from kafka_salvage.regions.survey import SurveyOptions, survey_replica
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.replica import take_inventory
from tests.support.build import Build, index_entries, segment, segment_name
from tests.support.corpus import ROOT, scene

CLEAN = ROOT / "fixtures" / "clean"
SCENES = ["cluster/broker-1", "v0/broker-0", "v09/broker-0", "v1/broker-0", "mixed/broker-0"]


def surveys_of(path: Path, **options: object) -> dict[str, ReplicaSurvey]:
    inventory = take_inventory([path])
    return {
        f"{r.topic}-{r.partition}": survey_replica(r, SurveyOptions(**options))  # type: ignore[arg-type]
        for r in inventory.replicas
    }


def one_copy(
    root: Path, files: dict[str, bytes], checkpoints: dict[str, str] | None = None, **options: object
) -> ReplicaSurvey:
    partition = root / "t-0"
    partition.mkdir(parents=True)
    for name, data in files.items():
        (partition / name).write_bytes(data)
    (root / "meta.properties").write_text("version=1\nnode.id=1\ncluster.id=abc\n")
    for name, text in (checkpoints or {}).items():
        (root / name).write_text(text)
    (survey,) = surveys_of(root, **options).values()
    return survey


def files_of(*counts: int) -> dict[str, bytes]:
    files = {}
    base = 0
    for count in counts:
        data, infos = segment(count, base=base)
        files[segment_name(base)] = data
        files[segment_name(base, "index")] = index_entries(infos, base)
        base = infos[-1].last_offset + 1
    return files


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("deep", [False, True])
def test_what_a_healthy_broker_left_is_intact_and_raises_no_finding(name: str, deep: bool) -> None:
    for survey in surveys_of(CLEAN / name, deep=deep).values():
        assert survey.findings == ()
        for one in survey.segments:
            assert one.findings == ()
            assert {r.verdict for r in one.regions} <= {Verdict.INTACT, Verdict.BLANK}


@pytest.mark.corpus
@pytest.mark.parametrize(
    "archive_scene", ["modern-1/cluster", "modern-1/jbod", "old-1/zk28", "old-1/v1", "old-1/mixed"]
)
def test_the_corpus_raises_no_false_alarm(archive_scene: str) -> None:
    for survey in surveys_of(scene(*archive_scene.split("/")), deep=True).values():
        assert survey.findings == ()
        assert [f for one in survey.segments for f in one.findings] == []


def test_a_clean_copy(tmp_path: Path) -> None:
    survey = one_copy(tmp_path, files_of(5, 5, 3))
    assert not survey.compaction.compacted
    assert [one.facts.last_offset for one in survey.segments] == [49, 99, 129]
    assert all(one.findings == () for one in survey.segments)
    assert {(e.kind, e.offset) for e in survey.ends} == {("index-entry", n) for n in (50, 100, 130)}


def test_a_missing_index_is_information(tmp_path: Path) -> None:
    files = files_of(3)
    del files[segment_name(0, "index")]
    survey = one_copy(tmp_path, files)
    assert [f.code for f in survey.segments[0].findings] == ["index-missing"]


def test_a_wrong_index_is_named_and_ignored(tmp_path: Path) -> None:
    files = files_of(5)
    entries = bytearray(files[segment_name(0, "index")])
    entries[7] ^= 0x10
    files[segment_name(0, "index")] = bytes(entries)
    survey = one_copy(tmp_path, files)
    assert [f.code for f in survey.segments[0].findings] == ["index-disagrees"]
    assert [r.verdict for r in survey.segments[0].regions] == [Verdict.INTACT]


@pytest.mark.parametrize("padding", [8, 65536])
def test_a_preallocated_index_is_harmless(tmp_path: Path, padding: int) -> None:
    files = files_of(5)
    files[segment_name(0, "index")] += bytes(padding)
    files[segment_name(0, "timeindex")] = bytes(padding // 12 * 12 or 12)
    assert one_copy(tmp_path, files).segments[0].findings == ()


def test_a_missing_middle_segment_is_named(tmp_path: Path) -> None:
    files = files_of(5, 5, 3)
    del files[segment_name(50)], files[segment_name(50, "index")]
    survey = one_copy(tmp_path, files)
    assert [(f.code, f.offsets) for f in survey.findings] == [("segment-missing", OffsetRange(50, 100))]


def test_the_damaged_end_of_a_middle_segment_reaches_to_the_next(tmp_path: Path) -> None:
    files = files_of(5, 5, 3)
    files[segment_name(50)] = files[segment_name(50)][:-700]
    survey = one_copy(tmp_path, files)
    last = survey.segments[1].regions.regions[-1]
    assert last.verdict is Verdict.DAMAGED
    assert last.offsets is not None
    assert last.offsets.stop == 100
    assert not last.open_ended
    assert [f.code for f in survey.findings] == []


def test_a_high_watermark_turns_blank_zeros_into_damage(tmp_path: Path) -> None:
    files = files_of(5)
    files[segment_name(0)] += bytes(8192)
    blank = one_copy(tmp_path / "a", files)
    assert blank.segments[0].regions.regions[-1].verdict is Verdict.BLANK
    told = one_copy(tmp_path / "b", files, {"replication-offset-checkpoint": "0\n1\nt 0 73\n"})
    last = told.segments[0].regions.regions[-1]
    assert (last.verdict, last.offsets, last.open_ended) == (Verdict.DAMAGED, OffsetRange(50, 73), True)


def test_a_log_start_above_everything_is_a_corrupt_checkpoint(tmp_path: Path) -> None:
    survey = one_copy(tmp_path, files_of(3), {"log-start-offset-checkpoint": "0\n1\nt 0 5000\n"})
    assert survey.log_start is None
    assert [f.code for f in survey.findings] == ["checkpoint-corrupt"]


def test_a_log_start_inside_is_believed(tmp_path: Path) -> None:
    survey = one_copy(tmp_path, files_of(3), {"log-start-offset-checkpoint": "0\n1\nt 0 12\n"})
    assert survey.log_start == 12
    assert survey.findings == ()


def test_one_gap_is_missing_and_two_are_compaction(tmp_path: Path) -> None:
    once, _ = Build().v2(5).v2(5).gap(10).v2(5).v2(5).done()
    survey = one_copy(tmp_path / "a", {segment_name(0): once, segment_name(0, "index"): b""})
    assert not survey.compaction.compacted
    assert [(f.code, f.offsets) for f in survey.segments[0].findings] == [("offset-gap", OffsetRange(10, 20))]
    twice, _ = Build().v2(5).gap(3).v2(5).gap(10).v2(5).v2(5).done()
    survey = one_copy(tmp_path / "b", {segment_name(0): twice, segment_name(0, "index"): b""})
    assert survey.compaction.compacted
    assert survey.segments[0].findings == ()


def test_the_last_batch_that_jumps_is_judged_again(tmp_path: Path) -> None:
    data, infos = Build().v2(5).v2(5).gap(100).v2(5).done()
    files = {segment_name(0): data, segment_name(0, "index"): b""}
    survey = one_copy(tmp_path / "a", files)
    assert [r.verdict for r in survey.segments[0].regions] == [Verdict.INTACT, Verdict.SUSPECT]
    compacted = one_copy(tmp_path / "b", files, {"cleaner-offset-checkpoint": "0\n1\nt 0 5\n"})
    assert [r.verdict for r in compacted.segments[0].regions] == [Verdict.INTACT]
    told = one_copy(tmp_path / "c", files, compacted={("t", 0): True})
    assert told.compaction.reason == "cluster metadata says so"
    assert infos[-1].last_offset == told.segments[0].facts.last_offset


def test_a_damaged_snapshot_is_named(tmp_path: Path) -> None:
    files = files_of(3)
    files[segment_name(30, "snapshot")] = bytes.fromhex("000148674bc700000001")
    survey = one_copy(tmp_path, files)
    assert [f.code for f in survey.findings] == ["snapshot-corrupt"]
    assert ("snapshot-name", 30) in {(e.kind, e.offset) for e in survey.ends}


@pytest.mark.parametrize("jobs", [1, 3])
def test_jobs_change_nothing(tmp_path: Path, jobs: int) -> None:
    shutil.copytree(CLEAN / "cluster" / "broker-1", tmp_path / "b")
    got = surveys_of(tmp_path / "b", jobs=jobs)
    assert [len(s.segments) for s in got.values()] == [len(s.segments) for s in surveys_of(tmp_path / "b").values()]
    bases = [[one.segment.base_offset for one in s.segments] for s in got.values()]
    assert bases == [sorted(b, key=lambda n: n or 0) for b in bases]


@pytest.mark.corpus
def test_the_eaten_scene_after_its_broker_start(tmp_path: Path) -> None:
    for place in ("before", "after-D1"):
        for survey in surveys_of(scene("modern-1", "eaten") / place).values():
            assert [f for one in survey.segments for f in one.findings if f.code != "index-missing"] == []


def test_a_file_that_is_gone_when_it_is_read_is_said_not_to_have_been_opened(tmp_path: Path) -> None:
    files = files_of(4, 4)
    (tmp_path / "t-0").mkdir()
    for name, data in files.items():
        (tmp_path / "t-0" / name).write_bytes(data)
    inventory = take_inventory([tmp_path])
    (tmp_path / "t-0" / max(name for name in files if name.endswith(".log"))).unlink()
    survey = survey_replica(inventory.replicas[0], SurveyOptions())
    (found,) = (finding for finding in survey.segments[1].findings if finding.code == "unreadable")
    assert found.detail["opened"] is False
    report = make_report(make_plan(inventory, [survey], Policy()), "shallow")
    assert report.exit_code == 5
