"""EpochCheckpoint: `leader-epoch-checkpoint`, which epoch began at which offset.

Source: `LeaderEpochCheckpointFile.java`, `LeaderEpochFileCache.java`.
"""

from __future__ import annotations

from dataclasses import dataclass

from kafka_salvage.wire.checkpoints import read_lines, write_lines
from kafka_salvage.wire.java_text import INT32_MAX, INT64_MAX, parse_int


@dataclass(frozen=True, slots=True)
class EpochEntry:
    """One line: the first offset of a leader epoch."""

    epoch: int
    start_offset: int


@dataclass(frozen=True, slots=True)
class EpochCheckpoint:
    """Leader epochs of one partition.

    Attributes:
        entries: what a broker would hold after loading, both columns rising; empty when it would refuse the file.
        problem: why it would; None if it would not.
        lines: entries on whole lines, as written.
    """

    entries: tuple[EpochEntry, ...]
    problem: str | None = None
    lines: tuple[EpochEntry, ...] = ()


def read_epoch_checkpoint(data: bytes) -> EpochCheckpoint:
    """Reads the file; never raises. Each line first evicts earlier ones whose epoch or offset is not below its own."""
    found = read_lines(data, _entry)
    problem = found.problem
    if problem is None:
        negative = next((e for e in found.entries if e.epoch < 0 or e.start_offset < 0), None)
        if negative is not None:
            problem = f"a negative entry: {negative.epoch} {negative.start_offset}"
    if problem is not None:
        return EpochCheckpoint((), problem, found.salvaged)
    kept: list[EpochEntry] = []
    for entry in found.entries:
        while kept and (kept[-1].epoch >= entry.epoch or kept[-1].start_offset >= entry.start_offset):
            kept.pop()
        kept.append(entry)
    return EpochCheckpoint(tuple(kept), None, found.entries)


def write_epoch_checkpoint(entries: list[EpochEntry]) -> bytes:
    """The bytes of the file with these entries."""
    return write_lines([f"{entry.epoch} {entry.start_offset}" for entry in entries])


def _entry(words: list[str]) -> EpochEntry | None:
    if len(words) != 2:
        return None
    epoch, start = parse_int(words[0], INT32_MAX), parse_int(words[1], INT64_MAX)
    return None if epoch is None or start is None else EpochEntry(epoch, start)
