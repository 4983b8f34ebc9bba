"""Plain values: survey → JSON → survey gives the same survey, findings that are one stay one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.map import Region, RegionMap
from kafka_salvage.regions.plainly import from_plain, to_plain
from kafka_salvage.regions.runs import (
    RUN_COLUMNS,
    TXN_COLUMNS,
    Patch,
    RunTable,
    SegmentFacts,
    SegmentSurvey,
    TransactionTable,
)
from kafka_salvage.regions.survey import SurveyOptions, survey_replica
from kafka_salvage.regions.verdict import Finding, Verdict
from kafka_salvage.scan.replica import EvidenceFile, SegmentFile, State, take_inventory
from kafka_salvage.wire.filenames import FileKind, Suffix
from tests.support.cut import CLEAN
from tests.support.demo import assemble

FILE = EvidenceFile("b", "t-0/0.log", Path("/x"), 10, FileKind.SEGMENT)
SEGMENT = SegmentFile(FILE, 0, State.LIVE, Suffix.NONE)


def assert_same(one: SegmentSurvey, other: SegmentSurvey) -> None:
    """Equal in every field; tables column by column, with their types."""
    for field in fields(SegmentSurvey):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, (RunTable, TransactionTable)):
            for column in RUN_COLUMNS if isinstance(a, RunTable) else TXN_COLUMNS:
                left, right = getattr(a, column), getattr(b, column)
                assert left.dtype == right.dtype
                assert np.array_equal(left, right), column
        elif isinstance(a, RegionMap):
            assert (a.size, a.regions) == (b.size, b.regions)
        else:
            assert a == b, field.name
    assert _sharing(one) == _sharing(other)


def _sharing(survey: SegmentSurvey) -> list[int]:
    """Which findings are the same object, by the place where each was first met."""
    met: dict[int, int] = {}
    every = [*survey.findings, *(f for region in survey.regions for f in region.findings)]
    return [met.setdefault(id(finding), place) for place, finding in enumerate(every)]


def there_and_back(survey: SegmentSurvey) -> SegmentSurvey:
    return from_plain(json.loads(json.dumps(to_plain(survey), default=int)), survey.segment)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("demo") / "broker-1"
    assemble(base)
    return base


@pytest.mark.parametrize("deep", [False, True])
def test_surveys_of_real_segments_come_back_as_they_were(damaged: Path, deep: bool) -> None:
    sources = [str(damaged), *(str(path) for path in sorted((CLEAN / "cluster").glob("broker-*")))]
    seen: list[SegmentSurvey] = []
    for replica in take_inventory(sources).replicas:
        seen += survey_replica(replica, SurveyOptions(deep=deep)).segments
    for survey in seen:
        assert_same(survey, there_and_back(survey))
    # what was tried is worth trying
    assert any(survey.patches for survey in seen)
    assert any(len(survey.transactions) for survey in seen)
    assert any(region.findings for survey in seen for region in survey.regions)
    assert any(survey.facts.index_last for survey in seen)


NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1)
TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
OFFSETS = st.none() | st.tuples(NUMBERS, NUMBERS).map(lambda pair: OffsetRange(min(pair), max(pair)))
DETAIL = st.dictionaries(TEXT, NUMBERS | TEXT | st.booleans() | st.none() | st.lists(NUMBERS | TEXT, max_size=3))
FINDINGS = st.builds(Finding, TEXT, TEXT, TEXT, NUMBERS, NUMBERS, OFFSETS, TEXT, DETAIL)
FACTS = st.builds(
    SegmentFacts,
    NUMBERS, TEXT, st.booleans(), NUMBERS, st.booleans(), NUMBERS, st.none() | st.tuples(NUMBERS, NUMBERS), NUMBERS,
    NUMBERS, st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), max_size=3).map(tuple), st.booleans(),
)  # fmt: skip


def _cells(kind: np.dtype[Any]) -> st.SearchStrategy[Any]:
    if kind == np.bool_:
        return st.booleans()
    limits = np.iinfo(kind)
    return st.integers(int(limits.min), int(limits.max))


def _rows(columns: dict[str, np.dtype[Any]]) -> st.SearchStrategy[list[dict[str, int]]]:
    return st.lists(st.fixed_dictionaries({name: _cells(kind) for name, kind in columns.items()}), max_size=4)


def _regions(draw: st.DrawFn, findings: list[Finding]) -> Iterator[Region]:
    at = 0
    for size in draw(st.lists(st.integers(1, 1 << 40), max_size=4)):
        chosen = draw(st.lists(st.sampled_from(findings), max_size=3)) if findings else []
        yield Region(
            at, at + size, draw(st.sampled_from(Verdict)), draw(NUMBERS), draw(NUMBERS), draw(OFFSETS),
            draw(st.booleans()), tuple(chosen),
        )  # fmt: skip
        at += size


@st.composite
def surveys(draw: st.DrawFn) -> SegmentSurvey:
    findings = draw(st.lists(FINDINGS, max_size=4))
    regions = list(_regions(draw, findings))
    kept = draw(st.lists(st.sampled_from(findings), max_size=4)) if findings else []
    patches = draw(st.lists(st.builds(Patch, NUMBERS, st.binary(max_size=9), st.binary(max_size=9)), max_size=3))
    return SegmentSurvey(
        SEGMENT,
        RegionMap(regions[-1].stop if regions else 0, regions),
        RunTable.from_rows(draw(_rows(RUN_COLUMNS))),
        TransactionTable.from_rows(draw(_rows(TXN_COLUMNS))),
        tuple(patches),
        tuple(kept),
        draw(FACTS),
    )


@given(surveys())
def test_any_survey_comes_back_as_it_was(survey: SegmentSurvey) -> None:
    assert_same(survey, there_and_back(survey))
