"""File and directory names of a Kafka log directory.

Source: `LocalLog.scala`, `LogFileUtils.java`, `LogManager.scala` (Kafka 0.8 to 4.x).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FileKind(StrEnum):
    """What a file is, by its name."""

    SEGMENT = "segment"
    OFFSET_INDEX = "offset-index"
    TIME_INDEX = "time-index"
    TXN_INDEX = "txn-index"
    PRODUCER_SNAPSHOT = "producer-snapshot"
    EPOCH_CHECKPOINT = "leader-epoch-checkpoint"
    OFFSET_CHECKPOINT = "offset-checkpoint"
    PARTITION_METADATA = "partition-metadata"
    META_PROPERTIES = "meta-properties"
    CLEAN_SHUTDOWN = "clean-shutdown"
    QUORUM_STATE = "quorum-state"
    METADATA_SNAPSHOT = "metadata-snapshot"
    LOCK = "lock"
    ARCHIVE = "archive"
    UNKNOWN = "unknown"


class Suffix(StrEnum):
    """What Kafka appended to the name of a file that is on its way in or out."""

    NONE = ""
    DELETED = ".deleted"
    CLEANED = ".cleaned"
    SWAP = ".swap"
    TMP = ".tmp"
    PART = ".part"


class DirectorySuffix(StrEnum):
    """What Kafka appended to the name of a partition directory."""

    NONE = ""
    DELETE = "delete"
    FUTURE = "future"
    STRAY = "stray"


@dataclass(frozen=True, slots=True)
class PartitionDirectoryName:
    """A parsed partition directory name.

    Attributes:
        topic: topic name (may be cut short by Kafka in `-delete` and `-stray` names).
        partition: partition number.
        suffix: state by name.
        unique_id: the 32 hex digits of a suffixed name, else "".
    """

    topic: str
    partition: int
    suffix: DirectorySuffix
    unique_id: str


@dataclass(frozen=True, slots=True)
class FileName:
    """A parsed file name.

    Attributes:
        kind: what the file is.
        base_offset: the number in the name (segment files, indexes, snapshots), else None.
        suffix: `.deleted`, `.cleaned`, `.swap`, `.tmp`, `.part` or none.
    """

    kind: FileKind
    base_offset: int | None
    suffix: Suffix


def parse_directory_name(name: str) -> PartitionDirectoryName | None:
    """Reads a partition directory's name as Kafka does; None if it is none."""
    raise NotImplementedError  # the wire work package


def parse_file_name(name: str) -> FileName:
    """Reads a file's name; what is not known is `FileKind.UNKNOWN`."""
    raise NotImplementedError  # the wire work package
