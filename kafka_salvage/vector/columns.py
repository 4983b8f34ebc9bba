"""Columns: what the record kernels are given and what they fill, as plain arrays.

A *job* is one batch to decode, a row of int64 in a matrix (fields `JOB_*`). An *answer* is what became of it, again a row of
int64 (fields `ANSWER_*`). Records go into fourteen columns whose addresses are handed over in one table (slots `AT_*`).
"""

from __future__ import annotations

from dataclasses import dataclass
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
JOB_WIDTH = 10

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
ANSWER_WIDTH = 9


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


@dataclass(slots=True)
class RecordColumns:
    """Room for records and headers; ``records`` and ``headers`` say how much of it is used.

    Attributes:
        arrays: columns by name, all of them longer than what is used.
        records: rows used. headers: header rows used.
    """

    arrays: dict[str, npt.NDArray[Any]]
    records: int = 0
    headers: int = 0

    @classmethod
    def room(cls, records: int, headers: int) -> RecordColumns:
        """Columns for so many rows (memory is only touched as it is filled)."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name, kind in RECORD_COLUMNS.items():
            arrays[name] = np.empty(records + 1, kind)
        for name, kind in HEADER_COLUMNS.items():
            arrays[name] = np.empty(headers, kind)
        arrays["header_first"][0] = 0
        return cls(arrays)

    def more_headers(self) -> None:
        """At least doubles the room for headers."""
        for name, kind in HEADER_COLUMNS.items():
            old = self.arrays[name]
            self.arrays[name] = np.empty(max(1024, 2 * len(old)), kind)
            self.arrays[name][: self.headers] = old[: self.headers]

    def addresses(self) -> I64:
        """Address of each column, in the order of the ``AT_`` slots."""
        return np.array([array.ctypes.data for array in self.arrays.values()], np.int64)

    def filled(self) -> dict[str, npt.NDArray[Any]]:
        """The used part of each column; ``header_first`` has one entry more than there are records."""
        out = {name: self.arrays[name][: self.records] for name in RECORD_COLUMNS}
        out["header_first"] = self.arrays["header_first"][: self.records + 1]
        out.update((name, self.arrays[name][: self.headers]) for name in HEADER_COLUMNS)
        return out


def rows_needed(jobs: I64, size: int) -> int:
    """Upper bound of the records that these jobs can give from ``size`` bytes of data, whatever their headers claim."""
    start, stop, kind = jobs[:, JOB_START], jobs[:, JOB_STOP], jobs[:, JOB_KIND]
    inside = (start >= 0) & (start <= stop) & (stop <= size)
    size_of = np.where(inside, stop - start, 0)
    v2 = np.clip(jobs[:, JOB_COUNT], 0, size_of // SMALLEST_RECORD)
    bound = np.where(kind == KIND_V2, v2, np.where(kind == KIND_MESSAGE, 1, size_of // SMALLEST_MESSAGE))
    return int(bound[kind != KIND_SKIP].sum())
