"""Placing: what a killed run left of a file is removed by the next, and nothing else is."""

from __future__ import annotations

import fcntl
from pathlib import Path

from kafka_salvage.integrity.placing import write_text


def test_torn_files_of_killed_runs_go_and_all_else_stays(tmp_path: Path) -> None:
    (tmp_path / ".report.json.4711.partial").write_text("torn")
    kept = ["report.json.4711.partial", ".other.json.4711.partial", ".report.json.x.partial", ".reportXjson.1.partial"]
    for name in kept:
        (tmp_path / name).write_text("mine")
    (tmp_path / ".report.json.12.partial").symlink_to(tmp_path / kept[0])
    write_text(tmp_path / "report.json", "whole")
    assert (tmp_path / "report.json").read_text() == "whole"
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "report.json", ".report.json.12.partial"}


def test_a_file_that_another_run_is_writing_stays(tmp_path: Path) -> None:
    busy = tmp_path / ".report.json.4711.partial"
    with busy.open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        write_text(tmp_path / "report.json", "whole")
        assert busy.exists()
    write_text(tmp_path / "report.json", "again")
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
