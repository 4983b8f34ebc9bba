"""Interrupts, kills, full disks, closed and full streams: nothing half-written looks finished."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kafka_salvage.cli.main import run
from tests.cli.ground import COMMAND, clean, damaged, ks, large, lay, tree
from tests.support.build import segment, segment_name
from tests.support.truth import digest

Caught = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return large(tmp_path_factory.mktemp("big") / "b", 96)


def started(stage: str, *words: str | Path) -> subprocess.Popen[str]:
    """The command, once it says that ``stage`` has begun."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, words), "--log-json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        event = json.loads(line)
        if event["event"] == "stage" and event["stage"] == stage:
            return process
    raise AssertionError(f"{stage} never began: {process.wait()}")


def writing(process: subprocess.Popen[str], out: Path) -> None:
    """Waits until a file is being written."""
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in (out / ".partial").rglob("*.log")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.001)


def looks_finished(out: Path) -> list[str]:
    """Files of an output directory outside of its staging directory."""
    return [path for path in tree(out) if not path.startswith(".partial/")] if out.exists() else []


def test_ctrl_c_in_a_check_is_130_at_once(big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "KAFKA_SALVAGE_CACHE", ""
    )  # it has to compile, so it cannot be over before the interrupt arrives
    process = started("check", "check", "--deep", big)
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - begun < 10
    assert out == ""
    assert "Interrupted." in err
    assert "Traceback" not in err


def test_ctrl_c_in_a_salvage_is_130_and_the_same_command_goes_on(big: Path, tmp_path: Path) -> None:
    words: list[str | Path] = ["salvage", big, "--out", tmp_path / "out", "--format", "jsonl", "--format", "segments"]
    process = started("write", *words)
    writing(process, tmp_path / "out")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted." in err
    assert "--resume" in err
    assert "Traceback" not in err
    assert looks_finished(tmp_path / "out") == []


def test_a_kill_leaves_nothing_that_looks_finished_and_resume_completes_it(big: Path, tmp_path: Path) -> None:
    words: list[str | Path] = ["salvage", big, "--out", tmp_path / "out"]
    process = started("write", *words)
    writing(process, tmp_path / "out")
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / "out" / ".partial").is_dir()
    assert looks_finished(tmp_path / "out") == []
    assert ks(*words).returncode == 2
    assert ks(*words, "--resume").returncode == 0
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=tmp_path / "out", check=True)
    assert not (tmp_path / "out" / ".partial").exists()
    written = b"".join(p.read_bytes() for p in sorted((tmp_path / "out" / "segments" / "big-0").glob("*.log")))
    assert written == b"".join(p.read_bytes() for p in sorted((big / "big-0").glob("*.log")))


