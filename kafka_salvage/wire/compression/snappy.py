"""Snappy payloads: xerial streams of blocks, or one raw block.

As `SnappyInputStream` does: a payload that does not begin with the 16 bytes of a xerial header is one raw block;
headers may come again between blocks; fewer than four bytes at the end are no block. Any version is accepted.
"""

from __future__ import annotations

from collections.abc import Callable

from kafka_salvage.wire.compression.errors import CodecMissing, InflateFailed, InflateLimit

Uncompress = Callable[[memoryview, int], bytes]

XERIAL_MAGIC = b"\x82SNAPPY\x00"
XERIAL_HEADER_SIZE = 16
_AGAIN = XERIAL_MAGIC[:4]
_MOST_PER_BYTE = 22  # a copy of 64 bytes takes three


def inflate(data: memoryview, limit: int, magic: int, strict: bool) -> tuple[bytes, tuple[str, ...]]:
    """The stream's or block's output; ``magic`` and ``strict`` make no difference."""
    uncompress = _library()
    if len(data) < XERIAL_HEADER_SIZE or data[:8] != XERIAL_MAGIC:
        return _block(uncompress, data, 0, limit, limit), ("raw snappy without framing",)
    parts: list[bytes] = []
    notes: tuple[str, ...] = ()
    room, position, stop, streams = limit, XERIAL_HEADER_SIZE, len(data), 1
    while stop - position >= 4:
        head = data[position : position + 4]
        if head == _AGAIN:
            if stop - position < XERIAL_HEADER_SIZE:
                raise InflateFailed(f"the xerial header at byte {position} of the payload is cut")
            streams += 1
            position += XERIAL_HEADER_SIZE
            continue
        size = int.from_bytes(head, "big", signed=True)
        position += 4
        if size <= 0 or size > stop - position:
            raise InflateFailed(
                f"the snappy block at byte {position - 4} of the payload says it has {size} bytes; {stop - position} are left"
            )
        part = _block(uncompress, data[position : position + size], position, room, limit)
        room -= len(part)
        parts.append(part)
        position += size
    if streams > 1:
        notes += (f"{streams} xerial streams",)
    if position < stop:
        notes += (f"{stop - position} bytes after the last snappy block, ignored",)
    return (parts[0] if len(parts) == 1 else b"".join(parts)), notes


def _block(uncompress: Uncompress, block: memoryview, position: int, room: int, limit: int) -> bytes:
    """One raw block, its declared size believed only when the block is long enough to hold it."""
    declared, shift = 0, 0
    for byte in block[:5]:
        declared |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    else:
        raise InflateFailed(f"the snappy block at byte {position} of the payload has no size")
    if declared > len(block) * _MOST_PER_BYTE:
        raise InflateFailed(
            f"the snappy block at byte {position} of the payload says it inflates to {declared} bytes; "
            f"{len(block)} bytes cannot"
        )
    if declared > room:
        raise InflateLimit(limit)
    return uncompress(block, position)


def _library() -> Uncompress:
    try:
        from snappy import UncompressError, uncompress
    except ImportError:
        raise CodecMissing("snappy", "python-snappy") from None

    def checked(block: memoryview, position: int) -> bytes:
        try:
            return bytes(uncompress(block))
        except UncompressError as error:
            reason = error.__cause__ or error
            raise InflateFailed(f"the snappy block at byte {position} of the payload is damaged: {reason}") from None

    return checked
