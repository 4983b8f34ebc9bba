"""The command `salvage` as a person runs it."""

from __future__ import annotations

import datetime as dt
import json
import os
import shlex
import subprocess
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from kafka_salvage import api
from kafka_salvage.cli.main import run
from tests.cli.ground import COMMAND, clean, damaged, flip, lay, leaning, long_length, tree
from tests.support.build import Build, segment, segment_name
from tests.support.truth import digest, exported

Caught = pytest.CaptureFixture[str]


def salvage(source: Path, out: Path, *words: str) -> int:
    return run(["salvage", str(source), "--out", str(out), *words])


def sums_agree(out: Path) -> bool:
    done = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=out, capture_output=True, check=False)
    return done.returncode == 0


def test_every_intact_record_comes_out_and_nothing_else(tmp_path: Path) -> None:
    root = damaged(tmp_path / "b")
    before = digest(root)
    assert salvage(root, tmp_path / "out", "--format", "jsonl", "--format", "segments") == 3
    wanted = {("orders", 0, n) for n in (*range(10), *range(20, 60))} | {("payments", 1, n) for n in range(20)}
    assert set(exported(tmp_path / "out")) == wanted
    data, infos = segment(4)
    place = tmp_path / "out" / "segments" / "orders-0" / segment_name(0)
    assert place.read_bytes() == data[: infos[0].stop] + data[infos[2].start :]
    assert sums_agree(tmp_path / "out")
    assert digest(root) == before


def test_a_length_that_claims_two_gigabytes_costs_nothing(tmp_path: Path) -> None:
    assert salvage(long_length(tmp_path / "b"), tmp_path / "out") == 6
    place = tmp_path / "out" / "segments" / "orders-0" / segment_name(0)
    assert place.read_bytes() == segment(4)[0]


def test_leftovers_fill_what_live_files_lack(tmp_path: Path, capsys: Caught) -> None:
    assert salvage(leaning(tmp_path / "b"), tmp_path / "out", "--format", "jsonl") == 6
    assert set(exported(tmp_path / "out")) == {("orders", 0, n) for n in range(60)}
    assert capsys.readouterr().out.splitlines()[0] == (
        "NOTHING LOST, BUT LEFTOVERS ARE NEEDED: 20 offsets come from deleted segments (orders-0); 60 records recovered."
    )


