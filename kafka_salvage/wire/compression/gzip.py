"""Gzip payloads: RFC 1952 members, one after another.

As Java's `GZIPInputStream` does: members are concatenated; what follows the last member and is no member is ignored.
"""

from __future__ import annotations

import zlib

from kafka_salvage.wire.compression.errors import InflateFailed, InflateLimit

MAGIC = b"\x1f\x8b"
_MEMBER = 16 + zlib.MAX_WBITS


def inflate(data: memoryview, limit: int, magic: int, strict: bool) -> tuple[bytes, tuple[str, ...]]:
    """All members' output; ``magic`` and ``strict`` make no difference."""
    parts: list[bytes] = []
    size = 0
    rest: memoryview | bytes = data
    while True:
        member = zlib.decompressobj(_MEMBER)
        try:
            part = member.decompress(rest, limit - size + 1)
        except zlib.error as error:
            raise InflateFailed(f"the gzip stream is damaged: {error}") from None
        size += len(part)
        if size > limit:
            raise InflateLimit(limit)
        if not member.eof:
            raise InflateFailed(f"the gzip stream ends too early, after {size} bytes of output")
        parts.append(part)
        rest = member.unused_data
        if not _is_member(rest):
            break
    notes: tuple[str, ...] = ()
    if len(parts) > 1:
        notes += (f"{len(parts)} gzip members",)
    if rest:
        notes += (f"{len(rest)} bytes after the last gzip member, ignored",)
    return (parts[0] if len(parts) == 1 else b"".join(parts)), notes


def _is_member(rest: bytes) -> bool:
    # what Java's readHeader insists on; without it the rest is silently ignored there
    return len(rest) >= 10 and rest[:2] == MAGIC and rest[2] == 8
