"""What must hold of a survey whatever was done to the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.regions import finder
from kafka_salvage.regions.context import SegmentContext
from kafka_salvage.regions.verdict import Verdict
from tests.support import oracle
from tests.support.build import BatchInfo
from tests.support.corpus import ROOT
from tests.support.damage import damage
from tests.support.judging import codes, invented, not_recovered, survey_bytes, verdicts
from tests.support.strategies import Segment, damaged_segments, edits, plain_segment, segments

SEALED = SegmentContext(compacted=False)


@given(damaged_segments())
def test_every_byte_once_and_nothing_invented(case: tuple[Segment, str]) -> None:
    segment, recipe = case
    damaged = damage(segment.data, segment.infos, recipe)
    survey = survey_bytes(damaged.data, base=segment.base, context=SEALED)
    totals = survey.regions.totals()
    assert sum(totals.values()) == len(damaged.data)
    assert totals[Verdict.INTACT] + totals[Verdict.REPAIRED] == int((survey.runs.stop - survey.runs.start).sum())
    # guests and absurd offsets: what comes out is an original batch at its own offset, or nothing
    assert invented(segment.data, segment.infos, damaged.data, survey) == [] or recipe.count("\n")


@given(segments())
def test_an_untouched_segment_is_one_intact_region_without_findings(segment: Segment) -> None:
    survey = survey_bytes(segment.data, base=segment.base, context=SEALED)
    assert verdicts(survey) == [(0, len(segment.data), "intact")]
    assert survey.findings == ()
    assert survey.patches == ()
    assert int(survey.runs.batches.sum()) == len(segment.infos)
    assert int(survey.runs.records.sum()) == sum(len(info.records) for info in segment.infos)
    assert int(survey.runs.next_offset[-1]) == segment.infos[-1].last_offset + 1


@given(st.data())
def test_a_flipped_payload_byte_takes_exactly_its_batch(data: st.DataObject) -> None:
    segment = data.draw(segments())
    batch = data.draw(st.integers(0, len(segment.infos) - 1))
    info = segment.infos[batch]
    at = data.draw(st.integers(info.start + 18, info.stop - 1))
    damaged = damage(segment.data, segment.infos, f"xor {at} {1 << data.draw(st.integers(0, 7)):02x}")
    survey = survey_bytes(damaged.data, base=segment.base, context=SEALED)
    expected = [(0, info.start, "intact"), (info.start, info.stop, "damaged"), (info.stop, len(segment.data), "intact")]
    assert verdicts(survey) == [row for row in expected if row[0] < row[1]]
    lost = next(region for region in survey.regions if region.verdict is Verdict.DAMAGED).offsets
    assert lost is not None
    first = info.base_offset
    if batch < len(segment.infos) - 1:
        assert (lost.start, lost.stop) == (first, info.last_offset + 1)
    else:
        assert lost.start == first


@given(st.data())
def test_a_forged_length_is_repaired_everywhere(data: st.DataObject) -> None:
    segment = data.draw(segments())
    batch = data.draw(st.integers(0, len(segment.infos) - 1))
    value = data.draw(st.sampled_from(["0x7fffffff", "0", "=-1", "5", "^0x1000000", "^4", "+61"]))
    damaged = damage(segment.data, segment.infos, f"field {batch} length {value}")
    survey = survey_bytes(damaged.data, base=segment.base, context=SEALED)
    info = segment.infos[batch]
    expected = [
        (0, info.start, "intact"),
        (info.start, info.stop, "repaired"),
        (info.stop, len(segment.data), "intact"),
    ]
    assert verdicts(survey) == [row for row in expected if row[0] < row[1]]
    assert invented(segment.data, segment.infos, damaged.data, survey) == []


@given(st.data())
def test_untouched_never_lost_after_one_edit(data: st.DataObject) -> None:
    segment = data.draw(segments())
    recipe = data.draw(edits(segment))
    damaged = damage(segment.data, segment.infos, recipe)
    survey = survey_bytes(damaged.data, base=segment.base, context=SEALED)
    missed = not_recovered(damaged, segment.infos, survey)
    # what the rules give up is named: a lone last batch, one that jumps ahead, an epoch on the edge of two,
    # a copy between two pieces of its host
    named = codes(survey) & {"uncorroborated", "offset-gap", "epoch-repaired", "embedded-batch"}
    assert not missed or named
    assert len(missed) <= (1 if not recipe.startswith(("duplicate", "zero")) else len(segment.infos))


@given(damaged_segments(), st.sampled_from([4096, 8192, 1 << 16]))
def test_windows_are_irrelevant(case: tuple[Segment, str], window: int) -> None:
    segment, recipe = case
    damaged = damage(segment.data, segment.infos, recipe)
    whole = survey_bytes(damaged.data, base=segment.base, context=SEALED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finder.Finder.__init__, "__defaults__", (window,))
        small = survey_bytes(damaged.data, base=segment.base, context=SEALED)
    assert verdicts(small) == verdicts(whole)
    assert small.patches == whole.patches
    assert small.findings == whole.findings


@given(st.binary(max_size=3000), st.sampled_from([0, 1 << 20]))
def test_any_bytes_end_in_a_total_map(data: bytes, base: int) -> None:
    survey = survey_bytes(data, base=base, context=SEALED)
    assert survey.regions.size == len(data)


@given(st.integers(1, 200), st.integers(17, 300))
def test_overlapping_fake_headers_end(count: int, step: int) -> None:
    segment = plain_segment((2, 0), 0, 3)
    fake = segment.data[:61]
    hole = bytearray(count * step + 61)
    for at in range(count):
        hole[at * step : at * step + 61] = fake
        hole[at * step + 8 : at * step + 12] = (1 << 16).to_bytes(4, "big")
    data = segment.data[: segment.infos[1].start] + bytes(hole) + segment.data[segment.infos[1].start :]
    survey = survey_bytes(data, base=0, context=SEALED)
    assert survey.regions.regions[-1].verdict is Verdict.INTACT
    assert survey.regions.regions[-1].stop == len(data)


CLEAN = sorted((ROOT / "fixtures" / "clean").rglob("*.log"))


def _infos_of(data: bytes) -> list[BatchInfo]:
    """Batches of a clean file, by their own lengths."""
    infos = []
    at = 0
    while at < len(data):
        size = 12 + int.from_bytes(data[at + 8 : at + 12], "big")
        offset = int.from_bytes(data[at : at + 8], "big")
        last = offset + (int.from_bytes(data[at + 23 : at + 27], "big") if data[at + 16] == 2 else 0)
        infos.append(BatchInfo(at, at + size, data[at + 16], offset, last, 0, 0, ()))
        at += size
    return infos


@pytest.mark.parametrize("path", CLEAN, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_real_segments_lose_one_batch_to_one_flip(path: Path) -> None:
    data = path.read_bytes()
    infos = _infos_of(data)
    if len(infos) < 3:
        pytest.skip("too few batches")
    base = int(path.name.split(".")[0])
    for batch in {0, len(infos) // 2, len(infos) - 1}:
        info = infos[batch]
        damaged = damage(data, infos, f"xor {info.stop - 2} 10")
        survey = survey_bytes(damaged.data, base=base, context=SegmentContext(compacted=True))
        assert not_recovered(damaged, infos, survey) == []
        assert invented(data, infos, damaged.data, survey) == []
        assert oracle.changed_ranges(damaged, infos) == [(info.start, info.stop)]
        repaired = damage(data, infos, f"field {batch} length 0x7fffffff")
        survey = survey_bytes(repaired.data, base=base, context=SegmentContext(compacted=True))
        assert [r.verdict for r in survey.regions if r.start == info.start] == [Verdict.REPAIRED]
        assert invented(data, infos, repaired.data, survey) == []
        assert not_recovered(repaired, infos, survey) == []
