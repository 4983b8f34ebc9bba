"""Positions are clamped to what was recovered of the partitions that groups read."""

from __future__ import annotations

from pathlib import Path

import pytest

import kafka_salvage
from kafka_salvage.metadata.consumer_offsets import TOPIC
from kafka_salvage.metadata.positions import Extent, Position
from tests.support import metadata as write
from tests.support.build import segment

EXTENT = Extent(
    log_start=10, end=90, given=((0, 40), (50, 70), (75, 90)), holes=((40, 50, "lost"), (90, 95, "missing"))
)


@pytest.mark.parametrize(
    ("offset", "expected", "why"),
    [
        (9, 10, "9 lies below the log start"),
        (10, 10, ""),
        (39, 39, ""),
        (40, 50, "40 lies in the range 40..49, which is lost"),
        (49, 50, "49 lies in the range 40..49, which is lost"),
        (50, 50, ""),
        (72, 72, ""),  # nothing was ever there: a consumer goes on at 75 by itself
        (90, 90, ""),
        (92, 90, "92 lies above the recovered end, 90..94 are missing"),
        (99, 90, "99 lies above the recovered end"),
    ],
)
def test_where_to_go_on(offset: int, expected: int, why: str) -> None:
    assert EXTENT.clamp(offset) == (expected, why)


def test_with_nothing_recovered_the_log_start_is_the_end() -> None:
    assert Extent(5, 5, (), ()).clamp(7) == (5, "7 lies above the recovered end")


def lay(root: Path, offsets: dict[int, int], harm: bool = True) -> Path:
    """100 records of `t` in ten batches, of which the fifth is damaged; positions by number of the group."""
    write.log_dir(root)
    data, infos = segment(10)
    if harm:
        at = infos[4].stop - 1
        data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    write.partition(root, "t-0", data)
    pairs = [(write.commit_key(f"g{n}", "t", 0), write.commit_value(offset)) for n, offset in offsets.items()]
    write.partition(root, f"{TOPIC}-0", write.batch(0, pairs))
    (root / "log-start-offset-checkpoint").write_text("0\n1\nt 0 5\n")
    return root


def positions(root: Path) -> dict[str, Position]:
    return {p.group: p for p in kafka_salvage.groups(root).positions}


def test_positions_over_a_damaged_partition(tmp_path: Path) -> None:
    lay(tmp_path, {0: 3, 1: 30, 2: 40, 3: 45, 4: 50, 5: 100, 6: 120})
    found = positions(tmp_path)
    assert {name: (p.offset, p.moved) for name, p in found.items()} == {
        "g0": (5, False),  # trimmed on purpose: that is no loss
        "g1": (30, False),
        "g2": (50, True),
        "g3": (50, True),
        "g4": (50, False),
        "g5": (100, False),
        "g6": (100, True),
    }
    assert found["g3"].notes == ("45 lies in the range 40..49, which is lost: moved to 50",)
    groups = kafka_salvage.groups(tmp_path)
    assert groups.exit_code == 3
    assert groups.to_csv().splitlines()[3] == "g3,t,0,50"


def test_an_undamaged_partition_moves_nothing(tmp_path: Path) -> None:
    lay(tmp_path, {0: 45, 1: 100}, harm=False)
    assert {name: p.notes for name, p in positions(tmp_path).items()} == {"g0": (), "g1": ()}
    assert kafka_salvage.groups(tmp_path).exit_code == 0


def test_names_with_commas_and_quotes_survive_the_csv(tmp_path: Path) -> None:
    write.log_dir(tmp_path)
    write.partition(
        tmp_path, f"{TOPIC}-0", write.batch(0, [(write.commit_key('a,"b"', "t", 0), write.commit_value(1))])
    )
    assert kafka_salvage.groups(tmp_path).to_csv() == '"a,""b""",t,0,1\n'
