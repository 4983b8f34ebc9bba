"""What copies, file names and checkpoints are worth as witnesses against each other."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from kafka_salvage.plan.plan import Status
from kafka_salvage.regions.index_reach import index_reach
from kafka_salvage.regions.runs import ReplicaSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.walk import walk
from kafka_salvage.source.memory import MemorySource
from tests.plan.copies import apart, codes, plan_of, shape
from tests.properties.test_histories import line_of
from tests.support.build import segment_name
from tests.support.copies import given, judged
from tests.support.histories import TOPIC, History, segments_of
from tests.support.sketch import B, Desk, X, seg

DAMAGED = Verdict.DAMAGED
TERMS = (B(0, 10), B(10, 20), B(20, 30, epoch=1), B(30, 40, epoch=1))


class TestCheckpoints:
    def test_one_that_its_own_batches_contradict_makes_no_fork(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, *TERMS), source="b1", epochs=((0, 0), (1, 20)))
        for wrong in (((0, 0), (1, 17)), ((0, 0), (1, 25)), ((0, 0), (1, 20), (2, 33))):
            two = desk.copy(seg(0, *TERMS), source="b2", epochs=wrong)
            plan = plan_of(desk, one, two)
            assert shape(plan) == [(0, 40, "recovered")]
            assert apart(plan) == []
            assert codes(plan) == ["checkpoint-corrupt"]

    def test_a_wrong_line_takes_the_others_along(self) -> None:
        """Without its last line, the one before would say that its epoch never ended."""
        desk = Desk()
        three = (*TERMS[:2], B(20, 30, epoch=1), B(30, 40, epoch=2), B(40, 50, epoch=2))
        one = desk.copy(seg(0, *three), source="b1")
        two = desk.copy(seg(0, *three), source="b2", epochs=((0, 0), (1, 19), (2, 29)))
        plan = plan_of(desk, one, two)
        assert shape(plan) == [(0, 50, "recovered")]
        assert apart(plan) == []

    def test_one_that_is_older_than_the_batches_says_nothing_of_later_terms(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, *TERMS[:3]), source="b1", epochs=((0, 0),), ends={"index-entry": 40})
        two = desk.copy(seg(0, *TERMS), source="b2", epochs=((0, 0), (1, 20)))
        plan = plan_of(desk, one, two)
        assert shape(plan) == [(0, 40, "recovered")]
        assert apart(plan) == []

    def test_one_that_the_batches_of_another_copy_contradict(self) -> None:
        desk = Desk()
        one = desk.copy(seg(0, *TERMS), source="b1", epochs=((0, 0), (1, 20)))
        two = desk.copy(seg(0, B(0, 10), X(DAMAGED, (10, 30)), TERMS[3]), source="b2", epochs=((0, 0), (1, 13)))
        plan = plan_of(desk, one, two)
        assert shape(plan) == [(0, 40, "recovered")]
        assert "replica-diverges" not in codes(plan)

    def test_where_two_of_three_agree_and_no_batch_decides(self) -> None:
        desk = Desk()
        hole = (B(0, 10), X(DAMAGED, (10, 30)), TERMS[3])
        copies = [
            desk.copy(seg(0, *hole), source=f"b{n}", epochs=((0, 0), (1, start)))
            for n, start in enumerate((20, 20, 13))
        ]
        plan = plan_of(desk, *copies)
        assert shape(plan) == [(0, 10, "recovered"), (10, 30, "lost"), (30, 40, "recovered")]
        assert apart(plan) == []


class TestCompactedFiles:
    """Between files of a compacted log a whole file may have stood."""

    def damaged(self, desk: Desk) -> ReplicaSurvey:
        return desk.copy(
            seg(0, B(0, 10)), seg(20, X(DAMAGED, (20, 30))), seg(30, B(30, 40)), source="b1", compacted=True
        )

    def test_a_copy_without_the_file_does_not_say_that_nothing_was_in_it(self) -> None:
        desk = Desk()
        two = desk.copy(seg(0, B(0, 10)), seg(30, B(30, 40)), source="b2", compacted=True)
        plan = plan_of(desk, self.damaged(desk), two)
        assert (20, 30, "lost") in shape(plan)

    def test_one_whose_batches_touch_there_does(self) -> None:
        desk = Desk()
        two = desk.copy(seg(0, B(0, 10), B(30, 40)), source="b2", compacted=True)
        plan = plan_of(desk, self.damaged(desk), two)
        assert {status for _, _, status in shape(plan)} <= {"recovered", "absent"}


def compacted(tmp_path: Path) -> Path:
    history = History(1, keys=9)
    for _ in range(30):
        history.append(2)
    history.clean(0, 0.5)
    (home,) = history.write(tmp_path)
    first = min(home.glob(f"{TOPIC}-0/*.log"))
    first.rename(first.with_name(segment_name(0)))  # the cleaner keeps the name of the first source
    return home


def middle(home: Path) -> Path:
    return sorted(home.glob(f"{TOPIC}-0/*.log"))[1]


def test_an_index_without_its_log_proves_a_missing_file(tmp_path: Path) -> None:
    home = compacted(tmp_path)
    gone = middle(home)
    following = int(sorted(home.glob(f"{TOPIC}-0/*.log"))[2].stem)
    gone.unlink()
    assert judged([home]).exit_code == 0
    gone.with_suffix(".timeindex").write_bytes(b"")
    report = judged([home])
    spans = [(s.offsets.start, s.offsets.stop) for s in line_of(report).ledger if s.status is Status.MISSING]
    assert spans[0][0] <= int(gone.stem)
    assert spans[-1][1] == following
    assert report.exit_code == 3
    assert "segment-missing" in {f["code"] for f in report.to_dict()["findings"]}


@pytest.mark.parametrize(
    "entries",
    [
        [(1_900_000_000, 700)],
        [(1_000_000, 1_900_000_000)],
        [(7, 300), (900_000_000, 5_000)],
    ],
)
def test_garbage_in_an_index_adds_no_offsets(tmp_path: Path, entries: list[tuple[int, int]]) -> None:
    history = History(1)
    for _ in range(9):
        history.append(3)
    (home,) = history.write(tmp_path, checkpoints=False)
    base, some = segments_of(history.copies[0].batches, 3)[-1]
    path = home / f"{TOPIC}-0" / segment_name(base)
    path.write_bytes(b"".join(b.data for b in some)[:-5])
    path.with_suffix(".index").write_bytes(b"".join(struct.pack(">ii", *entry) for entry in entries))
    line = line_of(judged([home]))
    assert line.ledger[-1].offsets.stop <= history.copies[0].end
    assert {b[0] for b in given(line)} == {b.base for b in history.copies[0].batches[:-1]}


class TestIndexReach:
    def table(self, batches: int) -> BatchTable:
        history = History(1)
        for _ in range(batches):
            history.append(10)
        data = b"".join(b.data for b in history.copies[0].batches)
        return BatchTable.concat(block.batches for block in walk(MemorySource(data, "x"), 0))

    def reach(self, *entries: tuple[int, int]) -> int | None:
        table = self.table(20)
        offsets, positions = np.array(entries, np.int64).T if entries else (np.empty(0, np.int64),) * 2
        found = index_reach(positions, offsets, table, 0)
        return None if found is None else found[0]

    def test_entries_that_go_on_from_the_batches_are_believed(self) -> None:
        end = int(self.table(20).stop[-1])
        assert self.reach((209, end), (260, end + 3_000)) == 260

    def test_one_that_leaps_is_not_and_neither_is_what_follows(self) -> None:
        end = int(self.table(20).stop[-1])
        assert self.reach((209, end), (2_000_000, end + 3_000), (2_000_010, end + 4_000)) == 209
        assert self.reach((2_000_000, end)) is None

    def test_nothing_inside_the_batches_says_more_than_they_do(self) -> None:
        assert self.reach((1_000_000, 0)) == 199
        assert self.reach() is None
