"""One damaged segment at a time: exactly what must survive, and exactly what must be named."""

from __future__ import annotations

import struct

import pytest

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.context import SegmentContext, SurveyOptions
from kafka_salvage.regions.runs import TXN_ABORT, TXN_COMMIT, TXN_DATA, SegmentSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.limits import Limits
from tests.support import build
from tests.support.build import Build, Rec
from tests.support.damage import damage
from tests.support.judging import codes, emitted, invented, not_recovered, survey_bytes, verdicts
from tests.support.strategies import KINDS, Segment, plain_segment

SEALED = SegmentContext(compacted=False)


def judge(segment: Segment, recipe: str, **context: object) -> tuple[SegmentSurvey, bytes]:
    damaged = damage(segment.data, segment.infos, recipe)
    survey = survey_bytes(
        damaged.data,
        base=segment.base,
        context=SegmentContext(**{"compacted": False, **context}),  # type: ignore[arg-type]
    )
    assert invented(segment.data, segment.infos, damaged.data, survey) == []
    assert not_recovered(damaged, segment.infos, survey) == []
    return survey, damaged.data


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [0, 5, -1])
@pytest.mark.parametrize("value", ["0x7fffffff", "0", "=-1", "13", "^0x100"])
def test_any_length_is_repaired(kind: tuple[int, int], batch: int, value: str) -> None:
    segment = plain_segment(kind, 1000)
    survey, data = judge(segment, f"field {batch} length {value}")
    info = segment.infos[batch]
    (patch,) = survey.patches
    assert patch.position == info.start + 8
    assert patch.after == segment.data[info.start + 8 : info.start + 12]
    assert [one.data for one in emitted(data, survey)] == [segment.data[i.start : i.stop] for i in segment.infos]


@pytest.mark.parametrize("kind", KINDS)
def test_a_length_that_claims_the_next_batch_too(kind: tuple[int, int]) -> None:
    segment = plain_segment(kind, 0)
    survey, _ = judge(segment, f"field 4 length +{segment.infos[5].size}")
    assert [(r.start, r.stop) for r in survey.regions if r.verdict is Verdict.REPAIRED] == [
        (segment.infos[4].start, segment.infos[4].stop)
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("magic", ["7", "=-1"])
def test_a_magic_that_was_damaged_is_repaired(kind: tuple[int, int], magic: str) -> None:
    segment = plain_segment(kind, 0)
    survey, _ = judge(segment, f"field 5 magic {magic}")
    assert codes(survey) == {"bad-magic"}
    assert [p.after for p in survey.patches] == [bytes([kind[0]])]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [0, 5, -1])
@pytest.mark.parametrize("value", ["^0x1000000", "^0x4000000000000000", "+1000"])
def test_a_flipped_base_offset_leaves_every_other_batch_intact(kind: tuple[int, int], batch: int, value: str) -> None:
    segment = plain_segment(kind, 1000)
    survey, _ = judge(segment, f"field {batch} base_offset {value}")
    info = segment.infos[batch]
    verdict = next(r.verdict for r in survey.regions if r.start == info.start)
    if batch == -1 and not (kind[0] == 0 and kind[1]):
        assert verdict is Verdict.SUSPECT
        assert int(survey.runs.batches.sum()) == len(segment.infos) - 1
    else:
        assert verdict is Verdict.REPAIRED
        assert "offset-repaired" in codes(survey)
        assert int(survey.runs.batches.sum()) == len(segment.infos)
    if batch == 5:
        survey, _ = judge(segment, "field 5 base_offset 0")
        assert int(survey.runs.batches.sum()) == len(segment.infos)


@pytest.mark.parametrize("batch", [0, 2, -1])
def test_a_flipped_epoch_leaves_every_other_batch_intact(batch: int) -> None:
    segment = plain_segment((2, 0), 0)
    epochs = ((0, 0), (1, segment.infos[5].base_offset), (2, segment.infos[10].base_offset))
    survey, data = judge(segment, f"field {batch} epoch ^0x100", epochs=epochs)
    assert codes(survey) == {"epoch-repaired"}
    assert int(survey.runs.batches.sum()) == len(segment.infos)
    if batch != -1:
        assert [one.data for one in emitted(data, survey)] == [segment.data[i.start : i.stop] for i in segment.infos]


