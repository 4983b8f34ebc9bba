"""Payloads: bytes of batches, read in bounded windows and inflated, as jobs for the record kernel.

Strategy: a *window* is the stored bytes of some consecutive rows, read with one `read_into` for each run of adjacent batches.
A *piece* is what is decoded at once: the window itself where nothing in it is compressed (no copy), otherwise the plain and the
inflated bytes of its rows joined, as many rows as give about ``chunk`` bytes. A row that fails is told with its reason and
becomes a job that gives nothing. A size is compared with the file before it allocates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kafka_salvage.scan.batches import I64, BatchTable
from kafka_salvage.scan.limits import Limits
from kafka_salvage.source.source import U8, Source
from kafka_salvage.vector.columns import (
    JOB_APPEND_TIME,
    JOB_COUNT,
    JOB_KIND,
    JOB_OFFSET,
    JOB_SEQUENCE,
    JOB_SPAN,
    JOB_START,
    JOB_STOP,
    JOB_TIME,
    JOB_TYPE,
    JOB_WIDTH,
    KIND_MESSAGE,
    KIND_SET_V0,
    KIND_SET_V1,
    KIND_SKIP,
    KIND_V2,
)
from kafka_salvage.wire.compression.registry import CodecError, decompress

V2_HEADER = 61
"""Bytes of a v2 batch header; the records, or their compressed stream, follow."""
V0_HEADER = 18
"""Bytes of a v0 message before the key's length; a v1 timestamp adds eight."""


class Malformed(ValueError):  # noqa: N818 (an outcome)
    """A payload cannot even be found in its batch."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """What is decoded at once.

    Attributes:
        rows: rows ``[start, stop)`` of the batches.
        data: bytes. jobs: one for each row, ranges into ``data``.
        failed: reason by row, counted from ``rows.start``.
    """

    rows: range
    data: U8
    jobs: I64
    failed: dict[int, ValueError]


@dataclass(slots=True, eq=False)
class _Window:
    """Stored bytes of rows ``[first, stop)``; row r begins at ``where[r - first]``."""

    first: int
    stop: int
    raw: U8
    where: I64
    failed: dict[int, ValueError]


def _jobs(batches: BatchTable) -> I64:
    """Jobs whose ranges are still relative to the batch's first byte."""
    jobs = np.zeros((len(batches), JOB_WIDTH), np.int64)
    v2 = batches.magic >= 2
    plain = batches.codec == 0
    legacy = np.where(plain, KIND_MESSAGE, np.where(batches.magic == 0, KIND_SET_V0, KIND_SET_V1))
    jobs[:, JOB_KIND] = np.where(v2, KIND_V2, legacy)
    jobs[:, JOB_START] = np.where(v2, V2_HEADER, 0)
    jobs[:, JOB_STOP] = batches.size
    jobs[:, JOB_OFFSET] = np.where(v2, batches.base_offset, batches.offset)
    jobs[:, JOB_SPAN] = batches.last_offset - batches.base_offset
    jobs[:, JOB_TIME] = batches.base_timestamp
    jobs[:, JOB_APPEND_TIME] = batches.max_timestamp
    jobs[:, JOB_TYPE] = np.where(batches.magic >= 1, (batches.attributes >> 3) & 1, 0)
    jobs[:, JOB_SEQUENCE] = batches.base_sequence
    jobs[:, JOB_COUNT] = batches.record_count
    return jobs


def _unreadable(source: Source, position: I64, end: I64, first: int, failed: dict[int, ValueError]) -> None:
    """Adds the rows that touch bytes which could not be read."""
    lowest, highest = int(position.min()), int(end.max())
    for bad in source.unreadable:
        if bad.start < highest and lowest < bad.stop:
            for row in np.flatnonzero((position < bad.stop) & (bad.start < end)).tolist():
                failed.setdefault(first + row, Malformed(f"bytes {bad.start}..{bad.stop} could not be read again"))


