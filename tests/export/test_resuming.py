"""Resuming: a kill at any moment, Ctrl-C or a full disk costs only what was under way; the result is that of one run."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kafka_salvage.errors import DestinationError, RequestError
from kafka_salvage.export import resuming, rows
from kafka_salvage.export.atomic import PARTIAL, STATE, Stage
from kafka_salvage.export.refusals import destination_error
from kafka_salvage.export.staged import StagedFile
from tests.export.dying import EAGER, scene
from tests.export.scenes import tree

Kill = Callable[[Path, Path, str, int, int, bool], int]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    base = tmp_path_factory.mktemp("whole")
    scene(base / "src").write(base / "out", **EAGER)
    return base / "src", tree(base / "out")


@pytest.fixture(scope="module")
def killer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kill]:
    """Runs a salvage in a process of its own that kills itself at a moment; gives its exit code."""
    words = [sys.executable, "-m", "tests.export.dying", str(tmp_path_factory.mktemp("killer"))]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asking, telling = process.stdin, process.stdout

        def kill(src: Path, out: Path, what: str, when: int, jobs: int, resume: bool) -> int:
            asking.write(json.dumps([str(src), str(out), what, when, jobs, resume]) + "\n")
            asking.flush()
            return int(telling.readline())

        yield kill


def assert_nothing_looks_finished(out: Path, expected: dict[str, bytes]) -> None:
    assert not (out / "SHA256SUMS").exists()
    assert not (out / "manifest.json").exists()
    for path, content in tree(out).items():
        assert path.startswith(f"{PARTIAL}/") or expected[path] == content


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(
    ("what", "when"),
    [
        ("write", 0),
        ("write", 17),
        ("write", 36),
        ("fsync", 3),
        ("fsync", 25),
        ("fsync", 40),
        ("append", 5),
        ("append", 20),
        ("torn", 9),
        ("replace", 0),
        ("replace", 5),
        ("replace", 1),
        ("replace", 2),
    ],
)
def test_a_kill_leaves_nothing_that_looks_finished_and_resume_goes_on(
    tmp_path: Path, whole: tuple[Path, dict[str, bytes]], killer: Kill, what: str, when: int, jobs: int
) -> None:
    src, expected = whole
    out = tmp_path / "out"
    assert killer(src, out, what, when, jobs, False) == -signal.SIGKILL
    assert_nothing_looks_finished(out, expected)
    if what != "replace":
        assert [path.name for path in out.iterdir()] == [PARTIAL]
    with pytest.raises(RequestError, match="not empty"):
        scene(src).write(out, **EAGER)
    scene(src).write(out, resume=True, jobs=jobs, **EAGER)
    assert tree(out) == expected
    assert not (out / PARTIAL).exists()


def test_it_may_be_killed_again_and_again(tmp_path: Path, whole: tuple[Path, dict[str, bytes]], killer: Kill) -> None:
    src, expected = whole
    out = tmp_path / "out"
    chance = random.Random(4)
    kills = 0
    for _ in range(60):
        what = chance.choice(["write", "append", "fsync", "torn"])
        if killer(src, out, what, chance.randrange(3, 14), 1, out.exists()) == 0:
            break
        kills += 1
        assert_nothing_looks_finished(out, expected)
    else:
        scene(src).write(out, resume=True, **EAGER)
    assert kills >= 5
    assert tree(out) == expected


class Counted:
    """How many bytes are written to files and how many are read from segments."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written: list[str] = []
        self.stepped: list[tuple[str, int]] = []
        real_write = StagedFile.write_later

        def write(file: StagedFile, data: Any) -> Any:
            self.written.append(file.path)
            return real_write(file, data)

        monkeypatch.setattr(StagedFile, "write_later", write)
        real_steps = rows.step_batches

        def steps(step: Any, *rest: Any) -> Iterator[Any]:
            self.stepped.append((step.survey.segment.file.path, step.start))
            yield from real_steps(step, *rest)

        monkeypatch.setattr("kafka_salvage.export.line_writing.step_batches", steps)


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_is_finished_is_neither_read_nor_written_again(
    tmp_path: Path, whole: tuple[Path, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    src, expected = whole
    out = tmp_path / "out"

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("kafka_salvage.export.salvage_plan.write_quarantine", interrupted)
        with pytest.raises(KeyboardInterrupt):
            scene(src).write(out, jobs=jobs, **EAGER)
    counted = Counted(monkeypatch)
    scene(src).write(out, resume=True, jobs=jobs, **EAGER)
    assert tree(out) == expected
    assert counted.stepped == []
    assert all(path.startswith("quarantine/") or "/" not in path for path in counted.written)


def test_a_line_goes_on_in_its_middle(
    tmp_path: Path, whole: tuple[Path, dict[str, bytes]], killer: Kill, monkeypatch: pytest.MonkeyPatch
) -> None:
    src, expected = whole
    out = tmp_path / "out"
    assert killer(src, out, "append", 10, 1, False) == -signal.SIGKILL
    lines = [json.loads(line)["line"] for line in (out / PARTIAL / STATE).read_bytes().splitlines()]
    (half,) = [value for kind, _, value in lines if kind == "line"][-1:]
    assert half["entry"] is None
    assert half["opened"]
    counted = Counted(monkeypatch)
    scene(src).write(out, resume=True, **EAGER)
    assert tree(out) == expected
    finished = sum(1 for kind, _, value in lines if kind == "line" and value["entry"])
    steps = [len(partition.steps) for partition in scene(src).partitions]
    assert (finished, half["step"]) == (1, 2)
    assert len(counted.stepped) == sum(steps) - steps[0] - half["step"]


def test_changed_staged_files_are_made_anew(tmp_path: Path, whole: tuple[Path, dict[str, bytes]], killer: Kill) -> None:
    src, expected = whole
    out = tmp_path / "out"
    assert killer(src, out, "append", 15, 1, False) == -signal.SIGKILL
    staged = [path for path in (out / PARTIAL).rglob("*.log") if path.is_file()]
    assert len(staged) > 4
    changed = bytearray(staged[0].read_bytes())
    changed[5] ^= 1
    staged[0].write_bytes(changed)
    staged[1].unlink()
    staged[2].write_bytes(staged[2].read_bytes() + b"more")
    scene(src).write(out, resume=True, **EAGER)
    assert tree(out) == expected


def test_other_choices_make_everything_anew(tmp_path: Path, whole: tuple[Path, dict[str, bytes]], killer: Kill) -> None:
    src, _ = whole
    out = tmp_path / "out"
    assert killer(src, out, "append", 15, 1, False) == -signal.SIGKILL
    other = {**EAGER, "formats": ("jsonl",), "compress": "gzip"}
    scene(src).write(tmp_path / "fresh", **other)
    scene(src).write(out, resume=True, **other)
    assert tree(out) == tree(tmp_path / "fresh")


def test_evidence_that_changed_makes_everything_anew(tmp_path: Path, killer: Kill) -> None:
    src, out = tmp_path / "src", tmp_path / "out"
    made = scene(src)
    assert killer(src, out, "append", 15, 1, False) == -signal.SIGKILL
    os.utime(src / "orders-0" / f"{0:020d}.log")
    made.write(tmp_path / "fresh", **EAGER)
    made.write(out, resume=True, **EAGER)
    assert tree(out) == tree(tmp_path / "fresh")


def test_compressed_lines_begin_anew_in_their_middle(tmp_path: Path, whole: tuple[Path, dict[str, bytes]]) -> None:
    """A compressor's state cannot be told: a bookmark is there only where its file is whole."""
    src, _ = whole
    how = {**EAGER, "formats": ("jsonl", "segments"), "compress": "zstd"}
    scene(src).write(tmp_path / "fresh", **how)
    out = tmp_path / "out"

    def interrupted(self: StagedFile, data: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        count = iter(range(1000))
        real = StagedFile.write_later
        patch.setattr(StagedFile, "write_later", lambda f, d: interrupted(f, d) if next(count) > 40 else real(f, d))
        with pytest.raises(KeyboardInterrupt):
            scene(src).write(out, **how)
    scene(src).write(out, resume=True, **how)
    assert tree(out) == tree(tmp_path / "fresh")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_full_disk_tells_how_much_is_missing_and_keeps_what_is_finished(
    tmp_path: Path, whole: tuple[Path, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    src, expected = whole
    out = tmp_path / "out"
    count = iter(range(1000))
    real = StagedFile.write_later

    def full(file: StagedFile, data: Any) -> Any:
        if next(count) >= 40:
            error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            file.abort()
            raise destination_error(file.path, error) from error
        return real(file, data)

    monkeypatch.setattr(StagedFile, "write_later", full)
    with pytest.raises(DestinationError, match=r"about [\d,]+ more bytes are needed") as caught:
        scene(src).write(out, jobs=jobs, **EAGER)
    assert "--resume" in caught.value.advice
    assert [path.name for path in out.iterdir()] == [PARTIAL]
    # nothing lies there that no bookmark names: the room is given back
    named: set[str] = set()
    for line in (out / PARTIAL / STATE).read_bytes().splitlines():
        kind, _, value = json.loads(line)["line"]
        if kind == "file":
            named.add(value["path"])
        elif kind != "header":
            named |= {file["path"] for file in (*value["files"], *value["opened"])}
    there = {path.relative_to(out / PARTIAL).as_posix() for path in (out / PARTIAL).rglob("*") if path.is_file()}
    assert there - {"lock", STATE} <= named
    monkeypatch.setattr(StagedFile, "write_later", real)
    scene(src).write(out, resume=True, jobs=jobs, **EAGER)
    assert tree(out) == expected


def test_two_runs_do_not_share_a_directory(tmp_path: Path, whole: tuple[Path, dict[str, bytes]]) -> None:
    src, expected = whole
    out = tmp_path / "out"
    with Stage(out) as stage:
        for how in ("force", "resume"):
            with pytest.raises(RequestError, match="another run is writing"):
                scene(src).write(out, **{**EAGER, how: True})
        assert stage.staging.is_dir()
        stage.write("a", "document", b"content")
        stage.commit(last=())
    assert (out / "a").read_bytes() == b"content"
    scene(src).write(out, force=True, **EAGER)
    assert {**tree(out)} == {**expected, "a": b"content"}


def test_a_lock_that_nobody_holds_keeps_nobody_out(tmp_path: Path, whole: tuple[Path, dict[str, bytes]]) -> None:
    src, expected = whole
    out = tmp_path / "out"
    (out / PARTIAL).mkdir(parents=True)
    (out / PARTIAL / "lock").touch()
    scene(src).write(out, resume=True, **EAGER)
    assert tree(out) == expected


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b'{"sum":"00","line":[]}\n', b"\xff" * 100])
def test_a_state_that_is_none_is_no_obstacle(
    tmp_path: Path, whole: tuple[Path, dict[str, bytes]], content: bytes
) -> None:
    src, expected = whole
    out = tmp_path / "out"
    (out / PARTIAL / "segments").mkdir(parents=True)
    (out / PARTIAL / STATE).write_bytes(content)
    (out / PARTIAL / "segments" / "x").write_bytes(b"left over")
    scene(src).write(out, resume=True, **EAGER)
    assert tree(out) == expected


def test_a_planted_link_in_the_stage_leads_nowhere(tmp_path: Path, whole: tuple[Path, dict[str, bytes]]) -> None:
    src, expected = whole
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_bytes(b"precious")
    out.mkdir()
    (out / PARTIAL).symlink_to(elsewhere)
    scene(src).write(out, resume=True, **EAGER)
    assert tree(out) == expected
    assert tree(elsewhere) == {"precious": b"precious"}


def test_the_fingerprint_knows_the_program(
    tmp_path: Path, whole: tuple[Path, dict[str, bytes]], killer: Kill, monkeypatch: pytest.MonkeyPatch
) -> None:
    src, expected = whole
    out = tmp_path / "out"
    assert killer(src, out, "append", 15, 1, False) == -signal.SIGKILL
    monkeypatch.setattr(resuming, "_writers", lambda: "another")
    counted = Counted(monkeypatch)
    scene(src).write(out, resume=True, **EAGER)
    assert tree(out) == expected
    assert len(counted.stepped) == sum(len(partition.steps) for partition in scene(src).partitions)


def test_a_file_is_told_once_however_many_bookmarks_there_are(tmp_path: Path) -> None:
    src, out = tmp_path / "src", tmp_path / "out"
    made = scene(src, partitions=1, segments=30)

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kafka_salvage.export.salvage_plan.write_quarantine", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made.write(out, **EAGER)
    lines = [json.loads(line)["line"] for line in (out / PARTIAL / STATE).read_bytes().splitlines()]
    told = [value["path"] for kind, _, value in lines if kind == "file"]
    assert len(told) == len(set(told)) >= 28
    sizes = [len(json.dumps(value)) for kind, _, value in lines if kind == "line" and not value["entry"]]
    assert len(sizes) == 29
    assert sizes[-1] < sizes[0] + 100


def test_a_file_that_was_told_and_cannot_be_read_begins_its_line_anew(
    tmp_path: Path, whole: tuple[Path, dict[str, bytes]], killer: Kill
) -> None:
    src, expected = whole
    out = tmp_path / "out"
    assert killer(src, out, "append", 19, 1, False) == -signal.SIGKILL
    state = out / PARTIAL / STATE
    lines = state.read_bytes().splitlines(keepends=True)
    place = next(n for n, line in enumerate(lines) if b'["file"' in line)
    lines[place] = lines[place].replace(b'"size"', b'"sizf"')
    state.write_bytes(b"".join(lines))
    scene(src).write(out, resume=True, **EAGER)
    assert tree(out) == expected
