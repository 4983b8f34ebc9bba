"""Region maps as ddrescue text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kafka_salvage.errors import RequestError
from kafka_salvage.integrity.mapfile import render, write_maps
from kafka_salvage.integrity.report import make_report
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.replica import SourceRoot
from tests.support.sketch import B, Desk, X, inventory, seg


def blocks(text: str) -> list[tuple[int, int, str]]:
    rows = [line.split() for line in text.splitlines() if not line.startswith("#")][1:]
    return [(int(start, 16), int(size, 16), status) for start, size, status in rows]


def test_a_map_is_consecutive_and_covers_the_file() -> None:
    items = [X(verdict) for verdict in Verdict if verdict not in (Verdict.INTACT, Verdict.REPAIRED)]
    survey = Desk().copy(seg(0, B(0, 10), *items, B(10, 20, repaired=True), B(20, 30))).segments[0]
    text = render(survey)
    assert re.match(r"# Mapfile\.", text)
    found = blocks(text)
    at = 0
    for start, size, _ in found:
        assert start == at
        at += size
    assert at == survey.regions.size
    assert [status for _, _, status in found] == ["+", "/", "+", "-", "+", "*", "?", "+"]
    assert found[0] == (0, 100, "+")


def test_an_empty_file_has_a_map_without_blocks() -> None:
    assert blocks(render(Desk().copy(seg(0)).segments[0])) == []


def test_maps_are_written_below_the_directory(tmp_path: Path) -> None:
    desk = Desk()
    plan = desk.plan(desk.copy(seg(0, B(0, 10)), seg(10, B(10, 20))))
    (first, second) = write_maps(make_report(plan, "shallow"), tmp_path / "maps")
    assert first == tmp_path / "maps" / "b1" / "t-0" / f"{0:020d}.log.map"
    assert second.read_text(encoding="utf-8") == render(plan.partitions[0].replicas[0].segments[1])


def test_a_directory_inside_a_source_is_refused(tmp_path: Path) -> None:
    desk = Desk()
    survey = desk.copy(seg(0, B(0, 10)))
    plan = desk.plan(survey)
    listed = inventory(survey)
    object.__setattr__(listed, "sources", (SourceRoot("b1", tmp_path, ()),))
    object.__setattr__(plan, "inventory", listed)
    with pytest.raises(RequestError, match=re.escape(f"inside the source {tmp_path}")):
        write_maps(make_report(plan, "shallow"), tmp_path / "maps")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_around_a_source_is_refused_since_maps_would_go_into_it(tmp_path: Path) -> None:
    desk = Desk()
    survey = desk.copy(seg(0, B(0, 10)))
    plan = desk.plan(survey)
    listed = inventory(survey)
    (tmp_path / "b1").mkdir()
    object.__setattr__(listed, "sources", (SourceRoot("b1", tmp_path / "b1", ()),))
    object.__setattr__(plan, "inventory", listed)
    with pytest.raises(RequestError, match="lies inside"):
        write_maps(make_report(plan, "shallow"), tmp_path)
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "b1").symlink_to(tmp_path / "b1")
    with pytest.raises(RequestError, match="inside the source"):
        write_maps(make_report(plan, "shallow"), tmp_path / "maps")
    assert list((tmp_path / "b1").iterdir()) == []
