"""Text: records as JSON Lines, rendered by one kernel from columns into one buffer.

Strategy: what is the same in every line is rendered once by the caller (topic, partition, source, file); what is the same in
every record of a batch is copied from the line before. Before a line is begun, the most bytes it may need are compared with
the room that is left: the kernel stops there and asks for more. Every start and size is checked against its buffer first.

The line, in this key order::

    {"topic","partition","offset","timestamp","timestampType","key","value","headers",
     "_salvage":{"source","file","position","verdict","leaderEpoch","producerId","producerEpoch","sequence","transaction"}}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kafka_salvage.errors import InvariantError
from kafka_salvage.vector.columns import I8, I32, I64, U8
from kafka_salvage.vector.lines import COLUMN_SLOTS, PARAMETERS, Slot, render
from kafka_salvage.vector.pointers import address_of, aligned_buffer

TRANSACTIONS = (b"none", b"committed", b"aborted", b"open", b"unknown")
"""What `transaction` codes stand for, unless told otherwise."""
SLOT = 64
"""Bytes of one prepared piece of text: at most 48 of text, its length in the last eight."""
_TYPES = (b"NoTimestampType", b"CreateTime", b"LogAppendTime")


class Records(Protocol):
    """Columns of records, as `scan.records.RecordTable` has them."""

    @property
    def data(self) -> U8:
        """Bytes that the other columns point into."""
        ...

    @property
    def batch(self) -> I32:
        """Row of the batch."""
        ...

    @property
    def offset(self) -> I64:
        """Log offset."""
        ...

    @property
    def timestamp(self) -> I64:
        """Milliseconds."""
        ...

    @property
    def timestamp_type(self) -> I8:
        """-1 none, 0 create, 1 append."""
        ...

    @property
    def sequence(self) -> I32:
        """Producer sequence or -1."""
        ...

    @property
    def key_start(self) -> I64:
        """Into ``data``."""
        ...

    @property
    def key_size(self) -> I32:
        """-1 = null."""
        ...

    @property
    def value_start(self) -> I64:
        """Into ``data``."""
        ...

    @property
    def value_size(self) -> I32:
        """-1 = null."""
        ...

    @property
    def header_first(self) -> I64:
        """One row more than records: where the headers of each begin."""
        ...

    @property
    def header_key_start(self) -> I64:
        """Into ``data``."""
        ...

    @property
    def header_key_size(self) -> I32:
        """Bytes."""
        ...

    @property
    def header_value_start(self) -> I64:
        """Into ``data``."""
        ...

    @property
    def header_value_size(self) -> I32:
        """-1 = null."""
        ...


class Room:
    """Memory for the text, kept from call to call: ``jsonl_lines(…, room=room)``."""

    def __init__(self) -> None:
        self.buffer: U8 = np.empty(0, np.uint8)


def _slots(texts: Sequence[bytes]) -> U8:
    """Texts in slots of equal size, each with its length at the end."""
    table = np.zeros((len(texts), SLOT), np.uint8)
    for row, text in zip(table, texts, strict=True):
        if len(text) > SLOT - 16:
            raise ValueError(f"{text!r} is longer than {SLOT - 16} bytes")
        row[: len(text)] = np.frombuffer(text, np.uint8)
        row[SLOT - 8 :] = np.frombuffer(np.int64(len(text)).tobytes(), np.uint8)
    return table


def _padded(text: bytes) -> U8:
    return np.frombuffer(text + bytes(SLOT), np.uint8)


def _column(values: npt.ArrayLike, kind: type[np.generic]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(values, kind)


def jsonl_lines(
    records: Records,
    *,
    topic: bytes,
    partition: int,
    source: bytes,
    file: bytes,
    position: npt.ArrayLike,
    leader_epoch: npt.ArrayLike,
    producer_id: npt.ArrayLike,
    producer_epoch: npt.ArrayLike,
    verdict: npt.ArrayLike,
    transaction: npt.ArrayLike,
    verdicts: Sequence[bytes],
    transactions: Sequence[bytes] = TRANSACTIONS,
    batch: npt.ArrayLike | None = None,
    utf8: bool = False,
    room: Room | None = None,
) -> U8:
    """JSON Lines of all records, each with its line feed.

    The six columns of provenance have one entry per *batch*: record i takes row ``records.batch[i]``. To give them per record
    instead, pass ``batch=numpy.arange(n)``.

    Args:
        records: columns of n records (a `RecordTable` fits).
        topic: rendered JSON, with its quotes; so are ``source`` and ``file``.
        partition: its number.
        source: display name of the source.
        file: path of the segment in it.
        position: byte of the batch in its file (int64).
        leader_epoch: int32.
        producer_id: int64.
        producer_epoch: int16.
        verdict: index into ``verdicts`` (uint8).
        transaction: index into ``transactions`` (uint8).
        verdicts: names of the verdicts, plain ASCII.
        transactions: names of the transaction states, plain ASCII.
        batch: rows to use instead of ``records.batch``.
        utf8: write values and keys that are UTF-8 as plain strings, others as ``{"base64": …}``.
        room: memory to use again (fresh memory costs as much as the rendering); its last text is overwritten.

    Returns:
        The text's bytes; with ``room`` they last until its next use.

    Raises:
        InvariantError: a column points outside its buffer.
    """
    count = len(records.offset)
    if not count:
        return np.empty(0, np.uint8)
    head = _padded(b'{"topic":%b,"partition":%d,"offset":' % (topic, partition))
    middle = _padded(b',"_salvage":{"source":%b,"file":%b,"position":' % (source, file))
    stamps = _slots([b',"timestampType":"%b","key":' % name for name in _TYPES])
    named = _slots([b',"verdict":"%b","leaderEpoch":' % name for name in verdicts])
    ends = _slots([b',"transaction":"%b"}}\n' % name for name in transactions])
    columns: dict[str, npt.NDArray[Any]] = {
        "position": _column(position, np.int64),
        "leader_epoch": _column(leader_epoch, np.int32),
        "producer_id": _column(producer_id, np.int64),
        "producer_epoch": _column(producer_epoch, np.int16),
        "verdict": _column(verdict, np.uint8),
        "transaction": _column(transaction, np.uint8),
        "batch": _column(records.batch if batch is None else batch, np.int32),
    }
    for name, kind in COLUMN_SLOTS.items():
        if name not in columns:
            columns[name] = _column(getattr(records, name), kind)
    batches = {
        len(columns[n]) for n in ("position", "leader_epoch", "producer_id", "producer_epoch", "verdict", "transaction")
    }
    heights = {len(columns[n]) for n in COLUMN_SLOTS if n in _PER_RECORD}
    headers = {len(columns[n]) for n in COLUMN_SLOTS if n in _PER_HEADER}
    if len(batches) != 1 or heights != {count} or len(headers) != 1 or len(columns["header_first"]) != count + 1:
        raise InvariantError("columns of different lengths", stage="jsonl")
    data = np.ascontiguousarray(records.data)
    parameters = np.zeros(PARAMETERS, np.int64)
    for slot, value in {
        Slot.COUNT: count,
        Slot.BATCHES: batches.pop(),
        Slot.HEADERS: headers.pop(),
        Slot.VERDICTS: len(verdicts),
        Slot.TRANSACTIONS: len(transactions),
        Slot.UTF8: int(utf8),
        Slot.DATA: address_of(data),
        Slot.DATA_SIZE: len(data),
        Slot.HEAD: address_of(head),
        Slot.HEAD_SIZE: len(head) - SLOT,
        Slot.MIDDLE: address_of(middle),
        Slot.MIDDLE_SIZE: len(middle) - SLOT,
        Slot.STAMPS: address_of(stamps),
        Slot.VERDICT_TEXT: address_of(named),
        Slot.END_TEXT: address_of(ends),
    }.items():
        parameters[slot] = value
    for index, name in enumerate(COLUMN_SLOTS):
        parameters[Slot.COLUMNS + index] = address_of(columns[name])
    return _rendered(parameters, _estimate(columns, count, len(head) + len(middle)), room or Room())


_PER_RECORD = frozenset(
    {"batch", "offset", "timestamp", "timestamp_type", "sequence", "key_start", "key_size", "value_start", "value_size"}
)
_PER_HEADER = frozenset({"header_key_start", "header_key_size", "header_value_start", "header_value_size"})


def _estimate(columns: dict[str, npt.NDArray[Any]], count: int, constant: int) -> int:
    """Bytes that base64 text needs at most: all of it in one go."""
    letters = 0
    for name in ("key_size", "value_size", "header_key_size", "header_value_size"):
        sizes = np.maximum(columns[name], 0)
        letters += int(((sizes + 2) // 3 * 4).sum(dtype=np.int64))
    headers = len(columns["header_key_size"])
    return letters + count * (constant + 512) + headers * 128 + 4096


def _rendered(parameters: I64, size: int, room: Room) -> U8:
    """Runs the kernel, with more room as often as it asks for it."""
    out = room.buffer if len(room.buffer) >= size else aligned_buffer(size)
    state = np.zeros(3, np.int64)
    while True:
        status = render(address_of(parameters), address_of(out), len(out), address_of(state))
        room.buffer = out
        if status == 0:
            return out[: int(state[1])]
        if status < 0:
            raise InvariantError(f"record {int(state[0])} points outside its data", stage="jsonl")
        out = aligned_buffer(max(2 * len(out), len(out) + int(state[2])))
        out[: int(state[1])] = room.buffer[: int(state[1])]
