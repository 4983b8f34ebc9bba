"""LZ4 payloads: one LZ4 frame, as far as Kafka reads the format.

Strategy: the frame is walked block by block here, by its length fields, so that every rule is Kafka's own; liblz4 is then
given a plain frame header and the blocks, and at most as much room as those blocks can fill. What Kafka does not look at
(content size, content checksum) is not shown to liblz4 either.

Kafka's rules (`Lz4BlockInputStream.java`): version 1; independent blocks only; no dictionary; one frame, what follows it is
ignored; an end mark is required. Writers of magic 0 computed the header checksum over the magic too (KAFKA-3160): Kafka
ignores the checksum in magic 0 and refuses a wrong one later; here a wrong one is noted and read on, unless ``strict``.
"""

from __future__ import annotations

from typing import Any

from kafka_salvage.wire.compression.errors import CodecMissing, InflateFailed, InflateLimit

MAGIC = b"\x04\x22\x4d\x18"
BLOCK_SIZES = {4: 64 << 10, 5: 256 << 10, 6: 1 << 20, 7: 4 << 20}
BLOCK_CHECKSUM, CONTENT_SIZE, CONTENT_CHECKSUM, INDEPENDENT = 0x10, 0x08, 0x04, 0x20
_STORED = 0x8000_0000
_MOST_PER_BYTE = 255  # a run of 0xff bytes prolongs a match by 255 each
_MASK = 0xFFFF_FFFF


def inflate(data: memoryview, limit: int, magic: int, strict: bool) -> tuple[bytes, tuple[str, ...]]:
    """The frame's output; ``magic`` and ``strict`` decide on a wrong header checksum."""
    frame = _library()
    flags, descriptor, start, notes = _header(data, magic, strict)
    largest = BLOCK_SIZES[descriptor >> 4]
    end, room, behind = _blocks(data, start, largest, flags)
    if behind < len(data):
        notes += (f"{len(data) - behind} bytes after the LZ4 frame, ignored as Kafka does",)
    plain = bytes((0x40 | INDEPENDENT | (flags & BLOCK_CHECKSUM), descriptor))
    head = MAGIC + plain + bytes((header_checksum(plain),))
    # an end mark of our own: Kafka also takes a "stored" block of no bytes for one
    context = frame.create_decompression_context()
    allowed = min(room, limit + 1)
    try:
        frame.decompress_chunk(context, head)
        out, used, done = frame.decompress_chunk(context, data[start:end], max_length=allowed)
        if len(out) > limit:
            raise InflateLimit(limit)
        if used == end - start and not done:
            _, _, done = frame.decompress_chunk(context, bytes(4), max_length=1)
    except RuntimeError as error:
        raise InflateFailed(f"the LZ4 frame is damaged: {error}") from None
    if not done:
        raise InflateFailed("an LZ4 block inflates to more than the frame allows")
    return bytes(out), notes


def _header(data: memoryview, magic: int, strict: bool) -> tuple[int, int, int, tuple[str, ...]]:
    """Flags, block descriptor, position of the first block, notes."""
    if len(data) < 7:
        raise InflateFailed("the LZ4 frame header is cut")
    if data[:4] != MAGIC:
        raise InflateFailed(f"the payload does not begin with an LZ4 frame but with {data[:4].hex()}")
    flags, descriptor = data[4], data[5]
    if flags >> 6 != 1 or flags & 0x03:
        raise InflateFailed(f"LZ4 frame flags {flags:#04x} are of another version or use reserved bits")
    if descriptor & 0x8F or descriptor >> 4 not in BLOCK_SIZES:
        raise InflateFailed(f"LZ4 block descriptor {descriptor:#04x} is not legal")
    if not flags & INDEPENDENT:
        raise InflateFailed("LZ4 blocks that depend on each other: Kafka does not read them")
    start = 6 + (8 if flags & CONTENT_SIZE else 0) + 1
    if len(data) < start:
        raise InflateFailed("the LZ4 frame header is cut")
    covered, stored = bytes(data[4 : start - 1]), data[start - 1]
    if stored == header_checksum(covered):
        return flags, descriptor, start, ()
    if stored == header_checksum(MAGIC + covered):
        note = "LZ4 header checksum computed over the magic too (KAFKA-3160)"
    else:
        note = f"LZ4 header checksum {stored:#04x} is wrong"
    if strict and magic > 0:
        raise InflateFailed(f"{note}: Kafka refuses it in magic {magic}")
    return flags, descriptor, start, (note,)


def _blocks(data: memoryview, position: int, largest: int, flags: int) -> tuple[int, int, int]:
    """Where the blocks end, the most bytes they can become, where the frame ends."""
    room, stop = 0, len(data)
    extra = 4 if flags & BLOCK_CHECKSUM else 0
    while True:
        if stop - position < 4:
            raise InflateFailed("the LZ4 frame ends too early: no end mark")
        word = int.from_bytes(data[position : position + 4], "little")
        size = word & ~_STORED
        if size == 0:
            behind = position + 4 + (4 if flags & CONTENT_CHECKSUM else 0)
            if behind > stop:
                raise InflateFailed("the LZ4 frame ends too early: its content checksum is cut")
            return position, room + 1, behind
        if size > largest:
            raise InflateFailed(f"an LZ4 block of {size} bytes in a frame of blocks up to {largest}")
        if size + extra > stop - position - 4:
            raise InflateFailed(f"the LZ4 frame ends too early: a block of {size} bytes is cut")
        room += size if word & _STORED else min(largest, size * _MOST_PER_BYTE)
        position += 4 + size + extra


def header_checksum(descriptor: bytes) -> int:
    """Second byte of xxHash32 of a frame descriptor (under 16 bytes)."""
    known = _KNOWN.get(descriptor)
    return _xxh32_second_byte(descriptor) if known is None else known


def _xxh32_second_byte(data: bytes) -> int:
    """(xxHash32(data, seed 0) >> 8) & 255 for fewer than 16 bytes: only the tail rounds of the algorithm are needed."""
    p1, p2, p3, p4, p5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393
    value = (p5 + len(data)) & _MASK
    words = len(data) // 4 * 4
    for at in range(0, words, 4):
        value = (value + int.from_bytes(data[at : at + 4], "little") * p3) & _MASK
        value = _rotate(value, 17) * p4 & _MASK
    for byte in data[words:]:
        value = (value + byte * p5) & _MASK
        value = _rotate(value, 11) * p1 & _MASK
    value = (value ^ value >> 15) * p2 & _MASK
    value = (value ^ value >> 13) * p3 & _MASK
    return (value ^ value >> 16) >> 8 & 0xFF


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> 32 - bits) & _MASK


_KNOWN = {
    bytes((flags, descriptor << 4)): _xxh32_second_byte(bytes((flags, descriptor << 4)))
    for flags in (0x60, 0x70)
    for descriptor in BLOCK_SIZES
}


def _library() -> Any:
    try:
        from lz4 import frame
    except ImportError:
        raise CodecMissing("lz4", "lz4") from None
    return frame