def test_a_file_size_limit_in_the_middle_is_code_5_and_leaves_nothing_that_looks_finished(
    big: Path, tmp_path: Path
) -> None:
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (5 << 20, 5 << 20)); "
    program = limit + "from kafka_salvage.cli.main import main; main()"
    words = [sys.executable, "-c", program, "salvage", str(big), "--out", str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 5
    assert done.stderr.startswith("Error: ")
    assert "could not be written: the file system allows no file of that size" in done.stderr
    assert done.stdout == ""
    assert looks_finished(tmp_path / "out") == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 5 << 20


def test_a_full_disk_in_the_middle_is_code_5_and_leaves_nothing_that_looks_finished(
    tmp_path: Path, capsys: Caught, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = damaged(tmp_path / "b")
    real, calls = os.fsync, iter(range(100))

    def full(descriptor: int) -> None:
        if next(calls, 100) >= 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    assert run(["salvage", str(root), "--out", str(tmp_path / "out")]) == 5
    said = capsys.readouterr()
    assert said.out == ""
    assert "the disk is full" in said.err
    assert "do: Free space" in said.err
    assert looks_finished(tmp_path / "out") == []


@pytest.mark.skipif(  # only root may mount a file system of 20 MB
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root may mount a small file system"
)
def test_a_file_system_that_is_really_full(big: Path, tmp_path: Path) -> None:
    command = " ".join([*COMMAND, "salvage", str(big), "--force", "--out", "small/out"])
    script = (
        f"mount -t tmpfs -o size=20m none small && {command}; echo $?; find small -type f -not -path '*/.partial/*'"
    )
    (tmp_path / "small").mkdir()
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    if "mount:" in done.stderr and "Error:" not in done.stderr:
        pytest.skip("this machine lets not even root mount")
    assert done.stdout == "5\n"
    assert "the disk is full" in done.stderr


def test_too_little_space_is_said_before_the_first_byte(
    tmp_path: Path, capsys: Caught, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = clean(tmp_path / "b")
    monkeypatch.setattr("kafka_salvage.export.estimate.free_bytes", lambda out: 1000)
    assert run(["salvage", str(root), "--out", str(tmp_path / "out")]) == 5
    said = capsys.readouterr()
    assert "1,000 are free" in said.err
    assert "--force" in said.err
    assert looks_finished(tmp_path / "out") == []
    assert run(["salvage", str(root), "--out", str(tmp_path / "out"), "--force"]) == 0


def test_a_report_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Caught) -> None:
    root = clean(tmp_path / "b")
    target = tmp_path / "report.json"
    target.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert run(["check", str(root), "--json", str(target)]) == 5
    assert "no space left on device" in capsys.readouterr().err
    assert target.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "report.json"]


def test_full_streams_and_devices(tmp_path: Path) -> None:
    root = clean(tmp_path / "b")
    done = ks("check", root, "--json", "/dev/full")
    assert (done.returncode, done.stdout[:7]) == (
        5,
        "INTACT:",
    )  # what was learned is said, whatever becomes of the file
    assert done.stderr.startswith("Error: /dev/full could not be written: no space left on device")
    for words in (["check", str(root)], ["check", str(root), "--json", "-"], ["show", str(root)]):
        with Path("/dev/full").open("w") as full:
            full_done = subprocess.run(
                [*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=240, check=False
            )
        assert full_done.returncode == 5, words
        assert full_done.stderr.splitlines()[0] == (
            "Error: the standard output could not be written: no space left on device."
        )
        assert "Traceback" not in full_done.stderr
        assert "Exception ignored" not in full_done.stderr


def test_closed_streams(tmp_path: Path) -> None:
    root = clean(tmp_path / "b")
    before = digest(root)
    command = " ".join([*COMMAND, "check", str(root)])
    for closing in (">&-", "2>&-", "<&-", "<&- >&- 2>&-"):
        done = subprocess.run(["sh", "-c", f"{command} {closing}"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, closing
        assert done.stderr == ""
    assert digest(root) == before


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    lay(tmp_path / "b" / "t-0", (0, segment(4000)[0]))
    for words in ("check --json -", "show --records"):
        command = f"{' '.join(COMMAND)} {words} {tmp_path / 'b'} | head -c 10"
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=240, check=True)
        assert len(done.stdout) == 10
        assert done.stderr == ""


def test_a_terminal_that_knows_no_unicode(tmp_path: Path) -> None:
    lay(tmp_path / "b" / "tést-0", (0, segment(2)[0]))
    done = ks("check", tmp_path / "b", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "t\\xe9st-0" in done.stdout


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that every user may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        yield Path(place)


def plain(place: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """The command, run by a user who owns nothing."""
    program = [sys.executable, "-m", "tests.cli.as_plain_user", str(place), *map(str, words)]
    return subprocess.run(program, capture_output=True, text=True, timeout=240, check=False)


def test_no_permission_is_one_sentence(open_place: Path, tmp_path: Path) -> None:
    warm = clean(tmp_path / "warm")
    root = clean(open_place / "b")
    shut = root / "orders-0" / segment_name(40)
    shut.chmod(0)
    done = plain(warm, "check", root)
    assert done.returncode == 5
    assert done.stdout.startswith("NOT ALL COULD BE READ: 1 segment file could not be opened (orders-0/")
    root.chmod(0)
    done = plain(warm, "check", root)
    assert (done.returncode, done.stdout) == (5, "")
    assert f"Error: {root} may not be read by this user" in done.stderr
    assert "Traceback" not in done.stderr
    root.chmod(0o700)


def test_an_output_that_may_not_be_written(open_place: Path, tmp_path: Path) -> None:
    warm = clean(tmp_path / "warm")
    root = clean(open_place / "b")
    done = plain(warm, "salvage", root, "--out", open_place / "out")
    assert (done.returncode, done.stdout) == (5, "")
    assert "this user may not write there" in done.stderr
    done = plain(warm, "check", root, "--json", open_place / "report.json")
    assert done.returncode == 5
    assert "report.json could not be written: permission denied" in done.stderr
