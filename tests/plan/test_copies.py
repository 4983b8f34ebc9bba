"""Several copies of one partition, drawn by hand: which batches come from where, and what is kept apart."""

from __future__ import annotations

from kafka_salvage.regions.verdict import Verdict
from tests.plan.copies import apart, common, edges_of, plan_of, shape, steps
from tests.support.sketch import B, Desk, X, seg

ID, OLD = "aaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbb"
DAMAGED, SUSPECT = Verdict.DAMAGED, Verdict.SUSPECT


class TestUnion:
    def test_each_offset_once_from_a_copy_that_has_it(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 10), X(DAMAGED, (10, 20)), B(20, 30)), source="b1")
        two = desk.copy(seg(0, X(DAMAGED, (0, 10)), B(10, 20), B(20, 30), B(30, 40)), source="b2")
        plan = plan_of(desk, one, two)
        assert shape(plan) == [(0, 10, "recovered"), (10, 40, "recovered")]
        assert steps(plan) == [(0, 10, "b1"), (10, 40, "b2")]
        assert [s.source for s in plan.ledger] == ["b1", "b2"]
        assert not plan.leans_on_leftovers

    def test_the_copy_that_gives_most_leads_and_ties_go_by_name(self) -> None:
        desk = Desk()
        copies = [desk.copy(seg(0, B(0, 10), B(10, 20)), source=name) for name in ("b3", "b2", "b1")]
        assert steps(plan_of(desk, *copies)) == [(0, 20, "b1")]
        longer = desk.copy(seg(0, B(0, 10), B(10, 20), B(20, 21)), source="b9")
        assert steps(plan_of(desk, *copies, longer)) == [(0, 21, "b9")]

    def test_intact_comes_before_repaired_and_repaired_before_nothing(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 10), B(10, 20, repaired=True), B(20, 30, repaired=True), B(30, 50)), source="b1")
        two = desk.copy(seg(0, B(0, 10), B(10, 20), X(DAMAGED, (20, 30))), source="b2")
        plan = plan_of(desk, one, two)
        assert steps(plan) == [(0, 10, "b1"), (10, 20, "b2"), (20, 30, "b1"), (30, 50, "b1")]
        assert [str(s.status) for s in plan.ledger] == ["recovered", "recovered", "repaired", "recovered"]

    def test_a_repaired_batch_gives_way_to_an_intact_one_of_other_bytes(self) -> None:
        desk = Desk()
        one = common(desk, "b1", B(20, 30, crc=3, repaired=True), B(30, 40, crc=4))
        two = common(desk, "b2", B(20, 30, crc=9), B(30, 40, crc=4))
        plan = plan_of(desk, one, two)
        assert shape(plan) == [(0, 40, "recovered")]
        assert steps(plan) == [(0, 40, "b2")]
        assert apart(plan) == []

    def test_segments_that_roll_elsewhere_are_no_difference(self) -> None:
        desk = Desk()
        batches = [B(n, n + 10, crc=n) for n in range(0, 60, 10)]
        one = desk.copy(seg(0, *batches[:3]), seg(30, *batches[3:]), source="b1")
        two = desk.copy(seg(0, *batches[:1]), seg(10, *batches[1:5]), seg(50, batches[5]), source="b2")
        plan = plan_of(desk, one, two)
        assert shape(plan) == [(0, 60, "recovered")]
        assert plan.findings == ()

    def test_what_no_copy_has_is_told_by_the_one_that_had_it(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 10), X(DAMAGED, (10, 20)), B(20, 30)), source="b1")
        two = desk.copy(seg(0, B(0, 10)), seg(20, B(20, 30)), source="b2")
        plan = plan_of(desk, one, two)
        assert shape(plan) == [(0, 10, "recovered"), (10, 20, "lost"), (20, 30, "recovered")]
        (lost,) = [s for s in plan.ledger if str(s.status) == "lost"]
        assert [f.source for f in lost.findings] == ["b1"]

    def test_a_torn_tail_that_another_copy_completes_is_no_loss(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 10), X(DAMAGED, (10, 20), "torn-tail", open_ended=True)), source="b1")
        two = desk.copy(seg(0, B(0, 10), B(10, 20)), source="b2")
        assert shape(plan_of(desk, one, two)) == [(0, 20, "recovered")]

    def test_a_copy_that_ends_earlier_is_information_and_no_loss(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 10)), source="b1", ends={"high watermark": 10})
        two = desk.copy(seg(0, B(0, 10), B(10, 20)), source="b2", ends={"high watermark": 5})
        plan = plan_of(desk, one, two)
        assert shape(plan) == [(0, 20, "recovered")]
        assert plan.findings == ()
        assert plan.high_watermark == 10

    def test_a_copy_cut_below_its_own_high_watermark_is_named_though_another_has_all(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 10)), source="b1", ends={"high watermark": 20})
        two = desk.copy(seg(0, B(0, 10), B(10, 20)), source="b2")
        plan = plan_of(desk, one, two)
        assert shape(plan) == [(0, 20, "recovered")]
        assert [(f.code, f.source, f.offsets and f.offsets.stop) for f in plan.findings] == [
            ("segment-missing", "b1", 20)
        ]

    def test_the_highest_log_start_that_a_checkpoint_confirms_counts(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 10), B(10, 20)), source="b1", log_start=10)
        two = desk.copy(seg(0, B(0, 10), B(10, 20)), source="b2")
        plan = plan_of(desk, one, two)
        assert plan.log_start == 10
        assert shape(plan) == [(0, 10, "trimmed"), (10, 20, "recovered")]

    def test_adding_a_copy_never_loses_an_offset(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 10), X(DAMAGED, (10, 20)), B(20, 30)), source="b2")
        more = [
            desk.copy(seg(0), source="b1"),
            desk.copy(seg(20, X(DAMAGED, (20, 40))), source="b1"),
            desk.copy(seg(0, X(SUSPECT, (0, 10)), X(DAMAGED)), source="b1"),
        ]
        alone = {o for s in plan_of(desk, one).ledger if s.status == "recovered" for o in range(*edges_of(s))}
        for other in more:
            both = {o for s in plan_of(desk, one, other).ledger if s.status == "recovered" for o in range(*edges_of(s))}
            assert alone <= both


