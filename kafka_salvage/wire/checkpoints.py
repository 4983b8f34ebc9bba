"""Checkpoint: the text files of a log dir that give one offset per partition.

`recovery-point-`, `replication-`, `log-start-` and `cleaner-offset-checkpoint`: version, number of entries, then a line
`topic partition offset` for each.

Source: `CheckpointFile.java`, `OffsetCheckpointFile.java`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from kafka_salvage.wire.java_text import INT32_MAX, INT64_MAX, lines_of, parse_int, words_of

T = TypeVar("T")

VERSION = 0


@dataclass(frozen=True, slots=True)
class CheckpointEntry:
    """One line: an offset of one partition."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint of a log dir.

    Attributes:
        entries: what a broker would load, in the file's order; empty when it would refuse the file.
        problem: why it would; None if it would not.
        salvaged: the entries on whole lines, whether or not the file is refused (evidence, not what a broker knows).
    """

    entries: tuple[CheckpointEntry, ...]
    problem: str | None = None
    salvaged: tuple[CheckpointEntry, ...] = ()

    @property
    def offsets(self) -> dict[tuple[str, int], int]:
        """(topic, partition) -> offset; of repeated lines the last."""
        return {(entry.topic, entry.partition): entry.offset for entry in self.entries}


@dataclass(frozen=True, slots=True)
class Lines(Generic[T]):
    """Entries of any file of this family; attributes as `Checkpoint`."""

    entries: tuple[T, ...]
    problem: str | None
    salvaged: tuple[T, ...]


def read_checkpoint(data: bytes) -> Checkpoint:
    """Reads a file of this kind; never raises."""
    found = read_lines(data, _entry)
    return Checkpoint(found.entries, found.problem, found.salvaged)


def read_lines(data: bytes, read_entry: Callable[[list[str]], T | None]) -> Lines[T]:
    """Reads version, count and entries as Kafka's `CheckpointFile` does.

    Args:
        data: the whole file.
        read_entry: words of one line -> entry, or None when they are none.
    """
    try:
        text, problem = data.decode("utf-8"), None
    except UnicodeDecodeError as error:
        text = data[: error.start].decode("utf-8")
        problem = f"not UTF-8 text at byte {error.start}"
    lines = lines_of(text)
    head, body = lines[:2], lines[2:]
    problem = problem or _head_problem(head)
    entries: list[T] = []
    for number, line in enumerate(body, 3):
        entry = read_entry(words_of(line))
        if entry is None:
            problem = problem or f"line {number} is no entry: {line[:80]!r}"
        else:
            entries.append(entry)
    if problem is None and len(head) == 2 and parse_int(head[1], INT32_MAX) != len(entries):
        problem = f"line 2 promises {head[1]} entries, there are {len(entries)}"
    if problem is None:
        return Lines(tuple(entries), None, tuple(entries))
    cut_last = bool(body) and not text.endswith(("\n", "\r")) and read_entry(words_of(body[-1])) is not None
    return Lines((), problem, tuple(entries[:-1] if cut_last else entries))


def write_lines(rows: list[str]) -> bytes:
    """The bytes of a file of this family with these lines."""
    return "".join(f"{line}\n" for line in (str(VERSION), str(len(rows)), *rows)).encode()


def write_checkpoint(entries: list[CheckpointEntry]) -> bytes:
    """The bytes of a checkpoint with these entries."""
    return write_lines([f"{entry.topic} {entry.partition} {entry.offset}" for entry in entries])


def _head_problem(head: list[str]) -> str | None:
    if not head:
        return None
    version = parse_int(head[0], INT32_MAX)
    if version is None:
        return f"the version is no number: {head[0][:80]!r}"
    if version != VERSION:
        return f"version {version} is not known"
    if len(head) == 2 and parse_int(head[1], INT32_MAX) is None:
        return f"the number of entries is no number: {head[1][:80]!r}"
    return None


def _entry(words: list[str]) -> CheckpointEntry | None:
    if len(words) != 3:
        return None
    partition, offset = parse_int(words[1], INT32_MAX), parse_int(words[2], INT64_MAX)
    return None if partition is None or offset is None else CheckpointEntry(words[0], partition, offset)
