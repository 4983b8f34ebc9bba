"""Cutter of `fixtures/clean`: partition directories of the large corpus, with their truth, made small.

Run `python -m tests.support.cut` to make the directory again; the result is byte-identical. What it changes is told in
`fixtures/README.md`: zero tails of preallocated indexes are dropped, checkpoint and truth files keep only the lines of
the partitions taken, a partition taken in part gets the epoch file that retention would have left. Segments are copied
as they are.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.support.corpus import ROOT, scene

CLEAN = ROOT / "fixtures" / "clean"
SUMS = ROOT / "fixtures" / "SHA256SUMS"

Partition = tuple[str, int]

TAKEN: dict[tuple[str, str, str], dict[Partition, tuple[int, int] | None]] = {
    ("modern-1", "cluster", "broker-1"): {
        ("orders", 0): (250, 1490),
        ("audit.events_v1", 0): (281, 801),
        ("payments", 1): None,
        ("profiles", 0): None,
        ("trimmed", 0): None,
    },
    ("old-1", "v0", "broker-0"): {
        ("v0-none", 0): None,
        ("v0-gzip", 1): None,
        ("v0-snappy", 0): None,
        ("v0-lz4", 0): None,
    },
    ("old-1", "v09", "broker-0"): {("v09-compact-gzip", 0): None},
    ("old-1", "v1", "broker-0"): {
        ("v1-none", 0): None,
        ("v1-gzip", 0): None,
        ("v1-lz4", 0): None,
        ("v1-lat-lz4", 0): None,
        ("v1-compact-gzip", 0): None,
    },
    ("old-1", "mixed", "broker-0"): {("mixed-none", 0): None, ("mixed-gzip", 0): None},
}
"""(archive, scene, broker) -> partition -> offsets kept, at segment edges (None: all)."""

CHECKPOINTS = (
    "recovery-point-offset-checkpoint",
    "replication-offset-checkpoint",
    "log-start-offset-checkpoint",
    "cleaner-offset-checkpoint",
)
INDEXES = (".index", ".timeindex")
LEFT_OUT = ("orders.burst.jsonl.gz", "orders.unacked.jsonl.gz", "profiles.history.jsonl.gz", "trimmed.before.jsonl.gz")
"""Truth files that say nothing of what a consumer reads from the segments taken, or that are too large."""


def _base(name: str) -> int | None:
    head = name.split(".")[0]
    return int(head) if head.isdigit() else None


def copy_partition(source: Path, target: Path, offsets: tuple[int, int] | None) -> None:
    target.mkdir(parents=True)
    for file in sorted(source.iterdir()):
        base = _base(file.name)
        if offsets and base is not None and not offsets[0] <= base < offsets[1]:
            continue
        data = file.read_bytes()
        if file.suffix in INDEXES:
            step = 8 if file.suffix == ".index" else 12
            used = len(data.rstrip(b"\0"))
            data = data[: -(-used // step) * step]
        if offsets and file.name == "leader-epoch-checkpoint":
            data = _raise_epochs(data.decode(), offsets[0]).encode()
        (target / file.name).write_bytes(data)


def _raise_epochs(text: str, log_start: int) -> str:
    # What a broker writes when the segments before `log_start` leave by retention.
    version, _, *lines = text.splitlines()
    rows = [(int(epoch), int(start)) for epoch, start in map(str.split, lines)]
    last_below = max((i for i, (_, start) in enumerate(rows) if start <= log_start), default=0)
    rows = [(epoch, max(start, log_start)) for epoch, start in rows[last_below:]]
    return "\n".join([version, str(len(rows)), *(f"{epoch} {start}" for epoch, start in rows)]) + "\n"


def cut_checkpoint(text: str, kept: Mapping[Partition, tuple[int, int] | None]) -> str:
    if not text:
        return text
    version, _, *lines = text.splitlines()
    rows = []
    for line in lines:
        topic, partition, offset = line.rsplit(" ", 2)
        key = (topic, int(partition))
        if key not in kept:
            continue
        cut = kept[key]
        if cut is None or int(offset) <= cut[1]:
            rows.append(line)
    return "\n".join([version, str(len(rows)), *rows]) + "\n"


def _truth_lines(path: Path, kept: Mapping[Partition, tuple[int, int] | None]) -> Iterator[tuple[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            record: dict[str, Any] = json.loads(line)
            key = (record["topic"], record["partition"])
            if key not in kept:
                continue
            cut = kept[key]
            if cut is None or cut[0] <= record["offset"] < cut[1]:
                yield record["topic"], line


def _write_gzip(path: Path, lines: Iterable[str]) -> None:
    path.write_bytes(gzip.compress("".join(lines).encode(), 9, mtime=0))


def _copy_truth(source: Path, target: Path, kept: Mapping[Partition, tuple[int, int] | None]) -> None:
    target.mkdir(parents=True)
    for path in sorted(source.glob("*.jsonl.gz")):
        if path.name in LEFT_OUT:
            continue
        lines = [line for _, line in _truth_lines(path, kept)]
        if lines:
            _write_gzip(target / path.name, lines)
    transactions = source / "transactions.json"
    if transactions.is_file():
        shutil.copyfile(transactions, target / transactions.name)


def cut() -> None:
    """Makes `fixtures/clean` and `fixtures/SHA256SUMS` anew."""
    shutil.rmtree(CLEAN, ignore_errors=True)
    for (archive, name, broker), kept in TAKEN.items():
        origin = scene(archive, name)
        for (topic, partition), offsets in kept.items():
            directory = f"{topic}-{partition}"
            copy_partition(origin / broker / directory, CLEAN / name / broker / directory, offsets)
        for checkpoint in CHECKPOINTS:
            path = origin / broker / checkpoint
            if path.is_file():
                (CLEAN / name / broker / checkpoint).write_text(cut_checkpoint(path.read_text(), kept))
        properties = origin / broker / "meta.properties"
        if properties.is_file():
            shutil.copyfile(properties, CLEAN / name / broker / properties.name)
        _copy_truth(origin / "truth", CLEAN / name / "truth", kept)
    write_sums()


def sums() -> dict[str, str]:
    """SHA-256 of every fixture that is no text of ours, by path below `fixtures/`."""
    base = CLEAN.parent
    files = sorted(p for p in CLEAN.rglob("*") if p.is_file())
    return {p.relative_to(base).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def write_sums() -> None:
    """Writes `fixtures/SHA256SUMS`."""
    SUMS.write_text("".join(f"{digest}  {name}\n" for name, digest in sums().items()))


if __name__ == "__main__":
    cut()
