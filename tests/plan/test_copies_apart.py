"""Copies that differ, that were cleaned or set aside, that are of others, and what they say of transactions."""

from __future__ import annotations

import pytest

from kafka_salvage.plan.policy import Policy
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.replica import State
from kafka_salvage.wire.filenames import Suffix
from tests.plan.copies import apart, codes, common, plan_of, shape, steps
from tests.support.sketch import B, Desk, S, X, seg

ID, OLD = "aaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbb"
DAMAGED, SUSPECT = Verdict.DAMAGED, Verdict.SUSPECT


class TestAmbiguous:
    def test_the_same_epoch_and_other_bytes_need_a_person(self) -> None:
        desk = Desk()
        one = common(desk, "b1", B(20, 30, crc=3, says="x"), B(30, 40, crc=4))
        two = common(desk, "b2", B(20, 30, crc=5, says="y"), B(30, 50, crc=6, says="y"))
        plan = plan_of(desk, one, two)
        assert shape(plan) == [(0, 20, "recovered"), (20, 50, "ambiguous")]
        assert apart(plan) == [("b1", 20, 40), ("b2", 20, 50)]
        assert codes(plan) == ["replica-differs", "replica-differs"]
        assert "--prefer" in plan.findings[0].message
        for name, end in (("b1", 40), ("b2", 50)):
            chosen = plan_of(desk, one, two, prefer=name)
            assert shape(chosen)[0] == (0, end, "recovered")
            assert [source for source, _, _ in apart(chosen)] == [{"b1": "b2", "b2": "b1"}[name]]

    def test_a_quarrel_between_shared_batches_is_about_these_alone(self) -> None:
        desk = Desk()
        one = common(desk, "b1", B(20, 30, crc=3, says="x"), B(30, 40, crc=4))
        two = common(desk, "b2", B(20, 30, crc=5, says="y"), B(30, 40, crc=4))
        plan = plan_of(desk, one, two)
        assert shape(plan) == [(0, 20, "recovered"), (20, 30, "ambiguous"), (30, 40, "recovered")]
        assert shape(plan_of(desk, one, two, prefer="b2")) == [(0, 40, "recovered")] or steps(
            plan_of(desk, one, two, prefer="b2")
        ) == [(0, 40, "b2")]

    def test_leftovers_do_not_decide(self) -> None:
        desk = Desk()
        one = common(desk, "b1", B(20, 30, crc=3, says="x"))
        two = desk.copy(
            seg(0, B(0, 10, crc=1), B(10, 20, crc=2), B(20, 30, crc=5, says="y")),
            seg(20, B(20, 30, crc=3, says="x"), suffix=Suffix.DELETED),
            source="b2",
        )
        assert shape(plan_of(desk, one, two)) == [(0, 20, "recovered"), (20, 30, "ambiguous")]


class TestCompaction:
    def test_the_form_that_holds_more_is_taken_and_nothing_is_said_of_conflict(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 10, crc=1, kept=(1, 9)), B(10, 20, crc=2)), source="b1", compacted=True)
        two = desk.copy(seg(0, B(0, 10, crc=3, kept=(1, 5, 9)), B(10, 20, crc=2)), source="b2", compacted=True)
        plan = plan_of(desk, one, two)
        assert steps(plan)[0][2] == "b2"
        assert sum(s.absent for s in plan.ledger) == 7
        assert [(f.code, f.detail["harmless"]) for f in plan.findings] == [("replica-differs", True)]

    def test_a_record_that_contradicts_is_a_conflict(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 10, crc=1, kept=(1, 9), says="x"), B(10, 20, crc=2)), source="b1", compacted=True)
        two = desk.copy(seg(0, B(0, 10, crc=3, kept=(1, 5), says="y"), B(10, 20, crc=2)), source="b2", compacted=True)
        assert shape(plan_of(desk, one, two)) == [(0, 10, "ambiguous"), (10, 20, "recovered")]

    def test_what_one_copy_compacted_away_another_still_gives(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 10, crc=1), B(30, 40, crc=4), B(40, 60, crc=5)), source="b1", compacted=True)
        two = desk.copy(seg(0, B(0, 10, crc=1), B(10, 20, crc=2), B(30, 40, crc=4)), source="b2", compacted=True)
        plan = plan_of(desk, one, two)
        assert [(low, high) for low, high, _ in steps(plan)] == [(0, 10), (10, 20), (30, 60)]
        assert [s for s in shape(plan) if s[2] not in ("recovered", "absent")] == []

    def test_what_a_whole_copy_shows_as_compacted_away_is_not_lost(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 10, crc=1), X(DAMAGED, (10, 20)), B(20, 30, crc=3)), source="b1", compacted=True)
        two = desk.copy(seg(0, B(0, 10, crc=1), B(20, 30, crc=3)), source="b2", compacted=True)
        plan = plan_of(desk, one, two)
        assert {status for _, _, status in shape(plan)} <= {"recovered", "absent"}


