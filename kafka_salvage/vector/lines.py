"""Line kernel: one JSON line after another, from addresses alone (the layout is told in `text`)."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from kafka_salvage.vector.base64 import encode
from kafka_salvage.vector.cache import inner, kernel, outlined
from kafka_salvage.vector.digits import digits
from kafka_salvage.vector.pointers import (
    copy,
    embedded,
    load_i8,
    load_i64,
    load_u8,
    load_u32,
    store_8,
    store_16,
    store_32,
    store_64,
)
from kafka_salvage.vector.strings import quoted

COLUMN_SLOTS: dict[str, type[np.generic]] = {
    "position": np.int64,
    "leader_epoch": np.int32,
    "producer_id": np.int64,
    "producer_epoch": np.int16,
    "verdict": np.uint8,
    "transaction": np.uint8,
    "batch": np.int32,
    "offset": np.int64,
    "timestamp": np.int64,
    "timestamp_type": np.int8,
    "sequence": np.int32,
    "key_start": np.int64,
    "key_size": np.int32,
    "value_start": np.int64,
    "value_size": np.int32,
    "header_first": np.int64,
    "header_key_start": np.int64,
    "header_key_size": np.int32,
    "header_value_start": np.int64,
    "header_value_size": np.int32,
}
"""Columns in the order of their addresses, from `Slot.COLUMNS` on."""


class Slot(IntEnum):
    """Where in the parameters what lies; all are int64."""

    COUNT = 0
    BATCHES = 1
    HEADERS = 2
    VERDICTS = 3
    TRANSACTIONS = 4
    UTF8 = 5
    DATA = 6
    DATA_SIZE = 7
    HEAD = 8
    HEAD_SIZE = 9
    MIDDLE = 10
    MIDDLE_SIZE = 11
    STAMPS = 12
    VERDICT_TEXT = 13
    END_TEXT = 14
    SHOWN = 15
    """1: rows of a listing instead of a rescue's lines (see `text`)."""
    BETWEEN = 16
    """Address of text that goes before the first record of each batch, all of it together."""
    BETWEEN_AT = 17
    """Address of int64, one more than batches: where the text of each begins in it."""
    COLUMNS = 18


PARAMETERS = Slot.COLUMNS + len(COLUMN_SLOTS)
COUNT, BATCHES, HEADERS, VERDICTS, TRANSACTIONS = range(5)
UTF8, DATA, DATA_SIZE, HEAD, HEAD_SIZE, MIDDLE, MIDDLE_SIZE, STAMPS, VERDICT_TEXT, END_TEXT = range(5, 15)
SHOWN, BETWEEN, BETWEEN_AT, COLUMNS = range(15, 19)
(
    AT_POSITION,
    AT_LEADER_EPOCH,
    AT_PRODUCER_ID,
    AT_PRODUCER_EPOCH,
    AT_VERDICT,
    AT_TRANSACTION,
    AT_BATCH,
    AT_OFFSET,
    AT_TIMESTAMP,
    AT_TYPE,
    AT_SEQUENCE,
    AT_KEY_START,
    AT_KEY_SIZE,
    AT_VALUE_START,
    AT_VALUE_SIZE,
    AT_HEADER_FIRST,
    AT_HEADER_KEY_START,
    AT_HEADER_KEY_SIZE,
    AT_HEADER_VALUE_START,
    AT_HEADER_VALUE_SIZE,
) = range(COLUMNS, COLUMNS + 20)
TEXT_LENGTH = 56
"""Where in a slot of text its length stands."""
FIXED = 640
"""Bytes that a line needs besides its constant and its own data: names, numbers, slack."""
PER_HEADER = 256
PER_FIELD = 32
_TIMESTAMP = embedded(b',"timestamp":'.ljust(64))
_VALUE = embedded(b',"value":'.ljust(64))
_HEADERS = embedded(b',"headers":['.ljust(64))
_HEADER_KEY = embedded(b'{"key":'.ljust(64))
_PRODUCER_ID = embedded(b',"producerId":'.ljust(64))
_PRODUCER_EPOCH = embedded(b',"producerEpoch":'.ljust(64))
_SEQUENCE = embedded(b',"sequence":'.ljust(64))
_POSITION = embedded(b',"position":'.ljust(64))
_KEY = embedded(b',"key":'.ljust(64))
_WRAPPED = embedded(b'{"base64":"'.ljust(64))
NULL = int.from_bytes(b"null", "little")
END_WRAPPED = int.from_bytes(b'"}', "little")
END_ROW = int.from_bytes(b"}\n", "little")
QUOTE, COMMA, CLOSE_LIST, CLOSE = 0x22, 0x2C, 0x5D, 0x7D


