"""Plans of hand-made surveys: incarnations, leftovers, copies."""

from __future__ import annotations

from itertools import permutations

import pytest

from kafka_salvage.plan.merge import make_plan
from kafka_salvage.plan.plan import PartitionPlan
from kafka_salvage.plan.policy import Include, Policy, Selection
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.replica import State
from kafka_salvage.wire.filenames import Suffix
from tests.support.sketch import B, Desk, X, inventory, seg

ID, OLD = "aaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbb"


def shape(partition: PartitionPlan) -> list[tuple[int, int, str]]:
    return [(s.offsets.start, s.offsets.stop, str(s.status)) for s in partition.ledger]


def steps(partition: PartitionPlan) -> list[tuple[int, int, str]]:
    return [(s.offsets.start, s.offsets.stop, str(s.state)) for s in partition.steps]


class TestLiveCopies:
    def test_different_partitions_of_several_sources_stand_side_by_side(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, B(0, 10)), partition=0, source="b1")
        two = desk.copy(seg(0, B(0, 20)), partition=1, source="b2")
        plans = desk.plan(two, one).partitions
        assert [(p.partition, shape(p)[0][1]) for p in plans] == [(0, 10), (1, 20)]

    def test_copies_that_are_not_selected_are_joined_too_and_not_counted(self) -> None:
        desk = Desk()
        copies = [desk.copy(seg(0, B(0, 10)), topic="other", source=name) for name in ("b1", "b2")]
        mine = desk.copy(seg(0, B(0, 5)), topic="mine", source="b1")
        policy = Policy(selection=Selection(topics=frozenset({"mine"})))
        plan = desk.plan(*copies, mine, policy=policy)
        assert [p.topic for p in plan.partitions] == ["mine", "other"]
        assert [p.topic for p in plan.partitions if p.selected] == ["mine"]


