"""Sending: records handed to librdkafka, and what became of them, without coming back to Python for each.

Strategy: the kernels call librdkafka's public functions by address (see `libraries.call`). ``rd_kafka_produceva`` is the one
that takes a timestamp and headers. Keys and headers it copies; values it only points to, which must stay where they are until they
are acknowledged: a copy of each, in memory of its own, is what costs most. Its arguments are an array of 72-byte unions whose layout is
part of its interface. Fields of a message are read at the places of ``rd_kafka_message_t``.

Source: ``rdkafka.h`` (``rd_kafka_vtype_t``, ``rd_kafka_vu_t``, ``rd_kafka_message_t``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kafka_salvage.vector.cache import kernel
from kafka_salvage.vector.columns import I64, U8
from kafka_salvage.vector.libraries import call
from kafka_salvage.vector.pointers import address_of, load_i32, load_i64, store_64

PRODUCE, HEADERS_NEW, HEADER_ADD, HEADERS_DESTROY = 0, 1, 2, 3
"""Slots of the table of functions."""
_VU = 72
_TOPIC, _PARTITION, _VALUE, _KEY, _FLAGS, _TIMESTAMP, _HEADERS = 2, 3, 4, 5, 7, 8, 10
_POINT = 0
_ERR, _OFFSET = 0, 56

COLUMNS = (
    "timestamp",
    "key_start",
    "key_size",
    "value_start",
    "value_size",
    "header_first",
    "header_key_start",
    "header_key_size",
    "header_value_start",
    "header_value_size",
)
_WIDE = frozenset({"timestamp", "key_start", "value_start", "header_first", "header_key_start", "header_value_start"})


@kernel
def _send(handles: int, functions: int, columns: int, scratch: int, start: int, stop: int) -> int:
    """Hands over rows ``[start, stop)``; returns the first that was not taken. The error is left in ``handles[4]``."""
    client, topic, partition, data = (
        load_i64(handles),
        load_i64(handles + 8),
        load_i64(handles + 16),
        load_i64(handles + 24),
    )
    timestamp, key_start, key_size = load_i64(columns), load_i64(columns + 8), load_i64(columns + 16)
    value_start, value_size, first = load_i64(columns + 24), load_i64(columns + 32), load_i64(columns + 40)
    name_start, name_size = load_i64(columns + 48), load_i64(columns + 56)
    body_start, body_size = load_i64(columns + 64), load_i64(columns + 72)
    call_at, fields = scratch, scratch + 64
    store_64(fields, _TOPIC)
    store_64(fields + 8, topic)
    store_64(fields + _VU, _PARTITION)
    store_64(fields + _VU + 8, partition)
    store_64(fields + 2 * _VU, _FLAGS)
    store_64(fields + 2 * _VU + 8, _POINT)
    store_64(fields + 3 * _VU, _VALUE)
    store_64(fields + 4 * _VU, _KEY)
    store_64(fields + 5 * _VU, _TIMESTAMP)
    store_64(fields + 6 * _VU, _HEADERS)
    for row in range(start, stop):
        size = load_i32(value_size + 4 * row)
        store_64(fields + 3 * _VU + 8, 0 if size < 0 else data + load_i64(value_start + 8 * row))
        store_64(fields + 3 * _VU + 16, max(size, 0))
        size = load_i32(key_size + 4 * row)
        store_64(fields + 4 * _VU + 8, 0 if size < 0 else data + load_i64(key_start + 8 * row))
        store_64(fields + 4 * _VU + 16, max(size, 0))
        store_64(fields + 5 * _VU + 8, load_i64(timestamp + 8 * row))
        low, high = load_i64(first + 8 * row), load_i64(first + 8 * row + 8)
        headers = 0
        if high > low:
            store_64(call_at, load_i64(functions + 8))
            store_64(call_at + 8, high - low)
            headers = call(call_at)
            for h in range(low, high):
                size = load_i32(body_size + 4 * h)
                store_64(call_at, load_i64(functions + 16))
                store_64(call_at + 8, headers)
                store_64(call_at + 16, data + load_i64(name_start + 8 * h))
                store_64(call_at + 24, load_i32(name_size + 4 * h))
                store_64(call_at + 32, 0 if size < 0 else data + load_i64(body_start + 8 * h))
                store_64(call_at + 40, max(size, 0))
                call(call_at)
            store_64(fields + 6 * _VU + 8, headers)
        store_64(call_at, load_i64(functions))
        store_64(call_at + 8, client)
        store_64(call_at + 16, fields)
        store_64(call_at + 24, 7 if headers else 6)
        error = call(call_at)
        if error:
            if headers:
                store_64(call_at, load_i64(functions + 24))
                store_64(call_at + 8, headers)
                call(call_at)
            store_64(handles + 32, error)
            return row
    return stop


class Outgoing:
    """Records that librdkafka is to take, row by row.

    Attributes:
        data: what librdkafka points to; to be kept until every row is acknowledged, or the client is gone.
        rows: how many.

    Args:
        data: bytes that keys, values and headers are slices of.
        columns: the arrays named in `COLUMNS`.

    Raises:
        ValueError: a slice reaches outside ``data``.
    """

    def __init__(self, data: U8, columns: dict[str, Any]) -> None:
        self.data = np.ascontiguousarray(data)
        kinds = {name: np.int64 if name in _WIDE else np.int32 for name in COLUMNS}
        self._columns = {name: np.ascontiguousarray(columns[name], kinds[name]) for name in COLUMNS}
        self.rows = len(self._columns["timestamp"])
        self._refuse_outside()
        self._table = np.array([address_of(self._columns[name]) for name in COLUMNS], np.int64)
        self._scratch = np.zeros(8 + 7 * _VU // 8, np.int64)

    def _refuse_outside(self) -> None:
        """A length must be checked before it becomes an address."""
        made: dict[str, Any] = self._columns
        for start, size in (
            ("key_start", "key_size"),
            ("value_start", "value_size"),
            ("header_key_start", "header_key_size"),
            ("header_value_start", "header_value_size"),
        ):
            taken = np.maximum(made[size], 0)
            begins = made[start][taken > 0]
            if len(made[start]) != len(made[size]) or (
                len(begins) and (begins.min() < 0 or int((begins + taken[taken > 0]).max()) > len(self.data))
            ):
                raise ValueError("a slice reaches outside the buffer")
            made[start] = np.where(taken > 0, made[start], 0)
        first = made["header_first"]
        if len(first) != self.rows + 1 or first[0] < 0 or (np.diff(first) < 0).any():
            raise ValueError("the headers of a record are not in order")
        if first[-1] > len(made["header_key_start"]) or (made["header_key_size"] < 0).any():
            raise ValueError("a header is missing")

    def send(self, client: int, topic: int, partition: int, functions: I64, start: int, stop: int) -> tuple[int, int]:
        """Hands over rows.

        Args:
            client: the producer's handle.
            topic: the topic's handle.
            partition: on the target.
            functions: addresses, by the slots of this module.
            start: first row.
            stop: behind the last row.

        Returns:
            The first row that was not taken, and the error that says why (0 when all were).
        """
        handles = np.array([client, topic, partition, address_of(self.data), 0], np.int64)
        row = _send(
            address_of(handles), address_of(functions), address_of(self._table), address_of(self._scratch), start, stop
        )
        return int(row), int(handles[4])


@kernel
def _settle(function: int, event: int, offsets: int, room: int, scratch: int) -> int:
    """Writes the offset of each message of an event; returns how many there were. The first error is left in scratch[8]."""
    count = 0
    while True:
        store_64(scratch, function)
        store_64(scratch + 8, event)
        message = call(scratch)
        if not message:
            return count
        error = load_i32(message + _ERR)
        if error and not load_i64(scratch + 64):
            store_64(scratch + 64, error)
        if count < room:
            store_64(offsets + 8 * count, load_i64(message + _OFFSET))
        count += 1


def settle(next_message: int, event: int, count: int) -> tuple[I64, int]:
    """What became of the messages of a delivery event.

    Args:
        next_message: address of ``rd_kafka_event_message_next``.
        event: the event.
        count: messages in it.

    Returns:
        The offset of each (-1001 or another negative number when the broker did not tell it), and the first error, or 0.
    """
    offsets = np.full(count, -1, np.int64)
    scratch = np.zeros(9, np.int64)
    _settle(next_message, event, address_of(offsets), count, address_of(scratch))
    return offsets, int(scratch[8])
