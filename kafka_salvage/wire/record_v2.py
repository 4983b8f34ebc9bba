"""Records of magic 2: the scalar, obvious decoder, reference for the kernels.

Strategy: `decode_records` is given the uncompressed record bytes of one batch and the header's count. It returns the
records and, if the bytes are not exactly that many records, why. It never raises and never copies what a length claims.

Source: `DefaultRecord.java`, `ByteUtils.java`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kafka_salvage.wire.batch_v2 import wrap32, wrap64
from kafka_salvage.wire.layout import Field, Layout

LAYOUT = Layout(
    "record_v2",
    "Record, magic 2",
    (
        Field("length", "varint", "bytes that follow this field"),
        Field("attributes", "int8", "unused: written 0, ignored on read"),
        Field("timestamp_delta", "varlong", "added to base_timestamp; may be negative"),
        Field("offset_delta", "varint", "added to base_offset", "0 to last_offset_delta, strictly increasing"),
        Field("key_length", "varint", "bytes of the key", "negative: null"),
        Field("key", "bytes", ""),
        Field("value_length", "varint", "bytes of the value", "negative: null (a tombstone)"),
        Field("value", "bytes", ""),
        Field("headers_count", "varint", "", "0 to the bytes that remain"),
        Field("header_key_length", "varint", "bytes of the header's key", "≥ 0", repeated=True),
        Field("header_key", "bytes", "UTF-8", repeated=True),
        Field("header_value_length", "varint", "bytes of the header's value", "negative: null", repeated=True),
        Field("header_value", "bytes", "", repeated=True),
    ),
    "`DefaultRecord.java`",
    "varint is zigzag32, varlong zigzag64, both little-endian base 128; encodings longer than needed are legal.",
)

MAX_VARINT_BYTES = 5
MAX_VARLONG_BYTES = 10


@dataclass(frozen=True, slots=True)
class RecordV2:
    """One record as it is stored.

    Attributes:
        attributes: unused byte.
        timestamp_delta: ms from the batch's base timestamp.
        offset_delta: from the batch's base offset.
        key, value: None is null.
        headers: key bytes and value bytes (None is null) of each header.
    """

    attributes: int
    timestamp_delta: int
    offset_delta: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Records:
    """What the record bytes of a batch came to.

    Attributes:
        records: those read before the problem, in order.
        stop: bytes read.
        problem: why it is not exactly ``count`` records; None if it is.
        miscounted: the records themselves are well formed, only the count disagrees.
    """

    records: tuple[RecordV2, ...]
    stop: int
    problem: str | None = None
    miscounted: bool = False


class _MalformedError(ValueError):
    pass


def decode_records(payload: Any, count: int, *, last_offset_delta: int | None = None) -> Records:
    """Decodes exactly ``count`` records that fill ``payload``.

    Args:
        payload: uncompressed bytes from 61 on.
        count: the header's records_count.
        last_offset_delta: if given, offset deltas must rise and stay within it (Kafka's readers do not check this).
    """
    data = bytes(payload)
    if count < 0:
        return Records((), 0, f"the header counts {count} records", miscounted=True)
    records: list[RecordV2] = []
    position, previous = 0, -1
    while len(records) < count:
        if position == len(data):
            return Records(
                tuple(records), position, f"{len(records)} records, the header counts {count}", miscounted=True
            )
        try:
            record, stop = _read_record(data, position)
        except _MalformedError as error:
            return Records(tuple(records), position, f"record {len(records)} of {count}: {error}")
        if last_offset_delta is not None and not previous < record.offset_delta <= last_offset_delta:
            problem = f"record {len(records)} of {count}: offset delta {record.offset_delta} after {previous}, last is {last_offset_delta}"
            return Records(tuple(records), position, problem)
        records.append(record)
        position, previous = stop, record.offset_delta
    if position < len(data):
        problem = f"{len(data) - position} bytes are left after the {count} records that the header counts"
        return Records(tuple(records), position, problem, miscounted=True)
    return Records(tuple(records), position)


def read_uvarint(data: bytes, position: int, stop: int, most: int = MAX_VARINT_BYTES) -> tuple[int, int] | None:
    """An unsigned base-128 number and the position behind it; None if it is cut or too long."""
    value, shift = 0, 0
    for at in range(position, min(stop, position + most)):
        value |= (data[at] & 0x7F) << shift
        shift += 7
        if data[at] < 0x80:
            return value & (0xFFFF_FFFF if most == MAX_VARINT_BYTES else 0xFFFF_FFFF_FFFF_FFFF), at + 1
    return None


def write_varint(value: int) -> bytes:
    """Zigzag base-128 of a signed number, as short as it goes (same bytes as Kafka for 32 and 64 bits)."""
    rest = value << 1 if value >= 0 else (-value << 1) - 1
    out = bytearray()
    while rest >= 0x80:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def encode_record(record: RecordV2) -> bytes:
    """The record's bytes, length included."""
    body = bytes((record.attributes & 0xFF,)) + write_varint(record.timestamp_delta) + write_varint(record.offset_delta)
    body += _sized(record.key) + _sized(record.value) + write_varint(len(record.headers))
    for key, value in record.headers:
        body += _sized(key) + _sized(value)
    return write_varint(len(body)) + body


def _sized(data: bytes | None) -> bytes:
    return write_varint(-1) if data is None else write_varint(len(data)) + data


def _read_record(data: bytes, position: int) -> tuple[RecordV2, int]:
    length, position = _varint(data, position, len(data), "length")
    stop = position + length
    if length <= 0 or stop > len(data):
        raise _MalformedError(f"length {length}, {len(data) - position} bytes are left")
    attributes = data[position] - 256 if data[position] > 127 else data[position]
    timestamp_delta, position = _varint(data, position + 1, stop, "timestamp delta", MAX_VARLONG_BYTES)
    offset_delta, position = _varint(data, position, stop, "offset delta")
    key, position = _bytes(data, position, stop, "key")
    value, position = _bytes(data, position, stop, "value")
    count, position = _varint(data, position, stop, "header count")
    if not 0 <= count <= stop - position:
        raise _MalformedError(f"{count} headers in {stop - position} bytes")
    headers: list[tuple[bytes, bytes | None]] = []
    for _ in range(count):
        header_key, position = _bytes(data, position, stop, "header key")
        if header_key is None:
            raise _MalformedError("a header key is null")
        header_value, position = _bytes(data, position, stop, "header value")
        headers.append((header_key, header_value))
    if position != stop:
        raise _MalformedError(f"{stop - position} bytes are left inside it")
    return RecordV2(attributes, timestamp_delta, offset_delta, key, value, tuple(headers)), stop


def _varint(data: bytes, position: int, stop: int, what: str, most: int = MAX_VARINT_BYTES) -> tuple[int, int]:
    got = read_uvarint(data, position, stop, most)
    if got is None:
        raise _MalformedError(f"its {what} is cut or has more than {most} bytes")
    value = got[0] >> 1 ^ -(got[0] & 1)
    return (wrap32(value) if most == MAX_VARINT_BYTES else wrap64(value)), got[1]


def _bytes(data: bytes, position: int, stop: int, what: str) -> tuple[bytes | None, int]:
    size, position = _varint(data, position, stop, f"{what} length")
    if size < 0:
        return None, position
    if size > stop - position:
        raise _MalformedError(f"its {what} of {size} bytes does not fit")
    return data[position : position + size], position + size
