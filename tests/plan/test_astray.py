"""Batches of a compacted topic at a wrong offset, in copies that were each compacted by themselves.

The three brokers' copies hold the same records of `profiles-0`, in bytes that differ: each cleaning wrote its own delete
horizons. What is true was read by a consumer.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.plan.test_scenarios import TRUTH, read, rescued
from tests.support import cut_copies
from tests.support.build import segment_name
from tests.support.truth import exported

FILES = ("log", "index", "timeindex", "snapshot")


@pytest.fixture
def homes(tmp_path: Path) -> list[Path]:
    return cut_copies.lay(tmp_path / "in")


def move(path: Path, old: int, new: int) -> None:
    """Changes the base offset of one batch."""
    data, at = bytearray(path.read_bytes()), 0
    while struct.unpack_from(">q", data, at)[0] != old:
        at += 12 + struct.unpack_from(">i", data, at + 8)[0]
    data[at : at + 8] = struct.pack(">q", new)
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("new", [2578, 2258, 2600])
@pytest.mark.parametrize("broker", [0, 1, 2])
def test_a_moved_batch_gives_way_to_its_other_forms(homes: list[Path], tmp_path: Path, broker: int, new: int) -> None:
    """The last batch of a file, of which the files behind are gone: nothing in its own copy contradicts it."""
    folder = homes[broker] / "profiles-0"
    move(folder / segment_name(1926), 2251, new)
    for suffix in FILES:
        (folder / segment_name(2276, suffix)).unlink(missing_ok=True)
        (folder / segment_name(1926, suffix)).unlink(missing_ok=True) if suffix == "index" else None
    report = rescued(tmp_path / "out", homes, topic="profiles")
    assert exported(tmp_path / "out") == read(TRUTH, "profiles")
    assert report["summary"]["exit_code"] == 6
    assert report["summary"]["offsets"]["ambiguous"] == 0
