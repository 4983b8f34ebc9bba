"""Judging stretches says to the last byte what judging each batch says."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage import engine
from kafka_salvage.regions import stretches, unfolding
from kafka_salvage.regions.context import SegmentContext, SurveyOptions
from kafka_salvage.regions.index import Index
from kafka_salvage.regions.looking import survey_source
from kafka_salvage.regions.plainly import to_plain
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.ahead import Ahead
from kafka_salvage.source.memory import MemorySource
from kafka_salvage.wire.filenames import FileKind
from tests.support import build
from tests.support.damage import damage
from tests.support.judging import survey_bytes
from tests.support.strategies import Segment, damaged_segments

Plain = dict[str, Any]


def told(
    data: bytes,
    *,
    base: int | None = 0,
    index: Sequence[tuple[int, int]] = (),
    context: SegmentContext | None = None,
    options: SurveyOptions | None = None,
) -> Plain:
    """The judgement of bytes beside an index file with these (offset, position) entries."""
    bare = survey_bytes(b"", base=base).segment
    beside = replace(bare.file, path=bare.file.path.replace(".log", ".index"), kind=FileKind.OFFSET_INDEX)
    segment = replace(bare, index=beside)
    entries = Index(np.array([e[1] for e in index], np.int64), np.array([e[0] for e in index], np.int64))
    source = MemorySource(data, bare.file.path)
    return to_plain(
        survey_source(source, segment, context or SegmentContext(), options or SurveyOptions(), index=entries)
    )


def both(data: bytes, **how: Any) -> tuple[Plain, bool]:
    """The judgement, after comparing it with that of single batches; and whether stretches were judged."""
    quiet: list[bool] = []
    original = stretches.is_quiet

    def watched(*args: Any) -> bool:
        quiet.append(original(*args))
        return quiet[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stretches, "is_quiet", watched)
        folded = told(data, **how)
        patch.setattr(stretches, "is_quiet", lambda *_: False)
        assert told(data, **how) == folded
    return folded, quiet[-1]


@given(damaged_segments(), st.booleans())
def test_damage_of_any_kind(case: tuple[Segment, str], deep: bool) -> None:
    segment, recipe = case
    data = damage(segment.data, segment.infos, recipe).data
    entries = [(info.last_offset, info.start) for info in segment.infos[1::3]]
    both(data, base=segment.base, index=entries, options=SurveyOptions(deep=deep))


@st.composite
def odd_segments(draw: st.DrawFn) -> tuple[bytes, list[build.BatchInfo]]:
    """What a healthy log may hold: transactions, gaps, holes, epochs that rise, tails of zeros."""
    b, epoch, producer = build.Build(), 0, draw(st.integers(1, 3))
    kinds = ["plain"] * 5 + ["gap", "hole", "empty", "epoch", "fall", "data", "marker", "message", "zstd"]
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=25)):
        count = draw(st.integers(1, 3))
        if kind in ("epoch", "fall"):
            epoch += 2 if kind == "epoch" else -1
        if kind == "gap":
            b.gap(count)
        if kind == "message":
            b.legacy(magic=1)
        elif kind == "marker":
            b.marker(commit=draw(st.booleans()), producer_id=producer, epoch=epoch)
        elif kind == "data":
            b.v2(count, epoch=epoch, producer_id=producer, producer_epoch=0, attributes=0x10)
        elif kind == "hole":
            b.v2(3, epoch=epoch, keep=[0, 2])
        elif kind == "empty":
            b.v2(3, epoch=epoch, keep=[])
        else:
            b.v2(count, epoch=epoch, codec=build.ZSTD if kind == "zstd" else build.NONE)
    data, infos = b.done()
    return data + bytes(draw(st.sampled_from([0, 0, 5, 300]))), infos


@given(odd_segments(), st.data())
def test_what_a_healthy_log_may_hold(case: tuple[bytes, list[build.BatchInfo]], data: st.DataObject) -> None:
    body, infos = case
    end = infos[-1].last_offset + 1
    entries = [(i.last_offset + data.draw(st.sampled_from([0, 0, 0, -9, 2])), i.start) for i in infos[1::4]]
    context = SegmentContext(
        next_base=data.draw(st.sampled_from([None, end, end + 3, max(end - 2, 1)])),
        reached=data.draw(st.sampled_from([-1, end, end + 5])),
        epochs=data.draw(st.sampled_from([None, ((0, 0),), ((0, 0), (2, 4))])),
        compacted=data.draw(st.sampled_from([None, False, True])),
    )
    base = data.draw(st.sampled_from([0, 0, 1, None]))
    both(body, base=base, index=entries, context=context, options=SurveyOptions(deep=data.draw(st.booleans())))


def coarse(data: bytes, **how: Any) -> Plain:
    """The judgement with stretches kept wherever that may be, as in a segment of millions of batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unfolding, "ALL", 0)
        patch.setattr(stretches, "is_quiet", lambda *_: False)
        return told(data, **how)


