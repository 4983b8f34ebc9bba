"""Record tables: rows taken, counted from the end, and none at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kafka_salvage.scan.records import RecordTable
from tests.scan.test_records import one, whole
from tests.support.build import Build


@pytest.mark.parametrize("which", [slice(3, 9), slice(None, None, -2), [5, 5, 0], np.arange(10) % 3 == 0, slice(0, 0)])
def test_taking_rows(which: Any) -> None:
    table = one(Build().v2(10, headers=True).done()[0]).table
    taken = table.take(which)
    rows = np.arange(10)[which].tolist()
    assert taken.to_pylist() == [table.row(i) for i in rows]
    assert int(taken.header_first[0]) == 0
    assert int(taken.header_first[-1]) == len(taken.header_key_size) == sum(len(table.row(i)["headers"]) for i in rows)
    assert len(taken) == len(rows)


def test_rows_count_from_the_end_and_refuse_more() -> None:
    table = one(Build().v2(3).done()[0]).table
    assert table.row(-1) == table.row(2)
    assert table.row(2)["headers"] == []
    with pytest.raises(IndexError):
        table.row(3)
    assert repr(table) == "RecordTable(3 records, offsets 0..2)"
    assert repr(RecordTable.empty()) == "RecordTable(0 records)"
    assert whole(b"") == []


def test_producer_sequences() -> None:
    data, _ = Build().v2(3, producer_id=9, producer_epoch=0, base_sequence=2147483646).v2(2).done()
    assert one(data).table.sequence.tolist() == [2147483646, 2147483647, 0, -1, -1]
