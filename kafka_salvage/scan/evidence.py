"""Evidence: sources, log dirs, replicas and files as values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from kafka_salvage.wire.filenames import FileKind, Suffix

TopicPartition = tuple[str, int]


class State(StrEnum):
    """What Kafka meant to do with the bytes."""

    LIVE = "live"
    DELETED_TOPIC = "deleted-topic"
    DELETED_SEGMENT = "deleted-segment"
    STRAY = "stray"
    FUTURE = "future"
    LEFTOVER = "leftover"
    """`.swap` and `.cleaned` files."""


class Use(StrEnum):
    """What this run does with a file."""

    READ = "read"
    CONTEXT = "context"
    IGNORED = "ignored"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """One file below a source.

    Attributes:
        source: display name of the source.
        path: relative to the source's root, `/` between parts (undecodable bytes surrogate-escaped).
        real: where it is opened.
        size: bytes when the inventory was taken.
        kind: by its name.
        use: what this run does with it.
        reason: why it is ignored or unreadable; None when it is used.
    """

    source: str
    path: str
    real: Path
    size: int
    kind: FileKind
    use: Use = Use.READ
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SideFact:
    """Something a side file says about itself (a fact; `regions` makes the finding of it)."""

    file: EvidenceFile
    code: str
    message: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LogDir:
    """One broker's data directory.

    Attributes:
        id: unique in the run: the source's name, with the path behind it when the source holds several.
        path: relative to the source's root; "." for the root itself.
        checkpoints: checkpoint file name (e.g. ``replication-offset-checkpoint``) -> (topic, partition) -> offset.
    """

    id: str
    source: str
    path: str
    cluster_id: str | None
    node_id: int | None
    directory_id: str | None
    clean_shutdown: bool
    checkpoints: Mapping[str, Mapping[TopicPartition, int]]
    facts: tuple[SideFact, ...] = ()


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """One `.log` file with its index files.

    Attributes:
        file: the `.log` file itself (also `.log.deleted`, `.log.swap`, `.log.cleaned`).
        base_offset: the number in its name; None when the name is no number.
        state: live, deleted-segment (`.deleted`), leftover (`.swap`, `.cleaned`), or the directory's own state.
        suffix: by name.
        index, time_index, txn_index: files of the same base and suffix, if there.
    """

    file: EvidenceFile
    base_offset: int | None
    state: State
    suffix: Suffix
    index: EvidenceFile | None = None
    time_index: EvidenceFile | None = None
    txn_index: EvidenceFile | None = None


@dataclass(frozen=True, slots=True)
class Replica:
    """One copy of one partition directory.

    Attributes:
        topic_id: 22-character uuid from `partition.metadata`, None when absent or damaged.
        segments: sorted by (base offset, suffix, path).
        snapshots: `.snapshot` files as (offset in the name, file), sorted.
        epochs: (epoch, start offset) lines of `leader-epoch-checkpoint`; None when absent or damaged.
        high_watermark, recovery_point, log_start, cleaner_offset: this partition's checkpoint lines; None when absent.
        files: every file of the directory.
        facts: what the side files say about themselves.
        partial: only single files of the directory were given; others may lie beside them.
        name_cut: Kafka cut the topic in the directory's name short, and nothing tells the rest.
        unnamed: the directory's name is no partition name; ``topic`` is that name, ``partition`` -1 (Kafka's "unknown").
    """

    source: str
    log_dir: LogDir | None
    path: str
    topic: str
    partition: int
    topic_id: str | None
    state: State
    unique_id: str
    segments: tuple[SegmentFile, ...]
    snapshots: tuple[tuple[int, EvidenceFile], ...]
    epochs: tuple[tuple[int, int], ...] | None
    high_watermark: int | None
    recovery_point: int | None
    log_start: int | None
    cleaner_offset: int | None
    files: tuple[EvidenceFile, ...]
    facts: tuple[SideFact, ...] = ()
    partial: bool = False
    name_cut: bool = False
    unnamed: bool = False

    @property
    def key(self) -> TopicPartition:
        """(topic, partition)."""
        return self.topic, self.partition

    @property
    def cluster_id(self) -> str | None:
        """Cluster id of its log dir, if known."""
        return self.log_dir.cluster_id if self.log_dir else None


@dataclass(frozen=True, slots=True)
class SourceRoot:
    """One source as the person gave it.

    Attributes:
        name: unique in the run.
        root: what paths are relative to; for a partition directory or segment file the directory around it.
        log_dirs: sorted by path.
        covers: the directories and files that were given; outputs must lie in none of them.
    """

    name: str
    root: Path
    log_dirs: tuple[LogDir, ...]
    covers: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that lies under the sources, sorted; the order of arguments has no influence.

    Attributes:
        sources: sorted by name.
        replicas: sorted by (topic, partition, source, path).
        files: every file under every source, sorted by (source, path).
    """

    sources: tuple[SourceRoot, ...]
    replicas: tuple[Replica, ...]
    files: tuple[EvidenceFile, ...]

    @property
    def places(self) -> tuple[Path, ...]:
        """Real directories and files that were given, and log dirs below them that are links; sorted."""
        found: set[Path] = set()
        for source in self.sources:
            covers = source.covers or (source.root,)
            found.update(cover.resolve() for cover in covers)
            if source.root in covers:
                found.update((source.root / log_dir.path).resolve() for log_dir in source.log_dirs)
        return tuple(sorted(found))

    def place_of(self, path: Path) -> Path | None:
        """The given directory or file that a path lies in or is, links followed; None when it lies outside of all."""
        real = Path(os.path.realpath(path))  # resolve() raises for links in a loop
        return next((place for place in self.places if real.is_relative_to(place)), None)
