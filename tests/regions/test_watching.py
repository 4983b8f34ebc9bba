"""Watch: bytes add up to the files, once each, whatever is looked at twice or taken from the journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from kafka_salvage.progress import Progress
from kafka_salvage.regions.context import SegmentContext, SurveyOptions
from kafka_salvage.regions.journal import Journal
from kafka_salvage.regions.known import Known
from kafka_salvage.regions.looking import survey_segment
from kafka_salvage.regions.survey import survey_replica
from kafka_salvage.regions.watching import Watch
from kafka_salvage.scan.replica import Replica, take_inventory
from tests.regions.test_plainly import assert_same
from tests.support import volume
from tests.support.build import GZIP, NONE
from tests.support.demo import assemble


class Told(Progress):
    def __init__(self) -> None:
        self.advanced: dict[str, int] = {}
        self.skipped = 0
        self.records = self.damaged = self.lost = 0

    def advance(self, count: int, where: str = "") -> None:
        assert count > 0
        self.advanced[where] = self.advanced.get(where, 0) + count

    def skip(self, count: int, where: str = "") -> None:
        self.skipped += count

    def found(self, *, records: int = 0, damaged: int = 0, lost: int = 0) -> None:
        self.records += records
        self.damaged += damaged
        self.lost += lost


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> tuple[Replica, ...]:
    base = tmp_path_factory.mktemp("demo") / "broker-1"
    assemble(base)
    return take_inventory([str(base)]).replicas


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("deep", [False, True])
def test_bytes_records_and_losses_add_up(replicas: tuple[Replica, ...], deep: bool, jobs: int) -> None:
    told = Told()
    watch = Watch(told)
    records = damaged = 0
    for replica in replicas:
        for survey in survey_replica(replica, SurveyOptions(deep=deep, jobs=jobs), judge=watch).segments:
            records += int(survey.runs.records.clip(min=0).sum())
            damaged += sum(r.size for r in survey.regions if r.verdict == "damaged")
    sizes = {f"{s.file.source}:{s.file.path}": s.file.size for r in replicas for s in r.segments if s.file.size}
    assert told.advanced == sizes
    assert told.records == records > 4000
    assert told.damaged >= damaged > 0
    assert told.lost > 0


def test_a_second_look_is_not_counted(replicas: tuple[Replica, ...]) -> None:
    told = Told()
    watch = Watch(told)
    segment = next(s for r in replicas for s in r.segments if s.file.size)
    first = watch(segment, SegmentContext(), SurveyOptions())
    before = (dict(told.advanced), told.records, told.damaged)
    second = watch(segment, SegmentContext(compacted=False), SurveyOptions())
    assert before == (told.advanced, told.records, told.damaged)
    assert_same(first, survey_segment(segment))
    assert_same(second, survey_segment(segment, SegmentContext(compacted=False)))


def test_what_is_remembered_is_skipped(tmp_path: Path, replicas: tuple[Replica, ...]) -> None:
    size = sum(segment.file.size for replica in replicas for segment in replica.segments)
    made = []
    for turn in range(2):
        told = Told()
        with Journal(tmp_path / "state", resume=True) as journal:
            watch = Watch(told, Known(journal))
            made.append([survey_replica(replica, judge=watch) for replica in replicas])
        assert told.skipped == turn * size
        assert sum(told.advanced.values()) == (1 - turn) * size
    for one, other in zip(*made, strict=True):
        assert one.compaction == other.compaction
        assert one.findings == other.findings
        for a, b in zip(one.segments, other.segments, strict=True):
            assert_same(a, b)


@pytest.mark.parametrize("codec", [NONE, GZIP])
def test_a_deep_check_tells_of_records_as_it_passes_them(tmp_path: Path, codec: int) -> None:
    """Walking past what is compressed takes no time: told then, the whole segment would be done before the work begins."""
    volume.plain(500, 100, codec).partition(tmp_path / "orders-0", 1, 40_000_000)
    (replica,) = take_inventory([str(tmp_path)]).replicas
    (segment,) = replica.segments
    for deep in (True, False):
        counts: list[int] = []
        survey_segment(segment, SegmentContext(), SurveyOptions(deep=deep), counts.append)
        assert sum(counts) == segment.file.size
        assert max(counts) < 5_000_000 or not deep
