"""Witnesses of transactions over generated logs: true, stale, damaged and foreign; none makes an aborted record committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_salvage.plan.endings import Aborted, Endings
from kafka_salvage.plan.facts import Decision
from kafka_salvage.plan.strands import run_columns
from kafka_salvage.plan.timeline import pieces_of
from kafka_salvage.plan.transactions import make_labels
from kafka_salvage.regions.verdict import Verdict
from tests.plan.test_endings import HERE, Outcome, P, Q, data, marker, shown
from tests.support.sketch import B, Desk, X, seg


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
