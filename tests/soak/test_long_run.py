"""Scenario S10 at full scale, and whether the ETA told the truth after a twentieth of the work."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import pytest

from tests.support.build import GZIP
from tests.support.long_run import Told
from tests.support.scenario_ten import hold, staged

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]

SEGMENT = int(os.environ.get("KAFKA_SALVAGE_SOAK_SEGMENT", str(1_000_000_000)))
LEAST = 2.0
"""Seconds of work left below which a share of them means nothing."""


def off(told: Told) -> list[tuple[float, float, float]]:
    """(share done, seconds left in truth, seconds that were said) where more than a fifth lies between, from 5 % on."""
    found = []
    for line in told.lines:
        share, left = line["all_bytes_done"] / max(1, line["all_bytes_total"]), told.seconds - line["seconds"]
        if share < 0.05 or left < LEAST:
            continue
        said = line["eta_seconds"]
        if said is None or abs(said - left) > 0.2 * left:
            found.append((round(share, 3), round(left, 1), said))
    return found


def tell(name: str, told: Told, wrong: list[tuple[float, float, float]]) -> None:
    """Shown by `make soak`."""
    sys.stdout.write(
        f"{name}: {told.seconds:.1f} s, peak {told.peak} MiB, {len(wrong)} of {len(told.lines)} lines off: {wrong}\n"
    )


def outside(told: Told) -> list[tuple[float, float, float, float]]:
    """(share done, seconds left in truth, and the range that was said) where the truth lies outside."""
    found = []
    for line in told.lines:
        share, left = line["all_bytes_done"] / max(1, line["all_bytes_total"]), told.seconds - line["seconds"]
        low, high = line["eta_soonest_seconds"], line["eta_latest_seconds"]
        if share >= 0.05 and left >= LEAST and not (low is not None and 0.8 * low <= left <= 1.2 * high):
            found.append((round(share, 3), round(left, 1), low, high))
    return found


@pytest.mark.parametrize("formats", [["segments"], ["jsonl"]], ids=["segments", "jsonl"])
def test_killed_twice_and_the_eta_was_right(formats: list[str]) -> None:
    """While it is checked, how fast it will be written is known from a trial only: a range. Then the truth within a fifth."""
    with staged(4, 3, SEGMENT, 0.25) as scene:
        whole = hold(scene, formats)
    writing = replace(whole, lines=[line for line in whole.lines if line["stage"] == "write" and line["bytes_done"]])
    settled = [each for each in off(writing) if each[0] > 0.55]
    tell(f"salvage to {formats[0]}", whole, off(whole))
    assert len(whole.lines) >= 20
    assert not settled
    assert not outside(whole)


def test_the_eta_of_a_check_is_right() -> None:
    """On a uniform tree that lies in memory and costs the processor ten seconds: no disk has a say."""
    with staged(4, 4, SEGMENT // 4, 0.1, GZIP) as scene:
        for path in scene.evidence.rglob("*.log"):
            path.read_bytes()
        made = scene.run(["check", "--deep", "--jobs", "1"])
        assert made.code == 0
    wrong = off(made)
    tell("check --deep", made, wrong)
    assert len(made.lines) >= 20
    assert not wrong
