"""Records of `__consumer_offsets`: committed offsets and the state of groups.

The key's int16 is version and type at once; a null value is a tombstone for its key.

Source: `group-coordinator/src/main/resources/common/message/*.json`.
"""

from __future__ import annotations

from kafka_salvage.wire.messages import Cursor, Cut
from kafka_salvage.wire.schema import Decoded, Part, Schema, read, read_versioned

NON_FLEXIBLE = 32767

_GROUP, _MEMBER = Part("group", "string"), Part("member", "string")
_OFFSET_KEY = (_GROUP, Part("topic", "string"), Part("partition", "int32"))
_KEYS: tuple[tuple[str, tuple[Part, ...]], ...] = (
    ("OffsetCommitKey", _OFFSET_KEY),
    ("OffsetCommitKey", _OFFSET_KEY),
    ("GroupMetadataKey", (_GROUP,)),
    ("ConsumerGroupMetadataKey", (_GROUP,)),
    ("ConsumerGroupPartitionMetadataKey", (_GROUP,)),
    ("ConsumerGroupMemberMetadataKey", (_GROUP, _MEMBER)),
    ("ConsumerGroupTargetAssignmentMetadataKey", (_GROUP,)),
    ("ConsumerGroupTargetAssignmentMemberKey", (_GROUP, _MEMBER)),
    ("ConsumerGroupCurrentMemberAssignmentKey", (_GROUP, _MEMBER)),
    ("ShareGroupPartitionMetadataKey", (_GROUP,)),
    ("ShareGroupMemberMetadataKey", (_GROUP, _MEMBER)),
    ("ShareGroupMetadataKey", (_GROUP,)),
    ("ShareGroupTargetAssignmentMetadataKey", (_GROUP,)),
    ("ShareGroupTargetAssignmentMemberKey", (_GROUP, _MEMBER)),
    ("ShareGroupCurrentMemberAssignmentKey", (_GROUP, _MEMBER)),
    ("ShareGroupStatePartitionMetadataKey", (_GROUP,)),
    ("ConsumerGroupRegularExpressionKey", (_GROUP, Part("regular_expression", "string"))),
)
KEYS = tuple(Schema(name, parts, newest=number, flexible=NON_FLEXIBLE) for number, (name, parts) in enumerate(_KEYS))
OFFSET_COMMIT_KEYS = (0, 1)
GROUP_METADATA_KEY = 2

OFFSET_COMMIT_VALUE = Schema(
    "OffsetCommitValue",
    (
        Part("offset", "int64"),
        Part("leader_epoch", "int32", since=3),
        Part("metadata", "string"),
        Part("commit_timestamp", "int64"),
        Part("expire_timestamp", "int64", since=1, until=1),
    ),
    newest=4,
    flexible=4,
)
GROUP_METADATA_VALUE = Schema(
    "GroupMetadataValue",
    (
        Part("protocol_type", "string"),
        Part("generation", "int32"),
        Part("protocol", "string", nullable=True),
        Part("leader", "string", nullable=True),
        Part("current_state_timestamp", "int64", since=2),
        Part(
            "members",
            many=True,
            parts=(
                Part("member_id", "string"),
                Part("group_instance_id", "string", since=3, nullable=True),
                Part("client_id", "string"),
                Part("client_host", "string"),
                Part("rebalance_timeout", "int32", since=1),
                Part("session_timeout", "int32"),
                Part("subscription", "bytes"),
                Part("assignment", "bytes"),
            ),
        ),
    ),
    newest=4,
    flexible=4,
)
_TOPIC_PARTITIONS = (Part("topic_id", "uuid"), Part("partitions", "int32", many=True))
_ASSIGNED = (*_TOPIC_PARTITIONS, Part("assignment_epochs", "int32", many=True, nullable=True, tag=0))
_PARTITION_METADATA = (
    Part(
        "topics",
        many=True,
        parts=(
            Part("topic_id", "uuid"),
            Part("topic_name", "string"),
            Part("num_partitions", "int32"),
            Part(
                "partition_metadata", many=True, parts=(Part("partition", "int32"), Part("racks", "string", many=True))
            ),
        ),
    ),
)
_MEMBER_COMMON = (
    Part("instance_id", "string", nullable=True),
    Part("rack_id", "string", nullable=True),
    Part("client_id", "string"),
    Part("client_host", "string"),
    Part("subscribed_topic_names", "string", many=True),
    Part("subscribed_topic_regex", "string", nullable=True),
    Part("rebalance_timeout_ms", "int32"),
    Part("server_assignor", "string", nullable=True),
)
_CLASSIC = Part(
    "classic_member_metadata",
    nullable=True,
    tag=0,
    parts=(
        Part("session_timeout_ms", "int32"),
        Part("supported_protocols", many=True, parts=(Part("name", "string"), Part("metadata", "bytes"))),
    ),
)
_ASSIGNORS = Part(
    "assignors",
    many=True,
    parts=(
        Part("name", "string"),
        Part("minimum_version", "int16"),
        Part("maximum_version", "int16"),
        Part("reason", "int8"),
        Part("version", "int16"),
        Part("metadata", "bytes"),
    ),
)
_EPOCHS = (Part("member_epoch", "int32"), Part("previous_member_epoch", "int32"))

