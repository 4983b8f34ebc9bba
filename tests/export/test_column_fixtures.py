"""Parquet and Arrow of real brokers' segments, read with DuckDB, Polars and pandas: what a consumer of the broker read."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import kafka_salvage
from tests.export.test_fixtures import CLEAN, SCENES, damaged, truth

TYPES = {"CreateTime": 0, "LogAppendTime": 1, "NoTimestampType": -1}
Key = tuple[str, int]


@pytest.fixture(scope="module", params=SCENES)
def rescue(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    scene: str = request.param
    out = tmp_path_factory.mktemp("rescue") / scene
    brokers = [path for path in (CLEAN / scene).iterdir() if path.name.startswith("broker")]
    kafka_salvage.salvage(brokers, out=out, formats=["parquet", "arrow"])
    return scene, out


def blob(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def expected(scene: str) -> dict[Key, list[dict[str, Any]]]:
    """Truth in the words of the columns; magic 0 has no time."""
    return {
        key: [
            {
                "offset": r["offset"],
                "time": -1 if r["timestampType"] == "NoTimestampType" else r["timestamp"],
                "type": TYPES[r["timestampType"]],
                "key": blob(r["key"]),
                "value": blob(r["value"]),
                "headers": [(name, blob(value)) for name, value in r["headers"]],
            }
            for r in records
        ]
        for key, records in truth(scene).items()
    }


def in_truths_words(rows: list[dict[str, Any]]) -> dict[Key, list[dict[str, Any]]]:
    """Rows of any reader by partition, null as None."""
    found: dict[Key, list[dict[str, Any]]] = {}
    for row in rows:
        headers = [(h["key"], h["value"]) for h in row["headers"]]
        found.setdefault((row["topic"], row["partition"]), []).append(
            {
                "offset": row["offset"],
                "time": row["_salvage_timestamp_ms"],
                "type": row["timestampType"],
                "key": None if row["key"] is pd.NA else row["key"],
                "value": None if row["value"] is pd.NA else row["value"],
                "headers": headers,
            }
        )
    return found


def test_duckdb_reads_what_a_consumer_read(rescue: tuple[str, Path]) -> None:
    scene, out = rescue
    query = 'select * exclude (timestamp) from read_parquet(?) order by topic, partition, "offset"'
    cursor = duckdb.execute(query, [str(out / "parquet" / "*" / "*" / "*.parquet")])
    names = [column[0] for column in cursor.description]
    assert in_truths_words([dict(zip(names, row, strict=True)) for row in cursor.fetchall()]) == expected(scene)


def test_polars_reads_what_a_consumer_read(rescue: tuple[str, Path]) -> None:
    scene, out = rescue
    assert in_truths_words(pl.read_parquet(out / "parquet/*/*/*.parquet").to_dicts()) == expected(scene)
    frames = [pl.read_ipc(path) for path in sorted((out / "arrow").glob("*/*.arrow"))]
    assert in_truths_words(pl.concat(frames).to_dicts()) == expected(scene)


def test_pandas_reads_what_a_consumer_read(rescue: tuple[str, Path]) -> None:
    scene, out = rescue
    files = sorted((out / "parquet").glob("*/*/*.parquet"))
    frame = pd.concat([pd.read_parquet(path, dtype_backend="pyarrow") for path in files])
    assert in_truths_words(frame.to_dict("records")) == expected(scene)


def test_arrow_files_need_no_copy(rescue: tuple[str, Path]) -> None:
    scene, out = rescue
    rows: list[dict[str, Any]] = []
    for path in sorted((out / "arrow").glob("*/*.arrow")):
        with pa.memory_map(str(path)) as source:
            before = pa.total_allocated_bytes()
            table = pa.ipc.open_file(source).read_all()
            assert pa.total_allocated_bytes() - before < path.stat().st_size // 10
            rows += table.to_pylist()
    assert in_truths_words(rows) == expected(scene)


def test_of_damaged_copies_count_and_offsets_equal_the_report(tmp_path: Path) -> None:
    out = tmp_path / "out"
    kafka_salvage.salvage(damaged(tmp_path), out=out, formats=["parquet", "arrow"])
    report = json.loads((out / "report.json").read_bytes())
    for partition in report["partitions"]:
        spans = [span for span in partition["offsets"] if span["status"] in ("recovered", "repaired")]
        pattern = str(out / "parquet" / partition["topic"] / str(partition["partition"]) / "*.parquet")
        query = 'select count(*), min("offset"), max("offset") + 1 from read_parquet(?)'
        assert duckdb.execute(query, [pattern]).fetchone() == (
            partition["records"]["data"], min(s["start"] for s in spans), max(s["stop"] for s in spans),
        )  # fmt: skip
        query = 'select "offset" from read_parquet(?) order by "offset"'
        offsets = [row[0] for row in duckdb.execute(query, [pattern]).fetchall()]
        assert all(any(span["start"] <= offset < span["stop"] for span in spans) for offset in offsets)
        (ipc,) = (out / "arrow" / partition["topic"]).glob(f"{partition['partition']}.arrow")
        assert pl.read_ipc(ipc)["offset"].to_list() == offsets
