"""Witnesses of transactions besides markers: what they decide, and what they never do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest

from kafka_salvage.plan.endings import Aborted, Endings, Snapshot, index_findings
from kafka_salvage.plan.facts import Decision
from kafka_salvage.plan.plan import TRANSACTION_CODES
from kafka_salvage.plan.strands import run_columns
from kafka_salvage.plan.timeline import pieces_of
from kafka_salvage.plan.transactions import Labels, make_labels
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.verdict import Verdict
from tests.support.sketch import B, Desk, X, seg

P, Q = 1000, 2000
HERE = ("orders", 0)
Outcome = Literal["commit", "abort", "open"]


def data(first: int, stop: int, epoch: int = 0, producer: int = P) -> B:
    return B(first, stop, producer=producer, producer_epoch=epoch)


def marker(at: int, kind: str, epoch: int = 0, producer: int = P) -> B:
    return B(at, at + 1, producer=producer, producer_epoch=epoch, marker=kind)


def lost(first: int, stop: int) -> X:
    return X(Verdict.DAMAGED, (first, stop))


def decision(
    outcome: Outcome, first: int, last: int, *, sealed: bool = True, cluster: str | None = "C", elsewhere: bool = False
) -> Decision:
    parts = frozenset({("other", 0) if elsewhere else HERE})
    return Decision("t", P, (first, last), outcome, parts, 0, 0, sealed, cluster)


def judged(
    *items: B | X,
    aborted: Sequence[Aborted] = (),
    decisions: Sequence[Decision] = (),
    snapshots: Sequence[Snapshot] | None = None,
    end: int | None = None,
) -> tuple[dict[int, str], dict[int, bool]]:
    """Label of each data batch by its base offset, and whether a broker that loads the line agrees."""
    desk = Desk()
    survey = desk.copy(
        seg(0, *items), compacted=snapshots is not None, ends={} if end is None else {"high watermark": end}
    )
    (plan,) = desk.plan(survey).partitions
    segment = survey.segments[0]
    pieces = pieces_of(survey, segment, snapshots is not None)
    first, following, _, _ = run_columns(pieces)
    witness = Endings(
        aborted=lambda: dict.fromkeys(aborted),
        decisions={P: tuple(decisions)} if decisions else {},
        partition=HERE,
        cluster_id="C",
        given=(first, following),
        snapshots=None if snapshots is None else lambda: snapshots,
    )
    return shown(make_labels(pieces, plan.ledger, desk.edges, witness), desk, survey.segments[0])


def shown(labels: Labels, desk: Desk, segment: object) -> tuple[dict[int, str], dict[int, bool]]:
    table = desk.edges(segment, 0, segment.regions.size)  # type: ignore[arg-type, attr-defined]
    rows = np.flatnonzero(~table.is_control).tolist()
    codes, loads = labels.lookup(table), labels.loads(table)
    bases = table.base_offset.tolist()
    return (
        {bases[row]: str(TRANSACTION_CODES[codes[row]]) for row in rows},
        {bases[row]: bool(loads[row]) for row in rows},
    )


class TestEpochs:
    """A transaction of version 2: data with one epoch, a marker with the next."""

    before = data(0, 2, 0), marker(2, "commit", 1)

    @pytest.mark.parametrize("kind", ["commit", "abort"])
    def test_a_hole_inside_one_epoch_of_version_2_hides_no_marker(self, kind: str) -> None:
        labels, loads = judged(
            *self.before, data(3, 5, 1), lost(5, 6), data(6, 8, 1), marker(8, kind, 2), data(9, 10, 2), marker(10, "commit", 3)
        )  # fmt: skip
        fate = "committed" if kind == "commit" else "aborted"
        assert labels == {0: "committed", 3: fate, 6: fate, 9: "committed"}
        assert all(loads.values())

    def test_the_marker_of_an_epoch_is_found_behind_a_hole(self) -> None:
        labels, _ = judged(
            *self.before, data(3, 5, 1), lost(5, 9), marker(9, "commit", 2), data(10, 12, 2), marker(12, "commit", 3)
        )
        assert labels == {0: "committed", 3: "committed", 10: "committed"}

    def test_another_epochs_marker_is_none(self) -> None:
        """The end of epoch 1 is lost; what follows is the end of epoch 2."""
        labels, loads = judged(
            *self.before, data(3, 5, 1), lost(5, 9), marker(9, "commit", 3), data(10, 12, 3), marker(12, "commit", 4)
        )
        assert labels == {0: "committed", 3: "unknown", 10: "committed"}
        assert loads == {0: True, 3: False, 10: True}

    def test_a_raised_abort_is_no_sign_of_version_2(self) -> None:
        """A broker that fences a producer of version 1 raises the epoch too."""
        labels, _ = judged(
            data(0, 2, 0), marker(2, "abort", 1), data(3, 5, 1), lost(5, 6), data(6, 8, 1), marker(8, "abort", 2)
        )
        assert labels == {0: "aborted", 3: "unknown", 6: "aborted"}

    def test_version_1_before_the_hole_leaves_it_unknown(self) -> None:
        labels, _ = judged(
            data(0, 2, 0), marker(2, "abort", 0), data(3, 5, 0), lost(5, 6), data(6, 8, 0), marker(8, "commit", 1),
            data(9, 10, 1), marker(10, "commit", 2),
        )  # fmt: skip
        assert labels == {0: "aborted", 3: "unknown", 6: "committed", 9: "committed"}

    def test_an_end_of_version_1_between_two_of_version_2_spoils_the_proof(self) -> None:
        labels, _ = judged(
            *self.before, data(3, 4, 1), marker(4, "abort", 1), data(5, 6, 1), lost(6, 7), data(7, 8, 1), marker(8, "commit", 2)
        )  # fmt: skip
        assert labels == {0: "committed", 3: "aborted", 5: "unknown", 7: "committed"}

    @pytest.mark.parametrize("epoch", [0, 3, 9])
    def test_a_commit_carries_the_epoch_of_its_data_or_the_next(self, epoch: int) -> None:
        assert judged(data(0, 2, 1), marker(2, "commit", epoch))[0] == {0: "unknown"}


class TestCoordinator:
    @pytest.mark.parametrize(("outcome", "fate"), [("commit", "committed"), ("abort", "aborted"), ("open", "unknown")])
    def test_decides_when_it_knows_the_whole_epoch(self, outcome: Outcome, fate: str) -> None:
        labels, loads = judged(data(0, 2, 5), lost(2, 3), decisions=[decision(outcome, 5, 6)])
        assert labels == {0: fate}
        assert loads == {0: False}

    def test_several_transactions_of_one_epoch_that_ended_alike_decide(self) -> None:
        alike = [decision("commit", 5, 5), decision("commit", 5, 5), decision("abort", 6, 6)]
        assert judged(data(0, 2, 5), lost(2, 3), decisions=alike)[0] == {0: "committed"}
        mixed = [*alike, decision("abort", 5, 5)]
        assert judged(data(0, 2, 5), lost(2, 3), decisions=mixed)[0] == {0: "unknown"}

    def test_transactions_of_other_partitions_do_not_matter(self) -> None:
        some = [decision("commit", 5, 5), decision("abort", 5, 5, elsewhere=True)]
        assert judged(data(0, 2, 5), lost(2, 3), decisions=some)[0] == {0: "committed"}
        assert judged(data(0, 2, 5), lost(2, 3), decisions=some[1:])[0] == {0: "unknown"}

    def test_an_end_without_partitions_may_have_been_here(self) -> None:
        end = Decision("t", P, (5, 5), "abort", None, 0, 0, True, "C")
        assert judged(data(0, 2, 5), lost(2, 3), decisions=[decision("commit", 5, 5), end])[0] == {0: "unknown"}
        assert judged(data(0, 2, 5), lost(2, 3), decisions=[end])[0] == {0: "unknown"}

    def test_an_epoch_that_may_go_on_decides_nothing(self) -> None:
        assert judged(data(0, 2, 5), decisions=[decision("commit", 5, 5, sealed=False)])[0] == {0: "open"}
        assert judged(data(0, 2, 5), decisions=[decision("abort", 5, 5, sealed=False)])[0] == {0: "open"}

    @pytest.mark.parametrize("cluster", ["D", None])
    def test_of_another_cluster_says_nothing(self, cluster: str | None) -> None:
        assert judged(data(0, 2, 5), decisions=[decision("commit", 5, 6, cluster=cluster)])[0] == {0: "open"}

    def test_what_the_next_marker_would_turn_round_does_not_load(self) -> None:
        labels, loads = judged(
            data(0, 2, 5), lost(2, 3), data(3, 4, 6), marker(4, "commit", 6), decisions=[decision("abort", 5, 6)]
        )
        assert labels == {0: "aborted", 3: "committed"}
        assert loads == {0: False, 3: True}


class TestIndex:
    items = data(0, 2), lost(2, 3), data(3, 5), marker(5, "commit")

    def test_an_entry_whose_marker_is_lost_tells_an_abort(self) -> None:
        labels, loads = judged(*self.items, aborted=[(P, 0, 2)])
        assert labels == {0: "aborted", 3: "committed"}
        assert loads == {0: False, 3: True}

    def test_no_entry_commits_nothing(self) -> None:
        assert judged(*self.items)[0] == {0: "unknown", 3: "committed"}

    def test_entries_that_batches_contradict_are_named(self) -> None:
        desk = Desk()
        survey = desk.copy(seg(0, data(0, 2), marker(2, "abort"), B(3, 5)))
        (plan,) = desk.plan(survey).partitions
        pieces = pieces_of(survey, survey.segments[0], False)
        first, following, _, _ = run_columns(pieces)
        file = survey.segments[0].segment.file
        entries = dict.fromkeys([(P, 0, 2), (P, 0, 4), (Q, 1, 3), (Q, 7, 9)], file)
        witness = Endings(lambda: entries, {}, HERE, given=(first, following))
        make_labels(pieces, plan.ledger, desk.edges, witness)
        assert [entry for entry, _ in witness.contradicted] == [(P, 0, 4), (Q, 1, 3)]
        (finding,) = index_findings(witness.contradicted)
        assert (finding.code, finding.path, finding.offsets) == ("txn-index-disagrees", file.path, OffsetRange(0, 5))

    @pytest.mark.parametrize(
        "entry",
        [(Q, 0, 2), (P, 1, 2), (P, 0, 4), (P, 0, 5), (P, 0, 9), (P, 2, 0), (P, 3, 5)],
        ids=["other producer", "begins inside", "ends in data", "is a commit", "over a commit", "backwards", "behind"],
    )
    def test_an_entry_that_batches_contradict_says_nothing(self, entry: Aborted) -> None:
        assert judged(*self.items, aborted=[entry])[0] == {0: "unknown", 3: "committed"}

    def test_an_entry_whose_marker_lies_in_a_batch_of_somebody_else_says_nothing(self) -> None:
        assert judged(data(0, 2), lost(2, 3), B(3, 5), aborted=[(P, 0, 4)])[0] == {0: "unknown", 3: "none"}

    def test_an_abort_that_is_followed_by_an_abort_loads(self) -> None:
        labels, loads = judged(data(0, 2), lost(2, 3), data(3, 5), marker(5, "abort"), aborted=[(P, 0, 2)])
        assert labels == {0: "aborted", 3: "aborted"}
        assert loads == {0: True, 3: True}


class TestCompacted:
    """Gaps mean nothing there, and a whole file may be missing in one."""

    items = data(0, 2), data(9, 11), marker(11, "commit")

    def test_markers_close_over_gaps(self) -> None:
        assert judged(*self.items, snapshots=[])[0] == {0: "committed", 9: "committed"}

    def test_an_entry_whose_marker_is_not_there_raises_a_doubt(self) -> None:
        assert judged(*self.items, snapshots=[], aborted=[(P, 0, 5)])[0] == {0: "unknown", 9: "committed"}

    @pytest.mark.parametrize("since", [{}, {P: -1}, {P: 4}])
    def test_a_snapshot_that_knows_no_such_transaction_raises_a_doubt(self, since: dict[int, int]) -> None:
        assert judged(*self.items, snapshots=[(7, since)])[0] == {0: "unknown", 9: "committed"}

    def test_a_snapshot_that_knows_it_as_open_raises_none(self) -> None:
        assert judged(*self.items, snapshots=[(7, {P: 0})])[0] == {0: "committed", 9: "committed"}

    @pytest.mark.parametrize(
        ("second", "snapshots", "label"),
        [
            (7, [], "unknown"),
            (7, [(7, {P: 0})], "committed"),
            (7, [(7, {P: -1})], "unknown"),
            (2, [], "committed"),
        ],
        ids=["a gap before the file", "open there", "not open there", "no gap before the file"],
    )
    def test_a_file_may_be_missing_before_another(self, second: int, snapshots: list[Snapshot], label: str) -> None:
        desk = Desk()
        survey = desk.copy(seg(0, data(0, 2)), seg(second, data(9, 11), marker(11, "commit")), compacted=True)
        (plan,) = desk.plan(survey).partitions
        pieces = [piece for one in survey.segments for piece in pieces_of(survey, one, True)]
        first, following, _, _ = run_columns(pieces)
        witness = Endings(dict, {}, HERE, given=(first, following), snapshots=lambda: snapshots, bases=(0, second))
        labels = make_labels(pieces, plan.ledger, desk.edges, witness)
        assert [str(TRANSACTION_CODES[code]) for code in labels.code.tolist()] == [label, "committed"]

    def test_a_snapshot_inside_what_is_there_is_not_asked(self) -> None:
        assert judged(*self.items, snapshots=[(2, {}), (10, {})])[0] == {0: "committed", 9: "committed"}
