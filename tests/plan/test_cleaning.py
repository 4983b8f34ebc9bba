"""A broker that died while it exchanged segments for a compacted one, at each moment, and with damage on top."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from kafka_salvage.plan.plan import PartitionPlan, Status
from tests.properties.test_histories import known, line_of
from tests.support.build import segment_name
from tests.support.cleaning import Moment, cleaning
from tests.support.copies import given, judged

CLEANING = cleaning()
NAMES = [moment.name for moment in CLEANING.moments]
FORMS = {known(batch): batch for batch in (*CLEANING.old, *CLEANING.new)}
STAY = {record.offset for batch in CLEANING.new for record in batch.records}
ALL = {record.offset for batch in CLEANING.old for record in batch.records}


def offsets(plan: PartitionPlan) -> set[int]:
    """Offsets of the records that a salvage would write, after a look at their order."""
    batches = list(given(plan))
    assert all(a[1] < b[0] for a, b in pairwise(batches))
    assert all(batch in FORMS for batch in batches), "a batch that never was"
    return {record.offset for batch in batches for record in FORMS[batch].records}


def of(name: str) -> Moment:
    return next(moment for moment in CLEANING.moments if moment.name == name)


def states(plan: PartitionPlan) -> set[str]:
    return {step.survey.segment.file.path.rpartition(".")[2] for step in plan.line}


def test_every_step_of_an_exchange_is_tried() -> None:
    assert len(NAMES) == 1 + 4 + 1 + 3 + 9 + 3 + 9
    assert STAY < ALL


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_compaction_left_is_lost_whenever_the_broker_died(tmp_path: Path, name: str) -> None:
    report = judged([of(name).lay(tmp_path / "b")])
    plan = line_of(report)
    found = offsets(plan)
    assert STAY <= found <= ALL
    assert report.exit_code in (0, 6)
    whole = {n for n in of(name).files if n.endswith(".log")}
    if len(whole) == 6:  # all that is to be replaced is still there
        assert found == ALL
        assert states(plan) == {"log"}
        assert report.exit_code == 0
    if name.endswith("is gone"):
        assert found == STAY
        assert report.exit_code == 0


@pytest.mark.parametrize("name", [f"{segment_name(0).removesuffix('.log')}.timeindex is .swap", "written"])
def test_a_damaged_original_is_filled_from_what_was_to_replace_it(tmp_path: Path, name: str) -> None:
    moment = of(name)
    hurt = CLEANING.old[2]
    at = sum(len(batch.data) for batch in CLEANING.old[:2])
    data = bytearray(moment.files[segment_name(0)])
    data[at + 70] ^= 0x55
    files = {**moment.files, segment_name(0): bytes(data)}
    report = judged([Moment(name, files).lay(tmp_path / "b")])
    plan = line_of(report)
    own = {record.offset for record in hurt.records}
    assert offsets(plan) == (ALL - own) | (own & STAY)
    lost = {o for s in plan.ledger if s.status is Status.LOST for o in range(s.offsets.start, s.offsets.stop)}
    assert not lost & STAY
    assert (report.exit_code == 3) == bool(lost)


@pytest.mark.parametrize("place", range(3))
def test_a_damaged_swap_is_filled_from_what_it_replaced(tmp_path: Path, place: int) -> None:
    moment = of(f"{[n for n in NAMES if n.endswith('is .deleted')][-1]}")
    swap = f"{segment_name(0)}.swap"
    hurt = CLEANING.new[place]
    at = sum(len(batch.data) for batch in CLEANING.new[:place])
    data = bytearray(moment.files[swap])
    data[at + len(hurt.data) - 1] ^= 0x55
    report = judged([Moment("", {**moment.files, swap: bytes(data)}).lay(tmp_path / "b")])
    found = offsets(line_of(report))
    assert found >= STAY
    assert {record.offset for record in hurt.records} <= found
    assert report.exit_code == 6


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_that_died_and_one_that_is_done_are_one_line(tmp_path: Path, name: str) -> None:
    one = of(name).lay(tmp_path / "b1")
    two = CLEANING.moments[-1].lay(tmp_path / "b2")
    report = judged([one, two])
    plan = line_of(report)
    assert STAY <= offsets(plan) <= ALL
    assert report.exit_code in (0, 6)
    assert not any(branch.kind == "divergent" for branch in plan.branches)
