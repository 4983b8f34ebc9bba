"""The frame of the benchmarks: what a spread is, that prose around the tables stays, and that a group that fails does not hide."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import kafka_salvage
from benchmarks import __main__ as program
from benchmarks import corpus, page, registry
from benchmarks.decode import theirs
from benchmarks.timing import Measured, Options, Result, in_turns

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"


def test_a_ratio_is_that_of_the_best_turns_and_the_spread_that_of_neighbours() -> None:
    ours, reference = Measured(2.0, [2.0, 4.0]), Measured(1.0, [3.0, 1.0])
    made = Result("case", "GB/s", 12 / ours, 6 / reference, "the other")
    assert made.ours == 6
    assert made.reference == 6
    assert made.ratio == 1
    assert made.spread == (3 / 6, 6 / 2)  # 6 beside 2 GB/s, then 3 beside 6 GB/s
    assert Result("cost", "s", ours, 8.0, "the promise", less=True).spread == (2.0, 4.0)
    assert Result("cost", "s", 2.0, 8.0, "the promise", less=True).spread is None


def test_turns_are_interleaved_and_the_first_is_not_counted() -> None:
    seen: list[str] = []
    sides = [lambda: seen.append("ours"), lambda: seen.append("reference")]
    made = in_turns(sides, 2, before=lambda: seen.append("before"))
    assert seen == ["before", "ours", "before", "reference"] * 3
    assert [len(each.turns) for each in made] == [2, 2]


def test_the_page_keeps_its_prose_and_other_tables() -> None:
    row = program.row(Result("a case", "GB/s", 3.0, 2.0, "`cp`", 0.7))
    group = {"name": "export", "title": "Segments", "date": "2026-01-02", "machine": "a box", "size": 1 << 20}
    group |= {"repeats": 5, "results": [row]}
    before = "# P\n\nabove\n\n<!-- bench: export -->\nold\n<!-- end of export -->\n\nbelow\n"
    text = page.updated(before, [group])
    assert text.startswith("# P\n\nabove\n\n<!-- bench: export -->\n2026-01-02, 1 MiB, 5 turns; a box.\n")
    assert text.endswith("| a case | 3 GB/s | 2 GB/s | `cp` | **1.50×** |  | 0.7× |\n<!-- end of export -->\n\nbelow\n")
    assert page.updated(text, [group]) == text
    assert page.updated(before, [{**group, "name": "new", "title": "New"}]).startswith(before.rstrip() + "\n\n## New\n")


def test_every_group_of_the_page_is_registered_and_every_group_has_its_place() -> None:
    text = PAGE.read_text()
    for group in registry.groups():
        assert text.count(f"<!-- bench: {group.name} -->") == 1, group.name
        assert text.count(f"<!-- end of {group.name} -->") == 1, group.name


def test_a_group_that_fails_is_told_and_keeps_what_it_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(self: registry.Group, options: Options) -> Iterator[Result]:
        yield Result("first", "s", 1.0, 0.0, "")
        raise OSError("no room")

    monkeypatch.setattr(registry.Group, "run", run)
    made = program.measured(registry.GROUPS[0], Options(1, 1, ROOT), "here")
    assert made["failed"] == "OSError: no room"
    assert [row["name"] for row in made["results"]] == ["first"]
    assert "| first | 1 s |" in capsys.readouterr().out


def test_the_program_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "bench.json"
    command = [sys.executable, "-m", "benchmarks", "--only", "machine", "--size", "4", "--repeats", "2"]
    done = subprocess.run(
        [*command, "--json", str(target), "--folder", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    (group,) = json.loads(target.read_text())["groups"]
    assert group["name"] == "machine"
    assert all(len(row["turns"][0]) == 2 for row in group["results"])
    for row in group["results"]:
        assert f"| {row['name']} |" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]  # what was generated is gone


@pytest.mark.parametrize("real", corpus.REAL, ids=lambda real: real.name)
def test_what_brokers_wrote_stays_intact_when_it_is_repeated(
    real: corpus.Real, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.corpus.ARCHIVES", tmp_path / "none")  # the fixtures must do
    size = sum(path.stat().st_size for path in real.segments())
    few = replace(real, copies=min(real.copies, 3))
    assert corpus.tree(few, tmp_path / "log", 12 * size) == (3 if few.copies else 12) * size
    found = kafka_salvage.check(tmp_path / "log", deep=True).to_dict()
    assert found["summary"]["exit_code"] == 0
    assert {each["code"] for each in found["findings"]} <= {"index-missing"}
    if "transactions" not in real.name:  # the other reader counts markers, too
        assert found["summary"]["records"]["intact"] == sum(theirs(p.read_bytes()) for p in tmp_path.rglob("*.log"))
