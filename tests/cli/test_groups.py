"""The command `groups` as a person runs it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from kafka_salvage.cli.main import run
from tests.support import metadata as write
from tests.support.build import segment
from tests.support.truth import digest

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
        (write.commit_key("audit", "t", 0), write.commit_value(80)),
        (write.commit_key("audit", "elsewhere", 3), write.commit_value(7)),
    ]
    write.partition(root, f"{TOPIC}-0", write.batch(0, pairs))
    return root


def test_the_table_says_where_each_group_stood(broker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["groups", str(broker), "--no-progress"]) == 3
    assert capsys.readouterr().out.splitlines() == [
        "3 positions of 2 groups; 1 moved because records are lost.",
        "",
        "audit",
        "  Topic      Partition  Position  Committed  Certainty",
        "  elsewhere          3         7          7  certain",
        "    no copy of elsewhere-3 is among the sources",
        "  t                  0        80         80  certain",
        "",
        "billing",
        "  Topic  Partition  Position  Committed  Certainty",
        "  t              0        50         45  certain",
        "    45 lies in the range 40..49, which is lost: moved to 50",
    ]


def test_files_are_written_and_the_evidence_is_not(broker: Path, tmp_path: Path) -> None:
    before = digest(broker)
    lines, document = tmp_path / "p.csv", tmp_path / "p.json"
    assert run(["groups", str(broker), "--csv", str(lines), "--json", str(document), "--no-progress"]) == 3
    with lines.open(newline="") as stream:
        assert list(csv.reader(stream)) == [
            ["audit", "elsewhere", "3", "7"],
            ["audit", "t", "0", "80"],
            ["billing", "t", "0", "50"],
        ]
    told = json.loads(document.read_text())
    assert told["schema"] == "kafka-salvage.groups/1"
    assert told["summary"] == {"exit_code": 3, "groups": 2, "positions": 3, "moved": 1, "may_be_newer": 0}
    (position,) = told["groups"][1]["positions"]
    assert position["committed"]["metadata"] == "half"
    assert position["committed"]["record"] == {"partition": 0, "offset": 0}
    assert digest(broker) == before


def test_one_group_and_one_topic(broker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["groups", str(broker), "--group", "audit", "--topic", "t", "--csv", "-", "--no-progress"]) == 0
    assert capsys.readouterr().out == "audit,t,0,80\n"


def test_a_group_that_is_not_there_is_said(broker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["groups", str(broker), "--group", "nobody", "--no-progress"]) == 0
    assert "nobody: no position is here." in capsys.readouterr().out


def test_output_never_lies_in_a_source(broker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["groups", str(broker), "--csv", str(broker / "p.csv"), "--no-progress"]) == 2
    assert "lies inside the source" in capsys.readouterr().err
    assert not (broker / "p.csv").exists()


def test_only_one_thing_goes_to_stdout(broker: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["groups", str(broker), "--csv", "-", "--json", "-"]) == 2
    assert "only one of --csv and --json" in capsys.readouterr().err


def test_names_with_escapes_do_not_reach_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write.log_dir(tmp_path)
    pair = (write.commit_key("\x1b[31mred", "t\n", 0), write.commit_value(1, "\x07"))
    write.partition(root, f"{TOPIC}-0", write.batch(0, [pair]))
    assert run(["groups", str(root), "--no-progress"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\\x1b[31mred" in out


def test_lost_ranges_and_absent_partitions_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write.log_dir(tmp_path)
    first = write.batch(0, [(write.commit_key("g", "t", 0), write.commit_value(1))])
    second = bytearray(write.batch(1, [(write.commit_key("h", "t", 0), write.commit_value(2))]))
    second[-1] ^= 1
    third = write.batch(2, [(write.commit_key("i", "t", 0), write.commit_value(3))])
    write.partition(root, f"{TOPIC}-2", first + bytes(second) + third)
    assert run(["groups", str(root), "--no-progress"]) == 3
    out = capsys.readouterr().out
    assert "2 positions of 2 groups; 1 may be newer than what is here." in out
    assert f"{TOPIC}-2: offsets 1..1 are lost; other groups may have been there." in out
    assert f"No copy of {TOPIC} partitions 0, 1 is among the sources" in out
