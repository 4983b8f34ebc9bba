"""Cutter of `fixtures/copies`: what two more brokers of a cluster hold of partitions in `fixtures/clean/cluster`.

Run `python -m tests.support.cut_copies` to make the directory again; the result is byte-identical. Files are cut as those of
the first broker are.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from tests.support.corpus import ROOT, scene
from tests.support.cut import CHECKPOINTS, CLEAN, TAKEN, copy_partition, cut_checkpoint

COPIES = ROOT / "fixtures" / "copies"
SUMS = COPIES / "SHA256SUMS"
BROKERS = ("broker-2", "broker-3")
PARTITIONS = (("orders", 0), ("payments", 1), ("profiles", 0))
FIRST = CLEAN / "cluster" / "broker-1"


def cut() -> None:
    """Makes `fixtures/copies` anew."""
    shutil.rmtree(COPIES, ignore_errors=True)
    taken = TAKEN["modern-1", "cluster", "broker-1"]
    kept = {key: taken[key] for key in PARTITIONS}
    for broker in BROKERS:
        origin, target = scene("modern-1", "cluster") / broker, COPIES / "cluster" / broker
        for (topic, partition), offsets in kept.items():
            copy_partition(origin / f"{topic}-{partition}", target / f"{topic}-{partition}", offsets)
        for name in CHECKPOINTS:
            if (origin / name).is_file():
                (target / name).write_text(cut_checkpoint((origin / name).read_text(), kept))
        shutil.copyfile(origin / "meta.properties", target / "meta.properties")
    SUMS.write_text("".join(f"{digest}  {name}\n" for name, digest in sums().items()))


def sums() -> dict[str, str]:
    """SHA-256 of every file, by path below the directory."""
    files = sorted(p for p in COPIES.rglob("*") if p.is_file() and p != SUMS)
    return {p.relative_to(COPIES).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def lay(target: Path) -> list[Path]:
    """The directories of all three brokers, each with the same partitions, to be damaged."""
    homes = []
    for origin in (FIRST, *(COPIES / "cluster" / broker for broker in BROKERS)):
        home = target / origin.name
        home.mkdir(parents=True)
        for topic, partition in PARTITIONS:
            shutil.copytree(origin / f"{topic}-{partition}", home / f"{topic}-{partition}")
        for path in origin.iterdir():
            if path.is_file():
                shutil.copyfile(path, home / path.name)
        homes.append(home)
    return homes


if __name__ == "__main__":
    cut()
