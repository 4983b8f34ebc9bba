"""BatchValue: one whole batch of any magic, decoded by the obvious scalar code.

Strategy: `decode_batch` is given bytes that begin at a batch. It returns a `DecodeProblem` when they are no batch that can be
delimited, otherwise a `BatchValue` whose own `problem` says why its records did not come out. It never raises. With
``kafka_strict`` both answers are those of Kafka's own classes reading a file; without it more is checked (lengths that add
up, offsets that rise, trailing bytes) and more is read (LZ4's old header checksum in every magic).

This is the reference for the kernels and the decoder of `show`; it is not meant to be fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kafka_salvage.wire import attributes as bits
from kafka_salvage.wire import batch_legacy, batch_v2, record_v2
from kafka_salvage.wire.attributes import TimestampType
from kafka_salvage.wire.batch_v2 import BatchHeader
from kafka_salvage.wire.compression.registry import (
    CODECS,
    CodecError,
    CodecMissing,
    InflateLimit,
    UnknownCodec,
    inflate,
)

LIMIT_RATIO = 64
LIMIT_FLOOR = 64 << 20


class Problem(StrEnum):
    """Why bytes are no batch, or a batch gives no records."""

    TOO_SHORT = "too-short"
    LENGTH_TOO_SMALL = "length-too-small"
    LENGTH_PAST_END = "length-past-end"
    MAGIC_UNKNOWN = "magic-unknown"
    CODEC_MISSING = "codec-missing"
    INFLATE_FAILED = "inflate-failed"
    INFLATE_LIMIT = "inflate-limit"
    RECORD_MALFORMED = "record-malformed"
    COUNT_MISMATCH = "count-mismatch"
    UNKNOWN_CODEC = "unknown-codec"


@dataclass(frozen=True, slots=True)
class DecodeProblem:
    """What is wrong.

    Attributes:
        kind: which kind of problem.
        sentence: it, in words.
    """

    kind: Problem
    sentence: str


@dataclass(frozen=True, slots=True)
class RecordValue:
    """One record as a consumer sees it.

    Attributes:
        offset: log offset.
        timestamp: ms, LogAppendTime rule applied; -1 when there is none.
        timestamp_type: none, create or append.
        create_timestamp: what the producer wrote; differs from ``timestamp`` under LogAppendTime only.
        sequence: producer's sequence number, or -1.
        key, value: None is null.
        headers: key and value (None is null) of each.
    """

    offset: int
    timestamp: int
    timestamp_type: TimestampType
    create_timestamp: int
    sequence: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class BatchValue:
    """One batch.

    Attributes:
        size: bytes in all.
        magic, attributes, crc: as stored. crc_valid: the CRC fits.
        base_offset: first offset; of a wrapper that could not be decoded, None.
        last_offset: last offset.
        leader_epoch, producer_id, producer_epoch, base_sequence, last_sequence: -1 in magic 0 and 1.
        base_timestamp, max_timestamp: ms; equal in magic 1, -1 in magic 0.
        records_count: as the header says; in magic 0 and 1 how many records there are.
        records: what was decoded before the problem, if there is one.
        problem: why the records are not all there; None if they are.
        notes: what is unusual and harmless, one sentence each.
    """

    size: int
    magic: int
    attributes: int
    crc: int
    crc_valid: bool
    base_offset: int | None
    last_offset: int
    leader_epoch: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    last_sequence: int
    base_timestamp: int
    max_timestamp: int
    records_count: int
    records: tuple[RecordValue, ...]
    problem: DecodeProblem | None = None
    notes: tuple[str, ...] = ()

    @property
    def codec(self) -> int:
        """Codec id."""
        return bits.codec_of(self.attributes)

    @property
    def timestamp_type(self) -> TimestampType:
        """Kind of the timestamps."""
        return bits.timestamp_type_of(self.attributes, self.magic)

    @property
    def is_control(self) -> bool:
        """Whether it holds control records."""
        return self.magic >= 2 and bool(self.attributes & bits.CONTROL)

    @property
    def is_transactional(self) -> bool:
        """Whether it belongs to a transaction."""
        return self.magic >= 2 and bool(self.attributes & bits.TRANSACTIONAL)

    @property
    def delete_horizon(self) -> int | None:
        """Time in ms after which tombstones here may go; None when not set."""
        return self.base_timestamp if self.magic >= 2 and self.attributes & bits.DELETE_HORIZON else None


def decode_batch(
    data: Any, position: int = 0, *, limit: int | None = None, kafka_strict: bool = False
) -> BatchValue | DecodeProblem:
    """The batch at ``position``.

    Args:
        data: bytes; what follows the batch is not looked at.
        position: where it begins.
        limit: most bytes of inflated payload; default 64 times the batch, at least 64 MiB.
        kafka_strict: answer exactly as Kafka's own classes would.
    """
    view = memoryview(data)
    left = len(view) - position
    if left < batch_legacy.HEADER_SIZE_V0:
        return DecodeProblem(Problem.TOO_SHORT, f"{left} bytes are fewer than the smallest header has")
    length = int.from_bytes(view[position + 8 : position + 12], "big", signed=True)
    magic = int.from_bytes(view[position + 16 : position + 17], "big", signed=True)
    if not kafka_strict and magic not in (0, 1, 2):
        return DecodeProblem(Problem.MAGIC_UNKNOWN, f"magic {magic} is no format that Kafka writes")
    smallest = batch_v2.MIN_BATCH_LENGTH if magic >= 2 else batch_legacy.MIN_SIZE_V0
    if length < smallest:
        return DecodeProblem(
            Problem.LENGTH_TOO_SMALL, f"length {length} is below {smallest}, the least for magic {magic}"
        )
    size = length + batch_v2.LOG_OVERHEAD
    if size > left:
        return DecodeProblem(Problem.LENGTH_PAST_END, f"length {length} reaches {size - left} bytes past the end")
    raw = view[position : position + size]
    allowed = max(LIMIT_FLOOR, LIMIT_RATIO * size) if limit is None else limit
    return _decode_v2(raw, allowed, kafka_strict) if magic >= 2 else _decode_legacy(raw, allowed, kafka_strict)


def codec_problem(error: CodecError) -> DecodeProblem:
    """The problem that a codec's exception stands for."""
    kind = Problem.INFLATE_FAILED
    for type_, its_kind in (
        (CodecMissing, Problem.CODEC_MISSING),
        (InflateLimit, Problem.INFLATE_LIMIT),
        (UnknownCodec, Problem.UNKNOWN_CODEC),
    ):
        if isinstance(error, type_):
            kind = its_kind
    return DecodeProblem(kind, error.sentence)


