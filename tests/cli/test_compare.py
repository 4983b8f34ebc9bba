"""The command `compare` as a person runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kafka_salvage.cli.main import run
from tests.support import metadata as write
from tests.support.build import segment
from tests.support.truth import digest


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A copy of 100 records, and one that a recovery cut at offset 60; `u` is the same on both."""
    data, infos = segment(10)
    for name, stop in (("a", len(data)), ("b", infos[6].start)):
        root = write.log_dir(tmp_path / name)
        write.partition(root, "t-0", data[:stop])
        write.partition(root, "u-0", data)
        write.partition(root, "__consumer_offsets-0", data[:stop])
    return tmp_path / "a", tmp_path / "b"


def test_what_one_side_lost(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(pair[0]), str(pair[1]), "--no-progress"]) == 6
    assert capsys.readouterr().out.splitlines() == [
        "DIFFERENT: 40 records only in A; 160 records the same (1 partition of 2 differ).",
        "",
        "Partition  Only in A  Only in B  Different  Same",
        "t-0               40          0          0    60",
        "    only A: offsets 60..99",
        "",
        "1 partitions of Kafka's own topics were left out; --internal compares them too.",
    ]


def test_the_other_way_round(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(pair[1]), str(pair[0]), "--no-progress", "--internal"]) == 6
    out = capsys.readouterr().out
    assert "80 records only in B" in out
    assert "left out" not in out


def test_the_same(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(pair[0]), str(pair[1]), "--topic", "u", "--no-progress"]) == 0
    assert capsys.readouterr().out.startswith("SAME: both sides hold the same 100 records in 1 partition.")


def test_the_document(pair: tuple[Path, Path], tmp_path: Path) -> None:
    before = digest(pair[0]), digest(pair[1])
    place = tmp_path / "c.json"
    assert run(["compare", str(pair[0]), str(pair[1]), "--json", str(place), "--no-progress"]) == 6
    told = json.loads(place.read_text())
    assert told["schema"] == "kafka-salvage.comparison/1"
    assert told["summary"]["only_a"] == {"records": 40, "control": 0}
    first = next(p for p in told["partitions"] if p["topic"] == "t")
    assert first["only_a"]["ranges"] == [{"start": 60, "stop": 100, "records": 40, "control": 0}]
    assert (digest(pair[0]), digest(pair[1])) == before


def test_json_on_stdout_is_all_there_is(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(pair[0]), str(pair[1]), "--json", "-", "--no-progress"]) == 6
    assert json.loads(capsys.readouterr().out)["summary"]["differs"] is True


def test_output_never_lies_in_a_side(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(pair[0]), str(pair[1]), "--json", str(pair[1] / "c.json"), "--no-progress"]) == 2
    assert "lies inside the source" in capsys.readouterr().err


def test_a_side_that_is_not_there(pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(pair[0]), str(pair[1] / "nowhere"), "--no-progress"]) == 2
    assert "nowhere" in capsys.readouterr().err
