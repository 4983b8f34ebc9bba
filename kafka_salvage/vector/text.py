"""Text: records as JSON Lines, rendered by one kernel from columns, in pieces of leased memory.

Strategy: what is the same in every line is rendered once by the caller (topic, partition, source, file); what is the same in
every record of a batch is copied from the line before. Before a line is begun, the most bytes it may need are compared with
the room that is left: the piece ends there and the next one begins. Every start and size is checked against its buffer first.

The line of a rescue, in this key order::

    {"topic","partition","offset","timestamp","timestampType","key","value","headers",
     "_salvage":{"source","file","position","verdict","leaderEpoch","producerId","producerEpoch","sequence","transaction"}}

The row of a listing, between texts that the caller has for batches::

    {"type","file","offset","timestamp","timestampType","sequence","position","key","value","headers"}
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kafka_salvage.errors import InvariantError
from kafka_salvage.vector.arena import lease
from kafka_salvage.vector.columns import I8, I32, I64, U8
from kafka_salvage.vector.lines import COLUMN_SLOTS, PARAMETERS, Slot, render
from kafka_salvage.vector.pointers import address_of

TRANSACTIONS = (b"none", b"committed", b"aborted", b"open", b"unknown")
"""What `transaction` codes stand for, unless told otherwise."""
SLOT = 64
"""Bytes of one prepared piece of text: at most 48 of text, its length in the last eight."""
PIECE = 1 << 20
"""Bytes of text in a piece; a longer line is one by itself."""
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
    utf8: bool = False,
    piece: int = PIECE,
) -> Iterator[U8]:
    """JSON Lines of all records, each with its line feed, in pieces of whole lines.

    The six columns of provenance have one entry per *batch*: record i takes row ``records.batch[i]``.

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
        utf8: write values and keys that are UTF-8 as plain strings, others as ``{"base64": …}``.
        piece: bytes of text in a piece.

    Yields:
        Text; its memory is its own until the last view of it is gone.

    Raises:
        InvariantError: a column points outside its buffer.
    """
    head = b'{"topic":%b,"partition":%d,"offset":' % (topic, partition)
    middle = b',"_salvage":{"source":%b,"file":%b,"position":' % (source, file)
    per_batch: dict[str, npt.ArrayLike] = {
        "position": position,
        "leader_epoch": leader_epoch,
        "producer_id": producer_id,
        "producer_epoch": producer_epoch,
        "verdict": verdict,
        "transaction": transaction,
    }
    named = [b',"verdict":"%b","leaderEpoch":' % name for name in verdicts]
    ends = [b',"transaction":"%b"}}\n' % name for name in transactions]
    yield from _Rendering(records, per_batch, head, middle, named, ends, utf8=utf8).pieces(piece)


def shown_lines(
    records: Records,
    *,
    file: bytes,
    position: npt.ArrayLike,
    between: Sequence[bytes],
    piece: int = PIECE,
) -> Iterator[U8]:
    """Rows of a listing as JSON Lines: for each batch its own text, then its records, in pieces.

    Args:
        records: columns of n records, batches ascending.
        file: rendered JSON, with its quotes.
        position: byte of each batch in its file.
        between: text of each batch, whole lines; also of those without records.
        piece: bytes of text in a piece.

    Yields:
        Text; its memory is its own until the last view of it is gone.

    Raises:
        InvariantError: a column points outside its buffer.
    """
    nothing = np.zeros(len(between), np.uint8)
    per_batch: dict[str, npt.ArrayLike] = dict.fromkeys(
        ("leader_epoch", "producer_id", "producer_epoch", "verdict", "transaction"), nothing
    )
    rendering = _Rendering(
        records, {"position": position} | per_batch, b'{"type":"record","file":%b,"offset":' % file, b"", [b""], [b""]
    )
    yield from rendering.between(between).pieces(piece)


_PER_BATCH = ("position", "leader_epoch", "producer_id", "producer_epoch", "verdict", "transaction")
_PER_RECORD = frozenset(
    {"batch", "offset", "timestamp", "timestamp_type", "sequence", "key_start", "key_size", "value_start", "value_size"}
)
_PER_HEADER = frozenset({"header_key_start", "header_key_size", "header_value_start", "header_value_size"})


class _Rendering:
    """The kernel's parameters, and all that their addresses point to."""

    def __init__(
        self,
        records: Records,
        per_batch: dict[str, npt.ArrayLike],
        head: bytes,
        middle: bytes,
        verdicts: Sequence[bytes],
        ends: Sequence[bytes],
        *,
        utf8: bool = False,
    ) -> None:
        columns: dict[str, npt.NDArray[Any]] = {}
        for name, kind in COLUMN_SLOTS.items():
            columns[name] = _column(per_batch[name] if name in per_batch else getattr(records, name), kind)
        count = len(records.offset)
        batches = {len(columns[name]) for name in _PER_BATCH}
        heights = {len(columns[name]) for name in _PER_RECORD}
        headers = {len(columns[name]) for name in _PER_HEADER}
        if len(batches) != 1 or heights != {count} or len(headers) != 1 or len(columns["header_first"]) != count + 1:
            raise InvariantError("columns of different lengths", stage="jsonl")
        data = np.ascontiguousarray(records.data)
        texts = [_padded(head), _padded(middle)]
        slots = [_slots([b',"timestampType":"%b"' % name for name in _TYPES]), _slots(verdicts), _slots(ends)]
        self._parameters = np.zeros(PARAMETERS, np.int64)
        self._kept: list[Any] = [columns, data, texts, slots]
        self._rest = b""
        self._set(
            {
                Slot.COUNT: count,
                Slot.BATCHES: batches.pop(),
                Slot.HEADERS: headers.pop(),
                Slot.VERDICTS: len(verdicts),
                Slot.TRANSACTIONS: len(ends),
                Slot.UTF8: int(utf8),
                Slot.DATA: address_of(data),
                Slot.DATA_SIZE: len(data),
                Slot.HEAD: address_of(texts[0]),
                Slot.HEAD_SIZE: len(head),
                Slot.MIDDLE: address_of(texts[1]),
                Slot.MIDDLE_SIZE: len(middle),
                Slot.STAMPS: address_of(slots[0]),
                Slot.VERDICT_TEXT: address_of(slots[1]),
                Slot.END_TEXT: address_of(slots[2]),
            }
        )
        self._parameters[Slot.COLUMNS :] = [address_of(columns[name]) for name in COLUMN_SLOTS]

    def _set(self, values: dict[Slot, int]) -> None:
        for slot, value in values.items():
            self._parameters[slot] = value

    def between(self, texts: Sequence[bytes]) -> _Rendering:
        """Makes it a listing, with these texts of the batches."""
        starts = np.zeros(len(texts) + 1, np.int64)
        np.cumsum([len(text) for text in texts], out=starts[1:])
        blob = _padded(b"".join(texts))
        self._set({Slot.SHOWN: 1, Slot.BETWEEN: address_of(blob), Slot.BETWEEN_AT: address_of(starts)})
        self._kept += [starts, blob]
        return self

    def pieces(self, size: int) -> Iterator[U8]:
        """Runs the kernel, piece after piece."""
        state = np.zeros(4, np.int64)
        parameters, where = address_of(self._parameters), address_of(state)
        status, room = 1, size
        while status > 0:
            out, target = lease(room)
            state[1] = 0
            status = render(parameters, target, room, where)
            row, used, need, told = state.tolist()
            if status < 0:
                raise InvariantError(f"record {row} points outside its data", stage="jsonl")
            room = max(size, need) if status else size
            if used:
                yield out[:used]
        if self._parameters[Slot.SHOWN]:
            starts, blob = self._kept[-2:]
            if told < len(starts) - 1:
                yield blob[starts[told] : starts[-1]]
