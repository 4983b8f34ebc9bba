"""Memory of a first run, which compiles: the process and its workers together stay within the default of ``--memory``."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.corpus import ROOT
from tests.support.promise import CASES, PROMISE

_PAGE = os.sysconf("SC_PAGE_SIZE")


def tree(pid: int) -> list[int]:
    """A process and all that it has started, directly or not."""
    found = [pid]
    for each in found:
        try:
            tasks = list(Path(f"/proc/{each}/task").iterdir())
            found += [int(word) for task in tasks for word in (task / "children").read_text().split()]
        except OSError:  # it ended meanwhile
            continue
    return found


def resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    assert CASES["a batch of 100 MiB"].make(folder, 0) == 0
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Empty at first: a check compiles what it needs, the salvage after it what it needs besides, while it checks deep."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("words", [["check", "--deep"], ["salvage", "--format", "segments", "--format", "jsonl"]])
def test_a_first_run_over_a_large_batch_keeps_the_promise(
    evidence: Path, cache: Path, tmp_path: Path, words: list[str]
) -> None:
    """What libraries the processes share is counted for each of them: the truth is less."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "KAFKA_SALVAGE_"))}
    out = ["--out", os.fspath(tmp_path / "out")] if words[0] == "salvage" else []
    process = subprocess.Popen(
        [sys.executable, "-m", "kafka_salvage", *words, os.fspath(evidence), *out, "-q"],
        cwd=ROOT,
        env=kept | {"KAFKA_SALVAGE_CACHE": os.fspath(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    peak = most = 0
    while process.poll() is None:
        processes = tree(process.pid)
        most = max(most, len(processes))
        peak = max(peak, sum(map(resident, processes)))
        time.sleep(0.005)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0, error.decode()
    assert most > 1  # it was a first run
    assert peak >> 20 <= PROMISE
