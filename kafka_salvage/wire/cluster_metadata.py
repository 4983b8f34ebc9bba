"""Records of `__cluster_metadata` and of KRaft snapshots.

A value is a frame: three unsigned varints (frame version 1, record type, version), then the message in the flexible encoding.

Source: `AbstractApiMessageSerde.java`, `metadata/src/main/resources/common/metadata/*.json`.
"""

from __future__ import annotations

from kafka_salvage.wire.messages import Cursor, Cut
from kafka_salvage.wire.schema import Decoded, Part, Schema, read

FRAME_VERSION = 1

_ENDPOINTS = Part(
    "endpoints",
    many=True,
    parts=(Part("name", "string"), Part("host", "string"), Part("port", "uint16"), Part("security_protocol", "int16")),
)
_FEATURES = Part(
    "features",
    many=True,
    parts=(Part("name", "string"), Part("min_supported_version", "int16"), Part("max_supported_version", "int16")),
)
_BROKER_EPOCH = (Part("broker_id", "int32"), Part("broker_epoch", "int64"))


def _ids(name: str, *, tag: int = -1, since: int = 0, nullable: bool = False) -> Part:
    return Part(name, "int32", many=True, tag=tag, since=since, nullable=nullable)


RECORDS: dict[int, Schema] = {
    0: Schema(
        "RegisterBrokerRecord",
        (
            Part("broker_id", "int32"),
            Part("is_migrating_zk_broker", "boolean", since=2),
            Part("incarnation_id", "uuid"),
            Part("broker_epoch", "int64"),
            _ENDPOINTS,
            _FEATURES,
            Part("rack", "string", nullable=True),
            Part("fenced", "boolean"),
            Part("in_controlled_shutdown", "boolean", since=1),
            Part("log_dirs", "uuid", many=True, since=3, tag=0),
        ),
        newest=4,
    ),
    1: Schema("UnregisterBrokerRecord", _BROKER_EPOCH),
    2: Schema("TopicRecord", (Part("name", "string"), Part("topic_id", "uuid"))),
    3: Schema(
        "PartitionRecord",
        (
            Part("partition_id", "int32"),
            Part("topic_id", "uuid"),
            _ids("replicas"),
            _ids("isr"),
            _ids("removing_replicas"),
            _ids("adding_replicas"),
            Part("leader", "int32"),
            Part("leader_recovery_state", "int8", tag=0, default=0),
            Part("leader_epoch", "int32"),
            Part("partition_epoch", "int32"),
            Part("directories", "uuid", many=True, since=1),
            _ids("eligible_leader_replicas", since=2, tag=1, nullable=True),
            _ids("last_known_elr", since=2, tag=2, nullable=True),
        ),
        newest=2,
    ),
    4: Schema(
        "ConfigRecord",
        (
            Part("resource_type", "int8"),
            Part("resource_name", "string"),
            Part("name", "string"),
            Part("value", "string", nullable=True),
        ),
    ),
    5: Schema(
        "PartitionChangeRecord",
        (
            Part("partition_id", "int32"),
            Part("topic_id", "uuid"),
            _ids("isr", tag=0, nullable=True),
            Part("leader", "int32", tag=1, default=-2),
            _ids("replicas", tag=2, nullable=True),
            _ids("removing_replicas", tag=3, nullable=True),
            _ids("adding_replicas", tag=4, nullable=True),
            Part("leader_recovery_state", "int8", tag=5, default=-1),
            _ids("eligible_leader_replicas", tag=6, since=2, nullable=True),
            _ids("last_known_elr", tag=7, since=2, nullable=True),
            Part("directories", "uuid", many=True, nullable=True, tag=8, since=1),
        ),
        newest=2,
    ),
    7: Schema("FenceBrokerRecord", (Part("id", "int32"), Part("epoch", "int64"))),
    8: Schema("UnfenceBrokerRecord", (Part("id", "int32"), Part("epoch", "int64"))),
    9: Schema("RemoveTopicRecord", (Part("topic_id", "uuid"),)),
    10: Schema(
        "DelegationTokenRecord",
        (
            Part("owner", "string"),
            Part("requester", "string"),
            Part("renewers", "string", many=True),
            Part("issue_timestamp", "int64"),
            Part("max_timestamp", "int64"),
            Part("expiration_timestamp", "int64"),
            Part("token_id", "string"),
        ),
    ),
    11: Schema(
        "UserScramCredentialRecord",
        (
            Part("name", "string"),
            Part("mechanism", "int8"),
            Part("salt", "bytes"),
            Part("stored_key", "bytes"),
            Part("server_key", "bytes"),
            Part("iterations", "int32"),
        ),
    ),
    12: Schema("FeatureLevelRecord", (Part("name", "string"), Part("feature_level", "int16"))),
    14: Schema(
        "ClientQuotaRecord",
        (
            Part(
                "entity",
                many=True,
                parts=(Part("entity_type", "string"), Part("entity_name", "string", nullable=True)),
            ),
            Part("key", "string"),
            Part("value", "float64"),
            Part("remove", "boolean"),
        ),
    ),
    15: Schema("ProducerIdsRecord", (*_BROKER_EPOCH, Part("next_producer_id", "int64"))),
    17: Schema(
        "BrokerRegistrationChangeRecord",
        (
            *_BROKER_EPOCH,
            Part("fenced", "int8", tag=0, default=0),
            Part("in_controlled_shutdown", "int8", since=1, tag=1, default=0),
            Part("log_dirs", "uuid", many=True, since=2, tag=2),
        ),
        newest=3,
    ),
    18: Schema(
        "AccessControlEntryRecord",
        (
            Part("id", "uuid"),
            Part("resource_type", "int8"),
            Part("resource_name", "string"),
            Part("pattern_type", "int8"),
            Part("principal", "string"),
            Part("host", "string"),
            Part("operation", "int8"),
            Part("permission_type", "int8"),
        ),
    ),
    19: Schema("RemoveAccessControlEntryRecord", (Part("id", "uuid"),)),
    20: Schema("NoOpRecord", ()),
    21: Schema("ZkMigrationStateRecord", (Part("zk_migration_state", "int8"),)),
    22: Schema("RemoveUserScramCredentialRecord", (Part("name", "string"), Part("mechanism", "int8"))),
    23: Schema("BeginTransactionRecord", (Part("name", "string", nullable=True, tag=0),)),
    24: Schema("EndTransactionRecord", ()),
    25: Schema("AbortTransactionRecord", (Part("reason", "string", nullable=True, tag=0),)),
    26: Schema("RemoveDelegationTokenRecord", (Part("token_id", "string"),)),
    27: Schema(
        "RegisterControllerRecord",
        (
            Part("controller_id", "int32"),
            Part("incarnation_id", "uuid"),
            Part("zk_migration_ready", "boolean"),
            _ENDPOINTS,
            _FEATURES,
        ),
    ),
    28: Schema("ClearElrRecord", (Part("topic_name", "string"),)),
    29: Schema("UnregisterControllerRecord", (Part("controller_id", "int32"),)),
}
SECRET_FIELDS = frozenset({"salt", "stored_key", "server_key"})
"""Fields of credentials; values of `ConfigRecord` may be secret by their name."""


def read_record(value: bytes | None) -> Decoded:
    """The message in a frame, ``name`` telling its type; never raises."""
    if value is None:
        return Decoded("", -1, {}, "the value is null")
    cursor = Cursor(value, flexible=True)
    try:
        frame, kind, version = cursor.uvarint(), cursor.uvarint(), cursor.uvarint()
    except Cut as error:
        return Decoded("", -1, {}, str(error))
    if frame != FRAME_VERSION:
        return Decoded("", version, {}, f"frame version {frame} is not known")
    schema = RECORDS.get(kind)
    if schema is None:
        return Decoded("", version, {}, f"metadata record type {kind} is not known")
    return read(schema, version, cursor)
