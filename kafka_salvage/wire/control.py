"""Control records: transaction markers and those of the KRaft log.

Strategy: `read_control_key` says what a control record is, `read_marker` and `read_kraft_value` what it holds. All give None
or a `problem` for bytes that are not what they should be; none raises.

Source: `ControlRecordType.java`, `EndTransactionMarker.java`, `raft/.../message/*.json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from kafka_salvage.wire.layout import Field, Layout
from kafka_salvage.wire.messages import Cursor, Cut
from kafka_salvage.wire.uuids import uuid_text

KEY_LAYOUT = Layout(
    "control_key",
    "Control record key",
    (
        Field("version", "int16", "", "0; higher is read as 0, negative is not legal"),
        Field(
            "type",
            "int16",
            "0 ABORT, 1 COMMIT, 2 LEADER_CHANGE, 3 SNAPSHOT_HEADER, 4 SNAPSHOT_FOOTER, 5 KRAFT_VERSION, 6 KRAFT_VOTERS",
        ),
    ),
    "`ControlRecordType.java`",
)
MARKER_LAYOUT = Layout(
    "end_transaction_marker",
    "End-transaction marker, value",
    (
        Field("version", "int16", "", "0"),
        Field("coordinator_epoch", "int32", "epoch of the transaction coordinator"),
    ),
    "`EndTransactionMarker.java`",
    "Longer values are accepted. Markers carry the producer id of their transaction in the batch header.",
)
LAYOUT = KEY_LAYOUT


class ControlType(IntEnum):
    """What a control record is."""

    UNKNOWN = -1
    ABORT = 0
    COMMIT = 1
    LEADER_CHANGE = 2
    SNAPSHOT_HEADER = 3
    SNAPSHOT_FOOTER = 4
    KRAFT_VERSION = 5
    KRAFT_VOTERS = 6


@dataclass(frozen=True, slots=True)
class ControlKey:
    """Key of a control record.

    Attributes:
        version: as stored.
        type_id: as stored.
        type: what that means; UNKNOWN for ids that no release writes.
    """

    version: int
    type_id: int
    type: ControlType


@dataclass(frozen=True, slots=True)
class Marker:
    """Value of a COMMIT or ABORT marker."""

    version: int
    coordinator_epoch: int


@dataclass(frozen=True, slots=True)
class ControlValue:
    """Value of a KRaft control record.

    Attributes:
        fields: its fields by name, ids as text; empty when there is a problem.
        problem: why it could not be read; None if it could.
    """

    fields: dict[str, Any]
    problem: str | None = None


def read_control_key(key: bytes | None) -> ControlKey | None:
    """What a control record is; None when the key is none."""
    if key is None or len(key) < KEY_LAYOUT.size:
        return None
    version, type_id = KEY_LAYOUT.read(key)
    if version < 0:
        return None
    known = type_id in ControlType._value2member_map_ and type_id >= 0
    return ControlKey(version, type_id, ControlType(type_id) if known else ControlType.UNKNOWN)


def read_marker(value: bytes | None) -> Marker | None:
    """A marker's value; None when it is none."""
    if value is None or len(value) < MARKER_LAYOUT.size:
        return None
    version, epoch = MARKER_LAYOUT.read(value)
    return Marker(version, epoch) if version >= 0 else None


def read_kraft_value(type_: ControlType, value: bytes | None) -> ControlValue:
    """Fields of a KRaft control record."""
    reader = _READERS.get(type_)
    if reader is None:
        return ControlValue({}, f"{type_.name} has no fields of its own")
    if value is None:
        return ControlValue({}, "the value is null")
    cursor = Cursor(value, flexible=True)
    try:
        fields = {"version": cursor.int16(), **reader(cursor)}
        cursor.tags()
        cursor.end()
    except Cut as error:
        return ControlValue({}, str(error))
    return ControlValue(fields)


def _leader_change(cursor: Cursor) -> dict[str, Any]:
    def voter() -> int:
        number = cursor.int32()
        cursor.tags()
        return number

    return {"leader_id": cursor.int32(), "voters": cursor.array(voter), "granting_voters": cursor.array(voter)}


def _snapshot_header(cursor: Cursor) -> dict[str, Any]:
    return {"last_contained_log_timestamp": cursor.int64()}


def _snapshot_footer(cursor: Cursor) -> dict[str, Any]:
    return {}


def _kraft_version(cursor: Cursor) -> dict[str, Any]:
    return {"kraft_version": cursor.int16()}


def _kraft_voters(cursor: Cursor) -> dict[str, Any]:
    def endpoint() -> dict[str, Any]:
        found = {"name": cursor.string(), "host": cursor.string(), "port": cursor.uint16()}
        cursor.tags()
        return found

    def voter() -> dict[str, Any]:
        found: dict[str, Any] = {"voter_id": cursor.int32(), "voter_directory_id": uuid_text(cursor.uuid())}
        found["endpoints"] = cursor.array(endpoint)
        found["kraft_version_feature"] = [cursor.int16(), cursor.int16()]
        cursor.tags()
        cursor.tags()
        return found

    return {"voters": cursor.array(voter)}


_READERS = {
    ControlType.LEADER_CHANGE: _leader_change,
    ControlType.SNAPSHOT_HEADER: _snapshot_header,
    ControlType.SNAPSHOT_FOOTER: _snapshot_footer,
    ControlType.KRAFT_VERSION: _kraft_version,
    ControlType.KRAFT_VOTERS: _kraft_voters,
}
