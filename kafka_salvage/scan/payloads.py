"""Payloads: bytes of batches, read in bounded windows and inflated, as jobs for the record kernel.

Strategy: a *window* is the stored bytes of some consecutive rows, read with one `read_into` for each run of adjacent batches.
A *piece* is what is decoded at once: the window itself where nothing in it is compressed (no copy), otherwise the plain and the
inflated bytes of its rows joined, as many rows as give about ``chunk`` bytes. A row that fails is told with its reason and
becomes a job that gives nothing. A size is compared with the file before it allocates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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


def _unreadable(source: Source, batches: BatchTable, first: int, stop: int, failed: dict[int, ValueError]) -> None:
    for bad in source.unreadable:
        rows = slice(first, stop)
        hit = (batches.position[rows] < bad.stop) & (bad.start < batches.stop[rows])
        for row in np.flatnonzero(hit):
            failed.setdefault(first + int(row), Malformed(f"bytes {bad.start}..{bad.stop} could not be read again"))


def _read(source: Source, batches: BatchTable, first: int, ends: I64, chunk: int) -> _Window:
    """The window that begins at row ``first``: about ``chunk`` stored bytes, at least one row."""
    from kafka_salvage.vector.pointers import aligned_buffer  # Numba is loaded by those who decode only

    base = int(ends[first - 1]) if first else 0
    stop = max(first + 1, int(np.searchsorted(ends, base + chunk, side="right")))
    failed: dict[int, ValueError] = {}
    position, end = batches.position[first:stop], batches.stop[first:stop]
    outside = (position < 0) | (batches.size[first:stop] <= 0) | (end > source.size)
    for row in np.flatnonzero(outside):
        failed[first + int(row)] = Malformed("the batch does not lie in the file")
    where = np.where(outside, 0, batches.size[first:stop]).cumsum() - np.where(outside, 0, batches.size[first:stop])
    total = int(np.where(outside, 0, batches.size[first:stop]).sum())
    raw = aligned_buffer(total)
    kept = np.flatnonzero(~outside)
    breaks = np.flatnonzero(position[kept][1:] != end[kept][:-1]) + 1 if len(kept) else np.empty(0, np.int64)
    for run in np.split(kept, breaks):
        if not len(run):
            continue
        into = raw[int(where[run[0]]) : int(where[run[-1]] + end[run[-1]] - position[run[-1]])]
        got = source.read_into(int(position[run[0]]), into)
        if got < len(into):
            into[got:] = 0
            for row in run[end[run] > position[run[0]] + got]:
                failed[first + int(row)] = Malformed("the file ends inside the batch: it shrank since it was walked")
    _unreadable(source, batches, first, stop, failed)
    return _Window(first, stop, raw, where.astype(np.int64), failed)


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
