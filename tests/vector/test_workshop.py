"""Workers compile beside the process that needs the kernels; whatever becomes of them, the answer is the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.corpus import ROOT

_USE = """
import os, sys
{before}
from kafka_salvage.vector import cache, crc
print(hex(crc.crc32c(b"123456789")), cache.ORIGIN[next(name for name in cache.ORIGIN if "_fast" in name)])
{after}
"""
CHECKED = hex(0xE3069283)
"""The check value of CRC-32C."""
_PROMPT = "from kafka_salvage.vector import workshop; workshop.PATIENCE = 2.0"


def start(cache: Path, before: str = "", after: str = "", cwd: Path = ROOT) -> subprocess.Popen[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "KAFKA_SALVAGE_"))}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-P", "-c", _USE.format(before=before, after=after)],
        cwd=cwd,
        env=kept | {"KAFKA_SALVAGE_CACHE": str(cache), "PYTHONPATH": os.fspath(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def used(cache: Path, before: str = "", after: str = "", cwd: Path = ROOT) -> str:
    """What a fresh process prints, which must not complain."""
    process = start(cache, before, after, cwd)
    told, error = process.communicate(timeout=240)
    assert (process.returncode, error) == (0, "")
    return told.strip()


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until(truth: object, seconds: float = 30.0) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if truth():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def impostor(folder: Path, script: str) -> str:
    """A line that puts another program in the place of the interpreter."""
    made = folder / "python-other"
    made.write_text(f"#!/bin/sh\n{script}\n")
    made.chmod(0o755)
    return f"sys.executable = {os.fspath(made)!r}"


def test_what_a_worker_made_is_there_for_all_who_come_later(tmp_path: Path) -> None:
    assert used(tmp_path) == f"{CHECKED} made beside"
    assert used(tmp_path) == f"{CHECKED} kept"


@pytest.mark.parametrize("script", ["exit 3", "echo nonsense; exec cat", "exec sleep 300", "kill -9 $$"])
def test_a_worker_that_is_of_no_use_is_done_without(tmp_path: Path, script: str) -> None:
    before = f"{_PROMPT}; {impostor(tmp_path, script)}"
    assert used(tmp_path / "cache", before) == f"{CHECKED} made here"


@pytest.mark.parametrize("name", ["", "/no/such/python", "/usr/sbin/uwsgi"])
def test_without_an_interpreter_to_start_it_is_made_here(tmp_path: Path, name: str) -> None:
    assert used(tmp_path, f"sys.executable = {name!r}") == f"{CHECKED} made here"


def test_no_file_beside_the_person_is_taken_for_a_library(tmp_path: Path) -> None:
    """A directory of evidence may hold anything."""
    for name in ("numpy", "numba", "llvmlite", "kafka_salvage"):
        (tmp_path / f"{name}.py").write_text("import os\nos._exit(9)\n")
    assert used(tmp_path / "cache", cwd=tmp_path) == f"{CHECKED} made beside"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_who_started_it(tmp_path: Path, how: signal.Signals) -> None:
    process = start(tmp_path)
    try:
        assert until(lambda: bool(children(process.pid)))
        time.sleep(0.3)
        workers = children(process.pid)
        assert workers
        process.send_signal(how)
        process.communicate(timeout=30)
        assert until(lambda: not any(map(alive, workers)), 10)
    finally:
        process.kill()


def test_workers_end_when_nobody_asks_them(tmp_path: Path) -> None:
    after = "print(flush=True); sys.stdin.read()"
    process = start(tmp_path, after=after)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(CHECKED)
        assert until(lambda: not children(process.pid), 15)  # not even one that has ended and is not taken note of
    finally:
        process.kill()
        process.communicate(timeout=30)


def test_two_that_begin_at_the_same_time_do_not_disturb_each_other(tmp_path: Path) -> None:
    both = [start(tmp_path) for _ in range(2)]
    for process in both:
        told, error = process.communicate(timeout=240)
        assert (process.returncode, error) == (0, "")
        assert told.startswith(CHECKED)
    assert used(tmp_path) == f"{CHECKED} kept"
    assert not [path for path in tmp_path.rglob("*") if path.suffix[1:].isdigit() and path.suffix != ".0"]
