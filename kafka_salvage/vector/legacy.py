"""Message kernel: v0 and v1 messages, plain ones and the inner ones of an inflated wrapper.

Strategy: as for records; a wrapper's inner messages are written with the offsets as they are stored and moved to their
absolute place when the last one is known. Rules that Kafka follows when it reads:

1. v0 wrapper: inner offsets are absolute.
2. v1 wrapper: absolute = wrapper's offset - last inner offset + inner offset; a wrapper with offset 0 leaves them as they are.
3. v1 wrapper with LogAppendTime: its timestamp stands for all inner v1 messages; a v0 message inside has none.
"""

from __future__ import annotations

from kafka_salvage.vector.cache import inner, outlined
from kafka_salvage.vector.columns import (
    ANSWER_HAVE,
    ANSWER_INNER_FIRST,
    ANSWER_INNER_LAST,
    ANSWER_PLACE,
    ANSWER_RECORD,
    ANSWER_WANT,
    AT_BATCH,
    AT_HEADER_FIRST,
    AT_KEY_SIZE,
    AT_KEY_START,
    AT_OFFSET,
    AT_SEQUENCE,
    AT_TIMESTAMP,
    AT_TYPE,
    AT_VALUE_SIZE,
    AT_VALUE_START,
    JOB_KIND,
    JOB_OFFSET,
    JOB_START,
    JOB_STOP,
    JOB_TIME,
    JOB_TYPE,
    KIND_SET_V1,
    Fault,
)
from kafka_salvage.vector.crc import zlib_of
from kafka_salvage.vector.pointers import (
    load_be32,
    load_be64,
    load_beu32,
    load_i64,
    load_u8,
    store_8,
    store_32,
    store_64,
)

NONE = int(Fault.NONE)
KEY_LENGTH = int(Fault.KEY_LENGTH)
VALUE_LENGTH = int(Fault.VALUE_LENGTH)
MESSAGE_CUT = int(Fault.MESSAGE_CUT)
MESSAGE_SIZE = int(Fault.MESSAGE_SIZE)
MESSAGE_MAGIC = int(Fault.MESSAGE_MAGIC)
MESSAGE_NESTED = int(Fault.MESSAGE_NESTED)
MESSAGE_CRC = int(Fault.MESSAGE_CRC)
MESSAGE_LEFT = int(Fault.MESSAGE_LEFT)
SET_EMPTY = int(Fault.SET_EMPTY)
SET_OFFSETS = int(Fault.SET_OFFSETS)
SET_ANCHOR = int(Fault.SET_ANCHOR)
Fields = tuple[int, int, int, int, int, int, int]


@inner
def column(table: int, slot: int) -> int:
    """Address of a column."""
    return load_i64(table + 8 * slot)


@inner
def store_fault(answer: int, index: int, fault: int, place: int, want: int, have: int) -> int:
    """Puts what is known about a fault into the answer and gives the fault back."""
    store_64(answer + 8 * ANSWER_RECORD, index)
    store_64(answer + 8 * ANSWER_PLACE, place)
    store_64(answer + 8 * ANSWER_WANT, want)
    store_64(answer + 8 * ANSWER_HAVE, have)
    return fault


@inner
def _bad(fault: int, place: int, want: int, have: int) -> Fields:
    return fault, place, want, have, 0, 0, 0


@outlined
def message(place: int, stop: int) -> Fields:
    """The message at ``place``, which must end before or at ``stop``; its magic is 0 or 1.

    Returns:
        (0, key, key size, value, value size, timestamp, next address), or (fault, place, want, have, …).
    """
    if stop - place < 26:
        return _bad(MESSAGE_CUT, place, 26, stop - place)
    size = load_be32(place + 8)
    magic = load_u8(place + 16)
    if magic > 1:
        return _bad(MESSAGE_MAGIC, place + 16, 1, magic)
    key_at = place + 18 + 8 * magic
    if size < 14 + 8 * magic or size > stop - place - 12:
        return _bad(MESSAGE_SIZE, place + 8, stop - place - 12, size)
    end = place + 12 + size
    time = load_be64(place + 18) if magic == 1 else -1
    key_size = load_be32(key_at)
    value_at = key_at + 4 + max(key_size, 0)
    if value_at + 4 > end:
        return _bad(KEY_LENGTH, key_at, end - key_at - 8, key_size)
    value_size = load_be32(value_at)
    after = value_at + 4 + max(value_size, 0)
    if after > end:
        return _bad(VALUE_LENGTH, value_at, end - value_at - 4, value_size)
    if after != end:
        return _bad(MESSAGE_LEFT, after, 0, end - after)
    return NONE, key_at + 4, max(key_size, -1), value_at + 4, max(value_size, -1), time, end