def _decode_v2(raw: memoryview, limit: int, strict: bool) -> BatchValue:
    header = batch_v2.read_header(raw)
    if header is None:
        raise AssertionError("a batch of magic 2 has at least 61 bytes here")
    crc_valid = batch_v2.compute_crc(raw) == header.crc
    records, problem, notes = _records_v2(raw, header, limit, strict)
    unused = bits.unused_bits(header.attributes, 2)
    if unused:
        notes += (f"attribute bits {unused:#06x} that no release writes",)
    return BatchValue(
        size=len(raw),
        magic=header.magic,
        attributes=header.attributes,
        crc=header.crc,
        crc_valid=crc_valid,
        base_offset=header.base_offset,
        last_offset=header.last_offset,
        leader_epoch=header.partition_leader_epoch,
        producer_id=header.producer_id,
        producer_epoch=header.producer_epoch,
        base_sequence=header.base_sequence,
        last_sequence=header.last_sequence,
        base_timestamp=header.base_timestamp,
        max_timestamp=header.max_timestamp,
        records_count=header.records_count,
        records=records,
        problem=problem,
        notes=notes,
    )


def _records_v2(
    raw: memoryview, header: BatchHeader, limit: int, strict: bool
) -> tuple[tuple[RecordValue, ...], DecodeProblem | None, tuple[str, ...]]:
    if header.codec not in CODECS:
        return (), codec_problem(UnknownCodec(f"compression type {header.codec} is not one that Kafka knows")), ()
    payload: Any = raw[batch_v2.HEADER_SIZE :]
    if header.records_count == 0 and (strict or not len(payload)):
        return (), None, ()  # nothing to inflate: an emptied batch has no stream at all
    notes: tuple[str, ...] = ()
    if header.codec:
        try:
            inflated = inflate(header.codec, payload, limit, magic=header.magic, strict=strict)
        except CodecError as error:
            return (), codec_problem(error), ()
        payload, notes = inflated.data, inflated.notes
    last_delta = None if strict else header.last_offset_delta
    found = record_v2.decode_records(payload, header.records_count, last_offset_delta=last_delta)
    problem = None
    kept = found.records
    if found.problem is not None:
        problem = DecodeProblem(Problem.COUNT_MISMATCH if found.miscounted else Problem.RECORD_MALFORMED, found.problem)
        if header.codec:
            kept = ()  # Kafka decodes a compressed batch whole before it hands anything over
        elif len(kept) == header.records_count:
            kept = kept[:-1]  # what is left over is noticed with the last record
    return tuple(_record_value(record, header) for record in kept), problem, notes


