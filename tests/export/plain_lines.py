"""PlainLines: the obvious way to write records as lines of JSON, the reference of the kernel that does it fast."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from itertools import pairwise

from kafka_salvage.export.places import shown
from kafka_salvage.export.sink import RecordChunk
from kafka_salvage.plan.plan import TRANSACTION_CODES
from kafka_salvage.scan.records import RecordTable

ROWS = 4096
"""Records rendered at a time."""

TYPES = {-1: b"NoTimestampType", 0: b"CreateTime", 1: b"LogAppendTime"}

SECRET_RECORDS = frozenset({4, 10, 11})
"""Types of KRaft metadata records that may hold credentials: ConfigRecord, DelegationTokenRecord and
UserScramCredentialRecord (`common/metadata/*.json`)."""


def quoted(text: str) -> bytes:
    """A JSON string: only what must be escaped is escaped."""
    return json.dumps(text, ensure_ascii=False).encode("utf-8")


def _base64(data: bytes) -> bytes:
    return b'"' + b64encode(data) + b'"'


def _wrapped(data: bytes) -> bytes:
    return b'{"base64":' + _base64(data) + b"}"


def _text(data: bytes) -> bytes:
    try:
        return quoted(data.decode("utf-8"))
    except UnicodeDecodeError:
        return _wrapped(data)


def _secret(value: bytes) -> bool:
    """Whether a metadata record's value (frame version, type, version, fields) may hold a credential."""
    return len(value) < 2 or value[0] != 1 or value[1] in SECRET_RECORDS


class PlainLines:
    """Makes the lines of one partition.

    Args:
        topic, partition: of every record.
        encoding: ``base64`` or ``utf8``.
        mask_secrets: values of metadata records that may hold credentials become ``{"masked":<size>}``.
    """

    def __init__(self, topic: str, partition: int, encoding: str, *, mask_secrets: bool = False) -> None:
        self._head = b'{"topic":%b,"partition":%d,"offset":' % (quoted(shown(topic)), partition)
        self._bytes = _text if encoding == "utf8" else _base64
        self._mask = mask_secrets

    def lines(self, chunk: RecordChunk) -> Iterator[bytes]:
        """Whole lines."""
        tails = _tails(chunk)
        for start in range(0, len(chunk.table), ROWS):
            piece = chunk.table.take(slice(start, start + ROWS)) if len(chunk.table) > ROWS else chunk.table
            yield b"".join(self._piece(piece, tails))

    def _piece(self, table: RecordTable, tails: list[tuple[bytes, bytes]]) -> Iterator[bytes]:
        data = table.data.data
        columns = zip(
            table.offset.tolist(),
            table.timestamp.tolist(),
            table.timestamp_type.tolist(),
            table.sequence.tolist(),
            table.batch.tolist(),
            _slices(data, table.key_start.tolist(), table.key_size.tolist()),
            _slices(data, table.value_start.tolist(), table.value_size.tolist()),
            self._headers(table, data),
            strict=True,
        )
        for offset, timestamp, kind, sequence, batch, key, value, headers in columns:
            before, after = tails[batch]
            yield b'%b%d,"timestamp":%b,"timestampType":"%b","key":%b,"value":%b,"headers":[%b],%b%d%b' % (
                self._head,
                offset,
                b"null" if kind < 0 else b"%d" % timestamp,
                TYPES[kind],
                self._shown(key),
                b'{"masked":%d}' % len(value) if self._mask and value and _secret(value) else self._shown(value),
                headers,
                before,
                sequence,
                after,
            )

    def _shown(self, data: bytes | None) -> bytes:
        return b"null" if data is None else self._bytes(data)

    def _headers(self, table: RecordTable, data: memoryview) -> Iterator[bytes]:
        keys = _slices(data, table.header_key_start.tolist(), table.header_key_size.tolist())
        values = _slices(data, table.header_value_start.tolist(), table.header_value_size.tolist())
        shown_all = [
            b'{"key":%b,"value":%b}' % (_text(key or b""), self._shown(value))
            for key, value in zip(keys, values, strict=True)
        ]
        first = table.header_first.tolist()
        return (b",".join(shown_all[start:stop]) for start, stop in pairwise(first))


def _slices(data: memoryview, starts: list[int], sizes: list[int]) -> Iterator[bytes | None]:
    return (None if size < 0 else bytes(data[start : start + size]) for start, size in zip(starts, sizes, strict=True))


def _tails(chunk: RecordChunk) -> list[tuple[bytes, bytes]]:
    """Per batch: the text of ``_salvage`` before and after the sequence."""
    file, table = chunk.step.survey.segment.file, chunk.table.batches
    head = b'"_salvage":{"source":%b,"file":%b,"position":' % (quoted(shown(file.source)), quoted(shown(file.path)))
    verdict = str(chunk.step.verdict).encode()
    return [
        (
            b'%b%d,"verdict":"%b","leaderEpoch":%d,"producerId":%d,"producerEpoch":%d,"sequence":'
            % (head, position, verdict, epoch, producer, producer_epoch),
            b',"transaction":"%b"}}\n' % str(TRANSACTION_CODES[label]).encode(),
        )
        for position, epoch, producer, producer_epoch, label in zip(
            table.position.tolist(),
            table.leader_epoch.tolist(),
            table.producer_id.tolist(),
            table.producer_epoch.tolist(),
            chunk.labels.tolist(),
            strict=True,
        )
    ]