class TestLeftoversOfOneDirectory:
    def test_deleted_files_behind_the_live_end_are_used(self) -> None:
        desk = Desk()
        survey = desk.copy(
            seg(0, B(0, 10)), seg(15, B(15, 20), suffix=Suffix.DELETED), seg(20, B(20, 30), suffix=Suffix.DELETED)
        )
        (plan,) = desk.plan(survey).partitions
        assert shape(plan) == [(0, 10, "recovered"), (10, 15, "missing"), (15, 30, "recovered")]
        assert [s.reason for s in plan.ledger] == ["", "between batches", "deleted-segment"]
        assert steps(plan) == [(0, 10, "live"), (15, 20, "deleted-segment"), (20, 30, "deleted-segment")]
        assert plan.leans_on_leftovers
        assert plan.available == ()

    def test_deleted_files_fill_damage_with_whole_batches_only(self) -> None:
        desk = Desk()
        live = seg(0, B(0, 10), X(Verdict.DAMAGED, (10, 20)), B(20, 30))
        left = seg(0, B(0, 8), B(8, 12), B(12, 16), B(16, 18), B(18, 24), suffix=Suffix.DELETED)
        (plan,) = desk.plan(desk.copy(live, left)).partitions
        assert shape(plan) == [
            (0, 10, "recovered"),
            (10, 12, "lost"),
            (12, 18, "recovered"),
            (18, 20, "lost"),
            (20, 30, "recovered"),
        ]
        assert steps(plan)[1] == (12, 18, "deleted-segment")
        assert (plan.steps[1].start, plan.steps[1].stop) == (200, 400)

    def test_swap_comes_before_deleted(self) -> None:
        desk = Desk()
        survey = desk.copy(
            seg(0, X(Verdict.DAMAGED)),
            seg(0, B(0, 10, crc=1), suffix=Suffix.DELETED),
            seg(0, B(0, 10, records=3), suffix=Suffix.SWAP),
            seg(10, B(10, 20)),
        )
        (plan,) = desk.plan(survey).partitions
        assert steps(plan) == [(0, 10, "leftover"), (10, 20, "live")]
        assert plan.ledger[0].absent == 7

    def test_swap_is_not_used_where_what_it_replaces_is_whole(self) -> None:
        desk = Desk()
        survey = desk.copy(seg(0, B(0, 10)), seg(0, B(0, 10, records=3), suffix=Suffix.SWAP))
        (plan,) = desk.plan(survey).partitions
        assert steps(plan) == [(0, 10, "live")]
        assert not plan.leans_on_leftovers
        assert [(str(a.include), a.records) for a in plan.available] == [("leftovers", 3)]

    def test_what_compaction_replaced_fills_no_absent_offsets(self) -> None:
        desk = Desk()
        survey = desk.copy(
            seg(0, B(0, 10, records=2), B(15, 20)), seg(0, B(0, 20), suffix=Suffix.DELETED), compacted=True
        )
        (plan,) = desk.plan(survey).partitions
        assert shape(plan) == [(0, 20, "recovered")]
        assert plan.ledger[0].absent == 13
        assert not plan.leans_on_leftovers
        assert [(str(a.include), a.records) for a in plan.available] == [("deleted-segments", 20)]

    def test_what_retention_took_is_trimmed_and_named(self) -> None:
        desk = Desk()
        survey = desk.copy(seg(0, B(0, 10), suffix=Suffix.DELETED), seg(10, B(10, 20)), epochs=((0, 10),))
        (plan,) = desk.plan(survey).partitions
        assert shape(plan) == [(0, 10, "trimmed"), (10, 20, "recovered")]
        assert steps(plan) == [(10, 20, "live")]
        assert not plan.leans_on_leftovers
        assert [(str(a.include), a.records) for a in plan.available] == [("deleted-segments", 10)]

    def test_a_first_segment_that_a_checkpoint_promises_is_taken_from_deleted(self) -> None:
        desk = Desk()
        survey = desk.copy(seg(0, B(0, 10), suffix=Suffix.DELETED), seg(10, B(10, 20)), epochs=((0, 0),))
        (plan,) = desk.plan(survey).partitions
        assert shape(plan) == [(0, 10, "recovered"), (10, 20, "recovered")]
        assert plan.leans_on_leftovers

    @pytest.mark.parametrize("suffix", [Suffix.DELETED, Suffix.SWAP, Suffix.CLEANED])
    def test_a_partition_with_nothing_else_is_made_from_them(self, suffix: Suffix) -> None:
        desk = Desk()
        (plan,) = desk.plan(desk.copy(seg(0, B(0, 10), X(Verdict.DAMAGED, (10, 12)), suffix=suffix))).partitions
        assert shape(plan) == [(0, 10, "recovered"), (10, 12, "lost")]
        assert plan.leans_on_leftovers
        assert plan.state is plan.steps[0].state is not State.LIVE

    def test_an_empty_live_segment_beside_deleted_ones_gives_their_records(self) -> None:
        desk = Desk()
        (plan,) = desk.plan(desk.copy(seg(0, B(0, 10), suffix=Suffix.DELETED), seg(10))).partitions
        assert (0, 10, "recovered") in shape(plan)
        assert plan.leans_on_leftovers

    def test_include_adds_the_duplicates_apart(self) -> None:
        desk = Desk()
        survey = desk.copy(
            seg(0, B(0, 10, records=2), B(10, 20)), seg(0, B(0, 10), suffix=Suffix.DELETED), compacted=True
        )
        (plan,) = desk.plan(survey, policy=Policy(include=frozenset({Include.DELETED_SEGMENTS}))).partitions
        (branch,) = plan.branches
        assert (branch.kind, branch.directory, branch.state) == ("incarnations", "t-0", State.DELETED_SEGMENT)
        assert [(s.offsets.start, s.offsets.stop) for s in branch.steps] == [(0, 10)]
        assert plan.available == ()


