"""RecordTable: one row per record, columns as NumPy arrays over one byte buffer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np

from kafka_salvage.errors import InvariantError
from kafka_salvage.scan.batches import I8, I32, I64, BatchTable
from kafka_salvage.scan.faults import sentence
from kafka_salvage.scan.held import Held
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.origin import Origin
from kafka_salvage.scan.payloads import Piece, pieces
from kafka_salvage.source.source import U8, Source
from kafka_salvage.vector.columns import (
    ANSWER_CONTROL,
    ANSWER_FAULT,
    ANSWER_FIRST,
    ANSWER_INNER_FIRST,
    ANSWER_INNER_LAST,
    ANSWER_LAST,
    ANSWER_RECORD,
    COUNT_FAULTS,
    HEADER_COLUMNS,
    RECORD_COLUMNS,
)
from kafka_salvage.wire.compression.registry import CodecMissing, InflateFailed, InflateLimit, UnknownCodec


class Outcome(IntEnum):
    """What decoding a batch came to."""

    OK = 0
    CODEC_MISSING = 1
    INFLATE_FAILED = 2
    INFLATE_LIMIT = 3
    RECORD_MALFORMED = 4
    COUNT_MISMATCH = 5
    UNKNOWN_CODEC = 6


CHUNK = 4 << 20
"""Bytes of payload per piece: stays in the cache between reading and decoding, and costs little per piece."""
MOST_ROWS = 1 << 17
"""Records of one batch that are decoded at once: 8 MiB of columns."""
NO_TIMESTAMP_TYPE, CREATE_TIME, LOG_APPEND_TIME_TYPE = -1, 0, 1


@dataclass(frozen=True, slots=True, eq=False)
class RecordTable:
    """Columns of records; key, value and header bytes are slices of ``data``.

    Attributes:
        batches: the batches that these records come from.
        data: bytes (file bytes or inflated payloads).
        batch: row in ``batches`` of each record.
        offset: log offset. timestamp: ms; LogAppendTime rule applied; 0 with `NO_TIMESTAMP_TYPE` is never used: magic 0
            records carry -1. timestamp_type: -1 none (magic 0), 0 create, 1 append. sequence: producer sequence or -1.
        key_start, key_size, value_start, value_size: into ``data``; size -1 = null.
        header_first: n + 1 indices into the header columns; record i has headers ``header_first[i]:header_first[i + 1]``.
        header_key_start, header_key_size, header_value_start, header_value_size: into ``data``; value size -1 = null.
        origin: topic, partition, file and labels, where whoever made the table knows them.
    """

    batches: BatchTable
    data: U8
    batch: I32
    offset: I64
    timestamp: I64
    timestamp_type: I8
    sequence: I32
    key_start: I64
    key_size: I32
    value_start: I64
    value_size: I32
    header_first: I64
    header_key_start: I64
    header_key_size: I32
    header_value_start: I64
    header_value_size: I32
    origin: Origin | None = None

    def __len__(self) -> int:
        return len(self.offset)

    def __repr__(self) -> str:
        if not len(self):
            return "RecordTable(0 records)"
        return f"RecordTable({len(self)} records, offsets {int(self.offset[0])}..{int(self.offset[-1])})"

    def row(self, index: int) -> dict[str, Any]:
        """One record: offset, timestamp, timestamp_type, sequence, key, value, headers (bytes or None).

        ``headers`` is a list of (key, value) pairs in order.
        """
        at = range(len(self))[index]
        headers = range(int(self.header_first[at]), int(self.header_first[at + 1]))
        return {
            "offset": int(self.offset[at]),
            "timestamp": int(self.timestamp[at]),
            "timestamp_type": int(self.timestamp_type[at]),
            "sequence": int(self.sequence[at]),
            "key": self._bytes(int(self.key_start[at]), int(self.key_size[at])),
            "value": self._bytes(int(self.value_start[at]), int(self.value_size[at])),
            "headers": [
                (
                    self._bytes(int(self.header_key_start[h]), int(self.header_key_size[h])),
                    self._bytes(int(self.header_value_start[h]), int(self.header_value_size[h])),
                )
                for h in headers
            ],
        }

    def _bytes(self, start: int, size: int) -> bytes | None:
        return None if size < 0 else self.data[start : start + size].tobytes()

    def to_pylist(self) -> list[dict[str, Any]]:
        """All records as `row` gives them."""
        return [self.row(i) for i in range(len(self))]

    def take(self, which: Any) -> RecordTable:
        """Records chosen by a slice, mask or index array (header columns are re-gathered; ``data`` is shared)."""
        chosen = np.arange(len(self))[which]
        first = self.header_first[chosen]
        count = self.header_first[chosen + 1] - first
        new_first = np.concatenate([np.zeros(1, np.int64), np.cumsum(count, dtype=np.int64)])
        header = np.repeat(first - new_first[:-1], count) + np.arange(new_first[-1])
        columns = {name: getattr(self, name)[chosen] for name in RECORD_COLUMNS if name != "header_first"}
        columns.update((name, getattr(self, name)[header]) for name in HEADER_COLUMNS)
        return RecordTable(batches=self.batches, data=self.data, header_first=new_first, origin=self.origin, **columns)

    @classmethod
    def empty(cls, batches: BatchTable | None = None) -> RecordTable:
        """A table without records."""
        columns: dict[str, Any] = {name: np.empty(0, kind) for name, kind in (RECORD_COLUMNS | HEADER_COLUMNS).items()}
        columns["header_first"] = np.zeros(1, np.int64)
        return cls(BatchTable.empty() if batches is None else batches, np.empty(0, np.uint8), **columns)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Records of some batches, and how each batch fared.

    Attributes:
        table: records of the batches whose outcome is OK, control records included. Its ``batches`` are *all* batches given,
            with base_offset, last_offset and record_count of wrappers resolved.
        outcome: `Outcome` per batch.
        detail: one sentence for each batch that is not OK, by row.
        inner_first, inner_last: offsets as stored in the first and last inner message of a wrapper that is OK, else -1.
            ``record_count`` tells how many there are: enough to see a set that lost its end (relative offsets that start
            at 0, fewer than expected).
        continues: its only batch is the last one of the `Decoded` before, of which these are further records.
    """

    table: RecordTable
    outcome: I8
    detail: dict[int, str]
    inner_first: I64 = field(default_factory=lambda: np.empty(0, np.int64))
    inner_last: I64 = field(default_factory=lambda: np.empty(0, np.int64))
    continues: bool = False