@given(damaged_segments(), st.booleans())
def test_damage_among_stretches(case: tuple[Segment, str], deep: bool) -> None:
    segment, recipe = case
    data = damage(segment.data, segment.infos, recipe).data
    entries = [(info.last_offset, info.start) for info in segment.infos[1::3]]
    how: dict[str, Any] = {"base": segment.base, "index": entries, "options": SurveyOptions(deep=deep)}
    assert coarse(data, **how) == told(data, **how)


@pytest.mark.parametrize("magic", [1, 2])
def test_a_stretch_ends_before_the_time_of_a_damaged_batch(magic: int) -> None:
    b = build.Build()
    for _ in range(9):
        b.legacy(magic=1) if magic == 1 else b.v2(1)
    body, infos = b.done()
    damaged = damage(
        body, infos, f"xor {infos[8].start + (18 if magic == 1 else 35)} 01"
    ).data  # a timestamp 2^56 ms later
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unfolding, "ALL", 0)
        patch.setattr(stretches, "is_quiet", lambda *_: False)
        runs = survey_bytes(damaged).runs
    assert runs.max_timestamp.tolist() == [infos[7].records[0].timestamp]


@given(odd_segments(), st.booleans())
def test_odd_batches_among_stretches(case: tuple[bytes, list[build.BatchInfo]], deep: bool) -> None:
    body, infos = case
    how: dict[str, Any] = {
        "index": [(i.last_offset, i.start) for i in infos[1::4]],
        "options": SurveyOptions(deep=deep),
    }
    assert coarse(body, **how) == told(body, **how)


@pytest.mark.parametrize("deep", [False, True])
def test_a_healthy_segment_is_judged_by_its_stretches(deep: bool) -> None:
    data, infos = build.segment(400, per_batch=2)
    entries = [(infos[at + 3].last_offset, infos[at].start) for at in range(1, 390, 40)]  # four appended at once
    plain, quiet = both(data, index=entries, options=SurveyOptions(deep=deep))
    assert quiet
    survey = survey_bytes(data, index=entries, options=SurveyOptions(deep=deep))
    (region,) = survey.regions
    assert (region.verdict, region.batches, region.records) == (Verdict.INTACT, 400, 800)
    assert survey.runs.batches.tolist() == [400]
    assert plain["findings"] == []


def test_a_batch_that_does_not_decode_is_found_in_its_stretch() -> None:
    data, infos = build.segment(60)
    broken = bytearray(data)
    at = infos[30].start
    broken[at + 61] = 1  # the first record's length; the CRC is made to hold again
    struct.pack_into(">I", broken, at + 17, build.crc32c(bytes(broken[at + 21 : infos[30].stop])))
    both(bytes(broken))
    plain, quiet = both(bytes(broken), options=SurveyOptions(deep=True))
    survey = survey_bytes(bytes(broken), options=SurveyOptions(deep=True))
    assert quiet
    assert [(r.start, r.stop) for r in survey.regions if r.verdict is Verdict.UNDECODABLE] == [(at, infos[30].stop)]
    assert len(plain["findings"]) == 1


def _many(data: bytes) -> bytes:
    """A byte changed in many places."""
    changed = bytearray(data)
    changed[70_000::90_001] = bytes(byte ^ 1 for byte in changed[70_000::90_001])
    return bytes(changed)


@pytest.mark.parametrize("change", [lambda d: d, lambda d: d[:-7], lambda d: d[:90_000] + b"\xff" + d[90_001:], _many])
def test_any_number_of_jobs_says_the_same(change: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    data = change(build.segment(3000, per_batch=4, size=300)[0])
    assert len(data) > 3 << 20
    defaults = {"notes": False, "over": False, "part": 1 << 20}
    monkeypatch.setattr(Ahead.__init__, "__kwdefaults__", defaults)
    monkeypatch.setattr(stretches, "DECODED_AT_ONCE", 1 << 20)

    def survey(deep: bool) -> Plain:
        return told(data, options=SurveyOptions(deep=deep))

    serial = [survey(False), survey(True)]
    for jobs in (2, 4):
        assert [next(engine.ordered_map(survey, [deep], jobs)) for deep in (False, True)] == serial


def test_progress_tells_each_byte_once() -> None:
    data, infos = build.segment(300)
    segment = survey_bytes(data).segment
    for damaged in (data, data[: infos[200].start + 30] + b"\xff" + data[infos[200].start + 31 :]):
        seen: list[int] = []
        survey_source(MemorySource(damaged), segment, SegmentContext(), SurveyOptions(), seen.append)
        assert sum(seen) == len(data)
        assert min(seen) > 0
