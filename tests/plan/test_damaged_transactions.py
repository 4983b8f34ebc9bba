"""Transactions of real brokers under random damage of the log and of every witness: no label but `open` is ever wrong.

`open` says that nothing that is here ends a transaction: a log that is cut between two batches, with no evidence beside it,
looks like that.
"""

from __future__ import annotations

import gzip
import json
import random
import shutil
from pathlib import Path

import pytest

from tests.plan.test_versions import FATES, HOME, labels, plan_of
from tests.support.bases import FIXTURES
from tests.support.cut_metadata import METADATA

PAYMENTS = FIXTURES / "cluster" / "broker-1"
COORDINATOR = METADATA / "cluster" / "broker-2"


def fates() -> dict[int, str]:
    with gzip.open(FIXTURES / "cluster" / "truth" / "payments.jsonl.gz", "rt") as stream:
        rows = [json.loads(line) for line in stream]
    return {row["offset"]: row["txn"] for row in rows if row["partition"] == 1}


def hurt(draw: random.Random, path: Path) -> None:
    """Flips a bit, zeroes, cuts or removes something."""
    data = bytearray(path.read_bytes())
    if not data:
        return
    at = draw.randrange(len(data))
    match draw.choice(["flip", "flip", "zero", "cut", "remove"]):
        case "flip":
            data[at] ^= 1 << draw.randrange(8)
        case "zero":
            size = min(len(data) - at, draw.choice([16, 200, 2000]))
            data[at : at + size] = bytes(size)
        case "cut":
            del data[at:]
        case _:
            del data[at : at + draw.randrange(1, 400)]
    path.write_bytes(data)


def hurt_witnesses(draw: random.Random, home: Path, topic: str) -> None:
    """Deletes or damages some of what speaks besides markers."""
    for pattern in (f"{topic}-*/*.txnindex", f"{topic}-*/*.snapshot", "__transaction_state*/*.log"):
        for file in sorted(home.glob(pattern)):
            chance = draw.random()
            if chance < 0.15:
                file.unlink()
            elif chance < 0.4:
                hurt(draw, file)


@pytest.mark.parametrize("seed", range(12))
def test_both_versions(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    home = shutil.copytree(HOME, tmp_path / "in")
    for _ in range(draw.choice([1, 1, 2, 3])):
        hurt(draw, home / "pay-0" / f"{0:020d}.log")
    hurt_witnesses(draw, home, "pay")
    found = labels(plan_of(home))
    assert not {o: label for o, label in found.items() if label not in (FATES[o], "open", "unknown")}


@pytest.mark.parametrize("seed", range(16))
def test_many_segments(tmp_path: Path, seed: int) -> None:
    draw, truth = random.Random(seed), fates()
    home = tmp_path / "in"
    shutil.copytree(PAYMENTS / "payments-1", home / "payments-1")
    shutil.copyfile(PAYMENTS / "meta.properties", home / "meta.properties")
    if draw.random() < 0.5:
        for name in ("__transaction_state-0", "__transaction_state-1"):
            shutil.copytree(COORDINATOR / name, home / name)
    logs = sorted((home / "payments-1").glob("*.log"))
    for _ in range(draw.choice([1, 1, 2, 3, 5])):
        hurt(draw, draw.choice(logs))
    hurt_witnesses(draw, home, "payments")
    if draw.random() < 0.3:
        victim = draw.choice(logs)
        for file in (home / "payments-1").glob(f"{victim.stem}*"):
            file.unlink()
    found = labels(plan_of(home, "payments"))
    assert not {o: label for o, label in found.items() if label not in (truth[o], "open", "unknown")}
