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
from tests.support.build import segment, segment_name
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


@pytest.mark.parametrize(
    ("value", "other"),
    [*((value, value ^ 1 << 40) for value in (2**63 - 1, 2**63 - 4, -(2**63), 2**62)), (2**63 - 4, 2**63 - 4)],
)
def test_an_absurd_base_offset_in_one_copy_is_given_by_the_other(tmp_path: Path, value: int, other: int) -> None:
    data, infos = segment(6)
    homes = [tmp_path / name for name in ("b1", "b2")]
    for home in homes:
        (home / "t-0").mkdir(parents=True)
        (home / "t-0" / segment_name(0)).write_bytes(data)
    for batch, copy, said in ((1, 0, value), (3, 1, value), (5, 0, value), (5, 1, other)):
        move(homes[copy] / "t-0" / segment_name(0), infos[batch].base_offset, said)
    report = rescued(tmp_path / "out", homes)
    given = sorted(offset for _, _, offset in exported(tmp_path / "out"))
    assert given == list(range(infos[5].base_offset))
    assert report["summary"]["exit_code"] == 3
    assert all(-1 <= span["start"] < span["stop"] < 2**63 for p in report["partitions"] for span in p["offsets"])
