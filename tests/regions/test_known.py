"""Known: a survey is taken from the journal exactly as long as nothing that it rests on has changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kafka_salvage.regions import known
from kafka_salvage.regions.context import SegmentContext, SurveyOptions
from kafka_salvage.regions.journal import Journal
from kafka_salvage.regions.known import Known, key_of
from kafka_salvage.regions.looking import survey_segment
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.replica import SegmentFile, take_inventory
from tests.regions.test_plainly import assert_same
from tests.support.cut import CLEAN


@pytest.fixture
def segment(tmp_path: Path) -> SegmentFile:
    source = next(path for path in sorted((CLEAN / "cluster").glob("broker-1/orders-0")))
    shutil.copytree(source, tmp_path / "src" / "orders-0")
    (replica,) = take_inventory([str(tmp_path / "src" / "orders-0")]).replicas
    return replica.segments[0]


CONTEXT, OPTIONS = SegmentContext(), SurveyOptions()


def again(tmp_path: Path, segment: SegmentFile, context: SegmentContext = CONTEXT, options: SurveyOptions = OPTIONS) -> int:  # fmt: skip
    """Bytes that need not be read again, of the segment."""
    skipped: list[int] = []
    read: list[int] = []
    with Journal(tmp_path / "state", resume=True) as journal:
        made = Known(journal).survey(segment, context, options, read.append, skipped.append)
    assert_same(made, survey_segment(segment, context, options))
    assert bool(skipped) != bool(read)
    return sum(skipped)


def test_a_finished_segment_is_not_read_again(tmp_path: Path, segment: SegmentFile) -> None:
    assert again(tmp_path, segment) == 0
    assert again(tmp_path, segment) == segment.file.size
    assert again(tmp_path, segment, options=SurveyOptions(jobs=7)) == segment.file.size


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _flip(path: Path) -> None:
    """A byte in the middle, with the modification time that a write gives."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def _flip_head(path: Path) -> None:
    """The first byte, with every time put back."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(30)
        old = file.read(1)[0]
        file.seek(30)
        file.write(bytes([old ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _exchange(path: Path) -> None:
    """The same bytes and times in another inode."""
    copy = path.with_suffix(".copy")
    shutil.copy2(path, copy)
    copy.replace(path)


@pytest.mark.parametrize("change", [_grow, _flip, _flip_head, _exchange, os.utime])
def test_a_segment_that_changed_is_read_again(
    tmp_path: Path, segment: SegmentFile, change: Callable[[Path], None]
) -> None:
    again(tmp_path, segment)
    change(segment.file.real)
    assert again(tmp_path, segment) == 0


def test_an_index_that_changed_counts_too(tmp_path: Path, segment: SegmentFile) -> None:
    again(tmp_path, segment)
    assert segment.index is not None
    _grow(segment.index.real)
    assert again(tmp_path, segment) == 0
    assert again(tmp_path, replace(segment, index=None)) == 0


@pytest.mark.parametrize(
    ("context", "options"),
    [
        (SegmentContext(next_base=1 << 40), OPTIONS),
        (SegmentContext(reached=1 << 40, reached_by="x"), OPTIONS),
        (SegmentContext(epochs=((0, 0),)), OPTIONS),
        (SegmentContext(compacted=False), OPTIONS),
        (CONTEXT, SurveyOptions(deep=True)),
        (CONTEXT, SurveyOptions(strict=True)),
        (CONTEXT, SurveyOptions(limits=Limits(ratio=2))),
        (CONTEXT, SurveyOptions(compacted={("orders", 0): True})),
    ],
)
def test_other_choices_or_neighbours_are_other_surveys(
    tmp_path: Path, segment: SegmentFile, context: SegmentContext, options: SurveyOptions
) -> None:
    again(tmp_path, segment)
    assert again(tmp_path, segment, context, options) == 0
    assert again(tmp_path, segment, context, options) == segment.file.size
    assert again(tmp_path, segment) == segment.file.size


def test_another_program_judges_anew(tmp_path: Path, segment: SegmentFile, monkeypatch: pytest.MonkeyPatch) -> None:
    again(tmp_path, segment)
    monkeypatch.setattr(known, "program", lambda: "another")
    assert again(tmp_path, segment) == 0


def test_what_cannot_be_opened_is_never_remembered(tmp_path: Path, segment: SegmentFile) -> None:
    segment.file.real.unlink()
    assert key_of(segment, CONTEXT, OPTIONS) is None
    with Journal(tmp_path / "state", resume=True) as journal:
        survey = Known(journal).survey(segment, CONTEXT, OPTIONS)
        assert len(journal) == 0
    assert [finding.code for finding in survey.findings] == ["unreadable"]