@pytest.mark.parametrize("kind", KINDS)
def test_a_sector_zeroed_on_batch_edges_is_lost_and_not_blank(kind: tuple[int, int]) -> None:
    segment = plain_segment(kind, 0)
    survey, _ = judge(segment, "zero b4 b6")
    lost = [r for r in survey.regions if r.verdict is not Verdict.INTACT]
    assert [(r.verdict, r.offsets) for r in lost] == [
        (Verdict.DAMAGED, OffsetRange(segment.infos[4].base_offset, segment.infos[6].base_offset))
    ]
    assert [(r.start, r.stop) for r in lost] == [(segment.infos[4].start, segment.infos[6].start)]
    assert codes(survey) == {"zero-fill"}


def test_zeros_behind_the_last_batch_are_blank_without_evidence() -> None:
    segment = plain_segment((2, 0), 0)
    survey, _ = judge(segment, "grow 4096")
    size = len(segment.data)
    assert verdicts(survey) == [(0, size, "intact"), (size, size + 4096, "blank")]
    assert survey.findings == ()
    end = segment.infos[-1].last_offset + 1
    assert verdicts(judge(segment, "grow 4096", next_base=end)[0])[-1][2] == "blank"
    assert verdicts(judge(segment, "grow 4096", reached=end, reached_by="x")[0])[-1][2] == "blank"


@pytest.mark.parametrize(
    "evidence", [{"reached": 97, "reached_by": "the high watermark checkpoint"}, {"next_base": 104}]
)
def test_zeros_behind_the_last_batch_are_damage_with_evidence(evidence: dict[str, object]) -> None:
    segment = plain_segment((2, 0), 0)
    survey, _ = judge(segment, "grow 4096", **evidence)
    last = survey.regions.regions[-1]
    assert last.verdict is Verdict.DAMAGED
    assert last.offsets == OffsetRange(96, evidence.get("next_base", 97))  # type: ignore[arg-type]
    assert last.open_ended == ("next_base" not in evidence)
    assert codes(survey) == {"zero-fill"}


def test_an_index_entry_into_the_zeros_is_evidence() -> None:
    segment = plain_segment((2, 0), 0)
    size = len(segment.data)
    survey = survey_bytes(segment.data + bytes(4096), context=SEALED, index=[(103, size + 700)])
    assert survey.regions.regions[-1].verdict is Verdict.DAMAGED
    assert survey.regions.regions[-1].offsets == OffsetRange(96, 104)


@pytest.mark.parametrize(("cut", "stop", "is_open"), [(26, 89, True), (27, 96, False), (60, 96, False), (8, 89, True)])
def test_a_torn_tail_tells_its_offsets_from_27_bytes_on(cut: int, stop: int, is_open: bool) -> None:
    segment = plain_segment((2, 0), 0)
    survey, _ = judge(segment, f"cut b-1+{cut}")
    last = survey.regions.regions[-1]
    assert (last.verdict, last.offsets, last.open_ended) == (Verdict.DAMAGED, OffsetRange(88, stop), is_open)
    assert codes(survey) == {"torn-tail"}
    assert survey.facts.kafka_stop == segment.infos[-1].start


def test_bytes_between_batches_that_take_no_offset_are_garbage() -> None:
    segment = plain_segment((2, 1), 0)
    survey, _ = judge(segment, "noise b5 300 1")
    (damaged,) = [r for r in survey.regions if r.verdict is Verdict.DAMAGED]
    assert damaged.size == 300
    assert damaged.offsets is None
    assert codes(survey) == {"garbage"}


