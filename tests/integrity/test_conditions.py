"""Exit codes and conditions of hand-made plans."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kafka_salvage.integrity.conditions import conditions_of, exit_code
from kafka_salvage.plan.policy import Include, Policy, Selection
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.runs import ReplicaSurvey
from kafka_salvage.regions.verdict import Finding, Verdict
from kafka_salvage.scan.replica import State, Use
from kafka_salvage.wire.filenames import Suffix
from tests.support.sketch import B, Desk, S, X, seg

D = Verdict.DAMAGED


def conditions(desk: Desk, *surveys: ReplicaSurvey, policy: Policy | None = None) -> list[int]:
    return conditions_of(desk.plan(*surveys, policy=policy))


def of(*segments: S, policy: Policy | None = None, **kwargs: object) -> list[int]:
    desk = Desk()
    return conditions(desk, desk.copy(*segments, **kwargs), policy=policy)  # type: ignore[arg-type]


def note(code: str, **detail: object) -> Finding:
    return Finding(code, "b1", "t-0/x", 0, 0, None, code, detail)


def test_intact_and_harmless_is_0() -> None:
    assert of(seg(0, B(0, 10), X(Verdict.BLANK, code="blank", detail={"harmless": True}))) == []
    assert of(seg(0, B(0, 10)), findings=(note("index-missing"),)) == []
    assert of(seg(0, B(0, 10)), findings=(note("index-disagrees", harmless=True),)) == []
    assert exit_code([]) == 0


@pytest.mark.parametrize(
    "bad",
    [
        X(D, (10, 12)),
        X(D, None),
        X(D, (10, 11), "torn-tail", open_ended=True),
        X(Verdict.UNREADABLE, None, "unreadable"),
        X(Verdict.UNDECODABLE, (10, 12), "inflate-failed"),
        X(D, None, "zero-fill"),
    ],
)
def test_lost_offsets_are_3(bad: X) -> None:
    assert exit_code(of(seg(0, B(0, 10), bad))) == 3
    assert exit_code(of(seg(0, B(0, 10), bad, B(12, 15)))) == 3


def test_missing_offsets_are_3() -> None:
    assert exit_code(of(seg(0, B(0, 10)), seg(20, B(20, 30)))) == 3
    assert exit_code(of(seg(0, B(0, 10)), ends={"high watermark": 11})) == 3


def test_suspect_offsets_are_3_until_they_are_asked_for() -> None:
    log = seg(0, B(0, 10), X(Verdict.SUSPECT, (10, 20), "offset-backwards"), B(20, 30))
    assert exit_code(of(log)) == 3
    desk = Desk()
    plan = desk.plan(desk.copy(log))
    asked = replace(plan, policy=Policy(include=frozenset({Include.SUSPECT})))
    assert conditions_of(asked) == [6]


def test_garbage_and_side_files_are_6() -> None:
    assert of(seg(0, B(0, 10), X(D, None, "garbage"), B(10, 20))) == [6]
    assert of(seg(0, B(0, 10)), findings=(note("snapshot-corrupt"),)) == [6]


def test_a_repair_is_6() -> None:
    assert of(seg(0, B(0, 10), B(10, 20, repaired=True))) == [6]


@pytest.mark.parametrize("suffix", [Suffix.DELETED, Suffix.SWAP, Suffix.CLEANED])
def test_a_copy_with_only_leftover_files_is_not_0(suffix: Suffix) -> None:
    assert of(seg(0, B(0, 10), suffix=suffix)) == [6]


@pytest.mark.parametrize(("state", "code"), [(State.STRAY, 6), (State.FUTURE, 6), (State.DELETED_TOPIC, 0)])
def test_a_partition_in_another_state_only(state: State, code: int) -> None:
    assert exit_code(of(seg(0, B(0, 10)), state=state)) == code
    assert exit_code(of(seg(0, B(0, 10), X(D, (10, 12))), state=state)) == 3


def test_leftovers_that_cover_a_loss_are_6_and_those_that_cover_a_part_are_3() -> None:
    live = seg(0, B(0, 10), X(D, (10, 20)), B(20, 30))
    assert of(live, seg(0, B(10, 20), suffix=Suffix.DELETED)) == [6]
    assert of(live, seg(0, B(10, 19), suffix=Suffix.DELETED)) == [3, 6]


def test_damage_in_a_leftover_that_is_not_used_leaves_the_exit_code_alone() -> None:
    live = seg(0, B(0, 10, records=3), B(10, 20))
    assert of(live, seg(0, B(0, 5), X(D, (5, 10)), suffix=Suffix.DELETED), compacted=True) == []


def test_an_older_incarnation_leaves_the_exit_code_alone_until_it_is_asked_for() -> None:
    desk = Desk()
    live = desk.copy(seg(0, B(0, 10)), topic_id="a" * 22)
    old = desk.copy(seg(0, B(0, 5), X(D, (5, 9))), topic_id="b" * 22, state=State.DELETED_TOPIC)
    assert conditions(desk, live, old) == []
    assert conditions(desk, live, old, policy=Policy(include=frozenset({Include.DELETED_TOPICS}))) == [3, 6]


def test_overlaid_batches_that_differ_are_6() -> None:
    assert of(seg(0, B(0, 10), B(10, 20)), seg(15, B(15, 20, crc=9), B(20, 30))) == [6]


def test_a_codec_that_is_not_installed_is_5() -> None:
    assert exit_code(of(seg(0, B(0, 10), X(Verdict.UNDECODABLE, (10, 12), "codec-missing"), B(12, 15)))) == 5


def test_a_segment_that_could_not_be_opened_is_5() -> None:
    desk = Desk()
    plan = desk.plan(desk.copy(seg(0, B(0, 10)), seg(10)))
    files = tuple(
        replace(file, use=Use.UNREADABLE, reason="permission denied") if file.path.endswith("10.log") else file
        for file in plan.inventory.files
    )
    assert conditions_of(plan) == []
    shut = replace(plan, inventory=replace(plan.inventory, files=files))
    assert conditions_of(shut) == [5]
    elsewhere = Policy(selection=Selection(topics=frozenset({"another"})))
    unselected = replace(plan.partitions[0], selected=False)
    assert conditions_of(replace(shut, policy=elsewhere, partitions=(unselected,))) == []


def test_bytes_that_were_never_read_may_hold_offsets() -> None:
    assert of(seg(0, B(0, 10)), seg(10, X(Verdict.UNREAD, None, "unreadable"))) == [3, 6]


def test_another_cluster_is_6() -> None:
    desk = Desk()
    ours = [desk.copy(seg(0, B(0, 5)), partition=n, source=f"b{n}", cluster="ours") for n in (0, 1)]
    assert conditions(desk, *ours, desk.copy(seg(0, B(0, 9)), topic="x", source="x", cluster="theirs")) == [6]


def test_all_conditions_are_listed_and_the_gravest_leads() -> None:
    assert exit_code([3, 6]) == 3
    assert exit_code([3, 4, 6]) == 4
    assert exit_code([3, 4, 5, 6]) == 5


def test_the_selection_decides_what_counts() -> None:
    log = seg(0, B(0, 10), X(D, (10, 20)), B(20, 30))

    def within(low: int | None, high: int | None) -> list[int]:
        return of(log, policy=Policy(selection=Selection(from_offset=low, to_offset=high)))

    assert within(None, None) == [3, 6]
    assert within(20, None) == []
    assert within(None, 10) == []
    assert within(19, None) == [3, 6]
    assert within(None, 11) == [3, 6]


def test_a_finding_outside_of_the_selected_offsets_does_not_count() -> None:
    finding = Finding("offset-gap", "b1", "t-0/x", 0, 0, OffsetRange(0, 5), "x", {})
    assert of(seg(0, B(0, 10)), findings=(finding,)) == [6]
    policy = Policy(selection=Selection(from_offset=5))
    assert of(seg(0, B(0, 10)), findings=(finding,), policy=policy) == []
