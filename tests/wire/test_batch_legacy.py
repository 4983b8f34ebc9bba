"""Messages of magic 0 and 1 and their wrappers."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kafka_salvage.wire.attributes import TimestampType
from kafka_salvage.wire.batch_legacy import Message, compute_crc, decode_wrapper, message_bytes, read_message
from kafka_salvage.wire.compression.errors import InflateLimit

LIMIT = 1 << 20

HEX = {
    "v0_plain": ("00000000000000000000001387a77ab20000ffffffff0000000568656c6c6f", (0, 0, 0, -1, None, b"hello")),
    "v0_key": ("000000000000002a000000101fecd70a0000000000016b0000000176", (42, 0, 0, -1, b"k", b"v")),
    "v0_tomb": ("00000000000000070000000f908204f60000000000016bffffffff", (7, 0, 0, -1, b"k", None)),
    "v1_plain": (
        "000000000000000000000018bf070c1c01000000015d3ef79800000000016b0000000176",
        (0, 1, 0, 1500000000000, b"k", b"v"),
    ),
    "v1_lat": (
        "000000000000000300000016a8b1ff3501080000015d3ef79800ffffffff00000000",
        (3, 1, 8, 1500000000000, None, b""),
    ),
}


def build(offset: int, magic: int, attributes: int, timestamp: int, key: bytes | None, value: bytes | None) -> bytes:
    """A message, by its own arithmetic."""
    body = bytes((magic, attributes)) + (timestamp.to_bytes(8, "big", signed=True) if magic else b"")
    for part in (key, value):
        body += b"\xff\xff\xff\xff" if part is None else len(part).to_bytes(4, "big") + part
    return offset.to_bytes(8, "big") + (len(body) + 4).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big") + body


def wrapper(magic: int, offset: int, inner: bytes, *, attributes: int = 1, timestamp: int = 99) -> Message:
    message = read_message(build(offset, magic, attributes, timestamp, None, gzip.compress(inner)))
    assert isinstance(message, Message)
    return message


@pytest.mark.parametrize("name", HEX)
def test_messages_read_and_write_back(name: str) -> None:
    data, expected = bytes.fromhex(HEX[name][0]), HEX[name][1]
    message = read_message(data)
    assert isinstance(message, Message)
    got = (message.offset, message.magic, message.attributes, message.timestamp, message.key, message.value)
    assert got == expected
    assert message.problem is None
    assert message.size == len(data)
    assert compute_crc(data) == message.crc
    assert message_bytes(message) == data


def test_bytes_behind_the_value_are_noticed_here_but_not_by_kafka() -> None:
    data = bytearray(build(0, 0, 0, 0, b"k", b"v") + b"xy")
    data[11] += 2
    generous, strict = read_message(data), read_message(data, strict=True)
    assert isinstance(generous, Message)
    assert isinstance(strict, Message)
    assert generous.problem == "2 bytes are left behind its value"
    assert (strict.problem, strict.value) == (None, b"v")


@pytest.mark.parametrize("lengths", [(0x7FFFFFFF, 1), (1, 0x7FFFFFFF), (-2, 99)])
def test_forged_lengths(lengths: tuple[int, int]) -> None:
    data = bytearray(build(0, 0, 0, 0, b"k", b"v"))
    data[18:22] = lengths[0].to_bytes(4, "big", signed=True)
    data[23:27] = lengths[1].to_bytes(4, "big", signed=True)
    message = read_message(data)
    assert isinstance(message, Message)
    assert message.problem is not None


def test_v0_offsets_are_absolute_and_keep_gaps() -> None:
    inner = b"".join(build(offset, 0, 0, 0, None, b"x") for offset in (10, 12, 19))
    found = decode_wrapper(wrapper(0, 19, inner), LIMIT)
    assert [m.offset for m in found.messages] == [10, 12, 19]
    assert {m.timestamp for m in found.messages} == {-1}
    assert {m.timestamp_type for m in found.messages} == {TimestampType.NONE}


def test_v1_offsets_are_relative_to_the_last() -> None:
    inner = b"".join(build(offset, 1, 0, 7 + offset, None, b"x") for offset in (0, 1, 13, 15, 18))
    found = decode_wrapper(wrapper(1, 19, inner), LIMIT)
    assert [m.offset for m in found.messages] == [1, 2, 14, 16, 19]
    assert [m.timestamp for m in found.messages] == [7, 8, 20, 22, 25]


def test_log_append_time_overrides_but_keeps_the_create_time() -> None:
    inner = b"".join(build(offset, 1, 0, 7, None, b"x") for offset in (0, 1))
    found = decode_wrapper(wrapper(1, 5, inner, attributes=9), LIMIT)
    assert [(m.offset, m.timestamp, m.message.timestamp) for m in found.messages] == [(4, 99, 7), (5, 99, 7)]
    assert {m.timestamp_type for m in found.messages} == {TimestampType.LOG_APPEND}


def test_a_wrapper_offset_of_zero_leaves_offsets_as_they_are() -> None:
    inner = b"".join(build(offset, 1, 0, 7, None, b"x") for offset in (0, 1, 2))
    assert [m.offset for m in decode_wrapper(wrapper(1, 0, inner), LIMIT).messages] == [0, 1, 2]


def test_a_wrapper_offset_below_the_last_inner_is_refused() -> None:
    inner = b"".join(build(offset, 1, 0, 7, None, b"x") for offset in (0, 5))
    found = decode_wrapper(wrapper(1, 4, inner), LIMIT, strict=True)
    assert not found.messages
    assert found.problem is not None


def test_v0_messages_in_a_v1_wrapper() -> None:
    inner = build(0, 0, 0, 0, None, b"x") + build(1, 1, 0, 7, None, b"y")
    found = decode_wrapper(wrapper(1, 9, inner), LIMIT)
    assert [(m.offset, m.timestamp, m.timestamp_type) for m in found.messages] == [
        (8, -1, TimestampType.NONE),
        (9, 7, TimestampType.CREATE),
    ]


def test_a_wrong_inner_crc_is_a_note() -> None:
    inner = bytearray(build(0, 1, 0, 7, None, b"x") + build(1, 1, 0, 7, None, b"y"))
    inner[12] ^= 1
    found = decode_wrapper(wrapper(1, 9, bytes(inner)), LIMIT)
    assert found.problem is None
    assert found.notes == ("the CRC of 1 of 2 messages inside does not fit",)


def test_offsets_inside_that_do_not_rise() -> None:
    inner = build(3, 0, 0, 0, None, b"x") + build(3, 0, 0, 0, None, b"y")
    assert decode_wrapper(wrapper(0, 3, inner), LIMIT).problem is not None
    assert decode_wrapper(wrapper(0, 3, inner), LIMIT, strict=True).problem is None


def test_the_limit_holds() -> None:
    found = decode_wrapper(wrapper(0, 3, build(3, 0, 0, 0, None, bytes(LIMIT))), LIMIT)
    assert isinstance(found.failure, InflateLimit)


@given(st.binary(max_size=120), st.booleans())
@example(bytes(18), False)  # more than a broker asks for, less than the fields in front of the key
def test_nothing_raises(data: bytes, strict: bool) -> None:
    message = read_message(data, strict=strict)
    if isinstance(message, Message) and message.codec:
        decode_wrapper(message, LIMIT, strict=strict)
    decode_wrapper(wrapper(1, 5, data), LIMIT, strict=strict)
    decode_wrapper(wrapper(0, 5, data), LIMIT, strict=strict)
