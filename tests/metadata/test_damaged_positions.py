"""Positions out of a damaged `__consumer_offsets`: whatever is not marked is what the live cluster said."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

import kafka_salvage
from tests.metadata.test_consumer_offsets import truth_of
from tests.support.cut_metadata import METADATA

HOME = METADATA / "cluster" / "broker-2"
TRUTH = truth_of(METADATA / "cluster")


def damaged(place: Path, seed: int) -> Path:
    """A copy with one to three damages in the logs of the coordinators."""
    draw = random.Random(seed)
    home = shutil.copytree(HOME, place)
    logs = sorted(path for path in home.glob("__consumer_offsets-*/*.log") if path.stat().st_size)
    for _ in range(draw.choice([1, 1, 2, 3])):
        path = draw.choice(logs)
        data = bytearray(path.read_bytes())
        at = draw.randrange(len(data))
        match draw.choice(["flip", "zero", "cut", "remove"]):
            case "flip":
                data[at] ^= 1 << draw.randrange(8)
            case "zero":
                data[at : at + 24] = bytes(len(data[at : at + 24]))
            case "cut" if any(
                data[at - 30 : at][-8:]
            ):  # the first bytes of an offset are zeros: no sign of a torn batch
                del data[at:]
            case _:
                del data[at : at + draw.randrange(1, 300)]
        path.write_bytes(data)
    return home


@pytest.mark.parametrize("seed", range(24))
def test_what_is_certain_is_true_and_what_is_absent_is_said(tmp_path: Path, seed: int) -> None:
    groups = kafka_salvage.groups(damaged(tmp_path / "in", seed))
    found = {(p.group, p.topic, p.partition): p for p in groups.positions}
    for key, position in found.items():
        if position.certainty == "certain" and position.committed is not None:
            assert position.committed.offset == TRUTH[key]["offset"]
    for key, told in TRUTH.items():
        lacking = key not in found or found[key].committed is None
        if lacking and told["offset"] is not None:
            assert groups.exit_code == 3
