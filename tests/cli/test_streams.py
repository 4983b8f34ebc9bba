"""Streams: readers that go away and disks that are full; what was learned is said all the same."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.ground import COMMAND, clean, damaged, ks


@pytest.mark.parametrize("verb", ["check", "show", "salvage", "compare", "verify"])
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, verb: str) -> None:
    broker, out = damaged(tmp_path / "b"), tmp_path / "out"
    words = {"salvage": ["--out", str(out)], "compare": [str(clean(tmp_path / "c"))]}.get(verb, [])
    if verb == "verify":
        ks("salvage", broker, "--out", out)
    read, write = os.pipe()
    os.close(read)
    place = out if verb == "verify" else broker
    done = subprocess.run(
        [*COMMAND, verb, str(place), *words], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_of_a_reader_that_goes_away_files_are_written_all_the_same(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    words = ["check", str(damaged(tmp_path / "b")), "--json", "r.json", "--html", "p.html", "--mapfile", "maps"]
    done = subprocess.run(
        [*COMMAND, *words], stdout=write, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
    assert json.loads((tmp_path / "r.json").read_text())["summary"]["offsets"]["lost"] == 10
    assert (tmp_path / "p.html").read_text().endswith("</html>\n")
    assert list((tmp_path / "maps").rglob("*"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
class TestFull:
    """A full disk under one of the outputs."""

    @pytest.mark.parametrize("flag", ["--json", "--html"])
    def test_of_a_file_the_report_is_on_the_screen_before_it_is_said(self, tmp_path: Path, flag: str) -> None:
        done = ks("check", damaged(tmp_path / "b"), flag, "/dev/full")
        assert done.returncode == 5
        assert done.stdout.startswith("DATA LOST: 10 offsets lost")
        assert "Next: kafka-salvage salvage" in done.stdout
        assert done.stderr.startswith(
            "Error: /dev/full could not be written: no space left on device\n  do: Free space"
        )

    def test_of_the_page_of_a_salvage_the_rescue_is_whole(self, tmp_path: Path) -> None:
        done = ks("salvage", damaged(tmp_path / "b"), "--out", tmp_path / "out", "--html", "/dev/full")
        assert done.returncode == 5
        assert f"Written to {tmp_path / 'out'}" in done.stdout
        assert ks("verify", tmp_path / "out").returncode == 0

    def test_of_the_screen_files_are_written_all_the_same(self, tmp_path: Path) -> None:
        with Path("/dev/full").open("w") as full:
            command = [*COMMAND, "check", str(damaged(tmp_path / "b")), "--html", str(tmp_path / "p.html")]
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 5
        assert done.stderr.startswith("Error: the standard output could not be written: no space left on device.")
        assert (tmp_path / "p.html").read_text().endswith("</html>\n")