class TestForks:
    def test_the_higher_epoch_wins_and_the_other_branch_is_kept_apart(self) -> None:
        desk = Desk()
        one = common(desk, "b1", B(20, 30, crc=3), B(30, 50, crc=4))
        two = common(desk, "b2", B(20, 25, crc=5, epoch=2), B(25, 40, crc=6, epoch=2))
        plan = plan_of(desk, one, two)
        assert shape(plan) == [(0, 40, "recovered"), (40, 50, "divergent")]
        assert steps(plan)[-1] == (0, 40, "b2")
        assert apart(plan) == [("b1", 20, 50)]
        (finding,) = plan.findings
        assert (finding.code, finding.source) == ("replica-diverges", "b1")
        assert {name: finding.detail[name] for name in ("fork", "epoch", "winning_epoch", "told_by")} == {
            "fork": 20,
            "epoch": 0,
            "winning_epoch": 2,
            "told_by": "batches",
        }

    def test_the_preferred_copy_turns_it_round(self) -> None:
        desk = Desk()
        one = common(desk, "b1", B(20, 30, crc=3), B(30, 50, crc=4))
        two = common(desk, "b2", B(20, 25, crc=5, epoch=2), B(25, 40, crc=6, epoch=2))
        plan = plan_of(desk, one, two, prefer="b1")
        assert shape(plan) == [(0, 50, "recovered")]
        assert apart(plan) == [("b2", 20, 40)]
        assert plan.findings[0].detail["told_by"] == "prefer"

    def test_the_log_of_the_last_leader_wins_also_where_its_batches_are_older(self) -> None:
        desk = Desk()
        one = common(desk, "b1", B(20, 30, crc=3), B(30, 40, crc=4, epoch=3), B(40, 50, crc=5, epoch=3))
        two = common(desk, "b2", B(20, 25, crc=6, epoch=2), B(25, 35, crc=7, epoch=2))
        plan = plan_of(desk, one, two)
        assert shape(plan) == [(0, 50, "recovered")]
        assert apart(plan) == [("b2", 20, 35)]

    def test_one_batch_is_no_fork_unless_a_checkpoint_lists_its_epoch(self) -> None:
        desk = Desk()
        one = common(desk, "b1", B(20, 30, crc=3))
        two = common(desk, "b2", B(20, 30, crc=4, epoch=2))
        plan = plan_of(desk, one, two)
        assert shape(plan) == [(0, 20, "recovered"), (20, 30, "ambiguous")]
        assert sorted(apart(plan)) == [("b1", 20, 30), ("b2", 20, 30)]
        listed = common(desk, "b2", B(20, 30, crc=4, epoch=2), epochs=((0, 0), (2, 20)))
        plan = plan_of(desk, one, listed)
        assert shape(plan) == [(0, 30, "recovered")]
        assert plan.findings[0].detail["told_by"] == "leader-epoch-checkpoint"

    def test_the_same_bytes_in_other_epochs_are_the_same_batches(self) -> None:
        desk = Desk()
        one = common(desk, "b1", B(20, 30, crc=3), B(30, 40, crc=4))
        two = common(desk, "b2", B(20, 30, crc=3, epoch=5), B(30, 40, crc=4))
        three = common(desk, "b3", B(20, 30, crc=3), B(30, 40, crc=4))
        plan = plan_of(desk, one, two, three)
        assert [(low, high) for low, high, _ in shape(plan)] == [(0, 40)]
        assert {source for _, _, source in steps(plan)} == {"b1"}
        assert [(f.code, f.source, f.detail["before"], f.detail["after"]) for f in plan.findings] == [
            ("epoch-repaired", "b2", 5, 0)
        ]

    def test_damage_over_the_fork_is_bridged_by_the_checkpoint(self) -> None:
        desk = Desk()
        one = common(desk, "b1", B(20, 30, crc=3), B(30, 40, crc=4), B(40, 50, crc=5))
        tail = (X(DAMAGED, (20, 40)), B(40, 45, crc=6, epoch=2), B(45, 50, crc=7, epoch=2))
        told = common(desk, "b2", *tail, epochs=((0, 0), (2, 20)))
        plan = plan_of(desk, one, told)
        assert shape(plan) == [(0, 20, "recovered"), (20, 40, "lost"), (40, 50, "recovered")]
        assert apart(plan) == [("b1", 20, 50)]

    def test_damage_over_the_fork_without_a_checkpoint_is_ambiguous(self) -> None:
        desk = Desk()
        one = common(desk, "b1", B(20, 30, crc=3), B(30, 40, crc=4), B(40, 50, crc=5))
        two = common(desk, "b2", X(DAMAGED, (20, 40)), B(40, 45, crc=6, epoch=2), B(45, 50, crc=7, epoch=2))
        plan = plan_of(desk, one, two)
        assert shape(plan) == [(0, 20, "recovered"), (20, 40, "ambiguous"), (40, 50, "recovered")]
        assert apart(plan) == [("b1", 20, 50)]

    def test_epochs_tell_a_branch_where_no_two_batches_can_be_compared(self) -> None:
        desk = Desk()
        one = common(desk, "b1", X(DAMAGED, (20, 40)), B(40, 50, crc=4), B(50, 60, crc=5))
        two = common(desk, "b2", B(20, 30, crc=6, epoch=2), B(30, 40, crc=7, epoch=2), X(DAMAGED, (40, 60)))
        plan = plan_of(desk, one, two)
        assert shape(plan) == [(0, 40, "recovered"), (40, 60, "lost")]
        assert apart(plan) == [("b1", 40, 60)]

    def test_a_tail_that_a_new_leader_has_not_written_over_yet_is_kept(self) -> None:
        desk = Desk()
        one = common(desk, "b1", epochs=((0, 0), (1, 20)))
        two = common(desk, "b2", B(20, 30, crc=3))
        assert shape(plan_of(desk, one, two)) == [(0, 30, "recovered")]

    def test_three_copies_two_of_which_lost(self) -> None:
        desk = Desk()
        one = common(desk, "b1", B(20, 30, crc=3, epoch=1), B(30, 40, crc=4, epoch=1))
        two = common(desk, "b2", B(20, 30, crc=3, epoch=1), B(30, 35, crc=5, epoch=3), B(35, 45, crc=6, epoch=3))
        three = common(desk, "b3", B(20, 25, crc=7), B(25, 60, crc=8))
        plan = plan_of(desk, one, two, three)
        assert shape(plan) == [(0, 45, "recovered"), (45, 60, "divergent")]
        assert sorted(apart(plan)) == [("b1", 30, 40), ("b3", 20, 60)]

    def test_a_wrong_checkpoint_is_named_and_ignored(self) -> None:
        desk = Desk()
        one = common(desk, "b1", B(20, 30, crc=3), epochs=((0, 0), (4, 5)))
        two = common(desk, "b2", B(20, 30, crc=3))
        plan = plan_of(desk, one, two)
        assert shape(plan) == [(0, 30, "recovered")]
        assert [(f.code, f.source) for f in plan.findings] == [("checkpoint-corrupt", "b1")]

    def test_a_losing_copy_does_not_extend_the_ledger_with_what_its_checkpoints_promise(self) -> None:
        desk = Desk()
        one = desk.copy(
            seg(0, B(0, 10, crc=1), B(10, 20, crc=3), B(20, 30, crc=4)), source="b1", ends={"high watermark": 90}
        )
        two = desk.copy(seg(0, B(0, 10, crc=1), B(10, 15, crc=5, epoch=2), B(15, 20, crc=6, epoch=2)), source="b2")
        assert shape(plan_of(desk, one, two)) == [(0, 20, "recovered"), (20, 30, "divergent")]
