"""Header: reads batch headers of all magics into columns, and tells sane ones from noise.

Rows go to one *block* of memory that holds the columns one after another, each ``capacity`` long; `ROW` gives their order, so
a kernel needs one address and one number to find them all.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from kafka_salvage.vector.cache import inner
from kafka_salvage.vector.pointers import (
    load_be16,
    load_be32,
    load_be64,
    load_beu32,
    load_i8,
    load_u8,
    store_8,
    store_16,
    store_32,
    store_64,
)

ROW: dict[str, Any] = {
    "position": np.int64,
    "size": np.int64,
    "offset": np.int64,
    "base_offset": np.int64,
    "last_offset": np.int64,
    "base_timestamp": np.int64,
    "max_timestamp": np.int64,
    "producer_id": np.int64,
    "leader_epoch": np.int32,
    "crc": np.uint32,
    "base_sequence": np.int32,
    "record_count": np.int32,
    "attributes": np.int16,
    "producer_epoch": np.int16,
    "magic": np.int8,
}
ROW_BYTES = sum(np.dtype(kind).itemsize for kind in ROW.values())
HEADER = 61
"""Bytes of a v2 header, the longest."""
OVERHEAD = 12
"""Bytes before those that the length field counts."""
SMALLEST = 26
"""Bytes of the smallest batch there can be: a v0 message with null key and value."""
COVERED_V2, COVERED_LEGACY = 21, 16
"""Where the bytes that the CRC covers begin."""
_SPAN = 1 << 31
_LEAD, _MIDDLE = struct.Struct(">qi"), struct.Struct(">i5xhi")


def new_block(capacity: int) -> npt.NDArray[np.uint8]:
    """Memory for ``capacity`` rows (a multiple of 8, which keeps every column aligned)."""
    if capacity % 8:
        raise ValueError(f"capacity {capacity} is no multiple of 8")
    return np.empty(capacity * ROW_BYTES, np.uint8)


def columns_of(block: npt.NDArray[np.uint8], capacity: int, rows: int) -> dict[str, npt.NDArray[Any]]:
    """The first ``rows`` rows of a block as named columns (views)."""
    columns, start = {}, 0
    for name, kind in ROW.items():
        dtype = np.dtype(kind)
        columns[name] = block[start : start + rows * dtype.itemsize].view(dtype)
        start += capacity * dtype.itemsize
    return columns


@inner
def least_length(magic: int) -> int:
    """The smallest length field of a magic; 0 when there is no such magic."""
    if magic == 2:
        return 49
    if magic == 1:
        return 22
    return 14 if magic == 0 else 0


@inner
def write_row(header: int, position: int, block: int, capacity: int, row: int) -> None:
    """Writes one batch's columns; its whole header (61 bytes for v2, 26 for v1, 18 for v0) must be readable."""
    magic = load_i8(header + 16)
    offset = load_be64(header)
    last, count, epoch = offset, 1, -1
    base_time, max_time = -1, -1
    producer, producer_epoch, sequence = -1, -1, -1
    if magic == 2:
        epoch = load_be32(header + 12)
        crc = load_beu32(header + 17)
        attributes = load_be16(header + 21)
        last = offset + load_be32(header + 23)
        base_time = load_be64(header + 27)
        max_time = load_be64(header + 35)
        producer = load_be64(header + 43)
        producer_epoch = load_be16(header + 51)
        sequence = load_be32(header + 53)
        count = load_be32(header + 57)
    else:
        crc = load_beu32(header + 12)
        attributes = load_i8(header + 17)
        if magic == 1:
            base_time = load_be64(header + 18)
            max_time = base_time
        if attributes & 7:
            count = -1
    longs = block + 8 * row
    step = 8 * capacity
    store_64(longs, position)
    store_64(longs + step, load_be32(header + 8) + OVERHEAD)
    store_64(longs + 2 * step, offset)
    store_64(longs + 3 * step, offset)
    store_64(longs + 4 * step, last)
    store_64(longs + 5 * step, base_time)
    store_64(longs + 6 * step, max_time)
    store_64(longs + 7 * step, producer)
    words = block + 64 * capacity + 4 * row
    store_32(words, epoch)
    store_32(words + 4 * capacity, crc)
    store_32(words + 8 * capacity, sequence)
    store_32(words + 12 * capacity, count)
    halves = block + 80 * capacity + 2 * row
    store_16(halves, attributes)
    store_16(halves + 2 * capacity, producer_epoch)
    store_8(block + 84 * capacity + row, magic)


@inner
def is_sane(header: int, readable: int, base_offset: int, max_size: int) -> bool:
    """Whether a header is worth a CRC: section "sane header" of the belief rules.

    Args:
        header: address.
        readable: bytes from there to the end of the file; no byte beyond is touched.
        base_offset: sane base offsets are ``[base_offset, base_offset + 2**31)``.
        max_size: largest whole batch, bytes.
    """
    if readable < SMALLEST:
        return False
    magic = load_u8(header + 16)
    length = load_be32(header + 8)
    if magic > 2 or length < least_length(magic) or length + OVERHEAD > max_size:
        return False
    beyond = load_be64(header) - base_offset
    if beyond < 0 or beyond >= _SPAN:
        return False
    if magic < 2:
        if load_u8(header + 17) & 7 > 3:
            return False
        start = 26 if magic == 1 else 18
        if readable < start + 4:
            return False
        key = load_be32(header + start)
        return -1 <= key <= length - least_length(magic)
    if readable < HEADER:
        return False
    attributes = load_be16(header + 21)
    delta = load_be32(header + 23)
    count = load_be32(header + 57)
    if attributes & -128 or attributes & 7 > 4 or load_be32(header + 12) < -1:
        return False
    return delta >= 0 and 0 <= count <= delta + 1


def sane_header(data: bytes, readable: int, base_offset: int, max_size: int) -> bool:
    """The same question in plain Python, over the first bytes of a batch (at least 61, or all that the file has).

    Args:
        data: bytes from the header's start.
        readable: bytes from there to the end of the file.
        base_offset: sane base offsets are ``[base_offset, base_offset + 2**31)``.
        max_size: largest whole batch, bytes.
    """
    if min(readable, len(data)) < SMALLEST:
        return False
    offset, length = _LEAD.unpack_from(data)
    magic = data[16]
    least = {0: 14, 1: 22, 2: 49}.get(magic)
    if least is None or not least <= length <= max_size - OVERHEAD or not 0 <= offset - base_offset < _SPAN:
        return False
    start = {0: 18, 1: 26, 2: 57}[magic]
    if min(readable, len(data)) < start + 4:
        return False
    last = int.from_bytes(data[start : start + 4], "big", signed=True)
    if magic < 2:
        return data[17] & 7 <= 3 and -1 <= last <= length - least
    epoch, attributes, delta = (int(v) for v in _MIDDLE.unpack_from(data, 12))
    return epoch >= -1 and attributes & ~0x7F == 0 and attributes & 7 <= 4 and delta >= 0 and 0 <= last <= delta + 1
