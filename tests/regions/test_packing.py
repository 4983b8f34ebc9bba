"""Packed tables: what goes in comes out, whatever the numbers; small, and read from several threads."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kafka_salvage.regions import packing
from kafka_salvage.regions.packing import FEW, Packed
from kafka_salvage.regions.runs import RUN_COLUMNS, TXN_COLUMNS, RunTable, TransactionTable

DTYPES = [np.int8, np.int16, np.int32, np.int64, np.bool_]


@given(st.sampled_from(DTYPES).flatmap(lambda kind: hnp.arrays(kind, st.integers(0, 40))))
def test_any_numbers_come_back(column: np.ndarray[Any, Any]) -> None:
    packed = Packed([("a", column.copy())])
    made = packed.column("a")
    assert len(packed) == len(column)
    assert made.dtype == column.dtype
    np.testing.assert_array_equal(made, column)
    assert not made.flags.writeable


def test_the_widest_steps_wrap_around_and_back() -> None:
    column = np.array([-(2**63), 2**63 - 1, 0, 2**63 - 1, -(2**63)], np.int64)
    np.testing.assert_array_equal(Packed([("a", column)]).column("a"), column)


def runs(rows: int) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(5)
    start = np.cumsum(rng.integers(60, 90, rows))
    first = np.cumsum(rng.integers(1, 9, rows))
    made = {name: np.zeros(rows, kind) for name, kind in RUN_COLUMNS.items()}
    made |= {"start": start, "stop": start + 59, "first_offset": first, "next_offset": first + 1}
    return made | {"max_timestamp": 1_700_000_000_000 + np.cumsum(rng.integers(0, 100, rows))}


@pytest.mark.parametrize("rows", [FEW - 1, FEW, 100_000])
def test_a_table_of_runs_reads_the_same_packed(rows: int) -> None:
    columns = runs(rows)
    table = RunTable.gathered(iter(columns.items()), rows)
    assert len(table) == rows
    for name, column in columns.items():
        np.testing.assert_array_equal(getattr(table, name), column)
        assert getattr(table, name).dtype == RUN_COLUMNS[name]
    assert table.row(rows - 1) == {name: int(column[-1]) for name, column in columns.items()}
    counted = table.with_batches(np.arange(rows))
    np.testing.assert_array_equal(counted.batches, np.arange(rows))
    np.testing.assert_array_equal(counted.start, columns["start"])
    np.testing.assert_array_equal(table.batches, 0)
    assert f"{rows} runs" in repr(table)


def test_a_table_of_transactions_reads_the_same_packed() -> None:
    rng = np.random.default_rng(6)
    columns = {name: rng.integers(0, 100, 2 * FEW).astype(kind) for name, kind in TXN_COLUMNS.items()}
    table = TransactionTable.gathered(iter(columns.items()), 2 * FEW)
    for name, column in columns.items():
        np.testing.assert_array_equal(getattr(table, name), column)
    some = table.take(slice(3, 5))
    assert some.row(1) == {name: int(column[4]) for name, column in columns.items()}


def test_a_row_takes_few_bytes() -> None:
    assert Packed(iter(runs(100_000).items())).nbytes < 12 * 100_000


def test_what_is_kept_unpacked_is_bounded_and_goes_with_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = packing._Kept()
    monkeypatch.setattr(packing, "_KEPT", kept)
    monkeypatch.setattr(packing, "ROOM", 40 * 8 * FEW)
    tables = [Packed(iter(runs(FEW).items())) for _ in range(9)]

    def read(number: int) -> bool:
        table, name = tables[number % 9], list(RUN_COLUMNS)[number % len(RUN_COLUMNS)]
        return bool((table.column(name) == table.column(name)).all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(2000)))
    assert 0 < kept._bytes <= 40 * 8 * FEW
    assert kept._bytes == sum(column.nbytes for column in kept._columns.values())
    packing.forget()
    assert kept._bytes == len(kept._columns) == 0
    assert read(3)
    tables.clear()
    gc.collect()
    assert kept._bytes == 0
