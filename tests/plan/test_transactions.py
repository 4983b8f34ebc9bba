"""Labels of transactions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.plan.plan import TRANSACTION_CODES, PartitionPlan
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.batches import BatchTable
from tests.support.sketch import B, Desk, X, seg

P, Q = 1000, 2000


def data(first: int, stop: int, producer: int, epoch: int = 0) -> B:
    return B(first, stop, producer=producer, producer_epoch=epoch)


def marker(at: int, producer: int, kind: str, epoch: int = 0) -> B:
    return B(at, at + 1, producer=producer, producer_epoch=epoch, marker=kind)


def planned(*items: B | X, **kwargs: object) -> tuple[PartitionPlan, dict[int, str]]:
    """The plan, and the label of each data batch by its base offset."""
    desk = Desk()
    survey = desk.copy(seg(0, *items), **kwargs)  # type: ignore[arg-type]
    (partition,) = desk.plan(survey).partitions
    segment = survey.segments[0]
    table = desk.edges(segment, 0, segment.regions.size)
    codes = partition.labels.lookup(table)
    shown = {
        int(table.base_offset[row]): str(TRANSACTION_CODES[code])
        for row, code in enumerate(codes.tolist())
        if not table.is_control[row]
    }
    return partition, shown


def test_markers_close_what_their_own_producer_wrote() -> None:
    _, labels = planned(
        data(0, 5, P), data(5, 8, Q), data(8, 9, P), marker(9, Q, "abort"), B(10, 12), marker(12, P, "commit")
    )
    assert labels == {0: "committed", 5: "aborted", 8: "committed", 10: "none"}


def test_what_no_marker_follows_is_open() -> None:
    _, labels = planned(data(0, 5, P), marker(5, P, "commit"), data(6, 9, P))
    assert labels == {0: "committed", 6: "open"}


def test_a_hole_before_the_marker_makes_unknown() -> None:
    plan, labels = planned(
        data(0, 5, P), data(5, 6, Q), X(Verdict.DAMAGED, (6, 10)), data(10, 12, P), marker(12, P, "commit")
    )
    assert labels == {0: "unknown", 5: "unknown", 10: "committed"}
    assert [f.code for f in plan.findings] == ["marker-missing"]


@pytest.mark.parametrize("verdict", [Verdict.DAMAGED, Verdict.UNDECODABLE, Verdict.SUSPECT])
def test_every_kind_of_hole_hides_a_marker(verdict: Verdict) -> None:
    _, labels = planned(data(0, 5, P), X(verdict, (5, 6)), data(6, 8, P), marker(8, P, "commit"))
    assert labels == {0: "unknown", 6: "committed"}


def test_a_missing_range_between_batches_hides_a_marker_and_compaction_does_not() -> None:
    items = data(0, 5, P), data(6, 8, P), marker(8, P, "commit")
    assert planned(*items)[1] == {0: "unknown", 6: "committed"}
    assert planned(*items, compacted=True)[1] == {0: "committed", 6: "committed"}


def test_a_marker_that_the_damage_took_leaves_no_commit_behind() -> None:
    """The lost marker was an ABORT: the producer's next COMMIT must not reach over the hole."""
    _, labels = planned(
        data(0, 5, P), X(Verdict.DAMAGED, (5, 6)), data(6, 9, P), marker(9, P, "commit"), data(10, 11, P)
    )
    assert labels == {0: "unknown", 6: "committed", 10: "open"}


def test_a_torn_end_leaves_nothing_open_for_sure() -> None:
    _, labels = planned(data(0, 5, P), X(Verdict.DAMAGED, (5, 6), "torn-tail", open_ended=True))
    assert labels == {0: "unknown"}
    assert planned(data(0, 5, P), ends={"high watermark": 9})[1] == {0: "unknown"}
    assert planned(data(0, 5, P), ends={"high watermark": 5})[1] == {0: "open"}


def test_a_fenced_producer_is_aborted_by_a_marker_of_the_next_epoch() -> None:
    _, labels = planned(data(0, 5, P, 3), marker(5, P, "abort", 4), data(6, 7, P, 4), marker(7, P, "commit", 4))
    assert labels == {0: "aborted", 6: "committed"}


