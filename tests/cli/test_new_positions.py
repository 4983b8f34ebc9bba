"""`groups --offset-map` as a person runs it, and what is said of committing."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from kafka_salvage.cli.main import run
from kafka_salvage.cli.new_positions import commit_lines
from kafka_salvage.export.replay.group_target import GroupCommit, GroupLine
from kafka_salvage.export.replay.map_file import write_map
from kafka_salvage.export.replay.offset_map import OffsetMap, OffsetRun
from kafka_salvage.export.replay.positions import NewPosition, NewPositions
from tests.support import metadata as write
from tests.support.build import segment

TOPIC = "__consumer_offsets"


@pytest.fixture
def broker(tmp_path: Path) -> Path:
    """Groups `billing` and `audit` on a topic of 100 records, of which 40 to 49 are damaged."""
    root = write.log_dir(tmp_path / "broker")
    data, infos = segment(10)
    at = infos[4].stop - 1
    write.partition(root, "t-0", data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    pairs = [
        (write.commit_key("billing", "t", 0), write.commit_value(45, "half")),
        (write.commit_key("audit", "t", 0), write.commit_value(100)),
        (write.commit_key("audit", "elsewhere", 3), write.commit_value(7)),
        (write.commit_key("sums", "t", 0), write.commit_value(62)),
        (write.commit_key("tallies", "t", 0), write.commit_value(12)),
    ]
    write.partition(root, f"{TOPIC}-0", write.batch(0, pairs))
    return root


@pytest.fixture
def offset_map(tmp_path: Path) -> Path:
    """Offsets 0 to 39, 50 to 59 and 70 to 99 went to `new-t` from 1000 on."""
    spans = [(0, 40, 1000), (50, 60, 1040), (70, 100, 1051)]
    path = tmp_path / "map.jsonl"
    write_map(path, OffsetMap.of([OffsetRun("t", 0, a, b, "new-t", 0, c) for a, b, c in spans], "cluster-2"))
    return path


def test_positions_are_those_of_the_same_records(
    broker: Path, offset_map: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = tmp_path / "p.json"
    flags = ["--offset-map", str(offset_map), "--no-progress"]
    assert run(["groups", str(broker), *flags, "--json", str(document)]) == 3
    assert capsys.readouterr().out.splitlines() == [
        "4 positions of 4 groups in the new cluster cluster-2; 1 without a place there; 1 moved because records are lost.",
        "",
        "audit",
        "  Topic      Partition  Old position  New topic  New position  Certainty",
        "  elsewhere          3             7  -                     -  certain",
        "    no copy of elsewhere-3 is among the sources",
        "    nothing of elsewhere-3 is in the offset map",
        "  t                  0           100  new-t              1081  certain",
        "",
        "billing",
        "  Topic  Partition  Old position  New topic  New position  Certainty",
        "  t              0            50  new-t              1040  certain",
        "    45 lies in the range 40..49, which is lost: moved to 50",
        "",
        "sums",
        "  Topic  Partition  Old position  New topic  New position  Certainty",
        "  t              0            62  new-t              1051  certain",
        "    the record at 62 was not sent: the next one that was is at 1051",
        "",
        "tallies",
        "  Topic  Partition  Old position  New topic  New position  Certainty",
        "  t              0            12  new-t              1012  certain",
    ]
    told = json.loads(document.read_text())
    assert told["schema"] == "kafka-salvage.new-positions/1"
    assert told["summary"] == {
        "exit_code": 3, "groups": 4, "positions": 4, "without_place": 1, "moved": 1, "may_be_newer": 0,
    }  # fmt: skip
    assert told["cluster_id"] == "cluster-2"


def test_the_csv_is_that_of_the_new_cluster(broker: Path, offset_map: Path, tmp_path: Path) -> None:
    lines = tmp_path / "p.csv"
    flags = ["--group", "tallies", "--offset-map", str(offset_map), "--no-progress"]
    assert run(["groups", str(broker), *flags, "--csv", str(lines)]) == 0
    with lines.open(newline="") as stream:
        assert list(csv.reader(stream)) == [["tallies", "new-t", "0", "1012"]]


def test_what_is_no_map_is_refused_before_any_work(
    broker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "map").write_text("no map\n")
    assert run(["groups", str(broker), "--offset-map", str(tmp_path / "map"), "--no-progress"]) == 2
    assert "it is no offset map" in capsys.readouterr().err
    assert run(["groups", str(broker), "--offset-map", str(tmp_path / "absent"), "--no-progress"]) == 2


def position(group: str, offset: int | None, **more: object) -> NewPosition:
    made = NewPosition(group, "t", 0, 5, None if offset is None else "new", None if offset is None else 0, offset)
    return replace(made, **more)  # type: ignore[arg-type]


def test_committing_is_shown_first() -> None:
    listed = [position("a", 7), position("b", 8), position("c", 9), position("d", None), position("e", 3)]
    lines = tuple(
        GroupLine(p, present) for p, present in zip([*listed[:3], listed[4]], [None, 8, 100, None], strict=True)
    )
    shown = GroupCommit(NewPositions(tuple(listed)), lines, {"e": "stable"})
    assert list(commit_lines(shown)) == [
        "Would commit 1 position; 1 stand there already.",
        "",
        "a",
        "  New topic  Partition  Stands at  Goes to  Action",
        "  new                0          -        7  commit",
        "",
        "b",
        "  New topic  Partition  Stands at  Goes to  Action",
        "  new                0          8        8  stands there",
        "",
        "c",
        "  New topic  Partition  Stands at  Goes to  Action",
        "  new                0        100        9  stays",
        "",
        "e (stable: has members at work, and is refused)",
        "  New topic  Partition  Stands at  Goes to  Action",
        "  new                0          -        3  refused",
        "",
        "1 position without a place in the new cluster:",
        "  d: t-0 at 5",
        "",
        "1 position differs from what the group has in the cluster, and stays: --force sets it back.",
    ]
