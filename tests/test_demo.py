"""The demonstration's recipe makes the damage that it tells of."""

from __future__ import annotations

from pathlib import Path

from tests.support.cut import CLEAN
from tests.support.demo import RECIPE, assemble, read_recipe
from tests.support.surveys import headers


def test_each_damaged_file_differs_from_the_clean_one_and_stops_a_plain_walk(tmp_path: Path) -> None:
    assemble(tmp_path / "broker")
    _, partitions = read_recipe(RECIPE.read_text())
    seen = 0
    for partition in partitions:
        for name in partition.edits:
            clean = (CLEAN / partition.origin / name).read_bytes()
            damaged = (tmp_path / "broker" / partition.name / name).read_bytes()
            assert headers(clean)[1] == "end"
            assert headers(damaged)[1] != "end", name
            seen += 1
    assert seen == 6
    assert (tmp_path / "broker" / "v0-none-0" / "00000000000000000162.log.deleted").is_file()


def test_partitions_without_edits_are_copied_as_they_are(tmp_path: Path) -> None:
    assemble(tmp_path / "broker")
    _, partitions = read_recipe(RECIPE.read_text())
    whole = [p for p in partitions if not p.edits and not p.renames]
    assert [p.name.split(".")[0] for p in whole] == ["profiles-0", "trimmed-0"]
    for partition in whole:
        for path in (CLEAN / partition.origin).iterdir():
            assert (tmp_path / "broker" / partition.name / path.name).read_bytes() == path.read_bytes()