def test_a_bumping_producer_is_committed_by_a_marker_of_the_next_epoch() -> None:
    assert planned(data(0, 5, P, 3), marker(5, P, "commit", 4))[1] == {0: "committed"}


def test_a_commit_of_a_newer_epoch_does_not_reach_over_batches_of_that_epoch() -> None:
    _, labels = planned(data(0, 5, P, 3), data(5, 8, P, 4), marker(8, P, "commit", 4))
    assert labels == {0: "unknown", 5: "committed"}


def test_an_epoch_bump_behind_a_hole_never_commits() -> None:
    _, labels = planned(data(0, 5, P, 3), X(Verdict.DAMAGED, (5, 6)), marker(6, P, "commit", 4))
    assert labels == {0: "unknown"}


def test_a_marker_without_data_is_harmless() -> None:
    plan, labels = planned(marker(0, P, "abort"), B(1, 3))
    assert labels == {1: "none"}
    assert plan.findings == ()


def test_damage_below_the_log_start_still_hides_a_marker() -> None:
    _, labels = planned(data(0, 5, P), X(Verdict.DAMAGED, (5, 6)), data(6, 8, P), marker(8, P, "commit"), log_start=7)
    assert labels == {0: "unknown", 6: "committed"}


def test_a_batch_that_the_line_does_not_hold_is_unknown() -> None:
    desk = Desk()
    survey = desk.copy(seg(0, data(0, 5, P), marker(5, P, "commit")))
    (partition,) = desk.plan(survey).partitions
    stranger = desk.copy(seg(50, data(50, 55, P), data(55, 56, Q)), source="other").segments[0]
    table = desk.edges(stranger, 0, 200)
    assert [str(TRANSACTION_CODES[c]) for c in partition.labels.lookup(table)] == ["unknown", "unknown"]
    assert len(partition.labels.lookup(BatchTable.empty())) == 0


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[B], set[int]]:
    """Batches of a log as Kafka would write it, and the offsets of records that were really aborted."""
    offset, log, aborted = 0, [], set()
    pending: dict[int, list[int]] = {}
    for _ in range(draw(st.integers(1, 14))):
        producer = draw(st.sampled_from([P, Q]))
        if producer in pending and draw(st.booleans()):
            kind = draw(st.sampled_from(["commit", "abort"]))
            log.append(marker(offset, producer, kind))
            if kind == "abort":
                aborted |= set(pending[producer])
            del pending[producer]
            offset += 1
        else:
            size = draw(st.integers(1, 3))
            log.append(data(offset, offset + size, producer))
            pending.setdefault(producer, []).append(offset)
            offset += size
    return log, aborted


@given(histories(), st.data())
def test_no_aborted_record_is_ever_called_committed(history: tuple[list[B], set[int]], choose: st.DataObject) -> None:
    log, aborted = history
    gone = choose.draw(st.sets(st.integers(0, len(log) - 1)))
    kinds = [X(Verdict.DAMAGED), X(Verdict.UNDECODABLE), None]
    items: list[B | X] = []
    for place, batch in enumerate(log):
        if place not in gone:
            items.append(batch)
            continue
        made = choose.draw(st.sampled_from(kinds))
        if made is not None:
            named = choose.draw(st.booleans())
            items.append(X(made.verdict, (batch.first, batch.stop) if named else None))
    _, labels = planned(*items, ends={"high watermark": log[-1].stop})
    assert not {at for at, label in labels.items() if label == "committed"} & aborted
    if not gone:
        assert {at for at, label in labels.items() if label == "aborted"} == aborted
        assert "unknown" not in labels.values()


def test_totals_count_data_records_per_label() -> None:
    plan, _ = planned(data(0, 5, P), marker(5, P, "commit"), data(6, 9, Q), marker(9, Q, "abort"), data(10, 12, Q))
    totals = {str(k): v for k, v in plan.labels.totals().items()}  # type: ignore[attr-defined]
    assert totals == {"committed": 5, "aborted": 3, "open": 2, "unknown": 0}
    assert isinstance(plan.labels.lookup(BatchTable.empty()), np.ndarray)
