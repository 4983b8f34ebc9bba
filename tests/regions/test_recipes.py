"""Damage as text over real segments: each recipe says which map must come of it.

A recipe file: ``file: PATH`` (below fixtures/clean), ``edit: …`` lines (see tests/support/damage.py), optional
``compacted: yes|no``, then ``map:`` lines ``START STOP VERDICT [FIRST NEXT]`` where places may be ``b3`` (original batch 3,
moved by the edits), ``@N`` (byte N of the damaged file) or ``end``, and ``codes:`` with all finding codes of the `.log`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kafka_salvage.regions.context import SegmentContext
from tests.support.build import BatchInfo
from tests.support.corpus import ROOT
from tests.support.damage import Workshop, damage
from tests.support.judging import invented, survey_bytes

RECIPES = sorted((ROOT / "fixtures" / "recipes").glob("*.txt"))


@dataclass
class Recipe:
    file: str = ""
    edits: list[str] = field(default_factory=list)
    map: list[list[str]] = field(default_factory=list)
    codes: set[str] = field(default_factory=set)
    compacted: bool = False


def read_recipe(path: Path) -> Recipe:
    recipe = Recipe()
    for line in path.read_text().splitlines():
        name, _, value = line.split("#", 1)[0].partition(":")
        value = value.strip()
        if name == "file":
            recipe.file = value
        elif name == "edit":
            recipe.edits.append(value)
        elif name == "map":
            recipe.map.append(value.split())
        elif name == "codes":
            recipe.codes = set(value.split())
        elif name == "compacted":
            recipe.compacted = value == "yes"
        elif name.strip():
            raise ValueError(f"{path.name}: {line!r}")
    return recipe


def infos_of(data: bytes) -> list[BatchInfo]:
    infos, at = [], 0
    while at < len(data):
        size = 12 + int.from_bytes(data[at + 8 : at + 12], "big")
        offset, magic = int.from_bytes(data[at : at + 8], "big"), data[at + 16]
        last = offset + (int.from_bytes(data[at + 23 : at + 27], "big") if magic == 2 else 0)
        infos.append(BatchInfo(at, at + size, magic, offset, last, 0, 0, ()))
        at += size
    return infos


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_recipe(path: Path) -> None:
    recipe = read_recipe(path)
    file = ROOT / "fixtures" / "clean" / recipe.file
    data = file.read_bytes()
    infos = infos_of(data)
    damaged = damage(data, infos, "\n".join(recipe.edits))
    survey = survey_bytes(
        damaged.data, base=int(file.name.split(".")[0]), context=SegmentContext(compacted=recipe.compacted)
    )
    shop = Workshop(data, infos)
    for edit in recipe.edits:
        words = edit.split()
        shop.edit(words[0], words[1:])

    def place(text: str) -> int:
        if text.startswith("@"):
            return int(text[1:])
        return len(damaged.data) if text == "end" else shop.now(text)

    expected = []
    for start, stop, verdict, *offsets in recipe.map:
        expected.append((place(start), place(stop), verdict, tuple(int(o) for o in offsets) or None))
    got = [
        (r.start, r.stop, r.verdict.value, (r.offsets.start, r.offsets.stop) if r.offsets is not None else None)
        for r in survey.regions
    ]
    assert got == [(*e[:3], e[3] if e[3] is not None else g[3]) for e, g in zip(expected, got, strict=False)]
    assert len(got) == len(expected)
    assert {finding.code for finding in survey.findings} == recipe.codes
    assert invented(data, infos, damaged.data, survey) == []


def test_there_are_recipes_for_every_magic() -> None:
    scenes = {read_recipe(path).file.split("/")[0] for path in RECIPES}
    assert scenes >= {"cluster", "v0", "v1", "mixed"}
