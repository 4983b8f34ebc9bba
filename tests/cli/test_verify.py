"""The command `verify` as a person runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kafka_salvage.cli.main import run
from tests.cli.ground import clean, damaged, flip, ks, tree

Caught = pytest.CaptureFixture[str]


def rescue(tmp_path: Path, *words: str) -> Path:
    run(["salvage", str(damaged(tmp_path / "broker")), "--out", str(tmp_path / "out"), *words])
    return tmp_path / "out"


def test_a_rescue_agrees(tmp_path: Path, capsys: Caught) -> None:
    out = rescue(tmp_path, "--format", "jsonl", "--format", "parquet")
    before = tree(tmp_path)
    capsys.readouterr()
    assert run(["verify", str(out)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("AGREES: ")
    assert "140 records read back (jsonl, parquet)" in text  # 70 in each
    assert tree(tmp_path) == before


def test_each_file_that_disagrees_is_named(tmp_path: Path, capsys: Caught) -> None:
    out = rescue(tmp_path)
    flip(out / "segments/orders-0/00000000000000000040.log", 90)
    (out / "segments/payments-1/leader-epoch-checkpoint").unlink()
    (out / "notes.txt").write_text("mine")
    capsys.readouterr()
    assert run(["verify", str(out)]) == 3
    text = capsys.readouterr().out
    assert text.startswith("DISAGREES: 3 of ")
    for line in (
        "damaged   segments/orders-0/00000000000000000040.log: its SHA-256",
        "missing   segments/payments-1/leader-epoch-checkpoint: it is not there",
        "unlisted  notes.txt: ",
    ):
        assert line in text


def test_json_goes_to_a_file_or_to_stdout(tmp_path: Path, capsys: Caught) -> None:
    out = rescue(tmp_path)
    capsys.readouterr()
    assert run(["verify", str(out), "--json", str(tmp_path / "v.json")]) == 0
    capsys.readouterr()
    done = ks("verify", out, "--json", "-")
    document = json.loads(done.stdout)
    assert document == json.loads((tmp_path / "v.json").read_text())
    assert (document["schema"], document["exit_code"]) == ("kafka-salvage.verification/1", 0)
    assert {entry["status"] for entry in document["files"]} == {"ok"}
    assert sum(line["records"] for line in document["lines"]) == 70


def test_nothing_is_written_into_the_rescue(tmp_path: Path, capsys: Caught) -> None:
    out = rescue(tmp_path)
    assert run(["verify", str(out), "--json", str(out / "v.json")]) == 2
    assert "inside the rescue" in capsys.readouterr().err
    assert not (out / "v.json").exists()


def test_what_is_no_rescue_is_a_wrong_use(tmp_path: Path, capsys: Caught) -> None:
    assert run(["verify", str(clean(tmp_path / "broker"))]) == 2
    assert "no rescue directory" in capsys.readouterr().err
    assert run(["verify", str(tmp_path / "nothing")]) == 2
