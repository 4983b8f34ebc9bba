"""The page docs/analyse.md: its programs run, on a rescue of real brokers' segments."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import kafka_salvage
from tests.export.test_fixtures import CLEAN, truth

PAGE = Path(__file__).resolve().parents[1] / "docs" / "analyse.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
BROKER = CLEAN / "cluster" / "broker-1"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("analyse")
    kafka_salvage.salvage(BROKER, out=place / "rescued", formats=["parquet", "arrow"])
    return place


def ran(place: Path, word: str) -> str:
    """What the programs that hold a word print."""
    chosen = [program for program in PROGRAMS if word in program]
    assert chosen
    text = "\n".join(chosen).replace("/rescue/broker-1", str(BROKER))
    environment = {"PYTHONPATH": str(PAGE.parents[1]), "PATH": "", "HOME": str(place), "POLARS_FMT_MAX_ROWS": "50"}
    done = subprocess.run([sys.executable, "-c", text], cwd=place, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_program_is_run_here() -> None:
    assert [len([p for p in PROGRAMS if w in p]) for w in ("duckdb", "polars", "pandas", "kafka_salvage")] == [
        3,
        1,
        1,
        1,
    ]
    assert len(PROGRAMS) == 6


def test_duckdb_shows_what_a_consumer_read(place: Path) -> None:
    rows = re.findall(r"│ +(\S+) +│ +(\d+) +│ +(\d+) +│ +(\d+) +│ +(\d+) +│", ran(place, "min("))
    expected = {
        (topic, partition): (len(records), records[0]["offset"], records[-1]["offset"])
        for (topic, partition), records in truth("cluster").items()
    }
    found = {(topic, int(partition)): tuple(map(int, rest)) for topic, partition, *rest in rows}
    assert found == expected


def test_duckdb_shows_gaps_and_headers(place: Path) -> None:
    assert "profiles" in ran(place, "lag(")  # compacted
    assert re.search(r"│ +\d+ +│ +\S+ +│", ran(place, "unnest"))


def test_polars_counts_what_read_committed_reads(place: Path) -> None:
    rows = re.findall(r"│ (\S+) +┆ (\d+) +┆ (\d+) +┆ (\d+) +│", ran(place, "polars"))
    decided = {
        key: sum(record["txn"] in ("none", "committed") for record in records) if key[0] == "payments" else len(records)
        for key, records in truth("cluster").items()
    }
    assert {(topic, int(partition)): int(records) for topic, partition, records, _ in rows} == decided
    tombstones = {(topic, int(partition)): int(nulls) for topic, partition, _, nulls in rows}
    assert tombstones["orders", 0] == sum(record["value"] is None for record in truth("cluster")["orders", 0])


def test_pandas_and_the_library(place: Path) -> None:
    assert re.search(rf"intact +{len(truth('cluster')['orders', 0])}", ran(place, "pandas"))
    counts = [int(line.split()[0]) for line in ran(place, "kafka_salvage").splitlines()]
    assert sum(counts) == len(truth("cluster")["orders", 0])
