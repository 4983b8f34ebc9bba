"""Scenario S10 at full scale, and whether the ETA told the truth after a twentieth of the work."""

from __future__ import annotations

import os
import sys

import pytest

from kafka_salvage.cli.progress import _ROUGH, _ROUNDED
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


def misleading(told: Told) -> list[tuple[float, float, float, float, float]]:
    """(share done, seconds left in truth, what was said, and the range) from 5 % on, where a person was told wrong.

    That is: where one number was shown, and it is off by more than a fifth; or a range, and the truth lies outside by that.
    """
    found = []
    for line in told.lines:
        share, left = line["all_bytes_done"] / max(1, line["all_bytes_total"]), told.seconds - line["seconds"]
        said, low, high = line["eta_seconds"], line["eta_soonest_seconds"], line["eta_latest_seconds"]
        if share < 0.05 or left < LEAST:
            continue
        shown = None if said is None else (said, said) if high <= low * _ROUGH + _ROUNDED else (low, high)
        if shown is None or not shown[0] / 1.2 <= left <= shown[1] / 0.8:
            found.append((round(share, 3), round(left, 1), said, low, high))
    return found


@pytest.mark.parametrize("formats", [["segments"], ["jsonl"]], ids=["segments", "jsonl"])
def test_killed_twice_and_the_eta_was_right(formats: list[str]) -> None:
    """How fast a disk is that others use, too, nobody can promise: what is shown as a number is right, a range holds the truth."""
    with staged(4, 3, SEGMENT, 0.25) as scene:
        whole = hold(scene, formats)
    tell(f"salvage to {formats[0]}", whole, off(whole))
    assert len(whole.lines) >= 20
    assert not misleading(whole)


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