def test_the_same_piece_twice_is_a_duplicate() -> None:
    segment = plain_segment((2, 0), 0)
    survey, _ = judge(segment, "duplicate b3 b6 b8")
    pieces = [(r.batches, r.verdict.value) for r in survey.regions]
    assert (3, "duplicate") in pieces
    assert int(survey.runs.batches.sum()) == len(segment.infos)
    assert survey.facts.backwards


def test_two_spliced_files_keep_both_ends() -> None:
    first, second = plain_segment((2, 0), 0), plain_segment((2, 0), 5000)
    damaged = damage(first.data, first.infos, f"splice b3+40 {second.infos[4].start + 99}", second.data)
    survey = survey_bytes(damaged.data, context=SEALED)
    offsets = [one.offset for one in emitted(damaged.data, survey)]
    assert offsets == [i.base_offset for i in (*first.infos[:3], *second.infos[5:])]


def test_compacted_batches_keep_their_holes() -> None:
    build_ = Build(base=100).v2(10, keep=[0, 3, 9]).v2(5, keep=[]).gap(40).v2(4, codec=build.ZSTD, keep=[1, 2]).v2(3)
    data, infos = build_.done()
    survey = survey_bytes(data, base=100, context=SegmentContext(compacted=True))
    assert survey.findings == ()
    assert survey.facts.holes
    assert survey.facts.gap_pairs == 1
    assert int(survey.runs.records.sum()) == 8
    assert int(survey.runs.absent.sum()) == 7 + 5 + 2
    assert [int(n) for n in survey.runs.next_offset] == [115, infos[-1].last_offset + 1]


def test_transactions_and_markers() -> None:
    build_ = Build()
    build_.v2(3, producer_id=7, producer_epoch=1, base_sequence=0, attributes=0x10)
    build_.v2(2, producer_id=7, producer_epoch=1, base_sequence=3, attributes=0x10).marker(commit=True, producer_id=7)
    build_.v2(2).v2(2, producer_id=8, producer_epoch=0, base_sequence=0, attributes=0x10).marker(
        commit=False, producer_id=8
    )
    data, _ = build_.done()
    table = survey_bytes(data, context=SEALED).transactions
    assert table.kind.tolist() == [TXN_DATA, TXN_COMMIT, TXN_DATA, TXN_ABORT]
    assert table.producer_id.tolist() == [7, 7, 8, 8]
    assert table.first_offset.tolist() == [0, 5, 8, 10]
    assert table.last_offset.tolist() == [4, 5, 9, 10]
    assert table.records.tolist() == [5, 0, 2, 0]


def test_what_does_not_decode_is_undecodable_and_named() -> None:
    good = Build().v2(5).v2(5).done()
    garbage = build.v2_header_and(b"no zstd frame at all", 10, attributes=4, last_offset_delta=4, count=5)
    short = build.v2_batch(15, [build.record_for(15), build.record_for(16)], count=3, last_offset_delta=2)
    data = good[0] + garbage + short
    deep = survey_bytes(data, context=SEALED, options=SurveyOptions(deep=True))
    assert [r.verdict.value for r in deep.regions] == ["intact", "undecodable"]
    assert deep.regions.regions[1].offsets == OffsetRange(10, 18)
    assert codes(deep) == {"inflate-failed", "count-mismatch"}
    shallow = survey_bytes(data, context=SEALED)
    assert [r.verdict.value for r in shallow.regions] == ["intact"]


def test_a_bomb_meets_the_limit() -> None:
    bomb = build.v2_batch(0, [Rec(0, build.EPOCH_MS, None, bytes(8 << 20))], codec=build.ZSTD)
    limits = Limits(ratio=2, floor=1 << 20, cap=1 << 20)
    survey = survey_bytes(bomb, context=SEALED, options=SurveyOptions(deep=True, limits=limits))
    assert codes(survey) == {"inflate-limit"}
    assert survey.regions.regions[0].verdict is Verdict.UNDECODABLE


