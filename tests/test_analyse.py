"""The page docs/analyse.md: its programs run, on a rescue of real brokers' segments."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import kafka_salvage
from kafka_salvage.vector.store import cache_directory
from tests.export.test_fixtures import CLEAN, truth
from tests.support.demo import assemble

PAGE = Path(__file__).resolve().parents[1] / "docs" / "analyse.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
BROKER = CLEAN / "cluster" / "broker-1"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("analyse")
    kafka_salvage.salvage(BROKER, out=place / "rescued", formats=["parquet", "arrow"])
    return place


def ran(place: Path, word: str, **more: str) -> str:
    """What the programs that hold a word print; ``more`` goes into their environment."""
    chosen = [program for program in PROGRAMS if word in program]
    assert chosen
    text = "\n".join(chosen).replace("/rescue/broker-1", str(BROKER))
    environment = {"PYTHONPATH": str(PAGE.parents[1]), "PATH": "", "HOME": str(place), "POLARS_FMT_MAX_ROWS": "50"}
    cache = cache_directory()
    environment |= {
        "KAFKA_SALVAGE_CACHE": str(cache.parent) if cache else ""
    }  # with a home of its own, each compiles anew
    environment |= more
    done = subprocess.run([sys.executable, "-c", text], cwd=place, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert more or not done.stderr
    return done.stdout


def test_every_program_is_run_here() -> None:
    assert [len([p for p in PROGRAMS if w in p]) for w in ("duckdb", "polars", "pandas", "kafka_salvage", "spark")] == [
        3,
        1,
        1,
        1,
        1,
    ]
    assert len(PROGRAMS) == 7


def shown(text: str) -> dict[tuple[str, int], tuple[int, ...]]:
    """Partition -> records, first and last offset, as DuckDB or Spark draws them."""
    rows = re.findall(r"[│|] *(\S+) *[│|] *(\d+) *[│|] *(\d+) *[│|] *(\d+) *[│|] *(\d+) *[│|]", text)
    return {(topic, int(partition)): tuple(map(int, rest)) for topic, partition, *rest in rows}


def test_the_demonstration_leads_to_a_data_frame(tmp_path: Path) -> None:
    """The commands of the page's head, on what `make demo` makes; the counts are those of the report."""
    (block,) = [
        block
        for block in re.findall(r"^```\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        if "make demo" in block
    ]
    (line,) = [line for line in block.splitlines() if "salvage demo/" in line]
    assemble(tmp_path / "demo" / "broker-1")
    words = line.partition("#")[0].split()
    assert words[0] == ".venv/bin/kafka-salvage"
    done = subprocess.run(
        [sys.executable, "-m", "kafka_salvage", *words[1:]], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 3
    report = json.loads((tmp_path / "rescued" / "report.json").read_text())
    found = shown(ran(tmp_path, 'min("'))
    assert {key: count for key, (count, _, _) in found.items()} == {
        (each["topic"], each["partition"]): each["records"]["data"]
        for each in report["partitions"]
        if each["records"]["data"] and each["state"] == "live"
    }
    for each in report["partitions"]:
        given = [span for span in each["offsets"] if span["status"] in ("recovered", "repaired")]
        if each["state"] == "live":
            _, first, last = found[each["topic"], each["partition"]]
            assert given[0]["start"] <= first
            assert last < given[-1]["stop"]


@pytest.mark.skipif(  # 517 MB for one snippet: tested where somebody has it
    find_spec("pyspark") is None, reason="pyspark is no part of the development environment: see the page"
)
def test_spark_shows_what_a_consumer_read(place: Path) -> None:
    found = shown(ran(place, "pyspark", PATH=os.environ["PATH"], SPARK_LOCAL_IP="127.0.0.1"))
    assert found == consumed()


def consumed() -> dict[tuple[str, int], tuple[int, ...]]:
    return {key: (len(rs), rs[0]["offset"], rs[-1]["offset"]) for key, rs in truth("cluster").items()}


def test_duckdb_shows_what_a_consumer_read(place: Path) -> None:
    assert shown(ran(place, 'min("')) == consumed()


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
