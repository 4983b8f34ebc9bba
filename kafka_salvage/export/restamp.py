"""Rewritten batches: the leader epoch exchanged, or the producer fields cleared. Nothing else is ever changed.

Source: `DefaultRecordBatch.java` (offsets of the fields; the CRC-32C covers everything from the attributes on).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import cache

import crcmod.predefined
import numpy as np

from kafka_salvage.scan.batches import I64, TRANSACTIONAL
from kafka_salvage.source.source import U8, Source

EPOCH_AT, CRC_AT, ATTRIBUTES_AT, PRODUCER_AT, HEADER = 12, 17, 21, 43, 61


@cache
def _crc32c() -> Callable[..., int]:
    made: Callable[..., int] = crcmod.predefined.mkPredefinedCrcFun("crc-32c")
    return made


def restamp_epochs(data: U8, starts: I64, epoch: int) -> None:
    """Writes ``epoch`` into the headers of v2 batches, in place.

    Args:
        data: bytes, shape (n,).
        starts: where the batches begin in ``data``; each header lies wholly inside.
        epoch: int32.
    """
    places = starts[:, None] + np.arange(EPOCH_AT, EPOCH_AT + 4)
    data[places] = np.frombuffer(struct.pack(">i", epoch), np.uint8)


def stripped_pieces(source: Source, start: int, stop: int, piece: int) -> Iterator[U8]:
    """The v2 batch at ``[start, stop)`` without its producer, in pieces; the CRC is computed anew.

    Producer id, producer epoch and sequence become -1, and the transactional bit is cleared: a plain batch.
    A batch larger than ``piece`` is read twice.
    """
    head = source.read(start, start + HEADER)
    attributes = struct.unpack_from(">h", head.tobytes(), ATTRIBUTES_AT)[0] & ~TRANSACTIONAL
    head[ATTRIBUTES_AT : ATTRIBUTES_AT + 2] = np.frombuffer(struct.pack(">h", attributes), np.uint8)
    head[PRODUCER_AT : PRODUCER_AT + 14] = 0xFF
    body = range(start + HEADER, stop, piece)
    whole = source.read(start + HEADER, stop) if stop - start <= piece else None
    crc = _crc32c()(head[ATTRIBUTES_AT:].tobytes())
    for at in body:
        part = whole if whole is not None else source.read(at, min(at + piece, stop))
        crc = _crc32c()(part.tobytes(), crc)
    head[CRC_AT : CRC_AT + 4] = np.frombuffer(struct.pack(">I", crc), np.uint8)
    yield head
    for at in body:
        yield whole if whole is not None else source.read(at, min(at + piece, stop))