@inner
def _paste_32(target: int, origin: int) -> None:
    store_64(target, load_i64(origin))
    store_64(target + 8, load_i64(origin + 8))
    store_64(target + 16, load_i64(origin + 16))
    store_64(target + 24, load_i64(origin + 24))


@inner
def _paste(target: int, origin: int, size: int) -> int:
    """Copies in steps of 32 bytes (both sides have room for the last step); the address behind the text."""
    place = 0
    while place < size:
        _paste_32(target + place, origin + place)
        place += 32
    return target + size


@inner
def _slot(target: int, table: int, index: int) -> int:
    """Pastes a prepared text of at most 48 bytes."""
    origin = table + 64 * index
    _paste_32(target, origin)
    store_64(target + 32, load_i64(origin + 32))
    store_64(target + 40, load_i64(origin + 40))
    return target + load_i64(origin + TEXT_LENGTH)


@inner
def _i32(address: int) -> int:
    return (load_u32(address) ^ 0x80000000) - 0x80000000


@inner
def _outside(start: int, size: int, limit: int) -> bool:
    return size >= 0 and (start < 0 or size > limit or start > limit - size)


@inner
def _base64(target: int, origin: int, size: int) -> int:
    store_8(target, QUOTE)
    target = encode(target + 1, origin, size)
    store_8(target, QUOTE)
    return target + 1


@outlined
def _wrapped(target: int, origin: int, size: int) -> int:
    _paste_32(target, _WRAPPED())
    target = encode(target + 11, origin, size)
    store_16(target, END_WRAPPED)
    return target + 2


@inner
def _field(target: int, origin: int, size: int, utf8: int) -> int:
    """null, base64, or with ``utf8`` a plain string where that is possible."""
    if size < 0:
        store_32(target, NULL)
        return target + 4
    if utf8:
        end = quoted(target, origin, size)
        return end if end else _wrapped(target, origin, size)
    return _base64(target, origin, size)


