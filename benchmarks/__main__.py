"""Program: ``python -m benchmarks`` runs every group of cases, prints tables, and writes JSON and the tables of the docs if asked."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import llvmlite
import numba

from benchmarks import page, registry
from benchmarks.timing import Measured, Options, Result

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
SCHEMA = "kafka-salvage.bench/1"


def machine() -> str:
    """Processor, cores, memory, Python and compiler in one line."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return (
        f"{name} ({platform.machine()}), {len(os.sched_getaffinity(0))} cores, {memory / 2**30:.0f} GiB, "
        f"Python {platform.python_version()}, Numba {numba.__version__}, llvmlite {llvmlite.__version__}"
    )


def row(result: Result) -> dict[str, Any]:
    """A result as plain values."""
    return {
        "name": result.name,
        "unit": result.unit,
        "ours": float(result.ours),
        "reference": float(result.reference),
        "beside": result.beside,
        "ratio": float(result.ratio),
        "spread": result.spread,
        "goal": result.goal,
        "turns": [
            list(value.turns) if isinstance(value, Measured) else [] for value in (result.ours, result.reference)
        ],
    }


def measured(group: registry.Group, options: Options, where: str) -> dict[str, Any]:
    """Runs a group, printing each line as it comes; ``failed`` says what went wrong, or is None."""
    begun, rows, failed = time.monotonic(), [], None
    print(f"\n{group.title}\n", *page.HEADS, sep="\n", flush=True)
    try:
        for result in group.run(options):
            rows.append(row(result))
            print(page.line(rows[-1]), flush=True)
    except Exception as error:  # noqa: BLE001 # the other groups are measured all the same; the exit code tells
        traceback.print_exc()
        failed = f"{type(error).__name__}: {error}"
    spent = time.monotonic() - begun
    print(f"\n{group.name}: {spent:.0f} s", file=sys.stderr, flush=True)
    return {
        "name": group.name, "title": group.title, "date": datetime.now(UTC).date().isoformat(), "machine": where,
        "size": options.size, "repeats": options.repeats, "seconds": spent, "results": rows, "failed": failed,
    }  # fmt: skip


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [group.name for group in registry.groups()]
    parser.add_argument("--size", type=int, default=512, metavar="MIB", help="generated data per case")
    parser.add_argument(
        "--repeats", type=int, default=5, help="turns of each side; the first, which warms, comes on top"
    )
    parser.add_argument("--only", action="append", choices=names, help="run this group only (repeatable)")
    parser.add_argument("--folder", type=Path, help="where generated files may lie; otherwise where temporary files do")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON")
    parser.add_argument("--docs", action="store_true", help="put the tables into docs/performance.md")
    parser.add_argument("--read", type=Path, metavar="FILE", help="measure nothing: take the results from this JSON")
    return parser.parse_args()


def _measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    where, made = machine(), []
    print(f"{where}, {datetime.now(UTC).date().isoformat()}")
    with tempfile.TemporaryDirectory(prefix="kafka-salvage-bench-", dir=asked.folder) as folder:
        options = Options(asked.size << 20, asked.repeats, Path(folder))
        for group in registry.groups():
            if asked.only is None or group.name in asked.only:
                own = replace(options, folder=options.folder / group.name)
                own.folder.mkdir()
                made.append(measured(group, own, where))
    return made


def _tell(groups: Sequence[Mapping[str, Any]]) -> None:
    """Says which goals are missed, and which groups failed."""
    for group in groups:
        for each in group["results"]:
            if each["goal"] and each["ratio"] < each["goal"]:
                print(f"below its goal: {each['name']}: {each['ratio']:.2f} of {each['goal']:g}", file=sys.stderr)
        if group["failed"]:
            print(f"failed: {group['name']}: {group['failed']}", file=sys.stderr)


def main() -> int:
    # Whole commands are measured as they are installed: with byte code at hand after their first turn.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    asked = _asked()
    groups = json.loads(asked.read.read_text())["groups"] if asked.read else _measure(asked)
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps({"schema": SCHEMA, "groups": groups}, indent=2, sort_keys=True) + "\n")
    if asked.docs:
        whole = [group for group in groups if group["results"] and not group["failed"]]
        PAGE.write_text(page.updated(PAGE.read_text(), whole))
    _tell(groups)
    return int(any(group["failed"] for group in groups))


if __name__ == "__main__":
    sys.exit(main())
