"""Masks: which values of the cluster's metadata log hold credentials."""

from __future__ import annotations

from kafka_salvage.wire.messages import Cursor, Cut

CONFIG, DELEGATION_TOKEN, SCRAM_CREDENTIAL = 4, 10, 11
METADATA_TOPICS = frozenset({"__cluster_metadata", "@metadata"})
_SECRET_WORDS = ("password", "secret", "jaas", "token", "credential")


def is_secret(value: bytes | None) -> bool:
    """Whether a record value of `__cluster_metadata` holds a credential.

    SCRAM credentials and delegation tokens always do; a configuration does when its name says so: KRaft keeps the
    passwords of listeners and key stores in it as plain text. What cannot be read as a metadata record is shown.

    Args:
        value: frame version, api key and version as unsigned varints, then the message.
    """
    cursor = Cursor(value or b"", flexible=True)
    try:
        cursor.uvarint()
        kind = cursor.uvarint()
        cursor.uvarint()
        if kind != CONFIG:
            return kind in (DELEGATION_TOKEN, SCRAM_CREDENTIAL)
        cursor.int8()
        cursor.string()
        name = cursor.string().lower()
    except Cut:
        return False
    return name.endswith(".key") or any(word in name for word in _SECRET_WORDS)