def _record_value(record: record_v2.RecordV2, header: BatchHeader) -> RecordValue:
    kind = bits.timestamp_type_of(header.attributes, header.magic)
    created = batch_v2.wrap64(header.base_timestamp + record.timestamp_delta)
    return RecordValue(
        offset=batch_v2.wrap64(header.base_offset + record.offset_delta),
        timestamp=header.max_timestamp if kind is TimestampType.LOG_APPEND else created,
        timestamp_type=kind,
        create_timestamp=created,
        sequence=batch_v2.record_sequence(header.base_sequence, record.offset_delta),
        key=record.key,
        value=record.value,
        headers=record.headers,
    )


def _decode_legacy(raw: memoryview, limit: int, strict: bool) -> BatchValue | DecodeProblem:
    message = batch_legacy.read_message(raw, strict=strict)
    if isinstance(message, str):
        return DecodeProblem(Problem.TOO_SHORT, message)
    crc_valid = batch_legacy.compute_crc(raw) == message.crc
    base: int | None = message.offset
    records: tuple[RecordValue, ...] = ()
    problem: DecodeProblem | None = None
    notes: tuple[str, ...] = ()
    if message.problem is not None:
        problem = DecodeProblem(Problem.RECORD_MALFORMED, message.problem)
    elif not message.codec:
        records = (
            RecordValue(
                message.offset,
                message.timestamp,
                message.timestamp_type,
                message.timestamp,
                -1,
                message.key,
                message.value,
            ),
        )
    else:
        wrapper = batch_legacy.decode_wrapper(message, limit, strict=strict)
        notes = wrapper.notes
        if wrapper.problem is not None:
            base = None
            problem = DecodeProblem(Problem.RECORD_MALFORMED, wrapper.problem)
            if wrapper.failure is not None:
                problem = codec_problem(wrapper.failure)
        else:
            base = wrapper.messages[0].offset
            records = tuple(
                RecordValue(
                    i.offset, i.timestamp, i.timestamp_type, i.message.timestamp, -1, i.message.key, i.message.value
                )
                for i in wrapper.messages
            )
    return BatchValue(
        size=len(raw),
        magic=message.magic,
        attributes=message.attributes,
        crc=message.crc,
        crc_valid=crc_valid,
        base_offset=base,
        last_offset=message.offset,
        leader_epoch=-1,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        last_sequence=-1,
        base_timestamp=message.timestamp,
        max_timestamp=message.timestamp,
        records_count=len(records),
        records=records,
        problem=problem,
        notes=notes,
    )
