"""The demonstration's recipes make the damage that they tell of."""

from __future__ import annotations

from pathlib import Path

import kafka_salvage
from tests.support.cut import CLEAN
from tests.support.cut_copies import COPIES
from tests.support.demo import RECIPE, assemble, assemble_copies, read_recipe
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


def test_three_copies_lose_only_what_none_of_them_has(tmp_path: Path) -> None:
    homes = assemble_copies(tmp_path)
    assert [home.name for home in homes] == ["broker-1", "broker-2", "broker-3"]
    clean = headers((COPIES / "cluster" / "broker-2" / "orders-0" / f"{1016:020d}.log").read_bytes())[0]
    zeroed = [row for row in clean if row["start"] < 28_672 and row["stop"] > 20_480]
    document = kafka_salvage.check(homes).to_dict()
    lost = {
        (partition["topic"], span["start"], span["stop"])
        for partition in document["partitions"]
        for span in partition["offsets"]
        if span["status"] not in ("recovered", "repaired")
    }
    assert lost == {("orders", zeroed[0]["first"], zeroed[-1]["last"] + 1)}
    givers = {span["source"] for p in document["partitions"] for span in p["offsets"] if "source" in span}
    assert givers == {"broker-1", "broker-2"}
    assert any("broker-3 alone would have lost" in hint for hint in document["hints"])
