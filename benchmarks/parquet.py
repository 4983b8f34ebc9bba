"""Parquet and Arrow: records of compressed batches to files, beside inflating the same batches and pyarrow writing the same columns.

The reference inflates the payloads with the codec's own package and has pyarrow write tables that lie ready in memory, with the
settings of ours. Ours reads the segments, checks each CRC again, inflates, decodes, makes the columns with the provenance of each
record, writes them and sums the evidence and the output, and syncs. The whole command starts a process and checks deep before that.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.codecs import inflater, variants
from benchmarks.timing import Options, Result, in_turns
from kafka_salvage import api
from kafka_salvage.export import parquet
from kafka_salvage.export.options import ExportOptions
from kafka_salvage.export.salvage_plan import write_rescue
from kafka_salvage.integrity.report import make_report
from kafka_salvage.plan.plan import Plan
from tests.support.build import LZ4, ZSTD

_HEADER = 61
_PER_BATCH = 135
_SEGMENT = 64 << 20
_LEAST = 1 / 1.5
_BESIDE = "{} inflating + pyarrow writing"


def lay(folder: Path, codec: int, size: int) -> tuple[Path, list[bytes], int]:
    """A log dir with one partition of about ``size`` inflated bytes; the payloads in their order; all records."""
    batches = variants(codec, _PER_BATCH)
    count = max(len(batches), size // (_PER_BATCH * 120))
    tree = folder / "tree"
    place = tree / "orders-0"
    place.mkdir(parents=True)
    payloads, parts, held, base = [], [], 0, 0
    for number in range(count):
        one = batches[number % len(batches)]
        parts.append((number * _PER_BATCH).to_bytes(8, "big") + one[8:])
        payloads.append(one[_HEADER:])
        held += len(one)
        if held >= _SEGMENT or number + 1 == count:
            (place / f"{base:020d}.log").write_bytes(b"".join(parts))
            parts, held, base = [], 0, (number + 1) * _PER_BATCH
    return tree, payloads, count * _PER_BATCH


def _ready(tree: Path, out: Path) -> list[pa.Table]:
    """The columns that ours writes, a table per row group."""
    api.salvage(tree, out=out, formats=["parquet"])
    tables = []
    for path in sorted(out.glob("parquet/*/*/*.parquet")):
        file = pq.ParquetFile(path)
        tables += [file.read_row_group(number) for number in range(file.num_row_groups)]
    return tables


def _theirs(payloads: list[bytes], tables: list[pa.Table], codec: int, target: Path) -> None:
    inflate = inflater(codec)
    for payload in payloads:
        inflate(payload)
    with pq.ParquetWriter(
        target, tables[0].schema, compression="zstd", compression_level=parquet.LEVEL, use_dictionary=parquet.DICTIONARIES,
        write_statistics=parquet.STATISTICS, write_page_checksum=True,
    ) as writer:  # fmt: skip
        for table in tables:
            writer.write_table(table, row_group_size=len(table))


def _plan(tree: Path) -> Plan:
    plan = api.check(tree, deep=True).plan
    assert plan.partitions
    return plan


def _command(tree: Path, out: Path, format_: str) -> None:
    words = [sys.executable, "-m", "kafka_salvage", "salvage", str(tree), "--out", str(out), "-q", "--format", format_]
    subprocess.run(words, check=True, capture_output=True)


def _case(name: str, codec: int, options: Options) -> Iterator[Result]:
    tree, payloads, records = lay(options.folder, codec, options.size // 2)
    out, package = options.folder / "out", {ZSTD: "zstandard", LZ4: "lz4.frame"}[codec]
    tables = _ready(tree, out)
    plan = _plan(tree)

    def ours(format_: str) -> Callable[[], Any]:
        return lambda: write_rescue(plan, make_report(plan, "deep"), out, ExportOptions(formats=(format_,)))

    sides: list[Callable[[], Any]] = [
        ours("parquet"),
        lambda: _theirs(payloads, tables, codec, options.folder / "reference.parquet"),
        lambda: _command(tree, out, "parquet"),
        ours("arrow"),
    ]
    mine, theirs, whole, arrow = in_turns(sides, options.repeats, before=lambda: shutil.rmtree(out, ignore_errors=True))
    rate, beside = records / 1e6, _BESIDE.format(package)
    yield Result(f"Parquet, {name}", "M records/s", rate / mine, rate / theirs, beside, _LEAST)
    yield Result(f"Arrow, {name}", "M records/s", rate / arrow, rate / theirs, f"{beside} Parquet")
    yield Result(f"whole salvage --format parquet, {name}", "M records/s", rate / whole, rate / theirs, beside)
    for place in (tree, out):
        shutil.rmtree(place)
    (options.folder / "reference.parquet").unlink()


def run(options: Options) -> Iterator[Result]:
    """The cases of this module, half of the size asked for each."""
    for name, codec in (("zstd", ZSTD), ("lz4", LZ4)):
        yield from _case(f"{name}, {_PER_BATCH} records of 120 B per batch", codec, options)
