"""Encodings: varints, sized bytes and compressed payloads as Kafka's producers write them; for tests."""

from __future__ import annotations

import gzip as _gzip
import struct

import lz4.frame
import snappy
import zstandard

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
CODECS = (NONE, GZIP, SNAPPY, LZ4, ZSTD)
LEGACY_CODECS = (NONE, GZIP, SNAPPY, LZ4)


def zigzag(number: int) -> bytes:
    """Kafka's varint."""
    value = (number << 1) ^ (number >> 63) if number < 0 else number << 1
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def sized(data: bytes | None) -> bytes:
    return zigzag(-1) if data is None else zigzag(len(data)) + data


def sized32(data: bytes | None) -> bytes:
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def xerial(data: bytes) -> bytes:
    """xerial snappy stream, 32 KiB blocks."""
    out = [b"\x82SNAPPY\x00", struct.pack(">ii", 1, 1)]
    for at in range(0, len(data), 32768):
        block = snappy.compress(data[at : at + 32768])
        out += [struct.pack(">i", len(block)), block]
    return b"".join(out)


def compress(codec: int, data: bytes, *, magic: int = 2, raw_snappy: bool = False) -> bytes:
    """Bytes as a Kafka producer of that magic writes them (the wrong LZ4 header checksum of magic 0 included)."""
    if codec == NONE:
        return data
    if codec == GZIP:
        return _gzip.compress(data, mtime=0)
    if codec == SNAPPY:
        return bytes(snappy.compress(data)) if raw_snappy else xerial(data)
    if codec == LZ4:
        frame = bytearray(
            lz4.frame.compress(
                data,
                block_size=lz4.frame.BLOCKSIZE_MAX64KB,
                block_linked=False,
                content_checksum=False,
                store_size=False,
            )
        )
        assert frame[4:6] == b"\x60\x40"
        if magic == 0:
            frame[6] = 0x1A
        return bytes(frame)
    if codec == ZSTD:
        return zstandard.ZstdCompressor(write_content_size=False).compress(data)
    raise ValueError(f"codec {codec}")