VALUES: dict[int, tuple[Schema, ...]] = {
    0: (OFFSET_COMMIT_VALUE,),
    1: (OFFSET_COMMIT_VALUE,),
    2: (GROUP_METADATA_VALUE,),
    3: (
        Schema(
            "ConsumerGroupMetadataValue",
            (Part("epoch", "int32"), Part("metadata_hash", "int64", tag=0), Part("creation_time_ms", "int64", tag=1)),
        ),
    ),
    4: (
        Schema("ConsumerGroupPartitionMetadataValue", _PARTITION_METADATA),
        Schema("ConsumerGroupPartitionMetadataValue", (Part("epoch", "int32"), *_PARTITION_METADATA)),
    ),
    5: (
        Schema("ConsumerGroupMemberMetadataValue", (*_MEMBER_COMMON, _CLASSIC)),
        Schema("ConsumerGroupMemberMetadataValue", (*_MEMBER_COMMON, _ASSIGNORS)),
    ),
    6: (Schema("ConsumerGroupTargetAssignmentMetadataValue", (Part("assignment_epoch", "int32"),)),),
    7: (
        Schema(
            "ConsumerGroupTargetAssignmentMemberValue", (Part("topic_partitions", many=True, parts=_TOPIC_PARTITIONS),)
        ),
    ),
    8: (
        Schema(
            "ConsumerGroupCurrentMemberAssignmentValue",
            (
                *_EPOCHS,
                Part("state", "int8"),
                Part("assigned_partitions", many=True, parts=_ASSIGNED),
                Part("partitions_pending_revocation", many=True, parts=_ASSIGNED),
            ),
        ),
    ),
    16: (
        Schema(
            "ConsumerGroupRegularExpressionValue",
            (Part("topics", "string", many=True), Part("version", "int64"), Part("timestamp", "int64")),
        ),
    ),
}
"""Key version -> schemas of the value; several where releases disagree under one version number."""


def read_key(key: bytes | None) -> Decoded:
    """A key's type (``version``) and fields; never raises."""
    if key is None:
        return Decoded("", -1, {}, "the key is null")
    cursor = Cursor(key)
    try:
        version = cursor.int16()
    except Cut as error:
        return Decoded("", -1, {}, str(error))
    if not 0 <= version < len(KEYS):
        return Decoded("", version, {}, f"key version {version} is not known")
    return read(KEYS[version], version, cursor)


def read_value(key_version: int, value: bytes | None) -> Decoded:
    """A value's fields; a tombstone has none and no problem. Never raises."""
    schemas = VALUES.get(key_version)
    if value is None:
        return Decoded(schemas[0].name if schemas else "", -1)
    if schemas is None:
        return Decoded("", -1, {}, f"no schema for the value of key version {key_version}")
    return read_versioned(schemas, value)


def partition_of(group: str, partitions: int = 50) -> int:
    """The partition that holds a group's (or transactional id's) records: Java's string hash, made positive."""
    units = group.encode("utf-16-be", "surrogatepass")
    value = 0
    for at in range(0, len(units), 2):
        value = (value * 31 + int.from_bytes(units[at : at + 2], "big")) & 0xFFFF_FFFF
    signed = value - 2**32 if value >= 2**31 else value
    return (0 if signed == -(2**31) else abs(signed)) % partitions
