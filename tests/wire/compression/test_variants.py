"""What Kafka's readers take and refuse, codec by codec."""

from __future__ import annotations

import gzip

import lz4.frame
import pytest
import snappy
import zstandard

from kafka_salvage.wire.compression.lz4 import header_checksum
from kafka_salvage.wire.compression.registry import InflateFailed, decompress, inflate

LIMIT = 1 << 20
TEXT = b"offsets never lie, lengths do. " * 40
FRAME = bytes(lz4.frame.compress(TEXT, block_linked=False, store_size=False, block_size=4))


def changed(flags: int | None = None, descriptor: int | None = None, *, frame: bytes = FRAME) -> bytes:
    """The frame with other header bytes and a checksum that fits them."""
    raw = bytearray(frame)
    raw[4] = raw[4] if flags is None else flags
    raw[5] = raw[5] if descriptor is None else descriptor
    raw[6] = header_checksum(bytes(raw[4:6]))
    return bytes(raw)


@pytest.mark.parametrize(("descriptor", "right", "old"), [(0x40, 0x82, 0x1A), (0x50, 0xFB, 0x77), (0x60, 0x51, 0xD6), (0x70, 0x73, 0x10)])  # fmt: skip
def test_lz4_header_checksums(descriptor: int, right: int, old: int) -> None:
    plain = bytes((0x60, descriptor))
    assert header_checksum(plain) == right
    assert header_checksum(b"\x04\x22\x4d\x18" + plain) == old


def test_lz4_header_checksum_agrees_with_the_library() -> None:
    for size in (1, 300, 70_000):
        frame = bytes(lz4.frame.compress(bytes(size), store_size=True, block_linked=False))
        assert header_checksum(frame[4:14]) == frame[14]


@pytest.mark.parametrize("magic", [0, 1, 2])
@pytest.mark.parametrize("checksum", [0x1A, 0x00])
def test_a_wrong_lz4_header_checksum(magic: int, checksum: int) -> None:
    frame = FRAME[:6] + bytes((checksum,)) + FRAME[7:]
    found = inflate(3, frame, LIMIT, magic=magic)
    assert found.data == TEXT
    assert found.notes == (
        "LZ4 header checksum computed over the magic too (KAFKA-3160)"
        if checksum
        else "LZ4 header checksum 0x00 is wrong",
    )
    if magic == 0:
        assert decompress(3, frame, LIMIT, magic=0, strict=True) == TEXT
    else:
        with pytest.raises(InflateFailed, match="Kafka refuses it"):
            decompress(3, frame, LIMIT, magic=magic, strict=True)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (changed(0x40), "depend on each other"),
        (changed(0x61), "reserved"),
        (changed(0x62), "reserved"),
        (changed(0xA0), "another version"),
        (changed(None, 0x30), "not legal"),
        (changed(None, 0xC0), "not legal"),
        (changed(None, 0x41), "not legal"),
        (b"\x02\x21\x4c\x18" + FRAME[4:], "does not begin with an LZ4 frame"),
        (b"\x50\x2a\x4d\x18\x00\x00\x00\x00" + FRAME, "does not begin with an LZ4 frame"),
        (FRAME[:-4], "no end mark"),
        (FRAME[:6], "header is cut"),
        (FRAME[:-10], "a block of [0-9]+ bytes is cut"),
        (b"", "header is cut"),
    ],
)
def test_lz4_frames_that_kafka_refuses(frame: bytes, words: str) -> None:
    with pytest.raises(InflateFailed, match=words):
        decompress(3, frame, LIMIT, magic=2)


def test_lz4_ignores_a_second_frame() -> None:
    found = inflate(3, FRAME + FRAME, LIMIT, magic=2)
    assert found.data == TEXT
    assert found.notes == (f"{len(FRAME)} bytes after the LZ4 frame, ignored as Kafka does",)


def test_lz4_does_not_look_at_content_size_and_content_checksum() -> None:
    frame = bytearray(lz4.frame.compress(TEXT, block_linked=False, store_size=True, content_checksum=True))
    frame[6:14] = (5).to_bytes(8, "little")
    frame[14] = header_checksum(bytes(frame[4:14]))
    frame[-1] ^= 0xFF
    assert decompress(3, frame, LIMIT, magic=2) == TEXT


def test_lz4_verifies_block_checksums() -> None:
    frame = bytearray(lz4.frame.compress(TEXT, block_linked=False, store_size=False, block_checksum=True))
    assert decompress(3, frame, LIMIT, magic=2) == TEXT
    frame[-5] ^= 1
    with pytest.raises(InflateFailed, match="damaged"):
        decompress(3, frame, LIMIT, magic=2)


def test_an_lz4_stored_block_of_no_bytes_is_an_end_mark_too() -> None:
    assert decompress(3, FRAME[:-4] + b"\x00\x00\x00\x80", LIMIT, magic=2) == TEXT


def test_gzip_ignores_what_is_no_member() -> None:
    packed = gzip.compress(TEXT)
    found = inflate(1, packed + bytes(20), LIMIT, magic=2)
    assert found.data == TEXT
    assert found.notes == ("20 bytes after the last gzip member, ignored",)
    with pytest.raises(InflateFailed):
        decompress(1, packed + packed[:-3], LIMIT, magic=2)


def test_gzip_verifies_its_checksum() -> None:
    packed = bytearray(gzip.compress(TEXT))
    packed[-5] ^= 1
    with pytest.raises(InflateFailed, match="damaged"):
        decompress(1, packed, LIMIT, magic=2)


@pytest.mark.parametrize("tail", [b"\x00", b"\x00\x00\x01"])
def test_snappy_takes_fewer_than_four_bytes_for_the_end(tail: bytes) -> None:
    block = snappy.compress(TEXT)
    stream = b"\x82SNAPPY\x00" + bytes(8) + len(block).to_bytes(4, "big") + block
    assert decompress(2, stream + tail, LIMIT, magic=2) == TEXT
    assert decompress(2, stream[:16], LIMIT, magic=2) == b""
    with pytest.raises(InflateFailed, match="block at byte"):
        decompress(2, stream + b"\x00\x00\x00\x00", LIMIT, magic=2)


def test_zstd_with_a_dictionary_is_refused() -> None:
    with pytest.raises(InflateFailed, match="dictionary"):
        decompress(4, b"\x28\xb5\x2f\xfd\x01\x00\x07\x01\x00\x00", LIMIT, magic=2)


def test_zstd_garbage_behind_a_frame_is_refused() -> None:
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(TEXT)
    with pytest.raises(InflateFailed, match="begins no zstd frame"):
        decompress(4, packed + b"garbage", LIMIT, magic=2)
    with pytest.raises(InflateFailed, match="damaged"):
        decompress(4, packed[:-1] + bytes((packed[-1] ^ 1,)), LIMIT, magic=2)
