"""Scenario S10 at a scale for every day; `tests.soak` has the full one, and the truth of the ETA."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.long_run import ROOT
from tests.support.scenario_ten import hold, staged

SEGMENT = 12_000_000
SLACK = 3 << 20
"""Bytes read besides evidence: the state, heads and tails, the program's own files."""


def test_killed_twice_on_a_read_only_mount_as_a_plain_user_without_network() -> None:
    with staged(2, 3, SEGMENT, 0.02) as scene:
        whole = hold(scene, ["segments", "jsonl"])
        told = whole.lines[-1]
        assert told["event"] == "end"
        assert told["all_bytes_done"] == told["all_bytes_total"] == 2 * scene.bytes
        assert any(line["eta_seconds"] is not None for line in whole.lines)


def test_a_check_that_was_killed_reads_no_finished_segment_again_and_every_changed_one() -> None:
    """Counted by the operating system: bytes that the process asked for."""
    with staged(1, 6, SEGMENT, 0.01) as scene:
        state, report = scene.work / "state", scene.work / "report.json"
        words = ["check", "--deep", "--jobs", "1", "--state", str(state), "--json", str(report)]
        whole = scene.run(words)
        assert whole.code == 0, whole.stderr[-2000:]
        expected = report.read_bytes()
        assert whole.read > scene.bytes
        passes = whole.read / scene.bytes  # a deep check reads a segment more than once

        state.unlink()
        killed = scene.run(words, kill_at=0.5)
        assert killed.code is None
        finished = scene.finished(state)
        assert finished >= 2 * SEGMENT * 0.99
        resumed = scene.run([*words, "--resume"])
        assert resumed.code == 0, resumed.stderr[-2000:]
        assert report.read_bytes() == expected
        assert resumed.read <= (scene.bytes - finished) * passes + SLACK

        first = min(scene.evidence.rglob("*.log"))
        os.utime(first, ns=(1, 1))  # the size is the same, and so are head and tail
        again = scene.run([*words, "--resume"])
        assert report.read_bytes() == expected
        assert SEGMENT * 0.99 <= again.read <= SEGMENT * passes + SLACK

        rest = scene.run([*words, "--resume"])
        assert rest.code == 0
        assert rest.read <= SLACK


def test_the_guard_against_sockets_bites() -> None:
    """Otherwise the tests above would prove nothing."""
    code = "import sys, socket; from tests.support.long_run import _no_sockets; sys.addaudithook(_no_sockets); socket.socket()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "a socket was used" in done.stderr
