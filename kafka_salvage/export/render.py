"""Renderer: records as lines of JSON, in pieces of bounded size."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from kafka_salvage.export.places import shown
from kafka_salvage.export.secrets import secret_rows
from kafka_salvage.export.sink import RecordChunk
from kafka_salvage.plan.plan import TRANSACTION_CODES
from kafka_salvage.scan.records import RecordTable
from kafka_salvage.vector.text import PIECE, jsonl_lines

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
        piece: bytes of text that are rendered at a time.
    """

    def __init__(
        self, topic: str, partition: int, encoding: str, *, mask_secrets: bool = False, piece: int = PIECE
    ) -> None:
        self._topic = quoted(topic)
        self._partition = partition
        self._utf8 = encoding == "utf8"
        self._mask = mask_secrets
        self._piece = piece

    def lines(self, chunk: RecordChunk) -> Iterator[memoryview | bytes]:
        """Whole lines, about a MiB at a time; each piece is its own memory, and may be kept."""
        return self._masked(chunk) if self._mask else self._text(chunk, chunk.table)

    def _text(self, chunk: RecordChunk, table: RecordTable) -> Iterator[memoryview]:
        file, batches = chunk.step.survey.segment.file, table.batches
        pieces = jsonl_lines(
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
            piece=self._piece,
        )
        return (piece.data for piece in pieces)

    def _masked(self, chunk: RecordChunk) -> Iterator[memoryview | bytes]:
        """Lines one by one, values that may hold a credential shown by their size only."""
        table = chunk.table
        secret = secret_rows(table)
        for row in range(len(table)):
            single = table.take(slice(row, row + 1))
            if not secret[row]:
                yield from self._text(chunk, single)
                continue
            size = int(single.value_size[0])
            single.value_size[0] = -1
            text = b"".join(self._text(chunk, single))
            # within a string the quotes of this text would be escaped: its first place is that of the value
            yield text.replace(_NULL_VALUE, b',"value":{"masked":%d},"headers":[' % size, 1)
