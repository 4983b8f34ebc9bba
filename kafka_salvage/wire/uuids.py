"""Kafka's text form of 16-byte ids: URL-safe base64 without padding, 22 characters.

Source: `Uuid.java`.
"""

from __future__ import annotations

import base64
import binascii
import re

ZERO = bytes(16)
METADATA_TOPIC = bytes(15) + b"\x01"
RESERVED_DIRECTORIES = frozenset(bytes(15) + bytes((low,)) for low in range(100))
"""Directory ids with a meaning of their own (migrating, unassigned, lost), illegal in `meta.properties`."""

_LEGAL = re.compile(r"[A-Za-z0-9_-]{22}(==)?")


def uuid_text(value: bytes) -> str:
    """22 characters for 16 bytes."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def read_uuid(text: str) -> bytes | None:
    """The 16 bytes of an id's text; None if it is no id."""
    if not _LEGAL.fullmatch(text):
        return None
    try:
        return base64.urlsafe_b64decode(text[:22] + "==")
    except binascii.Error:
        return None
