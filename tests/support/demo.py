"""The demonstration: a damaged log directory, and three damaged copies of one cluster, assembled from the fixtures by recipes.

`python -m tests.support.demo` (`make demo`) writes only below `demo/` of the checkout.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.build import BatchInfo
from tests.support.corpus import ROOT
from tests.support.cut import CLEAN
from tests.support.damage import damage
from tests.support.surveys import headers

RECIPE = ROOT / "fixtures" / "demo.txt"
COPIES = ROOT / "fixtures" / "demo-copies.txt"
LOSS = 3


@dataclass
class Partition:
    """One partition directory of the recipe.

    Attributes:
        origin: directory below `fixtures/clean`.
        name: what it is called here.
        edits: file -> edits as text.
        renames: file -> new name; "" removes it.
    """

    origin: str
    name: str
    edits: dict[str, str] = field(default_factory=dict)
    renames: dict[str, str] = field(default_factory=dict)


def _statements(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words:
            yield words


def read_recipe(text: str) -> tuple[list[str], list[Partition]]:
    """The side files and the partitions of a recipe."""
    sides: list[str] = []
    partitions: list[Partition] = []
    file = ""
    for words in _statements(text):
        match words:
            case ["side", path]:
                sides.append(path)
            case ["partition", origin, *rest]:
                partitions.append(Partition(origin, rest[1] if rest else origin.rsplit("/", 1)[1]))
            case ["damage", file]:
                partitions[-1].edits[file] = ""
            case ["rename", old, new]:
                partitions[-1].renames[old] = new
            case ["remove", old]:
                partitions[-1].renames[old] = ""
            case _:
                partitions[-1].edits[file] += " ".join(words) + "\n"
    return sides, partitions


def infos_of(data: bytes) -> list[BatchInfo]:
    """The batches of an undamaged segment."""
    rows, _ = headers(data)
    return [
        BatchInfo(
            r["start"], r["stop"], r["magic"], r["first"], r["last"], r["attributes"] & 7, r["epoch"], (), False, -1
        )
        for r in rows
    ]


def assemble(target: Path, recipe: str | None = None) -> None:
    """Writes the damaged log directory.

    Args:
        target: directory to make; must not exist.
        recipe: text; `fixtures/demo.txt` without.
    """
    sides, partitions = read_recipe(RECIPE.read_text() if recipe is None else recipe)
    target.mkdir(parents=True)
    for side in sides:
        shutil.copyfile(CLEAN / side, target / Path(side).name)
    for partition in partitions:
        directory = target / partition.name
        shutil.copytree(CLEAN / partition.origin, directory)
        for name, edits in partition.edits.items():
            path = directory / name
            data = path.read_bytes()
            path.write_bytes(damage(data, infos_of(data), edits).data)
        for old, new in partition.renames.items():
            if new:
                (directory / old).rename(directory / new)
            else:
                (directory / old).unlink()


def assemble_copies(target: Path) -> list[Path]:
    """Writes the damaged log directories of several brokers; returns them in order.

    Args:
        target: directory to make them in.
    """
    homes = []
    for section in COPIES.read_text().split("\nbroker ")[1:]:
        name, _, recipe = section.partition("\n")
        assemble(target / name, recipe)
        homes.append(target / name)
    return homes


def run(*arguments: str) -> int:
    """Runs the command as a person would; its output goes where ours goes."""
    print(f"\n$ kafka-salvage {' '.join(arguments)}", flush=True)  # noqa: T201
    return subprocess.run([sys.executable, "-m", "kafka_salvage", *arguments], check=False).returncode


def one_broker(base: Path) -> list[int]:
    """Checks and salvages one damaged log directory, and shows what came out; the exit codes."""
    assemble(ROOT / base / "broker-1")
    checked = run("check", f"{base}/broker-1")
    formats = ("--format", "segments", "--format", "jsonl", "--force")
    salvaged = run("salvage", f"{base}/broker-1", "--out", f"{base}/rescued", *formats)
    rescued = ROOT / base / "rescued"
    lines = ["", f"check ended with {checked}, salvage with {salvaged} ({LOSS} = some offsets are lost for good)."]
    if salvaged == LOSS:
        lines += where_records_are(rescued)
        first = rescued / "jsonl" / "mixed-gzip" / "0.jsonl"
        lines += ["", f"$ head -n 3 {first.relative_to(ROOT)} | cut -c 1-160"]
        with first.open() as stream:
            lines += [line[:160].rstrip("\n") for line in itertools.islice(stream, 3)]
    print("\n".join(lines))  # noqa: T201
    return [checked, salvaged]


def three_copies(base: Path) -> int:
    """Salvages three damaged copies of the same partitions together, and shows which gave what; the exit code."""
    homes = assemble_copies(ROOT / base / "three")
    print("\nThree copies of two partitions: one cut short by a restart, one with bad sectors, one behind.")  # noqa: T201
    paths = [str(home.relative_to(ROOT)) for home in homes]
    code = run("salvage", *paths, "--out", f"{base}/merged", "--format", "segments", "--format", "jsonl", "--force")
    merged = ROOT / base / "merged"
    lines = [""]
    if code == LOSS:
        for partition in json.loads((merged / "report.json").read_text())["partitions"]:
            lines.append(f"{partition['topic']}-{partition['partition']}, offset by offset:")
            for span in partition["offsets"]:
                where = f"from {span['source']}" if "source" in span else "on no copy"
                lines.append(f"  {span['start']:>5,} to {span['stop'] - 1:>5,}  {span['status']:<9}  {where}")
        lines += where_records_are(merged)
    print("\n".join(lines))  # noqa: T201
    return code


def where_records_are(out: Path) -> list[str]:
    """How many records a salvage wrote, and the files that hold them."""
    partitions = json.loads((out / "report.json").read_text())["partitions"]
    lines = [f"Records rescued: {sum(each['records']['data'] for each in partitions):,}."]
    return lines + [f"  {path.relative_to(ROOT)}" for path in sorted(out.rglob("jsonl/*/*.jsonl"))]


def main() -> int:
    """Assembles, checks, salvages, and shows where everything is; 0 when all went as it should."""
    base = Path("demo")
    shutil.rmtree(ROOT / base, ignore_errors=True)
    codes = [*one_broker(base), three_copies(base)]
    return 0 if set(codes) == {LOSS} else 1


if __name__ == "__main__":
    sys.exit(main())
