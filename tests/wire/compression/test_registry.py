"""Codecs through the registry: what goes in comes out, bounded, or one sentence says why not."""

from __future__ import annotations

import gzip
import sys
import tracemalloc
from collections.abc import Callable

import lz4.frame
import numpy as np
import pytest
import snappy
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.wire.compression.registry import (
    CODECS,
    CodecError,
    CodecMissing,
    InflateFailed,
    InflateLimit,
    UnknownCodec,
    codec_name,
    decompress,
    inflate,
)

LIMIT = 8 << 20
TEXT = b"every intact record back, every byte accounted for. " * 2000


def xerial(data: bytes, *, version: int = 1, block: int = 32768) -> bytes:
    out = b"\x82SNAPPY\x00" + version.to_bytes(4, "big") + (1).to_bytes(4, "big")
    for at in range(0, len(data), block):
        piece = snappy.compress(data[at : at + block])
        out += len(piece).to_bytes(4, "big") + piece
    return out


def lz4_frame(data: bytes, **settings: object) -> bytes:
    return bytes(lz4.frame.compress(data, **{"block_linked": False, "store_size": False, **settings}))


def zstd(data: bytes, *, size: bool = False, checksum: bool = False) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=size, write_checksum=checksum).compress(data)


VARIANTS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "none": (0, bytes),
    "gzip": (1, gzip.compress),
    "gzip stored": (1, lambda data: gzip.compress(data, 0)),
    "gzip members": (1, lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
    "snappy xerial": (2, xerial),
    "snappy xerial, version 7": (2, lambda data: xerial(data, version=7)),
    "snappy xerial, large blocks": (2, lambda data: xerial(data, block=1 << 20)),
    "snappy xerial, twice": (2, lambda data: xerial(data[:9]) + xerial(data[9:])),
    "snappy raw": (2, snappy.compress),
    "lz4": (3, lz4_frame),
    "lz4 with everything": (
        3,
        lambda data: lz4_frame(data, content_checksum=True, block_checksum=True, store_size=True, block_size=7),
    ),
    "lz4 256 KiB blocks": (3, lambda data: lz4_frame(data, block_size=5)),
    "zstd": (4, zstd),
    "zstd with size and checksum": (4, lambda data: zstd(data, size=True, checksum=True)),
    "zstd frames": (4, lambda data: zstd(data[:9]) + zstd(data[9:])),
    "zstd skippable": (4, lambda data: b"\x5a\x2a\x4d\x18\x03\x00\x00\x00abc" + zstd(data)),
}


def size_or_sentence(codec: int, data: bytes | bytearray, limit: int, *, strict: bool = False) -> bool:
    """Whether the output keeps to the limit, or the error has words."""
    try:
        return len(decompress(codec, data, limit, magic=2, strict=strict)) <= limit
    except CodecError as error:
        return bool(error.sentence)


named = pytest.mark.parametrize("name", VARIANTS)


@named
@pytest.mark.parametrize("size", [1, 10, 40_000, len(TEXT)])
def test_round_trip(name: str, size: int) -> None:
    codec, compress = VARIANTS[name]
    assert decompress(codec, compress(TEXT[:size]), LIMIT, magic=2) == TEXT[:size]


@named
@given(data=st.binary(max_size=3000))
def test_round_trip_of_anything(name: str, data: bytes) -> None:
    codec, compress = VARIANTS[name]
    if len(data) > 10:
        assert decompress(codec, compress(data), LIMIT, magic=2) == data


@named
def test_any_buffer_will_do(name: str) -> None:
    codec, compress = VARIANTS[name]
    packed = compress(TEXT)
    array = np.frombuffer(b"xx" + packed + b"yy", np.uint8)[2:-2]
    for data in (bytearray(packed), memoryview(packed), array):
        assert decompress(codec, data, LIMIT, magic=2) == TEXT


@named
def test_the_limit_is_exact(name: str) -> None:
    codec, compress = VARIANTS[name]
    packed = compress(TEXT)
    assert decompress(codec, packed, len(TEXT), magic=2) == TEXT
    for limit in (len(TEXT) - 1, 100, 0):
        with pytest.raises(InflateLimit, match=str(limit)):
            decompress(codec, packed, limit, magic=2)


