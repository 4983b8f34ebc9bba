"""Kill -9 at random moments: the command with --resume ends with what an undisturbed run gives, byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.corpus import ROOT
from tests.support.cut import CLEAN
from tests.support.demo import assemble

KILLS = int(os.environ.get("KAFKA_SALVAGE_KILLS", "20"))
"""Random moments each; more in a soak."""


@pytest.mark.parametrize("verb", ["salvage", "check"])
def test_a_kill_at_any_moment_changes_nothing_in_the_end(tmp_path: Path, verb: str) -> None:
    assemble(tmp_path / "demo")
    sources = [f"demo={tmp_path / 'demo'}", f"clean={CLEAN / 'cluster' / 'broker-1'}"]
    words = [sys.executable, "-m", "tests.support.killing", verb, str(tmp_path / "work"), str(KILLS), "11", *sources]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=280 + 10 * KILLS, check=False)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"killed"')]
    assert len(told) == KILLS
    assert all(each["same"] and each["code"] == each["expected"] for each in told), told
    assert sum(each["killed"] > 0 for each in told) > KILLS // 2
    assert sum(each["killed"] for each in told) >= KILLS * 3 // 4