class TestOtherDirectories:
    @pytest.mark.parametrize("state", [State.STRAY, State.FUTURE])
    def test_a_partition_that_exists_only_there_is_used_and_leans(self, state: State) -> None:
        desk = Desk()
        (plan,) = desk.plan(desk.copy(seg(0, B(0, 10)), state=state, topic_id=ID)).partitions
        assert shape(plan) == [(0, 10, "recovered")]
        assert plan.state is state
        assert plan.selected
        assert plan.leans_on_leftovers

    def test_a_deleted_topic_alone_is_used_and_is_no_damage(self) -> None:
        desk = Desk()
        (plan,) = desk.plan(desk.copy(seg(0, B(0, 10)), state=State.DELETED_TOPIC)).partitions
        assert steps(plan) == [(0, 10, "deleted-topic")]
        assert not plan.leans_on_leftovers

    def test_an_older_incarnation_is_named_and_never_merged(self) -> None:
        desk = Desk()
        live = desk.copy(seg(0, B(0, 5)), topic_id=ID, ends={"high watermark": 9})
        old = desk.copy(seg(0, B(0, 10)), topic_id=OLD, state=State.DELETED_TOPIC)
        new_plan, old_plan = desk.plan(old, live).partitions
        assert shape(new_plan) == [(0, 5, "recovered"), (5, 9, "missing")]
        assert (old_plan.selected, old_plan.steps, shape(old_plan)) == (False, (), [(0, 10, "recovered")])
        assert [(str(a.include), a.records) for a in old_plan.available] == [("deleted-topics", 10)]
        asked = desk.plan(old, live, policy=Policy(include=frozenset({Include.DELETED_TOPICS}))).partitions
        assert steps(asked[1]) == [(0, 10, "deleted-topic")]
        assert asked[1].selected
        assert shape(asked[0]) == shape(new_plan)

    def test_a_directory_without_an_id_is_not_merged_either(self) -> None:
        desk = Desk()
        live = desk.copy(seg(0, B(0, 5)), topic_id=ID)
        stray = desk.copy(seg(5, B(5, 10)), state=State.STRAY)
        new_plan, old_plan = desk.plan(live, stray).partitions
        assert shape(new_plan) == [(0, 5, "recovered")]
        assert not old_plan.selected

    def test_an_empty_live_directory_lets_the_stray_out_by_itself(self) -> None:
        desk = Desk()
        live = desk.copy(seg(0), topic_id=ID)
        stray = desk.copy(seg(0, B(0, 10)), topic_id=OLD, state=State.STRAY)
        new_plan, old_plan = desk.plan(live, stray).partitions
        assert steps(new_plan) == []
        assert steps(old_plan) == [(0, 10, "stray")]
        assert old_plan.selected
        assert old_plan.leans_on_leftovers

    @pytest.mark.parametrize("state", [State.STRAY, State.FUTURE, State.DELETED_TOPIC])
    def test_the_same_topic_id_fills_what_live_files_lack(self, state: State) -> None:
        desk = Desk()
        live = desk.copy(seg(0, B(0, 5), X(Verdict.DAMAGED, (5, 10)), B(10, 20)), topic_id=ID)
        other = desk.copy(seg(0, B(0, 5), B(5, 10), B(10, 15)), topic_id=ID, state=state)
        (plan,) = desk.plan(live, other).partitions
        assert steps(plan) == [(0, 5, "live"), (5, 10, str(state)), (10, 20, "live")]
        assert plan.leans_on_leftovers

    def test_a_future_directory_that_gives_nothing_is_only_named(self) -> None:
        desk = Desk()
        live = desk.copy(seg(0, B(0, 20)), topic_id=ID)
        future = desk.copy(
            seg(0, B(0, 5)), topic_id=ID, state=State.FUTURE, log_dir="b1/d2", directory="d2/t-0.x-future"
        )
        (plan,) = desk.plan(future, live).partitions
        assert steps(plan) == [(0, 20, "live")]
        assert not plan.leans_on_leftovers
        assert [(str(a.include), a.records) for a in plan.available] == [("future", 5)]
        (asked,) = desk.plan(future, live, policy=Policy(include=frozenset({Include.FUTURE}))).partitions
        assert [(b.directory, b.state) for b in asked.branches] == [("t-0.x-future", State.FUTURE)]


