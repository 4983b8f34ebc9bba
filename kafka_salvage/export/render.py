"""Renderer: records as lines of JSON, in pieces of bounded size."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from kafka_salvage.export.places import shown
from kafka_salvage.export.sink import RecordChunk
from kafka_salvage.plan.plan import TRANSACTION_CODES
from kafka_salvage.scan.batches import Bool
from kafka_salvage.scan.records import RecordTable
from kafka_salvage.vector.text import Room, jsonl_lines

ROWS = 8192
"""Most records rendered at a time."""
PIECE = 4 << 20
"""Bytes of keys and values rendered at a time; a larger record goes alone."""

SECRET_RECORDS = (4, 10, 11)
"""Types of KRaft metadata records that may hold credentials: ConfigRecord, DelegationTokenRecord and
UserScramCredentialRecord (`common/metadata/*.json`)."""

_NULL_VALUE = b',"value":null,"headers":['


def quoted(text: str) -> bytes:
    """A JSON string: only what must be escaped is escaped."""
    return json.dumps(shown(text), ensure_ascii=False).encode("utf-8")


class Renderer:
    """Makes the lines of one partition.

    Args:
        topic, partition: of every record.
        encoding: ``base64`` or ``utf8``.
        mask_secrets: values of metadata records that may hold credentials become ``{"masked":<size>}``.
    """

    def __init__(self, topic: str, partition: int, encoding: str, *, mask_secrets: bool = False) -> None:
        self._topic = quoted(topic)
        self._partition = partition
        self._utf8 = encoding == "utf8"
        self._mask = mask_secrets
        self._room = Room()

    def lines(self, chunk: RecordChunk) -> Iterator[bytes]:
        """Whole lines, some thousand at a time."""
        for start, stop in _pieces(chunk.table):
            piece = chunk.table.take(slice(start, stop)) if stop - start < len(chunk.table) else chunk.table
            if self._mask:
                yield from self._masked(chunk, piece)
            else:
                yield self._text(chunk, piece)

    def _text(self, chunk: RecordChunk, table: RecordTable) -> bytes:
        file, batches = chunk.step.survey.segment.file, table.batches
        return jsonl_lines(
            table,
            topic=self._topic,
            partition=self._partition,
            source=quoted(file.source),
            file=quoted(file.path),
            position=batches.position,
            leader_epoch=batches.leader_epoch,
            producer_id=batches.producer_id,
            producer_epoch=batches.producer_epoch,
            verdict=np.zeros(len(batches), np.uint8),
            transaction=chunk.labels,
            verdicts=[str(chunk.step.verdict).encode()],
            transactions=[str(label).encode() for label in TRANSACTION_CODES],
            utf8=self._utf8,
            room=self._room,
        ).tobytes()

    def _masked(self, chunk: RecordChunk, table: RecordTable) -> Iterator[bytes]:
        """Lines one by one, values that may hold a credential shown by their size only."""
        secret = _secret(table)
        for row in range(len(table)):
            single = table.take(slice(row, row + 1))
            if not secret[row]:
                yield self._text(chunk, single)
                continue
            size = int(single.value_size[0])
            single.value_size[0] = -1
            # within a string the quotes of this text would be escaped: its first place is that of the value
            yield self._text(chunk, single).replace(_NULL_VALUE, b',"value":{"masked":%d},"headers":[' % size, 1)


def _secret(table: RecordTable) -> Bool:
    """Records whose value (frame version, type, version, fields) may hold a credential."""
    size, start = table.value_size, table.value_start
    framed = size >= 2
    place = np.where(framed, start, 0)
    head = np.zeros((len(table), 2), np.uint8)
    if framed.any():
        head[framed] = table.data[place[framed, None] + np.arange(2)]
    harmless = framed & (head[:, 0] == 1) & ~np.isin(head[:, 1], SECRET_RECORDS)
    return np.asarray((size > 0) & ~harmless)


def _pieces(table: RecordTable) -> Iterator[tuple[int, int]]:
    """Row ranges of at most `ROWS` records and about `PIECE` bytes."""
    per_header = np.maximum(table.header_key_size, 0).astype(np.int64) + np.maximum(table.header_value_size, 0) + 32
    headers = np.concatenate([np.zeros(1, np.int64), np.cumsum(per_header)])
    sizes = np.maximum(table.key_size, 0).astype(np.int64) + np.maximum(table.value_size, 0)
    ends = np.cumsum(sizes) + headers[table.header_first[1:]]
    row, before = 0, 0
    while row < len(table):
        reach = int(np.searchsorted(ends, before + PIECE, side="right"))
        stop = min(max(row + 1, reach), row + ROWS)
        yield row, stop
        row, before = stop, int(ends[stop - 1])
