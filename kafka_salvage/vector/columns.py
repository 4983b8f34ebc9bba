"""Columns: what the record kernels are given and what they fill, as plain arrays.

A *job* is one batch to decode, a row of int64 in a matrix (fields `JOB_*`). An *answer* is what became of it, again a row of
int64 (fields `ANSWER_*`). Records go into fourteen columns whose addresses are handed over in one table (slots `AT_*`).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

I8 = npt.NDArray[np.int8]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

JOB_KIND = 0
"""`KIND_*`."""
JOB_START = 1
"""First byte of the payload in ``data`` (of the message itself for `KIND_MESSAGE`)."""
JOB_STOP = 2
"""Behind the last byte."""
JOB_OFFSET = 3
"""v2: base offset; v0/v1: offset of the message or wrapper."""
JOB_SPAN = 4
"""v2: last offset minus base offset."""
JOB_TIME = 5
"""v2: base timestamp; a wrapper: its own timestamp."""
JOB_APPEND_TIME = 6
"""v2: the maximum timestamp, where `JOB_TYPE` is 1."""
JOB_TYPE = 7
"""Timestamp type: 0 create, 1 append."""
JOB_SEQUENCE = 8
"""v2: base sequence, negative for none."""
JOB_COUNT = 9
"""v2: records according to the header."""
JOB_ATTRIBUTES = 10
"""As stored: codec, control and so on; the record kernel does not look at it."""
JOB_WIDTH = 11

KIND_SKIP = -1
"""Gives nothing (the batch failed before)."""
KIND_V2 = 2
KIND_MESSAGE = 0
"""One plain v0 or v1 message, header included."""
KIND_SET_V0 = 3
"""The inflated payload of a v0 wrapper."""
KIND_SET_V1 = 4
"""The inflated payload of a v1 wrapper."""

ANSWER_FAULT = 0
"""`Fault`."""
ANSWER_RECORD = 1
"""Records that were read before the fault; number of records when there is none."""
ANSWER_PLACE = 2
"""Byte of the fault, counted from `JOB_START`."""
ANSWER_FIRST = 3
"""Offset of the first record; -1 without records."""
ANSWER_LAST = 4
"""Offset of the last record; -1 without records."""
ANSWER_INNER_FIRST = 5
"""Offset as stored in the first inner message; -1 when not a wrapper."""
ANSWER_INNER_LAST = 6
"""Offset as stored in the last inner message; -1 when not a wrapper."""
ANSWER_WANT = 7
"""What was expected (a stored CRC, a length, a count), for the sentence."""
ANSWER_HAVE = 8
"""What was met instead."""
ANSWER_CONTROL = 9
"""Type of a control batch: the second int16 of the first key that is long enough; -1 where there is none. Only `checking` tells."""
ANSWER_WIDTH = 10


class Fault(IntEnum):
    """What is wrong with the records of a batch."""

    NONE = 0
    RANGE = 1
    COUNT_IMPOSSIBLE = 2
    RECORDS_MISSING = 3
    BYTES_LEFT = 4
    INTEGER = 5
    RECORD_LENGTH = 6
    RECORD_LEFT = 7
    OFFSET_DELTA = 8
    KEY_LENGTH = 9
    VALUE_LENGTH = 10
    HEADER_COUNT = 11
    HEADER_KEY_LENGTH = 12
    HEADER_VALUE_LENGTH = 13
    MESSAGE_CUT = 14
    MESSAGE_SIZE = 15
    MESSAGE_MAGIC = 16
    MESSAGE_NESTED = 17
    MESSAGE_CRC = 18
    MESSAGE_LEFT = 19
    SET_EMPTY = 20
    SET_OFFSETS = 21
    SET_ANCHOR = 22


COUNT_FAULTS = frozenset({Fault.COUNT_IMPOSSIBLE, Fault.RECORDS_MISSING, Fault.BYTES_LEFT})
"""Faults that say: the header's count and the payload disagree."""

(
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
) = range(14)

RECORD_COLUMNS: dict[str, type[np.generic]] = {
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
}
HEADER_COLUMNS: dict[str, type[np.generic]] = {
    "header_key_start": np.int64,
    "header_key_size": np.int32,
    "header_value_start": np.int64,
    "header_value_size": np.int32,
}
SMALLEST_RECORD = 7
"""Bytes of the smallest v2 record, its length included."""
SMALLEST_MESSAGE = 26
"""Bytes of the smallest v0 message, offset and size included."""


_SPARE = 8
"""Rows behind the last one of each column that kernels may write garbage to."""
_RECORD_STARTS = np.cumsum([0, *(np.dtype(kind).itemsize for kind in RECORD_COLUMNS.values())], dtype=np.int64)
_HEADER_STARTS = np.cumsum([0, *(np.dtype(kind).itemsize for kind in HEADER_COLUMNS.values())], dtype=np.int64)


class _Block:
    """Columns of equal length, one behind another in leased memory."""

    __slots__ = ("_address", "_memory", "_rows", "_starts", "capacity")

    def __init__(self, capacity: int, starts: I64) -> None:
        from kafka_salvage.vector.arena import lease  # the names in this module are wanted without Numba

        self.capacity = capacity
        self._rows = (capacity + _SPARE + 63) // 64 * 64
        self._starts = starts
        self._memory, self._address = lease(self._rows * int(starts[-1]))

    def addresses(self) -> I64:
        """Address of each column."""
        return np.asarray(self._address + self._rows * self._starts[:-1])

    def column(self, index: int, kind: type[np.generic], rows: int) -> npt.NDArray[Any]:
        """The first rows of a column."""
        return np.ndarray(rows, kind, self._memory, self._rows * int(self._starts[index]))


class RecordColumns:
    """Room for records and headers.

    Attributes:
        records: rows used. headers: header rows used.
    """

    __slots__ = ("_headers", "_records", "headers", "records")

    def __init__(self, records: int, headers: int = 0) -> None:
        self.records = 0
        self.headers = 0
        self._records = _Block(records + 1, _RECORD_STARTS)
        self._headers = _Block(headers, _HEADER_STARTS)

    @property
    def header_room(self) -> int:
        """Header rows that fit."""
        return self._headers.capacity

    def more_headers(self) -> None:
        """At least doubles the room for headers."""
        old = self._headers
        self._headers = _Block(max(1024, 2 * old.capacity), _HEADER_STARTS)
        for index, kind in enumerate(HEADER_COLUMNS.values()):
            self._headers.column(index, kind, self.headers)[:] = old.column(index, kind, self.headers)

    def addresses(self) -> I64:
        """Address of each column, in the order of the ``AT_`` slots."""
        return np.concatenate([self._records.addresses(), self._headers.addresses()])

    def filled(self) -> dict[str, npt.NDArray[Any]]:
        """The used part of each column; ``header_first`` has one entry more than there are records."""
        rows = self.records
        out = {
            name: self._records.column(index, kind, rows + (name == "header_first"))
            for index, (name, kind) in enumerate(RECORD_COLUMNS.items())
        }
        for index, (name, kind) in enumerate(HEADER_COLUMNS.items()):
            out[name] = self._headers.column(index, kind, self.headers)
        return out
