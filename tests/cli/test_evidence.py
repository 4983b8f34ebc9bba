"""Evidence is never touched: what the operating system sees of check, salvage and show on real, damaged data."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kafka_salvage.cli import aside
from tests.cli.ground import COMMAND, ks
from tests.cli.test_interrupted import plain
from tests.support.demo import assemble

READING = frozenset(
    [
        "access",
        "faccessat",
        "faccessat2",
        "stat",
        "lstat",
        "newfstatat",
        "fstat",
        "statx",
        "readlink",
        "readlinkat",
        "open",
        "openat",
        "openat2",
        "close",
        "read",
        "pread64",
        "preadv",
        "preadv2",
        "lseek",
        "getdents64",
        "fadvise64",
        "fcntl",
        "dup",
        "dup2",
        "dup3",
        "statfs",
        "fstatfs",
        "getcwd",
        "chdir",
        "ioctl",
        "getxattr",
        "execve",
    ]
)
"""System calls that may name a source; none of them changes anything when it is opened for reading only."""
LOCKS = re.compile(r"\bF_(OFD_)?SETLKW?\b|\bF_SETLEASE\b")
TERMINAL = re.compile(r"\bTC[GS]|\bTIOC|\bFIO")

State = dict[str, tuple[int, int, int, int, int, int, bytes]]


def state(root: Path) -> State:
    """Every name below a directory: mode, owner, size, times of reading, change and state, and bytes."""
    found: State = {}
    for path in [root, *sorted(root.rglob("*"))]:
        s = path.lstat()
        found[str(path)] = (s.st_mode, s.st_uid, s.st_size, s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns, b"")
    for name, entry in found.items():
        descriptor = os.open(name, os.O_RDONLY | os.O_NOATIME)
        if Path(name).is_file():
            found[name] = (*entry[:6], os.read(descriptor, 1 << 30))
        os.close(descriptor)
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The demonstration's damaged log directory, last read so long ago that any reading of it would show."""
    root = tmp_path / "evidence" / "broker-1"
    root.parent.mkdir()
    assemble(root)
    for path in [root, *root.rglob("*")]:
        os.utime(path, (1_000_000_000, 1_000_000_001))
    return root


def runs(source: Path, place: Path) -> Iterator[list[str]]:
    """Command lines that do everything that is done with evidence."""
    out = str(place / "out")
    yield ["check", str(source), "--json", str(place / "report.json"), "--mapfile", str(place / "maps")]
    yield ["check", str(source), "--deep", "-v", "--include", "suspect"]
    yield ["salvage", str(source), "--out", out, "--format", "jsonl", "--format", "segments", "--include", "trimmed"]
    yield ["show", "--records", str(source)]


def test_nothing_below_a_source_changes_not_even_the_time_of_reading(source: Path, tmp_path: Path) -> None:
    before = state(source)
    assert [ks(*words).returncode for words in runs(source, tmp_path)] == [3, 3, 3, 6]
    assert state(source) == before


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_operating_system_sees_only_reading(source: Path, tmp_path: Path) -> None:
    seen: set[str] = set()
    for number, words in enumerate(runs(source, tmp_path)):
        log = tmp_path / f"trace-{number}"
        program = ["strace", "-f", "-qq", "-y", "-s", "0", "-e", "trace=%file,%desc,%network", "-o", str(log)]
        done = ks(*words, before=program)
        assert done.returncode in (3, 6), done.stderr
        text = log.read_text(errors="replace")
        assert re.search(r"\bopenat\(", text)
        assert not re.search(r"^\d+ +(socket|connect|bind|listen|sendto|sendmsg)\(", text, re.MULTILINE)
        for line in text.splitlines():
            call = re.match(r"\d+ +(?:<\.\.\. )?(\w+)", line)
            if str(source) not in line or call is None:
                continue
            name = call[1]
            seen.add(name)
            if name in ("write", "pwrite64", "writev", "sendfile"):
                assert f"<{source}" not in line  # the report names the source; its file is not what is written to
                continue
            assert name in READING, line
            if name in ("open", "openat", "openat2") and "resumed" not in line:
                flags = line.rsplit(", ", 1)[-1] if "O_" in line.rsplit(", ", 1)[-1] else line
                assert "O_RDONLY" in flags, line
                assert not re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC|APPEND|TMPFILE)", flags), line
            assert not (name == "fcntl" and LOCKS.search(line)), line
            assert not (name == "ioctl" and not TERMINAL.search(line)), line
    assert {"openat", "getdents64"} <= seen