@inner
def _grown(size: int, text: int) -> int:
    """Most bytes that a field of ``size`` bytes may need: as text with escapes, or as base64."""
    if size <= 0:
        return PER_FIELD
    return PER_FIELD + (6 * size if text else 4 * ((size + 2) // 3))


@outlined
def _headers_need(p: int, row: int) -> int:
    """Most bytes that a record's headers need; -1 if they lie outside their columns or data."""
    first = load_i64(load_i64(p + 8 * AT_HEADER_FIRST) + 8 * row)
    stop = load_i64(load_i64(p + 8 * AT_HEADER_FIRST) + 8 * row + 8)
    if first == stop:
        return 0
    if first < 0 or stop < first or stop > load_i64(p + 8 * HEADERS):
        return -1
    need, limit = 0, load_i64(p + 8 * DATA_SIZE)
    for header in range(first, stop):
        key = _i32(load_i64(p + 8 * AT_HEADER_KEY_SIZE) + 4 * header)
        value = _i32(load_i64(p + 8 * AT_HEADER_VALUE_SIZE) + 4 * header)
        if _outside(load_i64(load_i64(p + 8 * AT_HEADER_KEY_START) + 8 * header), key, limit):
            return -1
        if _outside(load_i64(load_i64(p + 8 * AT_HEADER_VALUE_START) + 8 * header), value, limit):
            return -1
        need += PER_HEADER + _grown(key, 1) + _grown(value, load_i64(p + 8 * UTF8))
    return need


@inner
def _need(p: int, row: int) -> int:
    """Most bytes that a line needs; -1 if the record points outside its columns or data."""
    limit, utf8 = load_i64(p + 8 * DATA_SIZE), load_i64(p + 8 * UTF8)
    batch = _i32(load_i64(p + 8 * AT_BATCH) + 4 * row)
    if batch < 0 or batch >= load_i64(p + 8 * BATCHES):
        return -1
    if load_u8(load_i64(p + 8 * AT_VERDICT) + batch) >= load_i64(p + 8 * VERDICTS):
        return -1
    if load_u8(load_i64(p + 8 * AT_TRANSACTION) + batch) >= load_i64(p + 8 * TRANSACTIONS):
        return -1
    kind = load_i8(load_i64(p + 8 * AT_TYPE) + row)
    key = _i32(load_i64(p + 8 * AT_KEY_SIZE) + 4 * row)
    value = _i32(load_i64(p + 8 * AT_VALUE_SIZE) + 4 * row)
    if kind < -1 or kind > 1 or _outside(load_i64(load_i64(p + 8 * AT_KEY_START) + 8 * row), key, limit):
        return -1
    if _outside(load_i64(load_i64(p + 8 * AT_VALUE_START) + 8 * row), value, limit):
        return -1
    headers = _headers_need(p, row)
    constant = load_i64(p + 8 * HEAD_SIZE) + load_i64(p + 8 * MIDDLE_SIZE)
    return -1 if headers < 0 else FIXED + constant + headers + _grown(key, utf8) + _grown(value, utf8)


@outlined
def _header_list(p: int, target: int, first: int, stop: int) -> int:
    data, utf8 = load_i64(p + 8 * DATA), load_i64(p + 8 * UTF8)
    for header in range(first, stop):
        if header > first:
            store_8(target, COMMA)
            target += 1
        _paste_32(target, _HEADER_KEY())
        target += 7
        origin = data + load_i64(load_i64(p + 8 * AT_HEADER_KEY_START) + 8 * header)
        target = _field(target, origin, _i32(load_i64(p + 8 * AT_HEADER_KEY_SIZE) + 4 * header), 1)
        _paste_32(target, _VALUE())
        target += 9
        origin = data + load_i64(load_i64(p + 8 * AT_HEADER_VALUE_START) + 8 * header)
        target = _field(target, origin, _i32(load_i64(p + 8 * AT_HEADER_VALUE_SIZE) + 4 * header), utf8)
        store_8(target, CLOSE)
        target += 1
    return target


@outlined
def _provenance(p: int, target: int, batch: int) -> int:
    """What is the same in every line of a batch: from ``_salvage`` up to ``sequence``."""
    target = _paste(target, load_i64(p + 8 * MIDDLE), load_i64(p + 8 * MIDDLE_SIZE))
    target = digits(target, load_i64(load_i64(p + 8 * AT_POSITION) + 8 * batch))
    target = _slot(target, load_i64(p + 8 * VERDICT_TEXT), load_u8(load_i64(p + 8 * AT_VERDICT) + batch))
    target = digits(target, _i32(load_i64(p + 8 * AT_LEADER_EPOCH) + 4 * batch))
    _paste_32(target, _PRODUCER_ID())
    target = digits(target + 14, load_i64(load_i64(p + 8 * AT_PRODUCER_ID) + 8 * batch))
    _paste_32(target, _PRODUCER_EPOCH())
    epoch = load_u8(load_i64(p + 8 * AT_PRODUCER_EPOCH) + 2 * batch)
    epoch += 256 * load_i8(load_i64(p + 8 * AT_PRODUCER_EPOCH) + 2 * batch + 1)
    target = digits(target + 17, epoch)
    _paste_32(target, _SEQUENCE())
    return target + 12


@outlined
def _numbered(p: int, target: int, row: int) -> int:
    """What a row of a listing has between time and key."""
    _paste_32(target, _SEQUENCE())
    target = digits(target + 12, _i32(load_i64(p + 8 * AT_SEQUENCE) + 4 * row))
    batch = _i32(load_i64(p + 8 * AT_BATCH) + 4 * row)
    _paste_32(target, _POSITION())
    return digits(target + 12, load_i64(load_i64(p + 8 * AT_POSITION) + 8 * batch))


@inner
def _between(p: int, batch: int, told: int) -> int:
    """Bytes of the text that goes before the first record of ``batch``, that of batches without records included."""
    if load_i64(p + 8 * SHOWN) == 0 or batch < told:
        return 0
    return load_i64(load_i64(p + 8 * BETWEEN_AT) + 8 * batch + 8) - load_i64(load_i64(p + 8 * BETWEEN_AT) + 8 * told)


@inner
def _front(p: int, target: int, row: int) -> int:
    """A line from its beginning to the end of its headers."""
    data, utf8 = load_i64(p + 8 * DATA), load_i64(p + 8 * UTF8)
    target = _paste(target, load_i64(p + 8 * HEAD), load_i64(p + 8 * HEAD_SIZE))
    target = digits(target, load_i64(load_i64(p + 8 * AT_OFFSET) + 8 * row))
    _paste_32(target, _TIMESTAMP())
    target += 13
    kind = load_i8(load_i64(p + 8 * AT_TYPE) + row)
    if kind < 0:
        store_32(target, NULL)
        target += 4
    else:
        target = digits(target, load_i64(load_i64(p + 8 * AT_TIMESTAMP) + 8 * row))
    target = _slot(target, load_i64(p + 8 * STAMPS), kind + 1)
    if load_i64(p + 8 * SHOWN):
        target = _numbered(p, target, row)
    _paste_32(target, _KEY())
    target += 7
    origin = data + load_i64(load_i64(p + 8 * AT_KEY_START) + 8 * row)
    target = _field(target, origin, _i32(load_i64(p + 8 * AT_KEY_SIZE) + 4 * row), utf8)
    _paste_32(target, _VALUE())
    origin = data + load_i64(load_i64(p + 8 * AT_VALUE_START) + 8 * row)
    target = _field(target + 9, origin, _i32(load_i64(p + 8 * AT_VALUE_SIZE) + 4 * row), utf8)
    _paste_32(target, _HEADERS())
    target += 12
    first = load_i64(load_i64(p + 8 * AT_HEADER_FIRST) + 8 * row)
    stop = load_i64(load_i64(p + 8 * AT_HEADER_FIRST) + 8 * row + 8)
    if first < stop:
        target = _header_list(p, target, first, stop)
    store_8(target, CLOSE_LIST)
    return target + 1


@inner
def _back(p: int, target: int, row: int, batch: int) -> int:
    """A line's sequence, transaction and end, behind what is the same in the whole batch."""
    target = digits(target, _i32(load_i64(p + 8 * AT_SEQUENCE) + 4 * row))
    return _slot(target, load_i64(p + 8 * END_TEXT), load_u8(load_i64(p + 8 * AT_TRANSACTION) + batch))


@kernel
def render(p: int, out: int, room: int, state: int) -> int:
    """Renders lines from ``state`` on: 0 when all are done, 1 when more room is needed, -1 when a record points outside.

    Args:
        p: address of the parameters, see `Slot`.
        out: address of the text.
        room: bytes at ``out``; 64 bytes of slack follow.
        state: int64[4]: next record, bytes so far, bytes that the next line may need, batches whose text went before;
            updated.
    """
    row, place, told = load_i64(state), load_i64(state + 8), load_i64(state + 24)
    count, shown = load_i64(p), load_i64(p + 8 * SHOWN)
    status, last, again, again_size = 0, -1, 0, 0
    while row < count:
        need = _need(p, row)
        batch = _i32(load_i64(p + 8 * AT_BATCH) + 4 * row)
        before = _between(p, batch, told) if need >= 0 else 0
        if need < 0 or need + before > room - place:
            status = -1 if need < 0 else 1
            store_64(state + 16, need + before)
            break
        if before > 0:
            copy(out + place, load_i64(p + 8 * BETWEEN) + load_i64(load_i64(p + 8 * BETWEEN_AT) + 8 * told), before)
            place += before
        told = max(told, batch + 1)
        target = _front(p, out + place, row)
        if shown:
            store_16(target, END_ROW)
            target += 2
        else:
            if batch == last:
                _paste(target, again, again_size)
            else:
                again_size = _provenance(p, target, batch) - target
            last, again = batch, target
            target = _back(p, target + again_size, row, batch)
        place = target - out
        row += 1
    store_64(state, row)
    store_64(state + 8, place)
    store_64(state + 24, told)
    return status
