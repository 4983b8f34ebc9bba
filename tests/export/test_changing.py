"""Changing evidence: files that become shorter after they were judged, or while they are read; it ends, and all is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kafka_salvage.export import rows
from kafka_salvage.plan.plan import Step
from kafka_salvage.source.source import Source
from tests.export.scenes import Piece, Scene
from tests.support.build import Build

BATCHES = 300
"""Of some 16 KB each, so that a file is several frames."""
FORMATS = ("segments", "jsonl")


def scene(root: Path) -> tuple[Scene, Path, list[int]]:
    """One file, and where its batches end."""
    build = Build(size=16_000)
    for _ in range(BATCHES):
        build.v2(1)
    data, infos = build.done()
    made = Scene(root)
    made.add([Piece(data, infos)])
    return made, made.partitions[0].replicas[0].segments[0].segment.file.real, [info.stop for info in infos]


def lines(out: Path) -> int:
    return len((out / "jsonl" / "orders" / "0.jsonl").read_bytes().splitlines())


@pytest.mark.parametrize("kept", [0, 1, 150, BATCHES - 1])
def test_a_file_that_was_cut_between_batches_is_told(tmp_path: Path, kept: int) -> None:
    """Nothing in it is damaged; what is not there any more was promised all the same."""
    made, path, ends = scene(tmp_path / "src")
    cut = ends[kept - 1] if kept else 0
    os.truncate(path, cut)
    receipt = made.write(tmp_path / "out", formats=FORMATS)
    assert {(each.start, each.stop) for each in receipt.shortfalls} == {(cut, ends[-1])}
    assert receipt.exit_code == 5
    assert (lines(tmp_path / "out") if kept else 0) == kept


@pytest.mark.parametrize("within", [0, 5, 30, 9000])
def test_a_file_that_becomes_shorter_while_it_is_read_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, within: int
) -> None:
    """What follows cannot be walked over: where a batch begins is not known."""
    made, path, ends = scene(tmp_path / "src")
    real, cut = rows.open_step, ends[99] + within

    def opened(step: Step) -> Source:
        source = real(step)
        os.truncate(path, cut)
        return source

    monkeypatch.setattr(rows, "open_step", opened)
    receipt = made.write(tmp_path / "out", formats=FORMATS)
    assert receipt.exit_code == 5
    assert lines(tmp_path / "out") == 100
    assert min(each.start for each in receipt.shortfalls) == ends[99]
    assert max(each.stop for each in receipt.shortfalls) == ends[-1]
    assert len(set(receipt.shortfalls)) <= 2


def test_batches_side_by_side_that_changed_are_one(tmp_path: Path) -> None:
    made, path, ends = scene(tmp_path / "src")
    data = bytearray(path.read_bytes())
    for stop in ends[10:200]:
        data[stop - 1] ^= 1
    path.write_bytes(data)
    receipt = made.write(tmp_path / "out", formats=("jsonl",))
    assert [(each.start, each.stop) for each in receipt.shortfalls] == [(ends[9], ends[199])]
    assert lines(tmp_path / "out") == BATCHES - 190


@pytest.mark.parametrize("left", [0, 3])
def test_what_is_kept_aside_of_a_file_that_was_cut_is_told(tmp_path: Path, left: int) -> None:
    data, infos = Build().v2(50).done()
    made = Scene(tmp_path / "src")
    made.add([Piece(data + b"damage", infos)])
    os.truncate(made.partitions[0].replicas[0].segments[0].segment.file.real, len(data) + left)
    receipt = made.write(tmp_path / "out", formats=("jsonl",))
    assert [(each.start, each.stop) for each in receipt.shortfalls] == [(len(data) + left, len(data) + 6)]
    assert receipt.exit_code == 5
    assert lines(tmp_path / "out") == 50