@pytest.mark.parametrize(
    ("data", "slug"),
    [(b"2026-11-23 10:00:00 INFO started\n" * 50, "text"), (b"\x1f\x8b\x08\x00" + bytes(range(256)) * 4, "gzip")],
)
def test_a_foreign_file_is_named(data: bytes, slug: str) -> None:
    survey = survey_bytes(data, context=SEALED)
    assert verdicts(survey) == [(0, len(data), "foreign")]
    (finding,) = survey.findings
    assert finding.code == "foreign-format"
    assert slug in finding.detail["format"]


def test_an_empty_file_has_no_region() -> None:
    assert verdicts(survey_bytes(b"", context=SEALED)) == []


def test_a_single_damaged_batch_is_damaged_and_not_foreign() -> None:
    data = build.v2_batch(0, [build.record_for(0)])
    survey = survey_bytes(data[:-3] + b"\xff" + data[-2:], context=SEALED)
    assert verdicts(survey) == [(0, len(data), "damaged")]
    assert survey.regions.regions[0].offsets == OffsetRange(0, 1)


def test_an_index_saves_what_nothing_else_proves() -> None:
    segment = plain_segment((2, 0), 0)
    recipe = "zero b3 b3+30\nzero b5 b5+30\nzero b4 b4"
    damaged = damage(segment.data, segment.infos, recipe)
    four = segment.infos[4]
    alone = survey_bytes(damaged.data, context=SEALED, options=SurveyOptions(strict=True))
    assert (four.start, four.stop, "suspect") in verdicts(alone)
    trusting = survey_bytes(damaged.data, context=SEALED)
    assert "uncorroborated" in codes(trusting)
    assert not_recovered(damaged, segment.infos, trusting) == []
    named = survey_bytes(
        damaged.data, context=SEALED, options=SurveyOptions(strict=True), index=[(four.last_offset, four.start)]
    )
    assert not_recovered(damaged, segment.infos, named) == []


def test_a_last_batch_that_jumps_is_suspect_only_without_compaction() -> None:
    data, infos = Build().v2(5).v2(5).gap(100).v2(5).done()
    jumped = survey_bytes(data, context=SEALED)
    assert verdicts(jumped) == [(0, infos[2].start, "intact"), (infos[2].start, len(data), "suspect")]
    for compacted in (True, None):
        survey = survey_bytes(data, context=SegmentContext(compacted=compacted))
        assert verdicts(survey) == [(0, len(data), "intact")]
        assert survey.facts.jump


def test_a_batch_at_the_end_of_all_offsets_is_named() -> None:
    """Nothing could follow it: the offset behind it is no number that Kafka knows."""
    bases = (2**63 - 8, 2**63 - 4)
    first, last = (build.v2_batch(base, [Rec(base + at, 7, None, b"v") for at in range(4)]) for base in bases)
    survey = survey_bytes(first + last, base=bases[0], context=SEALED)
    assert verdicts(survey) == [(0, len(first), "intact"), (len(first), len(first + last), "suspect")]
    assert survey.runs.next_offset.tolist() == [bases[1]]


@pytest.mark.parametrize("kind", [(2, 0), (2, build.ZSTD)])
def test_a_length_past_the_end_does_not_hide_that_the_last_batch_is_damaged_too(kind: tuple[int, int]) -> None:
    """Its header goes on with the next offset, and its batch ends with the file."""
    segment = plain_segment(kind, 1000)
    survey, _ = judge(segment, "field 10 length ^0x20000\nfield 11 crc ^1")
    lost = OffsetRange(segment.infos[10].base_offset, segment.infos[11].last_offset + 1)
    assert [r.offsets for r in survey.regions if r.verdict is Verdict.DAMAGED] == [lost]


def test_a_file_named_too_high_keeps_its_batches() -> None:
    segment = plain_segment((2, 0), 0)
    survey = survey_bytes(segment.data, base=50, context=SEALED)
    assert verdicts(survey) == [(0, len(segment.data), "intact")]
    assert codes(survey) == {"name-disagrees"}


