"""The demonstration: a damaged log directory, assembled from the clean fixtures by a recipe, checked and salvaged.

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


def run(*arguments: str) -> int:
    """Runs the command as a person would; its output goes where ours goes."""
    print(f"\n$ kafka-salvage {' '.join(arguments)}", flush=True)  # noqa: T201
    return subprocess.run([sys.executable, "-m", "kafka_salvage", *arguments], check=False).returncode


def main() -> int:
    """Assembles, checks, salvages, and shows where everything is; 0 when all went as it should."""
    base = Path("demo")
    shutil.rmtree(ROOT / base, ignore_errors=True)
    assemble(ROOT / base / "broker-1")
    checked = run("check", f"{base}/broker-1")
    salvaged = run(
        "salvage",
        f"{base}/broker-1",
        "--out",
        f"{base}/rescued",
        "--format",
        "segments",
        "--format",
        "jsonl",
        "--force",
    )
    rescued = ROOT / base / "rescued"
    lines = ["", f"check ended with {checked}, salvage with {salvaged} ({LOSS} = some offsets are lost for good)."]
    if salvaged == LOSS:
        partitions = json.loads((rescued / "report.json").read_text())["partitions"]
        lines.append(f"Records rescued: {sum(each['records']['data'] for each in partitions):,}.")
        lines += [f"  {path.relative_to(ROOT)}" for path in sorted(rescued.rglob("jsonl/*/*.jsonl"))]
        first = rescued / "jsonl" / "mixed-gzip" / "0.jsonl"
        lines += ["", f"$ head -n 3 {first.relative_to(ROOT)} | cut -c 1-160"]
        with first.open() as stream:
            lines += [line[:160].rstrip("\n") for line in itertools.islice(stream, 3)]
    print("\n".join(lines))  # noqa: T201
    return 0 if checked == salvaged == LOSS else 1


if __name__ == "__main__":
    sys.exit(main())