_CODEC_OUTCOMES: tuple[tuple[type[Exception], Outcome], ...] = (
    (CodecMissing, Outcome.CODEC_MISSING),
    (InflateLimit, Outcome.INFLATE_LIMIT),
    (UnknownCodec, Outcome.UNKNOWN_CODEC),
    (InflateFailed, Outcome.INFLATE_FAILED),
)


def _why(reason: ValueError) -> Outcome:
    return next((outcome for kind, outcome in _CODEC_OUTCOMES if isinstance(reason, kind)), Outcome.RECORD_MALFORMED)


def _judged(piece: Piece, answers: I64) -> tuple[I8, dict[int, str]]:
    """The outcome of each row, and a sentence where it is not OK."""
    fault = answers[:, ANSWER_FAULT]
    outcome = np.zeros(len(answers), np.int8)
    detail: dict[int, str] = {}
    for row in np.flatnonzero(fault).tolist():
        outcome[row] = Outcome.COUNT_MISMATCH if int(fault[row]) in COUNT_FAULTS else Outcome.RECORD_MALFORMED
        detail[row] = sentence(answers[row])
    for row, reason in piece.failed.items():
        outcome[row] = _why(reason)
        detail[row] = str(reason)
    return outcome, dict(sorted(detail.items()))


def _resolved(piece: Piece, batches: BatchTable, outcome: I8, answers: I64) -> tuple[BatchTable, I64, I64]:
    """The piece's batches with what only the inside of wrappers tells, and the stored first and last inner offsets."""
    if len(piece.rows) < len(batches):
        batches = batches.take(slice(piece.rows.start, piece.rows.stop))
    if not piece.wrapped:
        none = np.full(len(answers), -1, np.int64)
        return batches, none, none
    inside = batches.is_wrapper & (outcome == Outcome.OK)
    made = batches.replace(
        base_offset=np.where(inside, answers[:, ANSWER_FIRST], batches.base_offset),
        last_offset=np.where(inside, answers[:, ANSWER_LAST], batches.last_offset),
        record_count=np.where(inside, answers[:, ANSWER_RECORD], batches.record_count).astype(np.int32),
    )
    first, last = (np.where(inside, answers[:, slot], -1) for slot in (ANSWER_INNER_FIRST, ANSWER_INNER_LAST))
    return made, first, last