class TestClusters:
    def test_another_cluster_is_reported_and_kept_apart(self) -> None:
        desk = Desk()
        ours = [desk.copy(seg(0, B(0, 5)), partition=n, source=f"b{n}", cluster="ours") for n in (0, 1)]
        theirs = desk.copy(seg(0, B(0, 9)), partition=0, source="x", cluster="theirs")
        plans = desk.plan(theirs, *ours).partitions
        assert [(p.partition, p.cluster_id, shape(p)) for p in plans] == [
            (0, "ours", [(0, 5, "recovered")]),
            (0, "theirs", [(0, 9, "recovered")]),
            (1, "ours", [(0, 5, "recovered")]),
        ]
        foreign = plans[1]
        assert [f.code for f in foreign.findings] == ["cluster-mismatch"]
        assert foreign.steps == ()
        assert [(b.kind, b.source) for b in foreign.branches] == [("incarnations", "x")]

    def test_the_preferred_source_names_the_cluster(self) -> None:
        desk = Desk()
        ours = [desk.copy(seg(0, B(0, 5)), partition=n, source=f"b{n}", cluster="ours") for n in (0, 1)]
        theirs = desk.copy(seg(0, B(0, 9)), source="x", cluster="theirs")
        plans = desk.plan(*ours, theirs, policy=Policy(prefer="x")).partitions
        assert [p.cluster_id for p in plans if p.steps] == ["theirs"]


def test_suspect_batches_go_out_only_when_asked_for() -> None:
    desk = Desk()
    survey = desk.copy(seg(0, B(0, 10), X(Verdict.SUSPECT, (10, 20)), X(Verdict.DAMAGED), B(30, 40)))
    (plan,) = desk.plan(survey).partitions
    assert [(s.offsets.start, s.offsets.stop) for s in plan.steps] == [(0, 10), (30, 40)]
    assert [str(a.include) for a in plan.available] == ["suspect"]
    held = [B(10, 14), B(14, 20), B(3, 5)]
    drawn = desk.copy(seg(0, *held), source="drawn").segments[0]

    def edges(segment: SegmentSurvey, start: int, stop: int) -> BatchTable:
        return desk.edges(drawn, 0, 300) if start == 100 else desk.edges(segment, start, stop)

    policy = Policy(include=frozenset({Include.SUSPECT}))
    (asked,) = make_plan(inventory(survey), [survey], policy, edges=edges).partitions
    assert [(s.offsets.start, s.offsets.stop, str(s.verdict)) for s in asked.steps] == [
        (0, 10, "intact"),
        (10, 20, "suspect"),
        (30, 40, "intact"),
    ]
    assert shape(asked) == shape(plan)


def test_the_order_of_sources_changes_nothing() -> None:
    desk = Desk()
    copies = [
        desk.copy(seg(0, B(0, 5), X(Verdict.DAMAGED, (5, 10)), B(10, 20)), topic_id=ID, source="b1"),
        desk.copy(seg(0, B(0, 5), B(5, 10)), topic_id=ID, source="b2", state=State.STRAY),
        desk.copy(seg(0, B(0, 5), B(5, 10)), topic_id=ID, source="b3", state=State.STRAY),
        desk.copy(seg(0, B(0, 7)), topic_id=OLD, source="b3", state=State.DELETED_TOPIC),
    ]
    seen = set()
    for order in permutations(copies):
        plan = desk.plan(*order)
        seen.add(
            repr(
                [
                    (p.topic_id, p.ledger, [(s.survey.segment.file.path, s.offsets) for s in p.steps])
                    for p in plan.partitions
                ]
            )
        )
    assert len(seen) == 1
    assert tuple(s.replica.source for s in plan.partitions[0].replicas[1:]) == ("b2", "b3")
