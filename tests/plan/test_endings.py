"""Witnesses of transactions besides markers: what they decide, and what they never do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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

    def test_a_snapshot_inside_what_is_there_is_not_asked(self) -> None:
        assert judged(*self.items, snapshots=[(2, {}), (10, {})])[0] == {0: "committed", 9: "committed"}


@dataclass
class Producer:
    """One producer, as a broker sees it.

    Attributes:
        version: of its transactions; it may go from 1 to 2 when none is open.
        states: what its coordinator wrote: (epoch, what, transaction).
    """

    number: int
    version: int
    epoch: int = 0
    pending: list[int] = field(default_factory=list)
    transaction: int = -1
    states: list[tuple[int, str, int]] = field(default_factory=lambda: [(0, "empty", -1)])


@dataclass
class Log:
    """A log as Kafka would write it.

    Attributes:
        fates: base offset of each data batch -> what became of it.
        index: entries of its `.txnindex`.
    """

    batches: list[B] = field(default_factory=list)
    fates: dict[int, str] = field(default_factory=dict)
    index: list[Aborted] = field(default_factory=list)
    producers: list[Producer] = field(default_factory=list)
    transactions: int = 0

    @property
    def end(self) -> int:
        return self.batches[-1].stop if self.batches else 0

    def write(self, one: Producer, size: int) -> None:
        if not one.pending:
            one.transaction = self.transactions
            self.transactions += 1
            one.states.append((one.epoch, "ongoing", one.transaction))
        one.pending.append(self.end)
        self.fates[self.end] = "open"
        self.batches.append(data(self.end, self.end + size, one.epoch, one.number))

    def finish(self, one: Producer, kind: str) -> None:
        """The producer ends its transaction, or (fenced) the broker does."""
        raised = one.version == 2 or kind == "fence"
        epoch = one.epoch + raised
        outcome = "commit" if kind == "commit" else "abort"
        if outcome == "abort":
            self.index.append((one.number, one.pending[0], self.end))
        for base in one.pending:
            self.fates[base] = "committed" if outcome == "commit" else "aborted"
        self.batches.append(marker(self.end, outcome, epoch, one.number))
        one.states += [(epoch, outcome, one.transaction), (epoch, outcome, one.transaction)]
        one.epoch, one.pending = epoch, []
        if kind == "fence":
            self.restart(one)

    def restart(self, one: Producer) -> None:
        one.epoch += 1
        one.states.append((one.epoch, "empty", -1))


@st.composite
def logs(draw: st.DrawFn) -> Log:
    log = Log(producers=[Producer(P, draw(st.integers(1, 2))), Producer(Q, draw(st.integers(1, 2)))])
    for _ in range(draw(st.integers(1, 18))):
        one = draw(st.sampled_from(log.producers))
        if one.pending:
            action = draw(st.sampled_from(["write", "commit", "commit", "abort", "abort", "fence"]))
        else:
            action = draw(st.sampled_from(["write", "write", "write", "restart", "upgrade"]))
        match action:
            case "write":
                log.write(one, draw(st.integers(1, 2)))
            case "restart":
                log.restart(one)
            case "upgrade":
                one.version = 2
            case _:
                log.finish(one, action)
    return log


def told(one: Producer, low: int, high: int, cluster: str = "C") -> list[Decision]:
    """What a copy of the coordinator's log says of which only the records ``[low, high)`` are there."""
    seen = one.states[low:high]
    made: dict[int, Decision] = {}
    for epoch, what, number in seen:
        if what == "empty":
            continue
        outcome: Outcome = "open" if what == "ongoing" else "commit" if what == "commit" else "abort"
        before = made.get(number)
        first = before.epochs[0] if before else epoch
        made[number] = Decision("t", one.number, (first, epoch), outcome, frozenset({HERE}), 0, 0, False, cluster)
    epochs = [epoch for epoch, _, _ in seen]
    fresh = {epoch for at, (epoch, what, _) in enumerate(seen) if what == "empty" or (at and epochs[at - 1] != epoch)}
    whole = {epoch for epoch in fresh if epochs and epoch < epochs[-1]}
    return [
        Decision(
            d.transactional_id, d.producer_id, d.epochs, d.outcome, d.partitions, 0, 0, d.epochs[0] in whole, cluster
        )
        for d in made.values()
    ]


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Log, list[B | X], list[Aborted], dict[int, tuple[Decision, ...]]]:
    """A log, what damage left of it, and witnesses that tell the truth as far as they reach."""
    log = draw(logs())
    gone = draw(st.sets(st.integers(0, max(len(log.batches) - 1, 0)), max_size=5))
    kinds = [X(Verdict.DAMAGED), X(Verdict.UNDECODABLE), None]
    items: list[B | X] = []
    for place, batch in enumerate(log.batches):
        made = draw(st.sampled_from(kinds)) if place in gone else None
        if place not in gone:
            items.append(batch)
        elif made is not None:
            items.append(X(made.verdict, (batch.first, batch.stop) if draw(st.booleans()) else None))
    index = [entry for entry in log.index if draw(st.booleans())]
    decisions = {}
    for one in log.producers:
        low = draw(st.integers(0, len(one.states)))
        high = draw(st.integers(low, len(one.states)))
        decisions[one.number] = tuple(told(one, low, high))
    return log, items, index, decisions


