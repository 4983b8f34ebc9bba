"""Program: ``python -m benchmarks`` runs every case, prints a table, and writes JSON and the page of the docs if asked."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import platform
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import llvmlite
import numba

from benchmarks.timing import Options, Result

MODULES = ("check", "decode", "codecs", "dump", "export")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
_HEAD = """# Performance

Measured by `make bench`: every case runs beside a reference in the same process, turn by turn; the best of {repeats} turns
counts. Both sides vary from run to run by a fifth: trust the ratios. Data is generated, {size} MiB, in the page cache.

{machine}, {date}.

"""


def machine() -> str:
    """Processor, Python and compiler in one line."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return (
        f"{name} ({platform.machine()}), Python {platform.python_version()}, "
        f"Numba {numba.__version__}, llvmlite {llvmlite.__version__}"
    )


def cases(options: Options, chosen: list[str]) -> Iterator[Result]:
    """Results of the modules that are there."""
    for name in MODULES:
        if name in chosen and importlib.util.find_spec(f"benchmarks.{name}") is not None:
            yield from importlib.import_module(f"benchmarks.{name}").run(options)


def line(result: Result) -> str:
    goal = f"{result.goal:g}×" if result.goal else ""
    return (
        f"| {result.name} | {result.ours:.3g} {result.unit} | {result.reference:.3g} {result.unit} "
        f"| {result.beside} | **{result.ratio:.2f}×** | {goal} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--size", type=int, default=512, metavar="MIB", help="generated data per case")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", action="append", choices=MODULES, help="run these modules only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON")
    parser.add_argument("--docs", action="store_true", help="write docs/performance.md")
    asked = parser.parse_args()
    date = datetime.now(UTC).date().isoformat()
    heads = ["| case | ours | reference | the reference is | ratio | goal |", "|---|---|---|---|---|---|"]
    print(*heads, sep="\n")
    results = []
    with tempfile.TemporaryDirectory(prefix="kafka-salvage-bench-") as folder:
        for result in cases(Options(asked.size << 20, asked.repeats, Path(folder)), asked.only or list(MODULES)):
            results.append(result)
            print(line(result), flush=True)
    if asked.json:
        rows = [
            {
                "name": r.name, "unit": r.unit, "ours": r.ours, "reference": r.reference,
                "beside": r.beside, "ratio": r.ratio, "goal": r.goal,
            }
            for r in results
        ]  # fmt: skip
        document = {"schema": "kafka-salvage.bench/1", "machine": machine(), "date": date, "results": rows}
        asked.json.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    if asked.docs:
        head = _HEAD.format(repeats=asked.repeats, size=asked.size, machine=machine(), date=date)
        notes = [getattr(importlib.import_module(f"benchmarks.{name}"), "NOTES", "") for name in MODULES]
        PAGE.write_text(head + "\n".join([*heads, *map(line, results)]) + "\n" + "".join(notes))
    missed = [r.name for r in results if r.goal and r.ratio < r.goal]
    for name in missed:
        print(f"below its goal: {name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
