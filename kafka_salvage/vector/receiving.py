"""Receiving: messages of a librdkafka consumer as columns over one buffer.

Strategy: two passes over an array of messages: one adds up what they need, one copies. Functions are called by address (see
`libraries.call`); fields are read at the places of ``rd_kafka_message_t``.

Source: ``rdkafka.h`` (``rd_kafka_message_t``, ``rd_kafka_header_get_all``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kafka_salvage.vector.cache import inner, kernel
from kafka_salvage.vector.columns import I8, I32, I64, U8
from kafka_salvage.vector.libraries import call
from kafka_salvage.vector.pointers import address_of, copy, load_i32, load_i64, load_u8, store_8, store_32, store_64

MESSAGE_TIMESTAMP, MESSAGE_HEADERS, HEADER_COUNT, HEADER_GET_ALL = 0, 1, 2, 3
"""Slots of the table of functions."""
_ERR, _VALUE, _VALUE_SIZE, _KEY, _KEY_SIZE, _OFFSET = 0, 24, 32, 40, 48, 56


@inner
def _length(text: int) -> int:
    """Bytes before the zero that ends a text."""
    size = 0
    while load_u8(text + size):
        size += 1
    return size


@inner
def _headers_of(message: int, functions: int, scratch: int) -> int:
    """The handle of a message's headers; 0 when it has none."""
    store_64(scratch, load_i64(functions + 8))
    store_64(scratch + 8, message)
    store_64(scratch + 16, scratch + 64)
    store_64(scratch + 64, 0)
    if call(scratch) & 0xFFFFFFFF:
        return 0
    return load_i64(scratch + 64)


@inner
def _header(headers: int, number: int, functions: int, scratch: int) -> int:
    """Puts name, value and size of a header into scratch[9], [10] and [11]; 0 when it is there."""
    store_64(scratch, load_i64(functions + 24))
    store_64(scratch + 8, headers)
    store_64(scratch + 16, number)
    store_64(scratch + 24, scratch + 72)
    store_64(scratch + 32, scratch + 80)
    store_64(scratch + 40, scratch + 88)
    return call(scratch) & 0xFFFFFFFF


@kernel
def _measure(messages: int, count: int, functions: int, scratch: int, totals: int) -> None:
    """Adds up bytes and headers of the messages into totals[0] and [1]."""
    size, names = 0, 0
    for row in range(count):
        message = load_i64(messages + 8 * row)
        if load_i32(message + _ERR):
            continue
        size += load_i64(message + _VALUE_SIZE) + load_i64(message + _KEY_SIZE)
        headers = _headers_of(message, functions, scratch)
        number = 0
        while headers and not _header(headers, number, functions, scratch):
            size += _length(load_i64(scratch + 72)) + load_i64(scratch + 88)
            names += 1
            number += 1
    store_64(totals, size)
    store_64(totals + 8, names)


@kernel
def _fill(messages: int, count: int, functions: int, scratch: int, data: int, table: int) -> int:
    """Copies the messages without an error; returns how many there are."""
    place, names, row = 0, 0, 0
    offset, timestamp, kind = load_i64(table), load_i64(table + 8), load_i64(table + 16)
    key_start, key_size = load_i64(table + 24), load_i64(table + 32)
    value_start, value_size, first = load_i64(table + 40), load_i64(table + 48), load_i64(table + 56)
    name_start, name_size = load_i64(table + 64), load_i64(table + 72)
    body_start, body_size = load_i64(table + 80), load_i64(table + 88)
    for at in range(count):
        message = load_i64(messages + 8 * at)
        if load_i32(message + _ERR):
            continue
        store_64(offset + 8 * row, load_i64(message + _OFFSET))
        store_64(scratch, load_i64(functions))
        store_64(scratch + 8, message)
        store_64(scratch + 16, scratch + 64)
        store_64(timestamp + 8 * row, call(scratch))
        store_8(kind + row, load_i32(scratch + 64) - 1)
        origin, size = load_i64(message + _KEY), load_i64(message + _KEY_SIZE)
        store_64(key_start + 8 * row, place)
        store_32(key_size + 4 * row, size if origin else -1)
        copy(data + place, origin, size)
        place += size
        origin, size = load_i64(message + _VALUE), load_i64(message + _VALUE_SIZE)
        store_64(value_start + 8 * row, place)
        store_32(value_size + 4 * row, size if origin else -1)
        copy(data + place, origin, size)
        place += size
        store_64(first + 8 * row, names)
        headers, number = _headers_of(message, functions, scratch), 0
        while headers and not _header(headers, number, functions, scratch):
            origin, size = load_i64(scratch + 72), _length(load_i64(scratch + 72))
            store_64(name_start + 8 * names, place)
            store_32(name_size + 4 * names, size)
            copy(data + place, origin, size)
            place += size
            origin, size = load_i64(scratch + 80), load_i64(scratch + 88)
            store_64(body_start + 8 * names, place)
            store_32(body_size + 4 * names, size if origin else -1)
            copy(data + place, origin, size)
            place += size
            names += 1
            number += 1
        row += 1
    store_64(first + 8 * row, names)
    return row


@dataclass(frozen=True, slots=True, eq=False)
class Received:
    """Messages as columns; the names and meanings are those of the record columns.

    Attributes:
        timestamp_type: -1 none, 0 create, 1 append.
    """

    data: U8
    offset: I64
    timestamp: I64
    timestamp_type: I8
    key_start: I64
    key_size: I32
    value_start: I64
    value_size: I32
    header_first: I64
    header_key_start: I64
    header_key_size: I32
    header_value_start: I64
    header_value_size: I32


def received(messages: I64, functions: I64) -> Received:
    """Copies messages; those that tell an error are left out.

    Args:
        messages: their addresses.
        functions: addresses, by the slots of this module.
    """
    count = len(messages)
    scratch, totals = np.zeros(12, np.int64), np.zeros(2, np.int64)
    _measure(address_of(messages), count, address_of(functions), address_of(scratch), address_of(totals))
    data, names = np.empty(int(totals[0]), np.uint8), int(totals[1])
    wide = [np.empty(count, np.int64) for _ in range(4)]
    kind, narrow = np.empty(count, np.int8), [np.empty(count, np.int32) for _ in range(2)]
    first = np.zeros(count + 1, np.int64)
    inside: list[Any] = [
        np.empty(names, np.int64),
        np.empty(names, np.int32),
        np.empty(names, np.int64),
        np.empty(names, np.int32),
    ]
    table: list[Any] = [wide[0], wide[1], kind, wide[2], narrow[0], wide[3], narrow[1], first, *inside]
    places = np.array([address_of(each) for each in table], np.int64)
    rows = _fill(
        address_of(messages), count, address_of(functions), address_of(scratch), address_of(data), address_of(places)
    )
    return Received(
        data,
        wide[0][:rows],
        wide[1][:rows],
        kind[:rows],
        wide[2][:rows],
        narrow[0][:rows],
        wide[3][:rows],
        narrow[1][:rows],
        first[: rows + 1],
        inside[0],
        inside[1],
        inside[2],
        inside[3],
    )