def test_a_file_that_reaches_into_the_next_keeps_its_batches() -> None:
    segment = plain_segment((2, 0), 0)
    survey = survey_bytes(segment.data, context=SegmentContext(compacted=False, next_base=90))
    assert verdicts(survey) == [(0, len(segment.data), "intact")]


@pytest.mark.parametrize(
    "recipe",
    [
        "field 5 base_offset +64\nfield 6 crc ^1",
        "field 5 base_offset +64\nfield 6 base_offset ^0x4000000000000000\nfield 7 crc ^1",
        "field 0 base_offset ^0x4000000000000000\nfield 1 base_offset +64\nzero b2 end",
        "field 10 base_offset ^0x4000000000000000\nfield 11 base_offset +64",
        "field 0 base_offset +4096\nfield 1 base_offset +33554432\ndelete b2 end",
    ],
)
@pytest.mark.parametrize("kind", [(2, 0), (2, build.ZSTD), (1, build.GZIP)])
def test_a_gap_before_a_batch_that_nothing_holds_is_doubted(kind: tuple[int, int], recipe: str) -> None:
    """Its neighbours are damaged or misplaced themselves, and the log has no gaps elsewhere."""
    judge(plain_segment(kind, 1000), recipe)


@pytest.mark.parametrize("field", ["^0x2000000000000000", "+1000"])
def test_several_batches_that_moved_together_do_not_outvote_the_names(field: str) -> None:
    """They go on densely up there; the last ones of the file end where the next one begins."""
    segment = plain_segment((2, 0), 1000, 5)
    ends = segment.infos[-1].last_offset + 1
    recipe = "\n".join(f"field {at} base_offset {field}" for at in range(3))
    survey, data = judge(segment, recipe, next_base=ends)
    assert [one.data for one in emitted(data, survey)] == [segment.data[i.start : i.stop] for i in segment.infos]


@pytest.mark.parametrize("at", [0, 1, 5])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind[0] == 2 or kind[1]])
def test_two_base_offsets_that_lie_side_by_side_are_repaired_together(kind: tuple[int, int], at: int) -> None:
    """One is absurd and takes more offsets than the other leaves it; both fill what lies between their neighbours."""
    segment = plain_segment(kind, 1000)
    for first, second in (("+1", "^0x4000000000000000"), ("^0x4000000000000000", "-1")):
        survey, data = judge(segment, f"field {at} base_offset {first}\nfield {at + 1} base_offset {second}")
        assert [one.data for one in emitted(data, survey)] == [segment.data[i.start : i.stop] for i in segment.infos]
        assert codes(survey) <= {"offset-repaired"}


def test_a_v1_wrapper_with_a_low_offset_is_repaired() -> None:
    segment = plain_segment((1, build.GZIP), 0)
    survey, _ = judge(segment, "field 3 base_offset 2")
    assert codes(survey) == {"offset-repaired"}


def test_kafkas_own_stop_is_told() -> None:
    segment = plain_segment((2, 0), 0)
    for recipe, reason in [
        ("field 4 length 0x7fffffff", "length-past-end"),
        ("field 4 length 3", "length-too-small"),
        ("field 4 crc ^1", "crc-mismatch"),
    ]:
        facts = judge(segment, recipe)[0].facts
        assert (facts.kafka_stop, facts.kafka_stop_reason) == (segment.infos[4].start, reason)
    # a broker accepts magic 3 when the CRC fits: nothing stops it
    facts = judge(segment, "field 4 magic 3")[0].facts
    assert (facts.kafka_stop, facts.kafka_stop_reason) == (len(segment.data), "end")


def test_a_repair_keeps_the_bytes_before_and_after() -> None:
    segment = plain_segment((2, 0), 0)
    survey, _ = judge(segment, "field 5 base_offset 999999")
    (finding,) = survey.findings
    assert finding.detail["before"] == struct.pack(">q", 999999).hex()
    assert finding.detail["after"] == struct.pack(">q", segment.infos[5].base_offset).hex()
