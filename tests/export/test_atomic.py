"""Stage: a full disk, a planted link and a second run; what an interruption leaves is tried in test_resuming."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from kafka_salvage.errors import DestinationError, InvariantError, RequestError
from kafka_salvage.export.atomic import PARTIAL, Stage, StagedFile
from kafka_salvage.export.options import ExportOptions
from kafka_salvage.export.salvage_plan import write_rescue
from tests.export.scenes import FakeReport, Piece, Scene, tree
from tests.support.build import Build

ROOT = Path(__file__).resolve().parents[2]
FORMATS = ("segments", "jsonl")


def scene(root: Path, partitions: int = 3) -> Scene:
    made = Scene(root)
    for partition in range(partitions):
        data, infos = Build().v2(50).v2(50).v2(50).done()
        made.add([Piece(data + b"damage", infos)], partition=partition)
    return made


def test_nothing_lies_at_its_place_before_the_commit(tmp_path: Path) -> None:
    with Stage(tmp_path / "out") as stage:
        stage.write("a/b/c.txt", "document", b"content")
        assert [p.name for p in (tmp_path / "out").iterdir()] == [PARTIAL]
        stage.commit(last=())
    assert tree(tmp_path / "out") == {"a/b/c.txt": b"content"}


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with Stage(tmp_path / "deep" / "out") as stage:
            stage.write("a", "document", b"content")
            stage.create("b", "document").write(b"x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not (tmp_path / "deep" / "out").exists()


@pytest.mark.parametrize("path", ["../a", "/a", "a/../b", "a//b", "", f"{PARTIAL}/a", "a/."])
def test_places_outside_are_our_bug(tmp_path: Path, path: str) -> None:
    with Stage(tmp_path / "out") as stage, pytest.raises(InvariantError):
        stage.create(path, "document")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("when", [0, 1, 4, 9])
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_full_disk_leaves_no_file_that_looks_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, when: int, jobs: int
) -> None:
    calls = iter(range(1_000_000))
    real = os.fsync

    def full(descriptor: int) -> None:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode) and next(calls) == when:
            raise OSError(code, os.strerror(code))
        real(descriptor)

    scene(tmp_path / "src").write(tmp_path / "whole", formats=FORMATS)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DestinationError) as caught:
        scene(tmp_path / "src").write(tmp_path / "out", formats=FORMATS, jobs=jobs)
    assert caught.value.target
    assert caught.value.advice
    if (tmp_path / "out").exists():
        assert [path.name for path in (tmp_path / "out").iterdir()] == [PARTIAL]
        scene(tmp_path / "src").write(tmp_path / "out", formats=FORMATS, jobs=jobs, resume=True)
        assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    else:
        assert when < 9  # by then a partition was finished, and is kept


def test_a_really_full_disk(tmp_path: Path) -> None:
    """A file size limit stands in for a full disk: the kernel refuses in the middle of a file."""
    program = f"""
        import resource, signal, sys
        from pathlib import Path
        from kafka_salvage.errors import DestinationError
        from tests.export.test_atomic import FORMATS, scene
        made = scene(Path({str(tmp_path / "src")!r}), 1)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            made.write(Path({str(tmp_path / "out")!r}), formats=FORMATS)
        except DestinationError as error:
            sys.exit(5)
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, check=False)
    assert run.returncode == 5
    assert not (tmp_path / "out").exists()


def test_a_small_disk_is_refused_before_the_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs

    def small(path: Any) -> os.statvfs_result:
        values = list(real(path))
        values[4] = 10  # f_bavail
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "statvfs", small)
    with pytest.raises(DestinationError, match="are free"):
        scene(tmp_path / "src").write(tmp_path / "out", formats=FORMATS)
    assert not (tmp_path / "out").exists()
    scene(tmp_path / "src").write(tmp_path / "out", formats=FORMATS, force=True)
    assert (tmp_path / "out" / "SHA256SUMS").exists()


def test_an_output_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep me")
    refused: list[dict[str, Any]] = [{}, {"resume": True}]
    for options in refused:
        with pytest.raises(RequestError):
            scene(tmp_path / "src").write(out, formats=FORMATS, **options)
    assert tree(out) == {"mine.txt": b"keep me"}
    scene(tmp_path / "src").write(out, formats=FORMATS, force=True)
    assert (out / "mine.txt").read_text() == "keep me"


def test_force_replaces_an_earlier_rescue_wholly(tmp_path: Path) -> None:
    out = tmp_path / "out"
    scene(tmp_path / "src", 5).write(out, formats=FORMATS)
    fewer = scene(tmp_path / "src", 2)
    fewer.write(out, formats=("jsonl",), force=True)
    fewer.write(tmp_path / "fresh", formats=("jsonl",))
    assert tree(out) == tree(tmp_path / "fresh")
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in (tmp_path / "fresh").iterdir())


