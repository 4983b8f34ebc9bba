"""File and directory names of a Kafka log directory.

Source: `LocalLog.scala`, `LogFileUtils.java`, `LogManager.scala` (Kafka 0.8 to 4.x).
"""

from __future__ import annotations

import re
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
    ZOOKEEPER_SNAPSHOT = "zookeeper-snapshot"
    ZOOKEEPER_LOG = "zookeeper-log"
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


MAX_OFFSET = 2**63 - 1
MAX_PARTITION = 2**31 - 1

_DIRECTORY_SUFFIX = re.compile(r"\S+-\S+\.\S+-(delete|future|stray)", re.ASCII)
_INTEGER = re.compile(r"\+?\d+")  # any Unicode decimal digits: Kafka formats names in the JVM's default locale

_BY_EXTENSION = {
    "log": FileKind.SEGMENT,
    "index": FileKind.OFFSET_INDEX,
    "timeindex": FileKind.TIME_INDEX,
    "txnindex": FileKind.TXN_INDEX,
    "snapshot": FileKind.PRODUCER_SNAPSHOT,
    "checkpoint": FileKind.METADATA_SNAPSHOT,
}
_BY_NAME = {
    "leader-epoch-checkpoint": FileKind.EPOCH_CHECKPOINT,
    "recovery-point-offset-checkpoint": FileKind.OFFSET_CHECKPOINT,
    "replication-offset-checkpoint": FileKind.OFFSET_CHECKPOINT,
    "log-start-offset-checkpoint": FileKind.OFFSET_CHECKPOINT,
    "cleaner-offset-checkpoint": FileKind.OFFSET_CHECKPOINT,
    "partition.metadata": FileKind.PARTITION_METADATA,
    "meta.properties": FileKind.META_PROPERTIES,
    ".kafka_cleanshutdown": FileKind.CLEAN_SHUTDOWN,
    "quorum-state": FileKind.QUORUM_STATE,
    "bootstrap.checkpoint": FileKind.METADATA_SNAPSHOT,
    ".lock": FileKind.LOCK,
}
_ARCHIVE_EXTENSIONS = frozenset(
    (
        "7z",
        "bz2",
        "dd",
        "gz",
        "img",
        "iso",
        "lz4",
        "qcow2",
        "rar",
        "raw",
        "tar",
        "tgz",
        "txz",
        "tzst",
        "vdi",
        "vhd",
        "vhdx",
        "vmdk",
        "xz",
        "zip",
        "zst",
    )
)
_SUFFIXES = tuple(suffix for suffix in Suffix if suffix)


def parse_directory_name(name: str) -> PartitionDirectoryName | None:
    """Reads a partition directory's name as Kafka does; None if it is none.

    Source: `LogManager`/`LocalLog.parseTopicPartitionName`. The topic's characters are not judged.
    """
    if "-" not in name:
        return None
    suffix, unique_id, live = DirectorySuffix.NONE, "", name
    if name.endswith(("-delete", "-future", "-stray")):
        match = _DIRECTORY_SUFFIX.fullmatch(name)
        if match is None:
            return None
        suffix = DirectorySuffix(match[1])
        live, _, tail = name.rpartition(".")
        unique_id = tail[: -len(suffix) - 1]
    topic, hyphen, digits = live.rpartition("-")
    partition = _integer(digits, MAX_PARTITION)
    if not hyphen or not topic or partition is None:
        return None
    return PartitionDirectoryName(topic, partition, suffix, unique_id)


def parse_file_name(name: str) -> FileName:
    """Reads a file's name; what is not known is `FileKind.UNKNOWN`.

    A `.log` (`.index`, ...) file whose name is no offset keeps its kind, with ``base_offset`` None: a broker refuses to
    load such a partition, yet the bytes may be a segment that was copied under another name.
    """
    stem, suffix = _split_suffix(name)
    if stem in _BY_NAME:
        return FileName(_BY_NAME[stem], None, suffix)
    before, dot, extension = stem.rpartition(".")
    kind = _BY_EXTENSION.get(extension)
    if dot and before and kind is FileKind.METADATA_SNAPSHOT:
        return _metadata_snapshot(before, suffix)
    if dot and before and kind is not None:
        # `<startOffset>_<segmentUuid>.index` is an index fetched back from tiered storage
        digits = before if kind is FileKind.SEGMENT else before.partition("_")[0]
        return FileName(kind, _integer(digits, MAX_OFFSET), suffix)
    if name.lower().rpartition(".")[2] in _ARCHIVE_EXTENSIONS and not name.startswith("."):
        return FileName(FileKind.ARCHIVE, None, Suffix.NONE)
    return FileName(FileKind.UNKNOWN, None, Suffix.NONE)


def parse_snapshot_epoch(name: str) -> int | None:
    """Epoch in the name of a KRaft snapshot (`O-E.checkpoint`, also `.part` and `.deleted`); None if it is none."""
    stem, _ = _split_suffix(name)
    match = re.fullmatch(r"\d+-(\d+)(-.+)?\.checkpoint", stem)
    return _integer(match[1], MAX_PARTITION) if match else None


def is_topic_name(name: str) -> bool:
    """Whether Kafka would let a topic be created under this name."""
    return name not in (".", "..") and re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", name) is not None


def segment_name(base_offset: int, extension: str = "log") -> str:
    """The name Kafka gives a file of the segment that begins at ``base_offset``, in ASCII digits."""
    return f"{base_offset:020d}.{extension}"


def _split_suffix(name: str) -> tuple[str, Suffix]:
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            return name[: -len(suffix)], suffix
    return name, Suffix.NONE


def _metadata_snapshot(before: str, suffix: Suffix) -> FileName:
    parts = before.split("-", 2)
    end_offset = _integer(parts[0], MAX_OFFSET)
    epoch = _integer(parts[1], MAX_PARTITION) if len(parts) > 1 else None
    finished_name = (len(parts) == 3) == (
        suffix is Suffix.PART
    )  # only a snapshot being written has a third, random part
    if end_offset is None or epoch is None or not finished_name:
        return FileName(FileKind.UNKNOWN, None, Suffix.NONE)
    return FileName(FileKind.METADATA_SNAPSHOT, end_offset, suffix)


def _integer(digits: str, most: int) -> int | None:
    if len(digits) > 64 or not _INTEGER.fullmatch(digits):
        return None
    value = int(digits)
    return value if value <= most else None
