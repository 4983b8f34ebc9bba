"""PartitionMetadata: `partition.metadata`, the topic id of a partition directory.

Source: `PartitionMetadataFile.java`, `PartitionMetadataReadBuffer.java`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kafka_salvage.wire.java_text import INT32_MAX, lines_of, parse_int
from kafka_salvage.wire.uuids import ZERO, read_uuid, uuid_text

_SEPARATOR = re.compile(r":[ \t\n\x0b\f\r]+")


@dataclass(frozen=True, slots=True)
class PartitionMetadata:
    """What the file says.

    Attributes:
        version: None when there is a problem.
        topic_id: 22 characters; None when there is a problem.
        problem: why a broker would refuse the file; None if it would not.
    """

    version: int | None
    topic_id: str | None
    problem: str | None = None


def read_partition_metadata(data: bytes) -> PartitionMetadata:
    """Reads the file; never raises."""
    try:
        lines = lines_of(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        return PartitionMetadata(None, None, f"not UTF-8 text at byte {error.start}")
    values = [_SEPARATOR.split(line) for line in lines[:2]]
    if len(values) < 2 or any(len(value) != 2 for value in values):
        return PartitionMetadata(None, None, "it is not the two lines `version: N` and `topic_id: ID`")
    version = parse_int(values[0][1], INT32_MAX)
    if version is None or version < 0:
        return PartitionMetadata(None, None, f"version {values[0][1][:40]!r} is not known")
    topic_id = read_uuid(values[1][1])
    if topic_id is None or topic_id == ZERO:
        return PartitionMetadata(None, None, f"{values[1][1][:40]!r} is no topic id")
    return PartitionMetadata(version, uuid_text(topic_id))


def write_partition_metadata(topic_id: str) -> bytes:
    """The bytes of the file for a topic id; there is no line end after it."""
    return f"version: 0\ntopic_id: {topic_id}".encode()
