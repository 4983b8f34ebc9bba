"""Side files as values: checkpoints, ids and indexes, read with bounds; what is wrong with one is a fact beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from kafka_salvage.errors import SourceError
from kafka_salvage.scan.evidence import EvidenceFile, SideFact, TopicPartition
from kafka_salvage.source.opening import open_source
from kafka_salvage.wire.filenames import FileKind

T = TypeVar("T")

TEXT_MAX = 64 << 20
"""Bytes of a text side file that are read; a checkpoint of a million partitions is smaller."""


@dataclass(frozen=True, slots=True)
class Side(Generic[T]):
    """What a side file says.

    Attributes:
        value: None when the file is absent or cannot be understood.
        facts: what is wrong with it.
    """

    value: T | None
    facts: tuple[SideFact, ...] = ()


@dataclass(frozen=True, slots=True)
class MetaProperties:
    """Identity of a log dir; each None when not stated."""

    cluster_id: str | None = None
    node_id: int | None = None
    directory_id: str | None = None


def one_of(files: Sequence[EvidenceFile], kind: FileKind, read: Callable[[EvidenceFile], Side[T]]) -> Side[T]:
    """Reads the file of one kind; an empty Side when there is none."""
    return next((read(file) for file in files if file.kind is kind), Side(None))


def _text(file: EvidenceFile) -> str | SideFact:
    try:
        source = open_source(file.real, file.path)
    except SourceError as error:
        return SideFact(file, "unreadable", error.message)
    try:
        data = source.read(0, TEXT_MAX).tobytes()
        if source.unreadable or source.size > TEXT_MAX:
            return SideFact(file, "unreadable", "parts of the file cannot be read")
    finally:
        source.close()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        return SideFact(file, "checkpoint-corrupt", f"not UTF-8 text at byte {error.start}")


def _rows(file: EvidenceFile, text: str, width: int) -> list[list[str]]:
    lines = text.splitlines()
    if len(lines) < 2:
        return []
    rows = [line.split() for line in lines[2:]]
    if int(lines[0]) != 0 or int(lines[1]) != len(rows) or any(len(row) != width for row in rows):
        raise ValueError("wrong version, count or fields")
    return rows


def offset_checkpoint(file: EvidenceFile) -> Side[dict[TopicPartition, int]]:
    """(topic, partition) -> offset of a checkpoint of a log dir."""
    text = _text(file)
    if isinstance(text, SideFact):
        return Side(None, (text,))
    try:
        return Side({(topic, int(partition)): int(offset) for topic, partition, offset in _rows(file, text, 3)})
    except ValueError as error:
        return Side(None, (SideFact(file, "checkpoint-corrupt", str(error)),))


def epoch_checkpoint(file: EvidenceFile) -> Side[tuple[tuple[int, int], ...]]:
    """(epoch, start offset) lines."""
    text = _text(file)
    if isinstance(text, SideFact):
        return Side(None, (text,))
    try:
        return Side(tuple((int(epoch), int(start)) for epoch, start in _rows(file, text, 2)))
    except ValueError as error:
        return Side(None, (SideFact(file, "checkpoint-corrupt", str(error)),))


def topic_id(file: EvidenceFile) -> Side[str]:
    """Topic id in `partition.metadata`."""
    text = _text(file)
    if isinstance(text, SideFact):
        return Side(None, (text,))
    pairs = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    value = pairs.get("topic_id", "").strip()
    if not value:
        return Side(None, (SideFact(file, "checkpoint-corrupt", "no topic_id"),))
    return Side(value)


def meta_properties(file: EvidenceFile) -> Side[MetaProperties]:
    """Identity of a log dir."""
    text = _text(file)
    if isinstance(text, SideFact):
        return Side(None, (text,))
    pairs = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    node = pairs.get("node.id", pairs.get("broker.id"))
    return Side(MetaProperties(pairs.get("cluster.id"), int(node) if node else None, pairs.get("directory.id")))
