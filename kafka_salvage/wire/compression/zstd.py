"""Zstandard payloads: frames, one after another, with or without content size.

Strategy: the frames are walked block by block here, by their length fields, which gives each frame's end and the most it
can become; libzstd is then given one frame and that much room, never what a content size field says. A frame whose bound
is above the room that is left is streamed in steps instead, so that memory grows only with real output.
"""

from __future__ import annotations

import threading
from typing import Any

from kafka_salvage.wire.compression.errors import CodecMissing, InflateFailed, InflateLimit

MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE_FIRST, _SKIPPABLE_LAST = 0x184D2A50, 0x184D2A5F
_LARGEST_BLOCK = 128 << 10
_LARGEST_WINDOW = 128 << 20  # libzstd's own default for streams, and so zstd-jni's
_STEP = 1 << 20
_DICTIONARY_ID_SIZES = (0, 1, 2, 4)
_RAW, _RLE, _COMPRESSED = range(3)

_local = threading.local()


def inflate(data: memoryview, limit: int, magic: int, strict: bool) -> tuple[bytes, tuple[str, ...]]:
    """All frames' output; ``magic`` and ``strict`` make no difference."""
    library = _library()
    parts: list[bytes] = []
    room, position, frames, skipped = limit, 0, 0, 0
    while position < len(data):
        number = int.from_bytes(data[position : position + 4], "little")
        if _SKIPPABLE_FIRST <= number <= _SKIPPABLE_LAST:
            position = _behind_skippable(data, position)
            skipped += 1
            continue
        stop, most, declared = _frame(data, position)
        if declared > most:
            raise InflateFailed(f"a zstd frame says it holds {declared} bytes; its blocks hold at most {most}")
        part = _inflate_frame(library, data[position:stop], most, room, limit)
        room -= len(part)
        parts.append(part)
        frames += 1
        position = stop
    if not frames:
        raise InflateFailed("the payload holds no zstd frame")
    notes: tuple[str, ...] = ()
    if frames > 1:
        notes += (f"{frames} zstd frames",)
    if skipped:
        notes += (f"{skipped} skippable zstd frames",)
    return (parts[0] if frames == 1 else b"".join(parts)), notes


def _inflate_frame(library: Any, frame: memoryview, most: int, room: int, limit: int) -> bytes:
    try:
        if most <= room:
            out: bytes = _decompressor(library).decompress(frame, max_output_size=max(most, 1))
            return out
        parts: list[bytes] = []
        size = 0
        with library.ZstdDecompressor(max_window_size=_LARGEST_WINDOW).stream_reader(frame) as reader:
            while part := reader.read(min(_STEP, room - size + 1)):
                size += len(part)
                if size > room:
                    raise InflateLimit(limit)
                parts.append(part)
        return b"".join(parts)
    except library.ZstdError as error:
        raise InflateFailed(f"the zstd frame is damaged: {error}") from None


def _decompressor(library: Any) -> Any:
    """This thread's decompressor: making one costs more than a small batch, sharing one between threads is not safe."""
    known = getattr(_local, "decompressor", None)
    if known is None:
        known = _local.decompressor = library.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
    return known


def _frame(data: memoryview, start: int) -> tuple[int, int, int]:
    """Where the frame ends, the most bytes its blocks can become, its content size (-1 = not said)."""
    if len(data) - start < 6:
        raise InflateFailed("the zstd frame header is cut")
    if data[start : start + 4] != MAGIC:
        raise InflateFailed(
            f"{bytes(data[start : start + 4]).hex()} at byte {start} of the payload begins no zstd frame"
        )
    descriptor = data[start + 4]
    if descriptor & 0x08:
        raise InflateFailed("the zstd frame header uses a reserved bit")
    single = descriptor & 0x20
    position = start + 5
    window = 0
    if not single:
        exponent, mantissa = data[position] >> 3, data[position] & 7
        window = (1 << 10 + exponent) // 8 * (8 + mantissa)
        position += 1
    dictionary_size = _DICTIONARY_ID_SIZES[descriptor & 3]
    if any(data[position : position + dictionary_size]):
        raise InflateFailed("the zstd frame needs a dictionary")
    position += dictionary_size
    size_size = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
    declared = int.from_bytes(data[position : position + size_size], "little") if size_size else -1
    if size_size == 2:
        declared += 256
    position += size_size
    largest = min(_LARGEST_BLOCK, declared if single else window)
    stop, most = _blocks(data, position, largest)
    if descriptor & 0x04:
        stop += 4
    if stop > len(data):
        raise InflateFailed("the zstd frame ends too early: its checksum is cut")
    return stop, most, declared


def _blocks(data: memoryview, position: int, largest: int) -> tuple[int, int]:
    """Where the blocks end, and the most bytes they can become."""
    most = 0
    while True:
        head = data[position : position + 3]
        if len(head) < 3:
            raise InflateFailed("the zstd frame ends too early: a block header is cut")
        word = int.from_bytes(head, "little")
        kind, size = word >> 1 & 3, word >> 3
        if kind > _COMPRESSED or size > largest:
            raise InflateFailed(f"the zstd block at byte {position} of the payload has type {kind} and {size} bytes")
        position += 3 + (1 if kind == _RLE else size)
        most += largest if kind == _COMPRESSED else size
        if position > len(data):
            raise InflateFailed("the zstd frame ends too early: a block is cut")
        if word & 1:
            return position, most


def _behind_skippable(data: memoryview, position: int) -> int:
    size = int.from_bytes(data[position + 4 : position + 8], "little")
    if len(data) - position < 8 or size > len(data) - position - 8:
        raise InflateFailed("a skippable zstd frame is cut")
    return position + 8 + size


def _library() -> Any:
    try:
        import zstandard
    except ImportError:
        raise CodecMissing("zstd", "zstandard") from None
    return zstandard
