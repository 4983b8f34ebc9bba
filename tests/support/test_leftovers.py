"""What a killed run left is removed by the next one; what runs, or belongs to something else, stays."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.leftovers import named, sweep


def test_only_what_a_dead_process_left_is_removed(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    dead = tmp_path / f"kafka-salvage-long-{child.stdout.strip()}-abc"
    (dead / "read-only" / "deep").mkdir(parents=True)
    (dead / "read-only" / "deep" / "file").write_bytes(b"x")
    (dead / "read-only" / "deep").chmod(0o555)
    (dead / "read-only").chmod(0o555)
    mine = Path(tempfile.mkdtemp(prefix=named("long"), dir=tmp_path))
    other = tmp_path / f"kafka-salvage-soak-{child.stdout.strip()}-abc"
    plain = tmp_path / "kafka-salvage-long-abc"
    other.mkdir()
    plain.mkdir()
    assert sweep("long", tmp_path) == [dead]
    assert sorted(tmp_path.iterdir()) == sorted([mine, other, plain])