AUDIT = """
import json, os, sys
root, log = os.path.realpath(sys.argv[1]), sys.argv[2]
events = []
HARMLESS = {"os.scandir", "os.listdir", "os.fwalk", "os.walk", "glob.glob", "pathlib.Path.glob", "pathlib.Path.rglob"}
def below(value):
    try:
        return (os.path.realpath(os.fsdecode(value)) + "/").startswith(root + "/")
    except (TypeError, ValueError):
        return False
busy = False
def hook(event, arguments):
    global busy
    if busy or event in HARMLESS:
        return
    busy = True
    try:
        if event.startswith("socket."):
            events.append([event, ""])
        elif event in ("fcntl.flock", "fcntl.lockf"):
            if below(os.readlink(f"/proc/self/fd/{arguments[0]}")):
                events.append([event, ""])
        elif any(below(each) for each in arguments if isinstance(each, (str, bytes, os.PathLike))):
            events.append([event, str(arguments[2]) if event == "open" else ""])
    finally:
        busy = False
sys.addaudithook(hook)
sys.argv = ["kafka-salvage", *sys.argv[3:]]
from kafka_salvage.cli.main import run
code = run(sys.argv[1:])
sys.stdout.flush()
with open(log, "w") as stream:
    json.dump(events, stream)
sys.exit(code)
"""


def test_python_sees_only_reading(source: Path, tmp_path: Path) -> None:
    for number, words in enumerate(runs(source, tmp_path)):
        log = tmp_path / f"audit-{number}"
        program = [sys.executable, "-c", AUDIT, str(source), str(log), *words]
        done = subprocess.run(program, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode in (3, 6), done.stderr
        events = json.loads(log.read_text())
        assert {name for name, _ in events} == {"open"}
        changing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        assert not [flags for _, flags in events if int(flags) & changing]


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The report without the next command, which depends on where this user may write."""
    return done.stdout.splitlines()[:-1]


def test_a_tree_that_may_only_be_read_by_a_user_who_owns_nothing(tmp_path: Path) -> None:
    warm = tmp_path / "warm"
    assemble(warm)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        root = place / "evidence"
        assemble(root)
        (place / "work").mkdir()
        (place / "work").chmod(0o777)
        paths = [root, *root.rglob("*")]
        for path in paths:
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = {path: path.stat().st_mtime_ns for path in paths}
        expected = ks("check", root)
        done = plain(warm, "check", root)
        assert (done.returncode, said(done)) == (3, said(expected)), done.stderr
        done = plain(warm, "salvage", root, "--out", place / "work" / "out")
        assert done.returncode == 3, done.stderr
        assert (
            subprocess.run(
                ["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=place / "work" / "out", check=False
            ).returncode
            == 0
        )
        assert {path: path.stat().st_mtime_ns for path in paths} == before
        for path in paths:
            if path.is_dir():
                path.chmod(0o755)


@pytest.mark.skipif(  # only root may mount a directory read-only
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root may mount a directory read-only"
)
def test_a_file_system_that_is_mounted_read_only(source: Path, tmp_path: Path) -> None:
    (tmp_path / "mnt").mkdir()
    command = " ".join([*COMMAND, "salvage", "mnt", "--out", "out"])
    mount = f"mount --bind {source} mnt && mount -o remount,bind,ro mnt"
    script = f"{mount} || exit 99; touch mnt/x 2>/dev/null && exit 98; {command}"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    if done.returncode == 99:
        pytest.skip("this machine lets not even root mount")
    assert done.returncode == 3, done.stderr
    assert (tmp_path / "out" / "SHA256SUMS").is_file()


def test_caches_of_python_and_numba_stay_out_of_a_source_that_holds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / "cache"))
    monkeypatch.setenv("KAFKA_SALVAGE_CACHE", "x")  # so that what the test finds unset is unset again behind it
    monkeypatch.delenv("KAFKA_SALVAGE_CACHE")
    (tmp_path / "link").symlink_to("home")
    aside.keep_off([str(tmp_path / "home" / "data"), f"b1={tmp_path / 'home' / 'data'}"])
    assert "KAFKA_SALVAGE_CACHE" not in os.environ
    for path in (tmp_path, tmp_path / "link", f"b1={tmp_path / 'home'}"):
        monkeypatch.delenv("KAFKA_SALVAGE_CACHE", raising=False)
        aside.keep_off([str(path)])
        assert os.environ["KAFKA_SALVAGE_CACHE"] == ""
    assert not sys.dont_write_bytecode
    aside.keep_off(["/"])
    assert sys.dont_write_bytecode
