"""Arrow tables against the records they were made of."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from kafka_salvage.errors import MissingExtraError
from kafka_salvage.export.arrow_columns import to_arrow
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.origin import Origin
from kafka_salvage.scan.records import RecordTable
from kafka_salvage.vector.gather import gather

Row = tuple[int, int, bytes | None, bytes | None, list[tuple[bytes, bytes | None]]]

BATCH = {
    "position": 512, "size": 100, "offset": 7, "base_offset": 7, "last_offset": 9, "leader_epoch": 4, "magic": 2,
    "attributes": 0, "crc": 0, "base_timestamp": 0, "max_timestamp": 0, "producer_id": 11, "producer_epoch": 3,
    "base_sequence": 0, "record_count": 3,
}  # fmt: skip

ROWS: list[Row] = [
    (1_700_000_000_123, 0, b"k", b"", [("é".encode(), b"x"), (b"n", None), ("é".encode(), b"")]),
    (-(1 << 62), 1, b"", None, []),
    (-1, -1, None, b"\xff\x00v", [(b"\xc3", b"odd"), (b"ok", b"1")]),
]


def table(rows: list[Row]) -> RecordTable:
    data = bytearray(b"..")  # so that 0 is no valid start by chance

    def put(value: bytes | None) -> tuple[int, int]:
        if value is None:
            return 0, -1
        data.extend(value)
        return len(data) - len(value), len(value)

    keys = [put(row[2]) for row in rows]
    values = [put(row[3]) for row in rows]
    headers = [(put(k), put(v)) for row in rows for k, v in row[4]]
    first = np.concatenate([[0], np.cumsum([len(row[4]) for row in rows])]).astype(np.int64)

    def column(pairs: list[tuple[int, int]], which: int, kind: type) -> Any:
        return np.array([pair[which] for pair in pairs], kind)

    return RecordTable(
        batches=BatchTable.from_rows([BATCH]), data=np.frombuffer(bytes(data), np.uint8),
        batch=np.zeros(len(rows), np.int32), offset=np.arange(7, 7 + len(rows)),
        timestamp=np.array([row[0] for row in rows], np.int64), timestamp_type=np.array([row[1] for row in rows], np.int8),
        sequence=np.arange(len(rows), dtype=np.int32),
        key_start=column(keys, 0, np.int64), key_size=column(keys, 1, np.int32),
        value_start=column(values, 0, np.int64), value_size=column(values, 1, np.int32), header_first=first,
        header_key_start=column([h[0] for h in headers], 0, np.int64),
        header_key_size=column([h[0] for h in headers], 1, np.int32),
        header_value_start=column([h[1] for h in headers], 0, np.int64),
        header_value_size=column([h[1] for h in headers], 1, np.int32),
        origin=Origin("orders", 3, "b1", "orders-3/0.log", "intact", np.array([1], np.int8), ("none", "committed")),
    )  # fmt: skip


def test_null_and_empty_stay_apart() -> None:
    made = to_arrow(table(ROWS))
    made.validate(full=True)
    assert made["key"].to_pylist() == [b"k", b"", None]
    assert made["value"].to_pylist() == [b"", None, b"\xff\x00v"]


def test_headers_keep_order_duplicates_and_nulls_and_odd_keys_stand_aside() -> None:
    made = to_arrow(table(ROWS))
    assert made["headers"].to_pylist() == [
        [{"key": "é", "value": b"x"}, {"key": "n", "value": None}, {"key": "é", "value": b""}],
        [],
        [{"key": None, "value": b"odd"}, {"key": "ok", "value": b"1"}],
    ]
    assert made["_salvage_header_keys"].to_pylist() == [None, None, [b"\xc3", b"ok"]]


def test_a_key_that_ends_inside_a_character_is_not_mended_by_its_neighbour() -> None:
    split: list[Row] = [(0, 0, None, None, [(b"\xc3", b""), (b"\xa9", b"")])]
    made = to_arrow(table(split))
    assert made["headers"].to_pylist() == [[{"key": None, "value": b""}, {"key": None, "value": b""}]]


def test_timestamps_outside_the_calendar_are_null_and_still_exact() -> None:
    made = to_arrow(table(ROWS))
    assert [v is None for v in made["timestamp"].to_pylist()] == [False, True, True]
    assert made["timestamp"].cast(pa.int64()).to_pylist()[0] == 1_700_000_000_123
    assert made["_salvage_timestamp_ms"].to_pylist() == [row[0] for row in ROWS]
    assert made["timestampType"].to_pylist() == [0, 1, -1]


def test_columns_have_sparks_names_and_types_first() -> None:
    schema = to_arrow(table(ROWS)).schema
    struct = pa.struct([("key", pa.string()), ("value", pa.binary())])
    assert list(zip(schema.names, schema.types, strict=True))[:8] == [
        ("key", pa.binary()), ("value", pa.binary()), ("topic", pa.string()), ("partition", pa.int32()),
        ("offset", pa.int64()), ("timestamp", pa.timestamp("ms", tz="UTC")), ("timestampType", pa.int32()),
        ("headers", pa.list_(struct)),
    ]  # fmt: skip


def test_the_origin_is_told() -> None:
    row = to_arrow(table(ROWS)).slice(1, 1).to_pylist()[0]
    assert (row["topic"], row["partition"], row["_salvage_source"], row["_salvage_file"]) == (
        "orders", 3, "b1", "orders-3/0.log",
    )  # fmt: skip
    assert (row["_salvage_transaction"], row["_salvage_verdict"], row["_salvage_position"]) == (
        "committed",
        "intact",
        512,
    )
    assert (row["_salvage_producer_id"], row["_salvage_producer_epoch"], row["_salvage_sequence"]) == (11, 3, 1)


def test_without_an_origin_names_are_null() -> None:
    made = to_arrow(replace(table(ROWS), origin=None))
    assert made["topic"].null_count == made["partition"].null_count == made["_salvage_transaction"].null_count == 3


def test_an_empty_table_has_the_same_columns() -> None:
    assert to_arrow(table([])).schema == to_arrow(table(ROWS)).schema


def test_gather_refuses_slices_outside() -> None:
    with pytest.raises(ValueError, match="outside"):
        gather(np.zeros(4, np.uint8), np.array([2]), np.array([3]))


def test_without_pyarrow_the_install_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError) as caught:
        to_arrow(table(ROWS))
    assert "parquet" in caught.value.install


def test_a_large_value_that_is_alone_is_not_copied() -> None:
    made = table([(0, 0, b"k", b"v" * (2 << 20), [])])
    column = to_arrow(made)["value"].chunk(0)
    assert column.to_pylist() == [b"v" * (2 << 20)]
    first = made.data.__array_interface__["data"][0]
    assert first <= column.buffers()[2].address < first + len(made.data)


def test_pandas_is_not_imported() -> None:
    """It would take half a second and 50 MiB, wherever it is installed, for nothing."""
    program = """
import subprocess
import sys
from tests.export.test_arrow_columns import ROWS, table
from kafka_salvage.export.arrow_columns import arrow_table
for packed in (False, True):
    for rows in (ROWS, ROWS * 2, []):
        arrow_table(table(rows), packed=packed)
import kafka_salvage.export.arrow, kafka_salvage.export.parquet
sys.exit("pandas" in sys.modules)
"""
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0
