"""Plan: three damaged copies of one partition with a million small batches each, put together.

Batches of one size with the same content but for their base offsets (which no CRC covers) are laid out by copying; on each copy
other ones are damaged. What counts is time per batch beside the time of the check that goes before, and how much memory a plan
takes on top: it must not grow with the number of batches.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.timing import Options, Result
from tests.support.build import EPOCH_MS, Rec, v2_batch

COPIES = 3
FILES = 16
_GRANTED = 64.0
"""MiB that a plan of three copies may take on top of what the check had, however many batches there are."""

_PROGRAM = """
import json, resource, sys, time
from kafka_salvage.plan.merge import make_plan
from kafka_salvage.plan.policy import Policy
from kafka_salvage.regions.context import SurveyOptions
from kafka_salvage.regions.survey import survey_replica
from kafka_salvage.scan.replica import take_inventory

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def timed(work):
    started = time.perf_counter()
    made = work()
    return made, time.perf_counter() - started

small, large = sys.argv[1].split(","), sys.argv[2].split(",")
for warm in (small, large):
    inventory = take_inventory(warm)
    options = SurveyOptions(compacted={replica.key: False for replica in inventory.replicas})
    surveys, checking = timed(lambda: [survey_replica(replica, options) for replica in inventory.replicas])
    before = peak()
    plan, planning = timed(lambda: make_plan(inventory, surveys, Policy()))
steps = sum(len(partition.steps) for partition in plan.partitions)
print(json.dumps({"check": checking, "plan": planning, "before": before, "after": peak(), "steps": steps}))
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a plan came to.

    Attributes:
        check, plan: seconds, of all copies together.
        before, after: peak of resident memory, MiB.
        steps: of the plan.
    """

    check: float
    plan: float
    before: float
    after: float
    steps: int


def run(options: Options) -> Iterator[Result]:
    """The cases of this module: as many batches as the asked size allows, a million of each copy with the default size."""
    batches = max(20_000, min(1_000_000, options.size // 200))
    cost = measure(options.folder, batches, damaged=1_000)
    rate = COPIES * batches / 1e6
    what = f"{COPIES} copies of {batches:,} batches, {COPIES * 1_000:,} damaged"
    yield Result(f"{what}: planned", "M batches/s", rate / cost.plan, rate / cost.check, "their check")
    yield Result(
        f"{what}: memory on top", "MiB", max(cost.after - cost.before, 0.1), _GRANTED, "the limit", 1.0, less=True
    )


def measure(folder: Path, batches: int, damaged: int) -> Cost:
    """Lays out the copies, checks and plans them in a process of its own.

    Args:
        folder: where they may lie; removed afterwards.
        batches: of each copy.
        damaged: how many of them are damaged on each copy, in places of its own.
    """
    homes = {size: folder / f"copies-{size}" for size in (2_000, batches)}
    try:
        for size, home in homes.items():
            for number in range(COPIES):
                lay(home / f"b{number}", size, damaged=range(number * 3 + 5, size, max(size // damaged, 12)))
        words = [",".join(os.fspath(home / f"b{n}") for n in range(COPIES)) for home in homes.values()]
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, *words], stdout=subprocess.PIPE, check=True, timeout=1800
        )
        return Cost(**json.loads(done.stdout))
    finally:
        for home in homes.values():
            shutil.rmtree(home, ignore_errors=True)


def lay(home: Path, batches: int, damaged: range) -> None:
    """Writes one broker's copy: `FILES` segments of batches of one record each, some with a flipped byte in the payload."""
    directory = home / "orders-0"
    directory.mkdir(parents=True)
    (home / "meta.properties").write_text(f"version=1\nnode.id={home.name[1:]}\ncluster.id=abcdefghijklmnopqrstuv\n")
    one = np.frombuffer(v2_batch(0, (Rec(0, EPOCH_MS, b"key", b"value" * 8),)), np.uint8)
    hurt = np.asarray(damaged, np.int64)
    for low in range(0, batches, -(-batches // FILES)):
        high = min(low + -(-batches // FILES), batches)
        rows = np.tile(one, (high - low, 1))
        rows[:, :8] = np.arange(low, high, dtype=">i8").view(np.uint8).reshape(-1, 8)
        rows[hurt[(hurt >= low) & (hurt < high)] - low, -6] ^= 0x55
        rows.tofile(directory / f"{low:020d}.log")