@pytest.mark.parametrize("name", [n for n in VARIANTS if n != "none"])
def test_a_cut_payload_is_never_taken_for_a_whole_one(name: str) -> None:
    codec, compress = VARIANTS[name]
    packed = compress(TEXT[:40_000])
    # framing without an end mark cannot show a cut between its parts
    whole = {9} if name in ("gzip members", "zstd frames", "snappy xerial, twice") else set()
    whole |= {0, 32768} if "xerial" in name else set()
    for stop in range(0, len(packed), max(1, len(packed) // 300)):
        try:
            got = decompress(codec, packed[:stop], LIMIT, magic=2)
        except InflateFailed:
            continue
        assert len(got) in whole
        assert TEXT.startswith(got)


@named
@given(data=st.data())
def test_damage_never_raises_anything_else(name: str, data: st.DataObject) -> None:
    codec, compress = VARIANTS[name]
    raw = bytearray(compress(TEXT[:500]))
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    assert size_or_sentence(codec, raw, 100_000)


@given(st.sampled_from(sorted(CODECS)), st.binary(max_size=200), st.booleans())
def test_any_bytes(codec: int, data: bytes, strict: bool) -> None:
    assert size_or_sentence(codec, data, 50_000, strict=strict)


@pytest.mark.parametrize(
    ("codec", "bomb"),
    [
        (1, gzip.compress(bytes(64 << 20))),
        (2, xerial(bytes(8 << 20), block=8 << 20)),
        (2, snappy.compress(bytes(8 << 20))),
        (3, lz4_frame(bytes(64 << 20), block_size=7)),
        (4, zstd(bytes(64 << 20))),
        (4, zstd(bytes(64 << 20), size=True)),
    ],
    ids=["gzip", "xerial", "raw snappy", "lz4", "zstd", "zstd with size"],
)
def test_a_bomb_stays_within_the_limit(codec: int, bomb: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InflateLimit):
            decompress(codec, bomb, 1 << 20, magic=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 << 20


@pytest.mark.parametrize(
    ("codec", "forged"),
    [
        (2, b"\xff\xff\xff\xff\x07" + snappy.compress(TEXT[:200])[2:]),
        (2, xerial(b"")[:16] + b"\x7f\xff\xff\xff" + b"x" * 50),
        (3, lz4_frame(TEXT[:200])[:7] + b"\xff\xff\xff\x7f" + b"x" * 50),
        (4, b"\x28\xb5\x2f\xfd\xe0" + b"\xff\xff\xff\xff\xff\xff\xff\x7f" + zstd(TEXT[:200])[6:]),
    ],
    ids=["raw snappy size", "xerial block", "lz4 block", "zstd content size"],
)
def test_a_forged_length_allocates_nothing(codec: int, forged: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InflateFailed):
            decompress(codec, forged, 1 << 40, magic=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def test_ids_that_are_no_codec() -> None:
    for codec in (5, 6, 7, -1):
        with pytest.raises(UnknownCodec, match=str(codec)):
            decompress(codec, b"x", LIMIT, magic=2)
    with pytest.raises(UnknownCodec, match="zstd is not legal in batches of magic 1"):
        decompress(4, zstd(TEXT), LIMIT, magic=1)
    assert (codec_name(4), codec_name(5)) == ("zstd", "codec 5")


@pytest.mark.parametrize(
    ("codec", "module", "install"),
    [
        (2, "snappy", "pip install python-snappy"),
        (3, "lz4", "pip install lz4"),
        (4, "zstandard", "pip install zstandard"),
    ],
)
def test_a_missing_library_is_said(codec: int, module: str, install: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(CodecMissing, match="is not installed") as caught:
        decompress(codec, b"x", LIMIT, magic=2)
    assert caught.value.install == install


def test_variants_are_noted() -> None:
    assert inflate(1, gzip.compress(TEXT), LIMIT, magic=2).notes == ()
    assert inflate(2, xerial(TEXT), LIMIT, magic=2).notes == ()
    assert inflate(3, lz4_frame(TEXT), LIMIT, magic=2).notes == ()
    assert inflate(4, zstd(TEXT), LIMIT, magic=2).notes == ()
    assert "2 gzip members" in inflate(1, gzip.compress(TEXT) * 2, LIMIT, magic=2).notes
    assert "raw snappy without framing" in inflate(2, snappy.compress(TEXT), LIMIT, magic=2).notes
    assert "2 xerial streams" in inflate(2, xerial(TEXT) * 2, LIMIT, magic=2).notes
    assert "2 zstd frames" in inflate(4, zstd(TEXT) * 2, LIMIT, magic=2).notes