def labels_of(
    log: Log, items: list[B | X], index: Sequence[Aborted], decisions: dict[int, tuple[Decision, ...]]
) -> tuple[dict[int, str], dict[int, bool]]:
    desk = Desk()
    survey = desk.copy(seg(0, *items), ends={"high watermark": log.end})
    (plan,) = desk.plan(survey).partitions
    pieces = pieces_of(survey, survey.segments[0], False)
    first, following, _, _ = run_columns(pieces)
    witness = Endings(lambda: dict.fromkeys(index), decisions, HERE, "C", given=(first, following))
    return shown(make_labels(pieces, plan.ledger, desk.edges, witness), desk, survey.segments[0])


@given(scenes())
@settings(max_examples=200)
def test_true_witnesses_never_lead_astray(
    scene: tuple[Log, list[B | X], list[Aborted], dict[int, tuple[Decision, ...]]],
) -> None:
    log, items, index, decisions = scene
    labels, loads = labels_of(log, items, index, decisions)
    for base, label in labels.items():
        if label in ("committed", "aborted"):
            assert label == log.fates[base], base
        assert loads[base] == (label in ("committed", "aborted") and loaded(items, base) == label)


def loaded(items: list[B | X], base: int) -> str:
    """What a broker makes of a batch that stands in these items: the producer's next marker ends it."""
    batches = [item for item in items if isinstance(item, B)]
    (mine,) = [b for b in batches if b.first == base]
    ends = [b.marker for b in batches if b.producer == mine.producer and b.marker and b.first > base]
    return {"commit": "committed", "abort": "aborted"}[ends[0]] if ends else "open"


@given(scenes(), st.data())
@settings(max_examples=200)
def test_whatever_witnesses_say_no_aborted_record_is_called_committed(
    scene: tuple[Log, list[B | X], list[Aborted], dict[int, tuple[Decision, ...]]], choose: st.DataObject
) -> None:
    """Entries of a damaged or foreign `.txnindex`, and coordinators of other clusters."""
    log, items, index, decisions = scene
    offsets = st.integers(0, log.end + 1)
    wrong = choose.draw(st.lists(st.tuples(st.sampled_from([P, Q, 3000]), offsets, offsets), max_size=4))
    if choose.draw(st.booleans()):
        epochs = st.integers(0, 6)
        foreign = st.builds(
            lambda first, rise, outcome: Decision(
                "x", P, (first, first + rise), outcome, frozenset({HERE}), 0, 0, True, "another cluster"
            ),
            epochs,
            st.integers(0, 1),
            st.sampled_from(["commit", "abort"]),
        )
        decisions = {P: tuple(choose.draw(st.lists(foreign, max_size=4))), Q: ()}
    labels, _ = labels_of(log, items, [*index, *wrong], decisions)
    assert not [base for base, label in labels.items() if label == "committed" and log.fates[base] != "committed"]


@given(logs())
def test_on_an_intact_log_markers_say_all_and_an_index_changes_nothing(log: Log) -> None:
    items: list[B | X] = list(log.batches)
    with_index = labels_of(log, items, log.index, {})
    assert with_index[0] == log.fates
    assert labels_of(log, items, [], {}) == with_index