class TestLeftovers:
    def test_a_live_file_of_any_copy_comes_before_every_leftover(self) -> None:
        desk = Desk()
        hurt: tuple[S, ...] = (
            seg(0, B(0, 10, crc=1), X(DAMAGED, (10, 20))),
            seg(10, B(10, 20, crc=2), suffix=Suffix.SWAP),
        )
        one = desk.copy(*hurt, source="b1")
        two = desk.copy(seg(0, X(DAMAGED, (0, 10)), B(10, 20, crc=2)), source="b2")
        plan = plan_of(desk, one, two)
        assert steps(plan) == [(0, 10, "b1"), (10, 20, "b2")]
        assert not plan.leans_on_leftovers

    def test_a_leftover_of_one_copy_fills_what_all_live_ones_lack(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 10, crc=1), X(DAMAGED, (10, 20)), B(20, 30, crc=3)), source="b1")
        two = desk.copy(
            seg(0, B(0, 10, crc=1), X(DAMAGED, (10, 20))),
            seg(10, B(10, 20, crc=2), suffix=Suffix.DELETED),
            source="b2",
        )
        plan = plan_of(desk, one, two)
        assert shape(plan) == [(0, 10, "recovered"), (10, 20, "recovered"), (20, 30, "recovered")]
        assert plan.leans_on_leftovers

    def test_a_leftover_of_an_older_epoch_fills_no_hole_of_a_newer_one(self) -> None:
        desk = Desk()
        live = seg(
            0,
            B(0, 10, crc=1),
            B(10, 20, crc=2, epoch=2),
            X(DAMAGED, (20, 30)),
            B(30, 40, crc=4, epoch=2),
        )
        stale = seg(10, B(10, 20, crc=8), B(20, 30, crc=9), suffix=Suffix.DELETED)
        plan = plan_of(desk, desk.copy(live, stale, source="b1"))
        assert shape(plan) == [(0, 20, "recovered"), (20, 30, "lost"), (30, 40, "recovered")]
        fits = seg(20, B(20, 30, crc=9, epoch=2), suffix=Suffix.DELETED)
        plan = plan_of(desk, desk.copy(live, fits, source="b1"))
        assert (20, 30, "recovered") in shape(plan)

    def test_stray_directories_of_one_id_are_copies_of_each_other(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 10, crc=1)), source="b1", state=State.STRAY, topic_id=ID)
        two = desk.copy(seg(0, B(0, 10, crc=1), B(10, 20, crc=2)), source="b2", state=State.STRAY, topic_id=ID)
        plan = plan_of(desk, one, two)
        assert shape(plan) == [(0, 20, "recovered")]
        assert plan.leans_on_leftovers


class TestIdentity:
    def test_two_topic_ids_are_never_joined_and_most_copies_own_the_name(self) -> None:
        desk = Desk()
        new = [desk.copy(seg(0, B(0, 5, crc=n)), source=f"b{n}", topic_id=ID) for n in (1, 1, 2)][1:]
        old = desk.copy(seg(0, B(0, 50, crc=9)), source="b3", topic_id=OLD)
        current, other = desk.plan(old, *new).partitions
        assert (current.topic_id, current.selected, other.selected) == (ID, True, False)
        assert [f.code for f in current.findings if f.code == "topic-id-mismatch"] == ["topic-id-mismatch"]
        assert not current.needs_choice
        assert shape(other) == [(0, 50, "recovered")]

    def test_nothing_tells_between_one_copy_each_and_prefer_does(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 5)), source="b1", topic_id=ID)
        two = desk.copy(seg(0, B(0, 50)), source="b2", topic_id=OLD)
        assert desk.plan(one, two).partitions[0].needs_choice
        chosen = desk.plan(one, two, policy=Policy(prefer="b1")).partitions
        assert (chosen[0].topic_id, chosen[0].needs_choice) == (ID, False)

    def test_a_copy_without_an_id_belongs_to_the_only_id(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 10)), source="b1", topic_id=ID)
        two = desk.copy(seg(0, B(0, 10), B(10, 20)), source="b2")
        (plan,) = desk.plan(one, two).partitions
        assert (plan.topic_id, shape(plan)) == (ID, [(0, 20, "recovered")])

    def test_two_clusters_are_never_joined_unless_a_person_says_they_are_one(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 10)), source="b1", cluster="x")
        two = desk.copy(seg(0, B(0, 10), B(10, 20)), source="b2", cluster="y")
        plans = desk.plan(one, two).partitions
        assert [p.cluster_id for p in plans] == ["x", "y"]
        assert plans[0].needs_choice
        assert "cluster-mismatch" in codes(plans[1])
        (joined,) = desk.plan(one, two, policy=Policy(same_cluster=True)).partitions
        assert (shape(joined), joined.needs_choice) == ([(0, 20, "recovered")], False)

    def test_most_log_dirs_tell_which_cluster_is_written_and_a_person_which_is_meant(self) -> None:
        desk = Desk()
        ours = [desk.copy(seg(0, B(0, 10)), source=name, cluster="x") for name in ("b1", "b2")]
        theirs = desk.copy(seg(0, B(0, 90)), source="b3", cluster="w")
        plans = desk.plan(theirs, *ours).partitions
        assert {(p.cluster_id, p.needs_choice, len(p.steps)) for p in plans} == {("x", True, 1), ("w", True, 0)}
        chosen = desk.plan(theirs, *ours, policy=Policy(prefer="b2")).partitions
        assert {(p.cluster_id, p.needs_choice, len(p.steps)) for p in chosen} == {("x", False, 1), ("w", False, 0)}