def _decode_piece(piece: Piece, batches: BatchTable) -> Iterator[Decoded]:
    from kafka_salvage.vector.records import decode_columns, rows_needed  # Numba is loaded by those who decode only

    if len(piece.jobs) == 1 and rows_needed(piece.jobs, len(piece.data)) > MOST_ROWS:
        yield from _decode_in_ranges(piece, batches)
        return
    columns, answers = decode_columns(piece.data, piece.jobs)
    outcome, detail = _judged(piece, answers)
    batches, first, last = _resolved(piece, batches, outcome, answers)
    filled: dict[str, Any] = columns.filled()
    yield Decoded(RecordTable(batches=batches, data=piece.data, **filled), outcome, detail, first, last)


def _decode_in_ranges(piece: Piece, batches: BatchTable) -> Iterator[Decoded]:
    """One large batch: checked whole, then decoded range by range, since its columns would not fit the memory."""
    from kafka_salvage.vector.checking import check, cut
    from kafka_salvage.vector.records import decode_columns

    answers = check(piece.data, piece.jobs)
    outcome, detail = _judged(piece, answers)
    batches, first, last = _resolved(piece, batches, outcome, answers)
    if outcome[0] != Outcome.OK or not answers[0, ANSWER_RECORD]:
        yield Decoded(RecordTable.empty(batches), outcome, detail, first, last)
        return
    for number, job in enumerate(cut(piece.data, piece.jobs[0], answers[0], MOST_ROWS)):
        columns, made = decode_columns(piece.data, job[None, :])
        if made[0, ANSWER_FAULT]:
            raise InvariantError("a batch that was checked does not decode", stage="scan.records")
        filled: dict[str, Any] = columns.filled()
        table = RecordTable(batches=batches, data=piece.data, **filled)
        yield Decoded(table, outcome, detail, first, last, continues=number > 0)


def decode(
    source: Source,
    batches: BatchTable,
    limits: Limits | None = None,
    *,
    chunk: int = CHUNK,
    held: Held | None = None,
) -> Iterator[Decoded]:
    """Decodes batches (in file order) to columns, in pieces of about ``chunk`` bytes of payload.

    The CRC is not checked again. Memory: one piece, or one batch when that is larger (bounded by ``limits``). Batches need
    not touch each other. A batch gives all of its records or, with an outcome and a sentence, none; it never stops others.
    One of more than `MOST_ROWS` records comes in several pieces, each with that batch alone; all but the first *continue* it.

    Args:
        source: where the bytes are.
        batches: rows to decode; positions are trusted only as far as the file reaches.
        limits: bounds on decompression.
        chunk: bytes of payload per piece.
        held: bytes that are in memory; where they cover the batches, the source is not read.

    Yields:
        One `Decoded` for each piece, together all rows in order.
    """
    for piece in pieces(source, batches, limits or Limits(), chunk, held):
        yield from _decode_piece(piece, batches)


@dataclass(frozen=True, slots=True, eq=False)
class Validated:
    """How some batches fared that were decoded without keeping their records.

    Attributes:
        batches: rows, with base_offset, last_offset and record_count of wrappers resolved.
        outcome: `Outcome` per batch.
        detail: one sentence for each batch that is not OK, by row.
        inner_first, inner_last: as in `Decoded`.
        control_type: type of each control batch that is OK: the second int16 of the first key of at least four bytes; -1
            where there is none.
    """

    batches: BatchTable
    outcome: I8
    detail: dict[int, str]
    inner_first: I64
    inner_last: I64
    control_type: I64


def validate(
    source: Source,
    batches: BatchTable,
    limits: Limits | None = None,
    *,
    chunk: int = CHUNK,
    held: Held | None = None,
) -> Iterator[Validated]:
    """The same outcomes as `decode`, without columns: whether batches inflate and their records parse.

    Arguments as in `decode`.

    Yields:
        One `Validated` for each piece, together all rows in order, each batch in one piece.
    """
    from kafka_salvage.vector.checking import check  # Numba is loaded by those who decode only

    for piece in pieces(source, batches, limits or Limits(), chunk, held):
        answers = check(piece.data, piece.jobs)
        outcome, detail = _judged(piece, answers)
        made, first, last = _resolved(piece, batches, outcome, answers)
        control = np.where(made.is_control & (outcome == Outcome.OK), answers[:, ANSWER_CONTROL], -1)
        yield Validated(made, outcome, detail, first, last, control)