@inner
def _put(
    table: int, row: int, number: int, offset: int, time: int, kind: int, key: int, key_size: int, value: int,
    value_size: int, header: int,
) -> None:  # fmt: skip
    store_32(column(table, AT_BATCH) + 4 * row, number)
    store_64(column(table, AT_OFFSET) + 8 * row, offset)
    store_64(column(table, AT_TIMESTAMP) + 8 * row, time)
    store_8(column(table, AT_TYPE) + row, kind)
    store_32(column(table, AT_SEQUENCE) + 4 * row, -1)
    store_64(column(table, AT_KEY_START) + 8 * row, key)
    store_32(column(table, AT_KEY_SIZE) + 4 * row, key_size)
    store_64(column(table, AT_VALUE_START) + 8 * row, value)
    store_32(column(table, AT_VALUE_SIZE) + 4 * row, value_size)
    store_64(column(table, AT_HEADER_FIRST) + 8 * (row + 1), header)


@outlined
def decode_message(data: int, job: int, number: int, answer: int, table: int, row: int, header: int) -> tuple[int, int]:
    """One plain message whose CRC was checked before: (fault, rows)."""
    start, stop = data + load_i64(job + 8 * JOB_START), data + load_i64(job + 8 * JOB_STOP)
    fault, key, key_size, value, value_size, time, end = message(start, stop)
    if fault:
        return store_fault(answer, 0, fault, key - start, key_size, value), row
    if end != stop:
        return store_fault(answer, 0, MESSAGE_LEFT, end - start, 0, stop - end), row
    kind = (load_u8(start + 17) >> 3) & 1 if load_u8(start + 16) == 1 else -1
    offset = load_i64(job + 8 * JOB_OFFSET)
    _put(table, row, number, offset, time, kind, key - data, key_size, value - data, value_size, header)
    store_64(answer + 8 * ANSWER_RECORD, 1)
    return NONE, row + 1


@inner
def anchor(kind: int, wrapper: int, last: int) -> int:
    """What to add to the stored inner offsets of a set whose last one is ``last``."""
    return wrapper - last if kind == KIND_SET_V1 and wrapper != 0 else 0


@outlined
def decode_set(data: int, job: int, number: int, answer: int, table: int, row: int, header: int) -> tuple[int, int]:
    """The inner messages of an inflated wrapper, CRCs verified: (fault, rows)."""
    start, stop = data + load_i64(job + 8 * JOB_START), data + load_i64(job + 8 * JOB_STOP)
    kind, wrapper = load_i64(job + 8 * JOB_KIND), load_i64(job + 8 * JOB_OFFSET)
    stamp, stamp_type = load_i64(job + 8 * JOB_TIME), load_i64(job + 8 * JOB_TYPE)
    c_offset = column(table, AT_OFFSET)
    first, place, previous = row, start, -1
    while place < stop:
        index = row - first
        fault, key, key_size, value, value_size, time, end = message(place, stop)
        if fault:
            return store_fault(answer, index, fault, key - start, key_size, value), row
        stored, computed = load_beu32(place + 12), zlib_of(place + 16, end - place - 16)
        if stored != computed:
            return store_fault(answer, index, MESSAGE_CRC, place - start, stored, computed), row
        if load_u8(place + 17) & 7:
            return store_fault(answer, index, MESSAGE_NESTED, place + 17 - start, 0, load_u8(place + 17) & 7), row
        offset = load_be64(place)
        if offset <= previous:
            return store_fault(answer, index, SET_OFFSETS, place - start, previous, offset), row
        time_type = -1
        if load_u8(place + 16) == 1:
            time_type = stamp_type if kind == KIND_SET_V1 else 0
            time = stamp if time_type == 1 else time
        _put(table, row, number, offset, time, time_type, key - data, key_size, value - data, value_size, header)
        row, place, previous = row + 1, end, offset
    if row == first:
        return store_fault(answer, 0, SET_EMPTY, 0, 1, 0), row
    move = anchor(kind, wrapper, previous)
    if move < 0:
        return store_fault(answer, row - first, SET_ANCHOR, 0, previous, wrapper), row
    store_64(answer + 8 * ANSWER_INNER_FIRST, load_i64(c_offset + 8 * first))
    store_64(answer + 8 * ANSWER_INNER_LAST, previous)
    if move:
        for index in range(first, row):
            store_64(c_offset + 8 * index, load_i64(c_offset + 8 * index) + move)
    store_64(answer + 8 * ANSWER_RECORD, row - first)
    return NONE, row
