"""A plan that is made of columns says what one says that goes from piece to piece."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_salvage.errors import SourceError
from kafka_salvage.integrity.document import dumps
from kafka_salvage.integrity.report import make_report
from kafka_salvage.plan import ledger
from kafka_salvage.plan.plan import Plan
from kafka_salvage.plan.policy import Include, Policy
from kafka_salvage.regions import compact
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.wire.filenames import Suffix
from tests.support.sketch import B, Desk, S, X

ODD = tuple(set(Verdict) - {Verdict.INTACT, Verdict.REPAIRED})
CODES = ("crc-mismatch", "garbage", "torn-tail", "codec-missing")


@dataclass(frozen=True)
class Log:
    """One copy, as the desk draws it."""

    segments: tuple[S, ...]
    log_start: int | None
    end: int


@st.composite
def items(draw: st.DrawFn, at: int) -> tuple[list[B | X], int]:
    """Batches, some of them lost, and bytes that are none; gives the offset behind them."""
    made: list[B | X] = []
    epoch = 0
    for _ in range(draw(st.integers(0, 14))):
        kind = draw(st.sampled_from("bbbbrlllugnx"))
        size = draw(st.integers(1, 4))
        epoch += draw(st.sampled_from((0, 0, 0, 0, 1)))
        if kind in "br":
            records = draw(st.sampled_from((size, size, size - 1)))
            made.append(B(at, at + size, records, epoch, repaired=kind == "r"))
            at += size
        elif kind in "lu":  # lost, and named or not
            made.append(X(Verdict.DAMAGED, (at, at + size) if kind == "l" else None, draw(st.sampled_from(CODES))))
            at += size
        elif kind == "g":  # bytes that took none
            made.append(X(draw(st.sampled_from((Verdict.DAMAGED, Verdict.BLANK, Verdict.DUPLICATE))), None, "garbage"))
        elif kind == "n":  # offsets that nothing names
            at += size
        else:
            low = max(0, at + draw(st.integers(-3, 3)))
            where = draw(st.sampled_from((None, (low, low + size))))
            made.append(X(draw(st.sampled_from(ODD)), where, draw(st.sampled_from(CODES)), records=size))
            at += draw(st.sampled_from((0, size)))
    return made, at


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """A few segments, one of them perhaps left over."""
    at, segments = 0, []
    for number in range(draw(st.integers(1, 3))):
        base = at
        made, at = draw(items(at))
        suffix = draw(st.sampled_from((Suffix.NONE, Suffix.NONE, Suffix.NONE, Suffix.DELETED, Suffix.SWAP)))
        segments.append(S(base, tuple(made), suffix if number else Suffix.NONE))
        at += draw(st.sampled_from((0, 0, 0, 3)))
    if draw(st.booleans()):  # what was removed, and the line overlaps
        made, _ = draw(items(draw(st.integers(0, at))))
        segments.append(S(at + 100, tuple(made), Suffix.DELETED))
    log_start = draw(st.sampled_from((None, None, 0, at // 3, at)))
    return Log(tuple(segments), log_start, at)


@contextmanager
def packing(few: int, many: int) -> Iterator[None]:
    """Values packed from so many on, and ledgers made at once from so many pieces on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compact, "FEW", few)
        patch.setattr(compact, "BLOCK", 4 if few == 1 else 1 << 40)
        patch.setattr(compact, "_room", compact._Room(0))
        patch.setattr(ledger, "_MANY", many)
        yield


MODES = {
    "one by one": (1 << 40, 1 << 40),
    "columns of values": (1 << 40, 1),
    "packed": (1, 1),
    "packed, few": (1, 1 << 40),
}


def planned(mode: str, drawn: list[Log], compacted: bool, policy: Policy) -> tuple[Plan, list[Any]]:
    """A plan, and all that it says as plain values."""
    with packing(*MODES[mode]):
        desk = Desk()
        copies = [
            desk.copy(
                *log.segments,
                source=f"b{number}",
                compacted=compacted,
                log_start=log.log_start,
                ends={"high watermark": log.end + 2} if log.end % 3 == 0 else None,
            )
            for number, log in enumerate(drawn)
        ]
        plan = desk.plan(*copies, policy=policy)
        report = make_report(plan, "shallow", edges=desk.edges)
        said: list[Any] = [report.conditions]
        with suppress(SourceError):  # where a batch with holes is cut its records are counted, and there are none
            said.append(dumps(report.document))
        for partition in plan.partitions:
            steps = [
                (s.survey.segment.file, s.start, s.stop, s.offsets, s.verdict, s.state, s.reason)
                for s in partition.line
            ]
            said += [list(partition.ledger), steps, len(partition.steps), partition.epochs, partition.available]
            said += [partition.findings, partition.log_start, partition.leans_on_leftovers]
            said += [[(b.kind, len(b.steps)) for b in partition.branches]]
    return plan, said


POLICIES = (
    Policy(),
    Policy(include=frozenset({Include.SUSPECT})),
    Policy(include=frozenset({Include.TRIMMED, Include.DELETED_SEGMENTS})),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(logs(), min_size=1, max_size=1), st.booleans(), st.sampled_from(POLICIES))
def test_one_copy(drawn: list[Log], compacted: bool, policy: Policy) -> None:
    _, wanted = planned("one by one", drawn, compacted, policy)
    for mode in ("columns of values", "packed", "packed, few"):
        assert planned(mode, drawn, compacted, policy)[1] == wanted, mode


@settings(max_examples=40, deadline=None)
@given(st.lists(logs(), min_size=2, max_size=3), st.booleans(), st.sampled_from(POLICIES))
def test_several_copies(drawn: list[Log], compacted: bool, policy: Policy) -> None:
    _, wanted = planned("one by one", drawn, compacted, policy)
    for mode in ("columns of values", "packed"):
        assert planned(mode, drawn, compacted, policy)[1] == wanted, mode


def test_the_columns_are_used() -> None:
    """Else the others would hold of anything."""
    log = Log(
        (S(0, (B(0, 3), X(Verdict.DAMAGED, (3, 5)), B(5, 7, repaired=True), X(Verdict.DAMAGED, (7, 9)), B(9, 12))),),
        None,
        13,
    )
    plan, _ = planned("packed", [log], False, Policy())
    (partition,) = plan.partitions
    assert isinstance(partition.ledger, compact.Compact)
    assert isinstance(partition.line, compact.Compact)
    spans = [(s.offsets.start, s.offsets.stop, str(s.status), len(s.findings)) for s in partition.ledger]
    assert spans == [
        (0, 3, "recovered", 0),
        (3, 5, "lost", 1),
        (5, 7, "repaired", 1),
        (7, 9, "lost", 1),
        (9, 12, "recovered", 0),
    ]