def test_a_forged_manifest_removes_nothing_outside(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("evidence")
    (out / "link").symlink_to(tmp_path)
    listed = [{"path": path} for path in ("../victim", str(victim), "link/victim", 7)]
    (out / "manifest.json").write_text(json.dumps({"outputs": listed}))
    scene(tmp_path / "src", 1).write(out, formats=FORMATS, force=True)
    assert victim.read_text() == "evidence"


@pytest.mark.parametrize("folder", ["segments", "jsonl", "jsonl/orders", "quarantine"])
def test_a_planted_link_leads_nowhere(tmp_path: Path, folder: str) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (out / folder).parent.mkdir(parents=True)
    (out / folder).symlink_to(elsewhere)
    with pytest.raises(DestinationError, match="link"):
        scene(tmp_path / "src", 1).write(out, formats=FORMATS, force=True)
    assert list(elsewhere.iterdir()) == []
    assert not (out / "SHA256SUMS").exists()


def test_output_inside_a_source_is_refused(tmp_path: Path) -> None:
    made = scene(tmp_path / "src")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "src")
    before = tree(tmp_path / "src")
    for out in (tmp_path / "src", tmp_path / "src" / "a" / "b", link / "out", tmp_path / "src" / "orders-0"):
        with pytest.raises(RequestError, match="inside"):
            made.write(out, force=True)
    with pytest.raises(RequestError, match="inside"):
        made.write(tmp_path, force=True)
    assert tree(tmp_path / "src") == before


def test_a_file_in_place_of_the_output_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(RequestError, match="not a directory"):
        scene(tmp_path / "src").write(tmp_path / "out")


@pytest.mark.parametrize("name", ["avro", "nonsense"])
def test_formats_that_are_not_there_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RequestError, match=name):
        scene(tmp_path / "src").write(tmp_path / "out", formats=(name,))
    assert not (tmp_path / "out").exists()


def test_what_can_no_longer_be_read_is_told_and_the_rest_comes_out(tmp_path: Path) -> None:
    made = scene(tmp_path / "src", 2)
    first = made.partitions[0].replicas[0].segments[0]
    batch = first.runs.row(1)
    damaged = bytearray(first.segment.file.real.read_bytes())
    damaged[batch["stop"] - 1] ^= 1
    first.segment.file.real.write_bytes(damaged)
    receipt = made.write(tmp_path / "out", formats=FORMATS)
    (shortfall,) = receipt.shortfalls
    assert (shortfall.start, shortfall.stop) == (batch["start"], batch["stop"])
    assert receipt.exit_code == 5
    expected = damaged[: batch["start"]] + damaged[batch["stop"] : first.runs.row(2)["stop"]]
    assert (tmp_path / "out/segments/orders-0" / f"{0:020d}.log").read_bytes() == bytes(expected)
    assert json.loads((tmp_path / "out/manifest.json").read_bytes())["shortfalls"]


def test_a_vanished_file_is_told_and_the_rest_comes_out(tmp_path: Path) -> None:
    made = scene(tmp_path / "src", 2)
    made.partitions[0].replicas[0].segments[0].segment.file.real.unlink()
    receipt = made.write(tmp_path / "out", formats=FORMATS)
    assert {shortfall.path for shortfall in receipt.shortfalls} == {"orders-0/00000000000000000000.log"}
    assert (tmp_path / "out/segments/orders-1").is_dir()


def test_sparse_blocks_end_a_file_rightly(tmp_path: Path) -> None:
    import numpy as np

    with Stage(tmp_path / "out") as stage:
        file: StagedFile = stage.create("zeros", "quarantine")
        file.write(b"x")
        file.write_sparse(np.zeros(1 << 17, np.uint8))
        made = file.finish()
        stage.commit(last=())
    assert (tmp_path / "out" / "zeros").read_bytes() == b"x" + bytes(1 << 17)
    assert made.size == 1 + (1 << 17)


def test_run_json_is_the_only_file_with_times_and_host(tmp_path: Path) -> None:
    import socket

    scene(tmp_path / "src").write(tmp_path / "out", formats=FORMATS, argv=("kafka-salvage", "salvage", "secret-arg"))
    run = json.loads((tmp_path / "out" / "run.json").read_bytes())
    assert run["argv"] == ["kafka-salvage", "salvage", "secret-arg"]
    for path, content in tree(tmp_path / "out").items():
        if not path.endswith(".log"):
            assert b"secret-arg" not in content, path
            assert str(tmp_path).encode() not in content, path
            assert run["host"] != "orders" or socket.gethostname().encode() not in content


def test_a_failure_in_one_line_stops_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = StagedFile.write
    written: list[str] = []

    def failing(self: StagedFile, data: Any) -> None:
        written.append(self.path)
        if self.path.startswith("jsonl/orders/1."):
            raise DestinationError("the disk is full", target=self.path)
        real(self, data)

    monkeypatch.setattr(StagedFile, "write", failing)
    with pytest.raises(DestinationError, match="full"):
        scene(tmp_path / "src", 40).write(tmp_path / "out", formats=("jsonl",), jobs=2)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [PARTIAL]
    assert len(set(written)) < 40


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_leaves_nothing_that_looks_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kafka_salvage.export.salvage_plan.write_quarantine", interrupted)
    with pytest.raises(KeyboardInterrupt):
        scene(tmp_path / "src").write(tmp_path / "out", formats=FORMATS, jobs=jobs)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [PARTIAL]


def test_findings_beyond_the_report_are_streamed(tmp_path: Path) -> None:
    class Overflowing(FakeReport):
        findings_overflow = ({"id": "f10001", "b": 1, "a": "ü"}, {"id": "f10002"})

    report: Any = Overflowing()
    out = tmp_path / "out"
    write_rescue(scene(tmp_path / "src").plan(), report, out, ExportOptions())
    assert (out / "findings.jsonl").read_text() == '{"a": "ü", "b": 1, "id": "f10001"}\n{"id": "f10002"}\n'
    assert "findings.jsonl" in (out / "SHA256SUMS").read_text()
    assert json.loads((out / "report.json").read_bytes()) == FakeReport().to_dict()