def _read(source: Source, batches: BatchTable, first: int, ends: I64, chunk: int) -> _Window:
    """The window that begins at row ``first``: about ``chunk`` stored bytes, at least one row."""
    from kafka_salvage.vector.pointers import aligned_buffer  # Numba is loaded by those who decode only

    base = int(ends[first - 1]) if first else 0
    stop = max(first + 1, int(np.searchsorted(ends, base + chunk, side="right")))
    position, size = batches.position[first:stop], batches.size[first:stop]
    inside = (position >= 0) & (size > 0) & (size <= source.size - position)
    failed: dict[int, ValueError] = {}
    if not inside.all():
        size = np.where(inside, size, 0)
        for row in np.flatnonzero(~inside).tolist():
            failed[first + row] = Malformed("the batch does not lie in the file")
    end, behind = position + size, np.cumsum(size, dtype=np.int64)
    raw = aligned_buffer(int(behind[-1]))
    breaks = np.flatnonzero(position[1:] != end[:-1]) + 1
    for low, high in pairwise((0, *breaks.tolist(), stop - first)):
        into = raw[int(behind[low] - size[low]) : int(behind[high - 1])]
        got = source.read_into(int(position[low]), into) if len(into) else 0
        if got < len(into):
            into[got:] = 0
            for row in range(low, high):
                if end[row] > position[low] + got:
                    failed[first + row] = Malformed("the file ends inside the batch: it shrank since it was walked")
    _unreadable(source, position, end, first, failed)
    return _Window(first, stop, raw, behind - size, failed)


def _compressed_part(raw: U8, magic: int) -> U8:
    """The compressed bytes of a batch or wrapper message."""
    if magic >= 2:
        if len(raw) < V2_HEADER:
            raise Malformed(f"{len(raw)} bytes are fewer than a batch header has")
        return raw[V2_HEADER:]
    place = V0_HEADER + 8 * magic
    if len(raw) < place + 8:
        raise Malformed(f"{len(raw)} bytes are fewer than a message header has")
    key = int.from_bytes(raw[place : place + 4].tobytes(), "big", signed=True)
    place += 4 + max(key, 0)
    if place + 4 > len(raw):
        raise Malformed(f"the key of the compressed message has length {key}")
    size = int.from_bytes(raw[place : place + 4].tobytes(), "big", signed=True)
    if size <= 0:
        raise Malformed("the compressed message has no value")
    if place + 4 + size != len(raw):
        raise Malformed(
            f"the value of the compressed message has length {size}, {len(raw) - place - 4} bytes are there"
        )
    return raw[place + 4 :]


def _inflate(raw: U8, row: int, batches: BatchTable, limits: Limits) -> U8:
    magic, codec = int(batches.magic[row]), int(batches.codec[row])
    stored = _compressed_part(raw, magic)
    if magic >= 2 and not len(stored) and batches.record_count[row] == 0:
        return stored
    return np.frombuffer(decompress(codec, stored, limits.allowed(len(raw)), magic=min(magic, 2)), np.uint8)


def _piece(window: _Window, start: int, batches: BatchTable, jobs: I64, limits: Limits, chunk: int) -> Piece:
    """The piece that begins at row ``start`` of a window."""
    codecs, first = batches.codec, window.first
    if start == first and not codecs[first : window.stop].any():
        own = jobs[first : window.stop].copy()
        own[:, JOB_START : JOB_STOP + 1] += window.where[:, None]
        failed = {row - first: why for row, why in window.failed.items()}
        own[list(failed), JOB_KIND] = KIND_SKIP
        return Piece(range(first, window.stop), window.raw, own, failed)
    parts: list[U8] = []
    failed = {}
    own, total, row = jobs[start : window.stop].copy(), 0, start
    while row < window.stop and (total < chunk or row == start):
        job = own[row - start]
        begin = int(window.where[row - first])
        raw = window.raw[begin : begin + int(batches.size[row])]
        try:
            if row in window.failed:
                raise window.failed[row]
            if codecs[row]:
                raw = _inflate(raw, row, batches, limits)
                job[JOB_START], job[JOB_STOP] = 0, len(raw)
            job[JOB_START : JOB_STOP + 1] += total
            parts.append(raw)
            total += len(raw)
        except (Malformed, CodecError) as why:
            failed[row - start] = why
            job[JOB_KIND] = KIND_SKIP
        row += 1
    data = np.concatenate(parts) if len(parts) > 1 else (parts[0] if parts else np.empty(0, np.uint8))
    return Piece(range(start, row), data, own[: row - start], failed)


def pieces(source: Source, batches: BatchTable, limits: Limits, chunk: int) -> Iterator[Piece]:
    """Yields pieces that cover all rows in order, each of about ``chunk`` bytes or of one batch when that is larger."""
    jobs = _jobs(batches)
    sizes = np.clip(batches.size, 0, source.size)
    ends = np.cumsum(sizes, dtype=np.int64)
    row = 0
    while row < len(batches):
        window = _read(source, batches, row, ends, chunk)
        while row < window.stop:
            piece = _piece(window, row, batches, jobs, limits, chunk)
            row = piece.rows.stop
            yield piece
