"""What must come of a partition's copies, whatever its brokers lived through and whatever was damaged afterwards.

``HISTORIES=3000`` in the environment tries so many lives instead of a few.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from kafka_salvage.integrity.document import dumps
from kafka_salvage.integrity.report import IntegrityReport
from kafka_salvage.plan.edges import read_edges
from kafka_salvage.plan.plan import TRANSACTION_CODES, PartitionPlan, Status, Transaction
from kafka_salvage.plan.policy import Policy
from tests.support.build import segment_name
from tests.support.copies import batch_of, given, judged
from tests.support.histories import TOPIC, Batch, Copy, History, segments_of

PAYLOAD = 61
Known = tuple[int, int, bytes]


def known(batch: Batch) -> Known:
    return batch_of(batch.data, batch.base, batch.last)


def harm(home: Path, number: int, copy: Copy, rng: random.Random, share: float) -> set[Known]:
    """Destroys some batches of a copy on the disk, for good; returns those that are left."""
    left: set[Known] = set()
    for base, some in segments_of(copy.batches, 3 + number):
        path = home / f"{TOPIC}-0" / segment_name(base)
        data, at = bytearray(path.read_bytes()), 0
        for batch in some:
            if rng.random() < share and len(batch.data) > PAYLOAD + 4:
                place = at + rng.randrange(PAYLOAD, len(batch.data) - 1)
                data[place] ^= 0x55
                data[place + 1] ^= 0x33
            else:
                left.add(known(batch))
            at += len(batch.data)
        path.write_bytes(bytes(data))
    return left


def line_of(report: IntegrityReport) -> PartitionPlan:
    (plan,) = [p for p in report.plan.partitions if p.topic == TOPIC and p.selected]
    return plan


def truth_of(history: History) -> tuple[set[Known], set[Known]]:
    """Batches of the history that won, and those behind its end that some copy may add to it."""
    winner = history.copies[history.leader]
    line = {known(batch) for batch in winner.batches}
    more: set[Known] = set()
    for copy in history.copies:
        if all(known(b) in line for b in copy.batches if b.base < winner.end):
            more |= {known(b) for b in copy.batches if b.base >= winner.end}
    return line, more


def fates(batches: Iterable[Batch]) -> dict[int, Transaction]:
    """Base offset of each transactional batch of a log -> what its own markers make of it."""
    found: dict[int, Transaction] = {}
    waiting: dict[bytes, list[int]] = {}
    for batch in batches:
        producer = batch.data[43:51]
        if batch.control:
            for base in waiting.pop(producer, []):
                found[base] = Transaction.COMMITTED if _commits(batch) else Transaction.ABORTED
        elif batch.fate is not None:
            waiting.setdefault(producer, []).append(batch.base)
    return {**found, **dict.fromkeys((base for some in waiting.values() for base in some), Transaction.OPEN)}


def _commits(batch: Batch) -> bool:
    # the record behind the header: length, attributes, two small deltas and key length in a byte each, then version and type
    return batch.data[PAYLOAD + 5 : PAYLOAD + 9] == b"\x00\x00\x00\x01"


class Lives(RuleBasedStateMachine):
    """Three brokers; the topic is not compacted."""

    keys = 0
    unclean = True

    def __init__(self) -> None:
        super().__init__()
        self.history = History(3, self.keys)

    @initialize(batches=st.integers(1, 8))
    def begin(self, batches: int) -> None:
        for _ in range(batches):
            self.history.append(3)
        for copy in range(3):
            self.history.follow(copy, 99)

    @rule(count=st.integers(1, 4))
    def append(self, count: int) -> None:
        self.history.append(count)

    @precondition(lambda self: not self.keys)
    @rule(count=st.integers(1, 4), producer=st.integers(1, 2))
    def send(self, count: int, producer: int) -> None:
        self.history.append(count, producer)

    @precondition(lambda self: not self.keys)
    @rule(producer=st.integers(1, 2), commit=st.booleans())
    def end(self, producer: int, commit: bool) -> None:
        self.history.end(producer, commit=commit)

    @rule(copy=st.integers(0, 2), batches=st.sampled_from((1, 2, 99)))
    def follow(self, copy: int, batches: int) -> None:
        self.history.follow(copy, batches)

    @rule(copy=st.integers(0, 2))
    def elect(self, copy: int) -> None:
        leader = self.history.copies[self.history.leader]
        if self.unclean or self.history.copies[copy].batches[-1:] == leader.batches[-1:]:
            self.history.elect(copy)

    @precondition(lambda self: self.keys)
    @rule(copy=st.integers(0, 2), share=st.floats(0.2, 1.0))
    def clean(self, copy: int, share: float) -> None:
        self.history.clean(copy, share)

    @rule(seed=st.integers(0, 1 << 30), share=st.sampled_from((0.0, 0.2, 0.5)))
    def salvage(self, seed: int, share: float) -> None:
        with tempfile.TemporaryDirectory() as place:
            homes = self.history.write(Path(place))
            rng = random.Random(seed)
            left = set()
            for number, (home, copy) in enumerate(zip(homes, self.history.copies, strict=True)):
                left |= harm(home, number, copy, rng, share)
            report = judged(homes, deep=False)
            self.hold(report, left)
            other = judged(list(reversed(homes)), deep=False)
            assert dumps(other.to_dict()) == dumps(report.to_dict())
            self.hold_alone(report, homes)

    def hold(self, report: IntegrityReport, left: set[Known]) -> None:
        plan = line_of(report)
        batches = list(given(plan))
        line, more = truth_of(self.history)
        assert [b[0] for b in batches] == sorted({b[0] for b in batches})
        assert all(a[1] < b[0] for a, b in pairwise(batches))
        main = set(batches)
        assert line & left <= main, "something intact of the history that won is not there"
        assert main <= line | more, "something is there that the history that won does not hold"
        assert not any(s.status is Status.AMBIGUOUS for s in plan.ledger)
        given_offsets = {o for b in batches for o in range(b[0], b[1] + 1)}
        named = {
            o
            for s in plan.ledger
            if s.status in (Status.RECOVERED, Status.REPAIRED)
            for o in range(s.offsets.start, s.offsets.stop)
        }
        assert named == given_offsets
        covered = {o for s in plan.ledger for o in range(s.offsets.start, s.offsets.stop)}
        assert {o for b in line for o in range(b[0], b[1] + 1)} <= covered
        self._hold_fates(plan, main)

    def _hold_fates(self, plan: PartitionPlan, main: set[Known]) -> None:
        winner = self.history.copies[self.history.leader]
        tail = {b.base: b for c in self.history.copies for b in c.batches if b.base >= winner.end and known(b) in main}
        true = fates([*winner.batches, *(tail[base] for base in sorted(tail))])
        for step in plan.line:
            table = read_edges(step.survey, step.start, step.stop)
            codes = plan.labels.lookup(table)
            for base, code, control in zip(
                table.base_offset.tolist(), codes.tolist(), table.is_control.tolist(), strict=True
            ):
                label = TRANSACTION_CODES[code]
                if not control and base in true and label in (Transaction.COMMITTED, Transaction.ABORTED):
                    assert label is true[base], (base, label, true[base])

    def hold_alone(self, report: IntegrityReport, homes: list[Path]) -> None:
        """Whatever one copy gives is given by all together, in the line or apart from it."""
        plan = line_of(report)
        together = set(given(plan)) | set(given(plan, branches=True))
        for home in homes:
            assert set(given(line_of(judged([home], deep=False)))) <= together


class Cleaned(Lives):
    """A compacted topic: replicas hold other forms of the same batches. No unclean elections: those are told above."""

    keys = 4
    unclean = False

    def hold(self, report: IntegrityReport, left: set[Known]) -> None:
        plan = line_of(report)
        offsets = {
            record.offset
            for copy in self.history.copies
            for b in copy.batches
            if known(b) in left
            for record in b.records
        }
        found: set[int] = set()
        forms = {known(b): b for copy in self.history.copies for b in copy.batches}
        for batch in given(plan):
            found |= {record.offset for record in forms[batch].records}
        assert found == offsets
        assert not any(s.status is Status.AMBIGUOUS for s in plan.ledger)
        assert not any(branch.kind == "divergent" for branch in plan.branches)

    def hold_alone(self, report: IntegrityReport, homes: list[Path]) -> None:
        """Batches of one copy may be given in the fuller form of another."""


PROFILE = settings(max_examples=int(os.environ.get("HISTORIES", "40")), stateful_step_count=18, deadline=None)

TestLives = Lives.TestCase
TestLives.settings = PROFILE
TestCleaned = Cleaned.TestCase
TestCleaned.settings = PROFILE


@pytest.mark.parametrize("name", ["b0", "b1"])
def test_prefer_takes_the_side_that_it_names(tmp_path: Path, name: str) -> None:
    history = History(2)
    for _ in range(5):
        history.append(3)
    history.follow(1, 99)
    for _ in range(4):
        history.append(2)
    history.elect(1)
    for _ in range(3):
        history.append(5)
    homes = [f"b{n}={home}" for n, home in enumerate(history.write(tmp_path))]
    plan = line_of(judged([Path(h) for h in homes], Policy(prefer=name), deep=False))
    mine = history.copies[int(name[1])]
    assert set(given(plan)) == {known(b) for b in mine.batches}
    other = history.copies[1 - int(name[1])]
    assert set(given(plan, branches=True)) == {known(b) for b in other.batches} - {known(b) for b in mine.batches}
