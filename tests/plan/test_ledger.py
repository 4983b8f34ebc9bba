"""The ledger of a partition, offset by offset."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.plan.merge import statuses
from kafka_salvage.plan.plan import PartitionPlan, Status
from kafka_salvage.plan.policy import Include, Policy
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.wire.filenames import Suffix
from tests.support.sketch import B, Desk, S, X, seg


def one(desk: Desk, *args: S, policy: Policy | None = None, **kwargs: object) -> PartitionPlan:
    survey = desk.copy(*args, **kwargs)  # type: ignore[arg-type]
    (partition,) = desk.plan(survey, policy=policy).partitions
    return partition


def shape(partition: PartitionPlan) -> list[tuple[int, int, str]]:
    return [(s.offsets.start, s.offsets.stop, str(s.status)) for s in partition.ledger]


def test_a_clean_log_is_one_recovered_range() -> None:
    plan = one(Desk(), seg(0, B(0, 10), B(10, 30)), seg(30, B(30, 40)), epochs=((0, 0),), ends={"high watermark": 40})
    assert shape(plan) == [(0, 40, "recovered")]
    assert [(s.start, s.stop, s.offsets.start, s.offsets.stop) for s in plan.steps] == [
        (0, 200, 0, 30),
        (0, 100, 30, 40),
    ]
    assert plan.epochs == ((0, 0),)
    assert plan.findings == ()
    assert not plan.leans_on_leftovers


def test_an_empty_partition_has_an_empty_ledger() -> None:
    assert shape(one(Desk(), seg(0), epochs=((0, 0),), ends={"high watermark": 0})) == []


def test_a_gap_between_batches_is_missing_unless_compaction_explains_it() -> None:
    log = seg(0, B(0, 10), B(15, 20))
    plain = one(Desk(), log)
    assert shape(plain) == [(0, 10, "recovered"), (10, 15, "missing"), (15, 20, "recovered")]
    assert [f.code for f in plain.ledger[1].findings] == ["offset-gap"]
    thinned = one(Desk(), log, compacted=True)
    assert shape(thinned) == [(0, 20, "recovered")]
    assert thinned.ledger[0].absent == 5
    assert len(thinned.steps) == 1


def test_holes_inside_batches_are_absent_and_counted() -> None:
    plan = one(Desk(), seg(0, B(0, 10, records=4), B(10, 12)))
    assert shape(plan) == [(0, 12, "recovered")]
    assert plan.ledger[0].absent == 6
    assert statuses(plan.ledger)[Status.RECOVERED] == 6


def test_damage_in_a_gap_is_lost_and_tied_to_its_finding() -> None:
    plan = one(Desk(), seg(0, B(0, 10), X(Verdict.DAMAGED, (10, 15)), B(15, 20)))
    assert shape(plan) == [(0, 10, "recovered"), (10, 15, "lost"), (15, 20, "recovered")]
    assert [f.code for f in plan.ledger[1].findings] == ["crc-mismatch"]
    assert not plan.ledger[1].upper_bound


def test_damage_that_names_no_offsets_takes_the_whole_gap() -> None:
    plan = one(Desk(), seg(0, B(0, 10), X(Verdict.DAMAGED), B(17, 20)), compacted=True)
    assert shape(plan) == [(0, 10, "recovered"), (10, 17, "lost"), (17, 20, "recovered")]
    assert plan.ledger[1].upper_bound


def test_garbage_between_dense_batches_loses_nothing() -> None:
    plan = one(Desk(), seg(0, B(0, 10), X(Verdict.DAMAGED, code="garbage"), B(10, 20)))
    assert shape(plan) == [(0, 20, "recovered")]
    assert len(plan.steps) == 2


def test_garbage_behind_the_last_batch_loses_nothing_but_an_unnamed_tear_does() -> None:
    assert shape(one(Desk(), seg(0, B(0, 10), X(Verdict.DAMAGED, code="garbage")))) == [(0, 10, "recovered")]
    torn = one(Desk(), seg(0, B(0, 10), X(Verdict.DAMAGED, code="torn-tail")))
    assert shape(torn) == [(0, 10, "recovered"), (10, 11, "lost")]
    assert torn.ledger[1].open_ended


def test_a_torn_tail_that_names_its_offsets_ends_there() -> None:
    plan = one(Desk(), seg(0, B(0, 10), X(Verdict.DAMAGED, (10, 25), "torn-tail")))
    assert shape(plan) == [(0, 10, "recovered"), (10, 25, "lost")]
    assert not plan.ledger[1].open_ended


def test_an_open_ended_tail_stays_open_where_a_witness_reaches_further() -> None:
    tail = X(Verdict.DAMAGED, (10, 11), "torn-tail", open_ended=True)
    plan = one(Desk(), seg(0, B(0, 10), tail), ends={"high watermark": 30})
    assert shape(plan) == [(0, 10, "recovered"), (10, 30, "lost")]
    assert plan.ledger[1].open_ended


def test_blank_tails_lose_nothing() -> None:
    assert shape(one(Desk(), seg(0, B(0, 10), X(Verdict.BLANK)))) == [(0, 10, "recovered")]


@pytest.mark.parametrize("kind", ["high watermark", "recovery point", "snapshot", "index", "epoch"])
def test_each_witness_extends_the_end(kind: str) -> None:
    plan = one(Desk(), seg(0, B(0, 10)), ends={kind: 25})
    assert shape(plan) == [(0, 10, "recovered"), (10, 25, "missing")]
    assert kind in plan.ledger[1].reason
    assert [f.code for f in plan.ledger[1].findings] == ["segment-missing"]


def test_a_witness_too_far_away_is_not_believed() -> None:
    assert shape(one(Desk(), seg(0, B(0, 10)), ends={"high watermark": 10 + (1 << 31)})) == [(0, 10, "recovered")]
    near = one(Desk(), seg(0, B(0, 10)), ends={"high watermark": 9 + (1 << 31)})
    assert shape(near)[1][1] == 9 + (1 << 31)


class TestMissingSegments:
    def test_first_with_checkpoint(self) -> None:
        plan = one(Desk(), seg(10, B(10, 20)), epochs=((0, 0),))
        assert shape(plan) == [(0, 10, "missing"), (10, 20, "recovered")]
        assert plan.ledger[0].reason == "before the first segment"
        assert plan.log_start == 0

    def test_first_without_checkpoint(self) -> None:
        plan = one(Desk(), seg(10, B(10, 20)))
        assert shape(plan) == [(10, 20, "recovered")]
        assert plan.log_start == 10

    def test_first_on_a_compacted_topic_is_missing_still(self) -> None:
        plan = one(Desk(), seg(10, B(10, 20)), epochs=((0, 0),), compacted=True)
        assert shape(plan) == [(0, 10, "missing"), (10, 20, "recovered")]

    def test_first_of_a_tiered_topic_is_absent(self) -> None:
        plan = one(Desk(), seg(10, B(10, 20)), epochs=((0, 0),), policy=Policy(tiered=frozenset({"t"})))
        assert shape(plan) == [(0, 10, "absent"), (10, 20, "recovered")]
        assert plan.ledger[0].reason == "remote-tier"

    def test_cleaned_records_at_the_head_of_a_compacted_topic_are_absent(self) -> None:
        for epochs in (((0, 0),), None):
            plan = one(Desk(), seg(0, B(7, 20)), epochs=epochs, compacted=True)
            assert shape(plan) == [(0, 7, "absent"), (7, 20, "recovered")]
        assert shape(one(Desk(), seg(0, B(7, 20)))) == [(7, 20, "recovered")]

    @pytest.mark.parametrize("ends", [{}, {"high watermark": 30}])
    def test_middle(self, ends: dict[str, int]) -> None:
        plan = one(Desk(), seg(0, B(0, 10)), seg(20, B(20, 30)), ends=ends)
        assert shape(plan) == [(0, 10, "recovered"), (10, 20, "missing"), (20, 30, "recovered")]
        assert [f.code for f in plan.ledger[1].findings] == ["segment-missing"]

    def test_last_with_checkpoint(self) -> None:
        plan = one(Desk(), seg(0, B(0, 10)), ends={"high watermark": 20})
        assert shape(plan) == [(0, 10, "recovered"), (10, 20, "missing")]

    def test_last_without_checkpoint_cannot_be_known(self) -> None:
        assert shape(one(Desk(), seg(0, B(0, 10)))) == [(0, 10, "recovered")]

    def test_the_name_of_an_empty_last_segment_is_a_witness(self) -> None:
        plan = one(Desk(), seg(0, B(0, 10)), seg(20))
        assert shape(plan) == [(0, 10, "recovered"), (10, 20, "missing")]
        assert shape(one(Desk(), seg(0, B(0, 10)), seg(20), compacted=True)) == [
            (0, 10, "recovered"),
            (10, 20, "absent"),
        ]

    def test_a_missing_and_a_damaged_file_side_by_side_are_told_apart(self) -> None:
        plan = one(Desk(), seg(0, B(0, 10)), seg(20, X(Verdict.DAMAGED, None, "zero-fill"), B(25, 30)))
        assert shape(plan) == [(0, 10, "recovered"), (10, 20, "missing"), (20, 25, "lost"), (25, 30, "recovered")]


def test_a_segment_without_any_batch_is_lost_up_to_the_next_name() -> None:
    plan = one(Desk(), seg(0, B(0, 10)), seg(10, X(Verdict.DAMAGED, None, "zero-fill")), seg(20, B(20, 30)))
    assert shape(plan) == [(0, 10, "recovered"), (10, 20, "lost"), (20, 30, "recovered")]


def test_a_partition_without_any_believed_batch_is_lost_up_to_its_witnesses() -> None:
    plan = one(Desk(), seg(5, X(Verdict.DAMAGED)), ends={"high watermark": 50})
    assert shape(plan) == [(5, 50, "lost")]
    assert plan.steps == ()


def test_damage_at_the_head_of_the_first_file_is_lost() -> None:
    plan = one(Desk(), seg(100, X(Verdict.DAMAGED), B(110, 120)))
    assert shape(plan) == [(100, 110, "lost"), (110, 120, "recovered")]


def test_undecodable_and_suspect_bytes_paint_the_offsets_they_name() -> None:
    log = seg(0, B(0, 10), X(Verdict.UNDECODABLE, (10, 14), "inflate-failed"), X(Verdict.SUSPECT, (14, 16)), B(20, 30))
    plan = one(Desk(), log)
    assert shape(plan) == [
        (0, 10, "recovered"),
        (10, 14, "undecodable"),
        (14, 16, "suspect"),
        (16, 20, "missing"),
        (20, 30, "recovered"),
    ]


def test_a_suspect_batch_that_names_offsets_elsewhere_may_hold_what_a_compacted_gap_lacks() -> None:
    plan = one(Desk(), seg(0, B(0, 10), X(Verdict.SUSPECT, (5000, 5010)), B(20, 30)), compacted=True)
    assert shape(plan) == [(0, 10, "recovered"), (10, 20, "suspect"), (20, 30, "recovered")]


def test_suspect_offsets_stretch_the_range_where_they_go_on_from_it_and_undecodable_ones_do() -> None:
    assert shape(one(Desk(), seg(0, B(0, 10), X(Verdict.SUSPECT, (10, 20))))) == [
        (0, 10, "recovered"),
        (10, 20, "suspect"),
    ]
    assert shape(one(Desk(), seg(0, B(0, 10), X(Verdict.SUSPECT, (70, 80))))) == [(0, 10, "recovered")]
    plan = one(Desk(), seg(0, B(0, 10), X(Verdict.UNDECODABLE, (10, 20), "codec-missing")))
    assert shape(plan) == [(0, 10, "recovered"), (10, 20, "undecodable")]


@pytest.mark.parametrize("compacted", [True, False])
def test_a_suspect_batch_out_of_place_speaks_for_the_offsets_it_names(compacted: bool) -> None:
    log = seg(0, B(0, 10), B(20, 30), X(Verdict.SUSPECT, (10, 20)), B(30, 40))
    assert shape(one(Desk(), log, compacted=compacted)) == [
        (0, 10, "recovered"),
        (10, 20, "suspect"),
        (20, 40, "recovered"),
    ]


def test_a_suspect_batch_before_the_last_one_may_go_on_behind_it() -> None:
    log = seg(0, B(0, 10), X(Verdict.SUSPECT, (20, 30)), B(10, 20))
    assert shape(one(Desk(), log)) == [(0, 20, "recovered"), (20, 30, "suspect")]


def test_repaired_ranges_carry_their_findings() -> None:
    plan = one(Desk(), seg(0, B(0, 10), B(10, 20, repaired=True), B(20, 30)))
    assert shape(plan) == [(0, 10, "recovered"), (10, 20, "repaired"), (20, 30, "recovered")]
    assert [f.code for f in plan.ledger[1].findings] == ["length-past-end"]
    assert [str(s.verdict) for s in plan.steps] == ["intact", "repaired", "intact"]


class TestLogStart:
    def test_what_lies_below_is_trimmed(self) -> None:
        desk = Desk()
        plan = one(desk, seg(0, B(0, 10), B(10, 20)), seg(20, B(20, 30)), log_start=12, epochs=((0, 12),))
        assert shape(plan) == [(0, 12, "trimmed"), (12, 30, "recovered")]
        assert plan.log_start == 12
        assert plan.steps[0].stop == 200  # the batch that the log start cuts is whole in its step

    def test_damage_below_is_trimmed_not_lost(self) -> None:
        plan = one(Desk(), seg(0, B(0, 5), X(Verdict.DAMAGED, (5, 10)), B(10, 30)), log_start=10)
        assert shape(plan) == [(0, 10, "trimmed"), (10, 30, "recovered")]

    def test_whole_segments_below_are_not_in_the_steps_unless_asked_for(self) -> None:
        log = (seg(0, B(0, 10)), seg(10, B(10, 30)))
        plan = one(Desk(), *log, log_start=10)
        assert [s.offsets.start for s in plan.steps] == [10]
        assert [(str(a.include), a.records) for a in plan.available] == [("trimmed", 10)]
        asked = one(Desk(), *log, log_start=10, policy=Policy(include=frozenset({Include.TRIMMED})))
        assert [s.offsets.start for s in asked.steps] == [0, 10]

    def test_everything_deleted_is_all_trimmed(self) -> None:
        assert shape(one(Desk(), seg(0, B(0, 10)), log_start=10)) == [(0, 10, "trimmed")]

    def test_one_above_every_offset_is_ignored(self) -> None:
        assert shape(one(Desk(), seg(0, B(0, 10)), log_start=500)) == [(0, 10, "recovered")]

    def test_records_that_a_log_start_below_the_first_segment_promises_are_missing(self) -> None:
        assert shape(one(Desk(), seg(10, B(10, 20)), log_start=4)) == [(4, 10, "missing"), (10, 20, "recovered")]


def test_a_file_that_overlaps_another_gives_whole_batches_only_where_nothing_lies() -> None:
    desk = Desk()
    survey = desk.copy(seg(0, B(0, 10), B(10, 20)), seg(15, B(15, 20, crc=1), B(20, 30, crc=2)))
    (plan,) = desk.plan(survey).partitions
    assert shape(plan) == [(0, 30, "recovered")]
    assert [(s.offsets.start, s.offsets.stop) for s in plan.steps] == [(0, 20), (20, 30)]
    (branch,) = plan.branches
    assert branch.kind == "divergent"
    assert [(s.offsets.start, s.offsets.stop) for s in branch.steps] == [(15, 20)]
    assert [(f.code, f.path[-8:], f.start, f.stop) for f in plan.findings] == [("offset-overlap", "0015.log", 0, 100)]


def test_the_same_batch_in_two_files_is_no_branch() -> None:
    desk = Desk()
    survey = desk.copy(seg(0, B(0, 10), B(10, 20)), seg(10, B(10, 20), B(20, 30)))
    (plan,) = desk.plan(survey).partitions
    assert shape(plan) == [(0, 30, "recovered")]
    assert plan.branches == ()


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[S], bool]:
    offset, segments = draw(st.integers(0, 5)), []
    for _ in range(draw(st.integers(1, 4))):
        base = offset
        items: list[B | X] = []
        for _ in range(draw(st.integers(0, 5))):
            size, what = draw(st.integers(1, 9)), draw(st.sampled_from("bbbbdnug"))
            if what == "b":
                full = draw(st.booleans())
                items.append(B(offset, offset + size, records=None if full else draw(st.integers(0, size))))
            elif what in "du":
                verdict = Verdict.DAMAGED if what == "d" else Verdict.UNDECODABLE
                items.append(X(verdict, (offset, offset + size) if draw(st.booleans()) else None))
            elif what == "n":
                items.append(X(Verdict.SUSPECT, (offset + draw(st.integers(-9, 9)), offset + 20)))
            offset += size
        suffix = draw(st.sampled_from([Suffix.NONE, Suffix.NONE, Suffix.NONE, Suffix.DELETED]))
        segments.append(S(base, tuple(items), suffix))
    return segments, draw(st.booleans())


@given(logs(), st.none() | st.integers(0, 60), st.none() | st.integers(0, 100), st.booleans())
def test_every_offset_has_one_status(
    log: tuple[list[S], bool], log_start: int | None, watermark: int | None, epochs: bool
) -> None:
    segments, compacted = log
    desk = Desk()
    plan = one(
        desk,
        *segments,
        compacted=compacted,
        log_start=log_start,
        epochs=((0, 0),) if epochs else None,
        ends={} if watermark is None else {"high watermark": watermark},
    )
    spans = plan.ledger
    for left, right in itertools.pairwise(spans):
        assert left.offsets.stop == right.offsets.start
    assert all(s.offsets.size > 0 and 0 <= s.absent <= s.offsets.size for s in spans)
    total = spans[-1].offsets.stop - spans[0].offsets.start if spans else 0
    assert sum(statuses(spans).values()) == total
    steps = plan.steps
    for first, second in itertools.pairwise(steps):
        assert first.offsets.stop <= second.offsets.start
    believed = {
        offset
        for s in segments
        for item in s.items
        if isinstance(item, B) and s.suffix is Suffix.NONE
        for offset in range(item.first, item.stop)
        if offset >= plan.log_start
    }
    given_out = {o for s in spans if s.status is Status.RECOVERED for o in range(s.offsets.start, s.offsets.stop)}
    assert believed <= given_out
