"""Place: where in the output directory something goes, by names that are safe on any file system.

Source: `Topic.java` (legal topic names: ASCII letters, digits, `.`, `_` and `-`, at most 249 characters).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

LEGAL = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
LONGEST = 249
"""Longest encoded name; with a partition number behind it a directory name stays within 255 bytes."""

INTERNAL_TOPICS = frozenset(
    {
        "__consumer_offsets",
        "__transaction_state",
        "__share_group_state",
        "__remote_log_metadata",
        "__cluster_metadata",
        "@metadata",
    }
)
"""Topics that Kafka itself writes; a topic of the person's may begin with two underscores too."""

UNLOADABLE_TOPICS = frozenset({"__cluster_metadata", "@metadata"})
"""Topics that are never written as a loadable log directory."""


def encode(name: str) -> str:
    """A single path component for any name: legal topic names stay, all else is percent-encoded, overlong names are cut.

    Different names give different components. Never empty, ``.``, ``..``, and never with a ``/``.
    """
    raw = name.encode("utf-8", "surrogateescape")
    if not raw:
        return "%"
    if raw in (b".", b".."):
        return "%2E" * len(raw)
    text = "".join(chr(byte) if byte in LEGAL else f"%{byte:02X}" for byte in raw)
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 34]}%~{hashlib.sha256(raw).hexdigest()[:32]}"
    return text


def encode_path(path: str) -> str:
    """A relative path, component by component."""
    return "/".join(encode(part) for part in path.split("/") if part)


def partition_directory(topic: str, partition: int) -> str:
    """Name of a partition's log directory in the output."""
    return f"{encode(topic)}-{partition}"


def shown(text: str) -> str:
    """Text that may hold undecodable bytes of a file name, as valid Unicode (each such byte as backslash, x, two digits)."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def free_name(wanted: str, taken: Iterable[str]) -> str:
    """``wanted``, or the first of ``wanted~2``, ``wanted~3``… that is not taken (``~`` is in no encoded name)."""
    names, name, number = set(taken), wanted, 1
    while name in names:
        number += 1
        name = f"{wanted}~{number}"
    return name
