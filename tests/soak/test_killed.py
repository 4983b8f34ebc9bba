"""Kill -9 at 20 random moments over gigabytes, whatever is written: the end is that of an undisturbed run, byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import volume
from tests.support.build import ZSTD
from tests.support.corpus import ROOT

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]

KILLS = int(os.environ.get("KAFKA_SALVAGE_KILLS", "20"))
SIZE = int(os.environ.get("KAFKA_SALVAGE_KILLED_BYTES", str(200_000_000)))
"""Bytes of each of eight segments."""


@pytest.mark.parametrize("verb", ["check", "salvage:segments", "salvage:jsonl", "salvage:parquet,arrow"])
def test_a_kill_at_any_moment_changes_nothing_in_the_end(tmp_path: Path, verb: str) -> None:
    volume.plain(100, 200).partition(tmp_path / "log" / "orders-0", 2, SIZE)
    volume.plain(100, 200, ZSTD).partition(tmp_path / "log" / "orders-1", 2, SIZE)
    volume.transactions().partition(tmp_path / "log" / "payments-0", 2, SIZE // 8)
    volume.compacted().partition(tmp_path / "log" / "states-0", 2, SIZE // 8)
    words = [sys.executable, "-m", "tests.support.killing", verb, str(tmp_path / "work"), str(KILLS), "5"]
    done = subprocess.run(
        [*words, f"b1={tmp_path / 'log'}"], cwd=ROOT, capture_output=True, text=True, timeout=7000, check=False
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"killed"')]
    assert len(told) == KILLS
    assert all(each["same"] and each["code"] == each["expected"] == 0 for each in told), told
    assert sum(each["killed"] > 0 for each in told) > KILLS // 2