class TestWitnesses:
    def test_a_suspect_batch_that_another_copy_believes_is_a_duplicate(self) -> None:
        desk = Desk()
        base = B(10, 20, crc=2)
        hidden = desk.copy(seg(0, B(0, 10, crc=1), base), source="drawn").segments[0]
        one = desk.copy(seg(0, B(0, 10, crc=1), X(SUSPECT, (10, 20), records=10), X(DAMAGED)), source="b1")
        two = desk.copy(seg(0, B(0, 10, crc=1), base), source="b2")

        real = desk.edges
        desk.edges = lambda s, a, b: (  # type: ignore[method-assign, assignment]
            real(hidden, a, b) if (s.segment.file.source, a) == ("b1", 100) else real(s, a, b)
        )
        (plan,) = desk.plan(one, two).partitions
        regions = {s.replica.source: s.segments[0].regions for s in plan.replicas}
        assert [str(r.verdict) for r in regions["b1"]] == ["intact", "duplicate", "damaged"]
        assert shape(plan)[0][2] == "recovered"

    def test_a_suspect_batch_that_only_one_copy_has_stays_suspect(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 10, crc=1), X(SUSPECT, (10, 20)), X(DAMAGED)), source="b1")
        two = desk.copy(seg(0, B(0, 10, crc=1)), source="b2")
        assert (10, 20, "suspect") in shape(plan_of(desk, one, two))

    @pytest.mark.parametrize(("further", "verdict"), [(True, "damaged"), (False, "blank")])
    def test_zeros_are_damage_where_another_copy_goes_on(self, further: bool, verdict: str) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 10, crc=1), X(Verdict.BLANK, code="none")), source="b1")
        more = (B(10, 20, crc=2),) if further else ()
        two = desk.copy(seg(0, B(0, 10, crc=1), *more), source="b2")
        plan = plan_of(desk, one, two)
        regions = {s.replica.source: s.segments[0].regions for s in plan.replicas}
        assert str(regions["b1"].regions[-1].verdict) == verdict
        assert shape(plan) == [(0, 20 if further else 10, "recovered")]


class TestTransactions:
    def test_a_marker_that_one_copy_lost_is_read_from_another(self) -> None:
        desk = Desk()
        data, end = B(0, 10, crc=1, producer=7), B(10, 11, crc=2, producer=7, marker="abort")
        one = desk.copy(seg(0, data, X(DAMAGED, (10, 11)), B(11, 20, crc=3)), source="b1")
        two = desk.copy(seg(0, X(DAMAGED, (0, 10)), end, B(11, 20, crc=3)), source="b2")
        plan = plan_of(desk, one, two)
        assert plan.labels.totals()["aborted"] == 10  # type: ignore[attr-defined]

    def test_a_marker_on_a_losing_branch_ends_nothing(self) -> None:
        desk = Desk()
        data = B(0, 10, crc=1, producer=7)
        end = B(10, 11, crc=2, producer=7, marker="commit")
        one = desk.copy(seg(0, data, end, B(11, 20, crc=3)), source="b1")
        two = desk.copy(seg(0, data, B(10, 15, crc=4, epoch=2), B(15, 30, crc=5, epoch=2)), source="b2")
        plan = plan_of(desk, one, two)
        assert plan.labels.totals()["open"] == 10  # type: ignore[attr-defined]
        assert apart(plan) == [("b1", 10, 20)]

    def test_a_stretch_of_one_producer_that_two_copies_give_keeps_its_fate(self) -> None:
        desk = Desk()
        parts = [B(n, n + 10, crc=n, producer=7) for n in (0, 10, 20)]
        end = B(30, 31, crc=5, producer=7, marker="commit")
        one = desk.copy(seg(0, parts[0], X(DAMAGED, (10, 20)), parts[2], end), source="b1")
        two = desk.copy(seg(0, X(DAMAGED, (0, 10)), parts[1], X(DAMAGED, (20, 31))), source="b2")
        plan = plan_of(desk, one, two)
        assert plan.labels.totals()["committed"] == 30  # type: ignore[attr-defined]
        assert shape(plan) == [(0, 10, "recovered"), (10, 20, "recovered"), (20, 31, "recovered")]
