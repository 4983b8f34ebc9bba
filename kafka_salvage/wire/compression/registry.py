"""Registry of Kafka's five codecs: bytes in, bytes out.

Strategy: `inflate` is given a compressed payload and the most bytes it may become. It returns the bytes and what was
unusual about them, or raises a `CodecError` that says why not. It never allocates what a length field says, never
returns part of a payload, and never looks at records. With ``strict`` it refuses what Kafka's own readers refuse.

Source: `clients/.../common/compress/*Compression.java`, `CompressionType.java`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kafka_salvage.wire.compression import gzip, lz4, snappy, zstd
from kafka_salvage.wire.compression.errors import (
    CodecError,
    CodecMissing,
    InflateFailed,
    InflateLimit,
    UnknownCodec,
)

__all__ = [
    "CODECS",
    "GZIP",
    "LZ4",
    "NONE",
    "SNAPPY",
    "ZSTD",
    "Codec",
    "CodecError",
    "CodecMissing",
    "InflateFailed",
    "InflateLimit",
    "Inflated",
    "UnknownCodec",
    "codec_name",
    "decompress",
    "inflate",
]

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)

Buffer = Any
"""`bytes`, `bytearray`, `memoryview` or a C-contiguous `uint8` array."""

Inflate = Callable[[memoryview, int, int, bool], tuple[bytes, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Codec:
    """One codec.

    Attributes:
        name: Kafka's name of it.
        lowest_magic: oldest format that may carry it.
        inflate: payload, limit, magic, strict -> bytes, notes.
    """

    name: str
    lowest_magic: int
    inflate: Inflate


@dataclass(frozen=True, slots=True)
class Inflated:
    """A payload, inflated whole.

    Attributes:
        data: the bytes.
        notes: what was unusual about the compressed form, one sentence each; mostly empty.
    """

    data: bytes
    notes: tuple[str, ...] = ()


def _stored(data: memoryview, limit: int, magic: int, strict: bool) -> tuple[bytes, tuple[str, ...]]:
    if len(data) > limit:
        raise InflateLimit(limit)
    return bytes(data), ()


CODECS: dict[int, Codec] = {
    NONE: Codec("none", 0, _stored),
    GZIP: Codec("gzip", 0, gzip.inflate),
    SNAPPY: Codec("snappy", 0, snappy.inflate),
    LZ4: Codec("lz4", 0, lz4.inflate),
    ZSTD: Codec("zstd", 2, zstd.inflate),
}


def codec_name(codec: int) -> str:
    """Kafka's name of a codec id, or `codec 5` and the like."""
    known = CODECS.get(codec)
    return known.name if known else f"codec {codec}"


def decompress(codec: int, data: Buffer, limit: int, *, magic: int, strict: bool = False) -> bytes:
    """The inflated payload.

    Args:
        codec: id, the low three bits of the attributes.
        data: compressed payload (v2: bytes from 61 on; v0/v1: the wrapper's value).
        limit: most bytes of output.
        magic: format of the batch (LZ4's header checksum and zstd depend on it).
        strict: refuse what Kafka's own readers refuse.

    Raises:
        UnknownCodec: no such codec, or not in this magic.
        CodecMissing: the library is not installed.
        InflateLimit: more than ``limit`` bytes.
        InflateFailed: damaged, cut, or a variant that Kafka does not read.
    """
    return inflate(codec, data, limit, magic=magic, strict=strict).data


def inflate(codec: int, data: Buffer, limit: int, *, magic: int, strict: bool = False) -> Inflated:
    """The inflated payload with notes; arguments and errors as `decompress`."""
    known = CODECS.get(codec)
    if known is None:
        raise UnknownCodec(f"compression type {codec} is not one that Kafka knows")
    if magic < known.lowest_magic:
        raise UnknownCodec(f"{known.name} is not legal in batches of magic {magic}")
    view = memoryview(data)
    if view.itemsize != 1 or view.ndim != 1:
        view = view.cast("B")
    return Inflated(*known.inflate(view, limit, magic, strict))