def test_the_report_says_what_was_written_and_the_last_line_can_be_typed(
    tmp_path: Path, capsys: Caught, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = damaged(tmp_path / "b")
    out = Path("two words & more")
    assert salvage(root, out, "--format", "jsonl") == 3
    lines = capsys.readouterr().out.splitlines()
    (written,) = [line for line in lines if line.startswith("Written to ")]
    assert "jsonl: 2 files, 70 records, " in written
    assert "quarantine: " in written
    command = lines[-1].removeprefix("Next: ").partition(", then ")[0]
    assert subprocess.run(["sh", "-c", command], capture_output=True, check=False).returncode == 0
    flip(tmp_path / out / "jsonl" / "orders" / "0.jsonl", 10)
    assert subprocess.run(["sh", "-c", command], capture_output=True, check=False).returncode == 1


def test_three_sources_of_one_name_in_all_six_orders_give_one_tree(tmp_path: Path) -> None:
    roots = [tmp_path / rack / "kafka" for rack in ("r1", "r2", "r3")]
    damaged(roots[0])
    (roots[0] / "payments-1").rename(tmp_path / "aside")
    lay(roots[1] / "clicks-0", (0, segment(3)[0]))
    (tmp_path / "aside").rename(roots[1] / "payments-1")
    lay(roots[2] / "clicks-1", (7, Build(base=7).v2(5).gap(3).v2(5).done()[0]))
    torn = segment(3)[0][:-9]
    lay(roots[2] / "torn-0", (0, torn))
    trees = []
    for number, order in enumerate(permutations(roots)):
        out = tmp_path / "outs" / str(number)
        words = ["salvage", *map(str, order), "--out", str(out), "--format", "segments", "--format", "jsonl"]
        assert run([*words, "--jobs", str(1 + number % 3)]) == 3
        trees.append(tree(out))
    assert all(each == trees[0] for each in trees)
    report = json.loads(trees[0]["report.json"])
    assert [source["name"] for source in report["sources"]] == ["broker-1", "r2-kafka", "r3-kafka"]
    assert {p["topic"] for p in report["partitions"]} == {"orders", "payments", "clicks", "torn"}
    assert any(name.startswith("quarantine/r3-kafka/torn-0/") for name in trees[0])


def test_what_one_copy_lost_comes_from_the_other(tmp_path: Path, capsys: Caught) -> None:
    one, two = clean(tmp_path / "one", node=1), damaged(tmp_path / "two")
    (two / "meta.properties").write_text("version=1\nnode.id=2\ncluster.id=JFMHcmjwovmihf4xFbMYXA\n")
    trees = []
    for number, order in enumerate(permutations([str(one), str(two)])):
        out = tmp_path / f"out-{number}"
        assert run(["salvage", *order, "--out", str(out), "--prefer", "broker-2"]) == 6
        assert (out / "segments" / "orders-0" / segment_name(0)).read_bytes() == segment(4)[0]
        trees.append(tree(out))
    assert trees[0] == trees[1]
    out_text = capsys.readouterr().out
    assert out_text.startswith("DAMAGED, NOTHING LOST; 80 records recovered.")
    assert "it could destroy 40 intact records (broker-2:orders-0)" in out_text


def test_filters_select_output(tmp_path: Path) -> None:
    root = damaged(tmp_path / "b")
    assert salvage(root, tmp_path / "a", "--topic", "payments", "--format", "jsonl") == 0
    assert {key[0] for key in exported(tmp_path / "a")} == {"payments"}
    assert salvage(root, tmp_path / "c", "--from-offset", "25", "--to-offset", "33", "--format", "jsonl") == 0
    assert {n for t, _, n in exported(tmp_path / "c") if t == "orders"} == set(range(25, 33))
    assert salvage(root, tmp_path / "d", "--topic-regex", "ord.*", "--partition", "0", "--format", "jsonl") == 3
    assert {key[0] for key in exported(tmp_path / "d")} == {"orders"}


def test_what_cannot_be_asked_for(tmp_path: Path, capsys: Caught) -> None:
    root = clean(tmp_path / "b")
    for words, sentence in (
        (["--topic-id", "orders=short"], "22 characters"),
        (["--leader-epoch", "-1"], "write keep, or an epoch number"),
        (["--leader-epoch", "x"], "write keep, or an epoch number"),
        (["--format", "csv"], "csv"),
        (["--undecided", "guess"], "guess"),
    ):
        assert salvage(root, tmp_path / "out", *words) == 2
        assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_leader_epoch_and_the_topic_id_are_written(tmp_path: Path) -> None:
    lay(tmp_path / "b" / "orders-0", (0, segment(2, epoch=7)[0]))
    words = ["--leader-epoch", "0", "--topic-id", "orders=0TSzvqsDR4Go-seIA4cW9w"]
    assert salvage(tmp_path / "b", tmp_path / "out", *words) == 0
    place = tmp_path / "out" / "segments" / "orders-0"
    assert (place / segment_name(0)).read_bytes() == segment(2, epoch=0)[0]
    assert "topic_id: 0TSzvqsDR4Go-seIA4cW9w" in (place / "partition.metadata").read_text()


def test_a_run_begins_before_it_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours before anything is written."""
    real, checked = api.make_report, []

    def made(*words: Any) -> Any:
        checked.append(dt.datetime.now(dt.UTC))
        return real(*words)

    monkeypatch.setattr(api, "make_report", made)
    before = dt.datetime.now(dt.UTC)
    assert salvage(clean(tmp_path / "b"), tmp_path / "out") == 0
    told = json.loads((tmp_path / "out" / "run.json").read_text())
    assert before <= dt.datetime.fromisoformat(told["started"]) < checked[0]
    assert checked[0] < dt.datetime.fromisoformat(told["finished"]) <= dt.datetime.now(dt.UTC)


def test_run_json_alone_holds_the_command_line(tmp_path: Path) -> None:
    root = clean(tmp_path / "b")
    words = [*COMMAND, "salvage", str(root), "--out", str(tmp_path / "out"), "--jobs", "1"]
    assert subprocess.run(words, capture_output=True, check=False, env={**os.environ, "TZ": "UTC"}).returncode == 0
    assert json.loads((tmp_path / "out" / "run.json").read_text())["argv"][1:] == words[3:]
    assert not [name for name, data in tree(tmp_path / "out").items() if b"--jobs" in data or b"argv" in data]
    assert shlex.join(words)
