"""Copies: plans of hand-made surveys of several copies, and how tests look at them."""

from __future__ import annotations

from itertools import permutations

from kafka_salvage.plan.plan import PartitionPlan
from kafka_salvage.plan.policy import Policy
from kafka_salvage.regions.runs import ReplicaSurvey
from kafka_salvage.regions.verdict import Verdict
from tests.support.sketch import B, Desk, X, seg

ID, OLD = "aaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbb"
DAMAGED, SUSPECT = Verdict.DAMAGED, Verdict.SUSPECT


def shape(partition: PartitionPlan) -> list[tuple[int, int, str]]:
    return [(s.offsets.start, s.offsets.stop, str(s.status)) for s in partition.ledger]


def steps(partition: PartitionPlan) -> list[tuple[int, int, str]]:
    """Offsets and source of each step."""
    return [(s.offsets.start, s.offsets.stop, s.survey.segment.file.source) for s in partition.steps]


def apart(partition: PartitionPlan) -> list[tuple[str, int, int]]:
    """Source and offsets of what is kept apart."""
    return [
        (branch.source, step.offsets.start, step.offsets.stop)
        for branch in partition.branches
        if branch.kind == "divergent"
        for step in branch.steps
    ]


def codes(partition: PartitionPlan) -> list[str]:
    return [finding.code for finding in partition.findings]


def plan_of(desk: Desk, *copies: ReplicaSurvey, prefer: str | None = None) -> PartitionPlan:
    """The plan of one partition, the same for every order of its copies."""
    plans = [desk.plan(*order, policy=Policy(prefer=prefer)).partitions for order in permutations(copies)]
    (first,) = plans[0]
    for (other,) in plans[1:]:
        assert (shape(other), steps(other), apart(other), other.findings) == (
            shape(first),
            steps(first),
            apart(first),
            first.findings,
        )
    return first


def common(desk: Desk, source: str, *more: B | X, epochs: tuple[tuple[int, int], ...] | None = None) -> ReplicaSurvey:
    """Offsets 0 to 20 in epoch 0, and what comes behind."""
    return desk.copy(seg(0, B(0, 10, crc=1), B(10, 20, crc=2), *more), source=source, epochs=epochs)


def edges_of(span: object) -> tuple[int, int]:
    offsets = span.offsets  # type: ignore[attr-defined]
    return offsets.start, offsets.stop
