"""Records of `__transaction_state`: what the transaction coordinator decided.

Source: `transaction-coordinator/src/main/resources/common/message/TransactionLog{Key,Value}.json`.
"""

from __future__ import annotations

from enum import IntEnum

from kafka_salvage.wire.schema import LATEST, Decoded, Part, Schema, read_versioned

KEY = Schema("TransactionLogKey", (Part("transactional_id", "string"),), flexible=LATEST)
VALUE = Schema(
    "TransactionLogValue",
    (
        Part("producer_id", "int64"),
        Part("previous_producer_id", "int64", since=1, tag=0, default=-1),
        Part("next_producer_id", "int64", since=1, tag=1, default=-1),
        Part("producer_epoch", "int16"),
        Part("transaction_timeout_ms", "int32"),
        Part("transaction_status", "int8"),
        Part(
            "transaction_partitions",
            many=True,
            nullable=True,
            parts=(Part("topic", "string"), Part("partition_ids", "int32", many=True)),
        ),
        Part("transaction_last_update_timestamp_ms", "int64"),
        Part("transaction_start_timestamp_ms", "int64"),
        Part("client_transaction_version", "int16", since=1, tag=2, default=0),
    ),
    newest=1,
    flexible=1,
)


class TransactionStatus(IntEnum):
    """State of a transactional id."""

    EMPTY = 0
    ONGOING = 1
    PREPARE_COMMIT = 2
    PREPARE_ABORT = 3
    COMPLETE_COMMIT = 4
    COMPLETE_ABORT = 5
    DEAD = 6
    PREPARE_EPOCH_FENCE = 7


def read_key(key: bytes | None) -> Decoded:
    """The transactional id of a key; never raises."""
    return Decoded(KEY.name, -1, {}, "the key is null") if key is None else read_versioned((KEY,), key)


def read_value(value: bytes | None) -> Decoded:
    """A value's fields; a tombstone has none and no problem. Never raises."""
    return Decoded(VALUE.name, -1) if value is None else read_versioned((VALUE,), value)
