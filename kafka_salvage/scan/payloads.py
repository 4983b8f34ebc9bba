"""Payloads: bytes of batches, read in bounded windows and inflated, as jobs for the record kernels.

Strategy: a *window* is the stored bytes of some consecutive rows: those that a walk still holds, or read with one `read_into`
for each run of batches that lie near each other. A *piece* is what is decoded at once: the window itself where nothing in it is compressed (no
copy), otherwise the plain and the inflated payloads of its rows one behind the other, about ``chunk`` bytes of them. A kernel
inflates what is ordinary; what it declines goes through `wire.compression`, which says why not. A row that fails is told with
its reason and becomes a job that gives nothing. A size is compared with the file, and with the limits, before it allocates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kafka_salvage.scan.batches import I64, BatchTable
from kafka_salvage.scan.held import Held
from kafka_salvage.scan.limits import Limits
from kafka_salvage.source.source import U8, Source
from kafka_salvage.vector.columns import JOB_KIND, JOB_START, JOB_STOP, KIND_SKIP
from kafka_salvage.wire.compression.registry import CodecError, InflateLimit, decompress

V2_HEADER = 61
"""Bytes of a v2 batch header; the records, or their compressed stream, follow."""
NEAR = 32 << 10
"""Bytes between two batches that are rather read along than skipped: another call takes longer."""
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
        wrapped: there may be wrappers of magic 0 or 1 among them.
    """

    rows: range
    data: U8
    jobs: I64
    failed: dict[int, ValueError]
    wrapped: bool = True


@dataclass(slots=True, eq=False)
class _Window:
    """Stored bytes of rows ``[first, stop)``; row r begins at ``where[r - first]`` and has ``size[r - first]`` bytes."""

    first: int
    stop: int
    raw: U8
    where: I64
    size: I64
    failed: dict[int, ValueError]


def _unreadable(source: Source, position: I64, end: I64, first: int, failed: dict[int, ValueError]) -> None:
    """Adds the rows that touch bytes which could not be read."""
    lowest, highest = int(position.min()), int(end.max())
    for bad in source.unreadable:
        if bad.start < highest and lowest < bad.stop:
            for row in np.flatnonzero((position < bad.stop) & (bad.start < end)).tolist():
                failed.setdefault(first + row, Malformed(f"bytes {bad.start}..{bad.stop} could not be read again"))


def _believed(source: Source, position: I64, size: I64, first: int, cap: int, failed: dict[int, ValueError]) -> I64:
    """Sizes, 0 for rows that do not lie in the file or whose payload alone is above the limit."""
    inside = (position >= 0) & (size > 0) & (size <= source.size - position)
    small = size <= cap + V2_HEADER
    if inside.all() and small.all():
        return size
    for row in np.flatnonzero(~inside | ~small).tolist():
        failed[first + row] = InflateLimit(cap) if inside[row] else Malformed("the batch does not lie in the file")
    return np.where(inside & small, size, 0)


def _leads(position: I64, size: I64) -> I64:
    """Bytes before each row that are read along with it: those behind the row before, where they are few."""
    lead = np.zeros(len(position), np.int64)
    gap = position[1:] - position[:-1] - size[:-1]
    lead[1:] = np.where((gap > 0) & (gap <= NEAR) & (size[1:] > 0) & (size[:-1] > 0), gap, 0)
    return lead


def _read(source: Source, batches: BatchTable, first: int, ends: I64, chunk: int, cap: int) -> _Window:
    """The window that begins at row ``first``: about ``chunk`` bytes that are read, at least one row."""
    from kafka_salvage.vector.arena import lease  # Numba is loaded by those who decode only

    base = int(ends[first - 1]) if first else 0
    stop = max(first + 1, int(np.searchsorted(ends, base + chunk, side="right")))
    position, failed = batches.position[first:stop], dict[int, ValueError]()
    size = _believed(source, position, batches.size[first:stop], first, cap, failed)
    lead = _leads(position, size)
    end, behind = position + size, np.cumsum(size + lead, dtype=np.int64)
    raw = lease(int(behind[-1]))[0]
    breaks = np.flatnonzero(position[1:] - lead[1:] != end[:-1]) + 1
    for low, high in pairwise((0, *breaks.tolist(), stop - first)):
        into = raw[int(behind[low] - size[low]) : int(behind[high - 1])]
        got = source.read_into(int(position[low]), into) if len(into) else 0
        if got < len(into):
            into[got:] = 0
            for row in range(low, high):
                if end[row] > position[low] + got:
                    failed[first + row] = Malformed("the file ends inside the batch: it shrank since it was walked")
    _unreadable(source, position, end, first, failed)
    return _Window(first, stop, raw, behind - size, size, failed)


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


def _payload(raw: U8, row: int, batches: BatchTable, limits: Limits) -> U8:
    """The payload of a batch that no kernel inflates."""
    magic, codec = int(batches.magic[row]), int(batches.codec[row])
    if not codec:
        raise Malformed(f"{len(raw)} bytes are fewer than the batch's header has")
    stored = _compressed_part(raw, magic)
    return np.frombuffer(decompress(codec, stored, limits.allowed(len(raw)), magic=min(magic, 2)), np.uint8)


class _Inflating:
    """The compressed rows of one window on their way to pieces."""

    def __init__(
        self, window: _Window, batches: BatchTable, jobs: I64, limits: Limits, chunk: int, *, wrapped: bool
    ) -> None:
        from kafka_salvage.vector import inflating, libraries, pointers  # Numba is loaded by those who decode only

        self._window = window
        self._batches = batches
        self._jobs = jobs
        self._limits = limits
        self._chunk = chunk
        self._wrapped = wrapped
        self._kernel = inflating
        self._address = pointers.address_of
        self._calls = libraries.calls()
        stored = window.size * limits.ratio
        self._allowed = np.ascontiguousarray(np.clip(np.maximum(stored, limits.floor), 0, limits.cap), np.int64)
        self._state = np.zeros(inflating.STATE_SIZE, np.int64)
        self._aside: U8 | None = None

    def pieces(self) -> Iterator[Piece]:
        """Pieces that cover the window's rows."""
        row, count = 0, len(self._jobs)
        while row < count:
            start, failed = row, dict[int, ValueError]()
            row, data = self._piece(row, failed)
            jobs = self._jobs[start:row]
            first = self._window.first
            for skipped, why in self._window.failed.items():
                if start <= skipped - first < row:
                    failed[skipped - first - start] = why
            if row == count:
                self._window.raw = U8Empty  # what was stored may be large, and is not needed while the rest is decoded
            yield Piece(range(first + start, first + row), data, jobs, failed, self._wrapped)

    def _piece(self, row: int, failed: dict[int, ValueError]) -> tuple[int, U8]:
        """Inflates rows from ``row`` on; the row behind the last one, and the output."""
        from kafka_salvage.vector.arena import lease

        if self._aside is not None:
            aside, self._aside = self._aside, None
            return row + 1, aside
        first, outcomes, state = row, self._kernel.Inflated, self._state
        where = [
            self._address(array) for array in (self._window.raw, self._jobs, self._allowed, self._calls.table, state)
        ]
        data, jobs, allowed, calls, states = where
        room = 2 * self._chunk
        out, target = lease(room)
        state[:2] = row, 0
        while True:
            outcome = self._kernel.inflate_jobs(
                data, jobs, len(self._jobs), allowed, calls, target, room, self._chunk, states
            )
            row, used, need = state[:3].tolist()
            if outcome == outcomes.NEED:
                out, target = lease(need)
                room = need
            elif outcome == outcomes.DECLINED:
                aside = self._by_library(row, row - first, failed)
                if len(aside) > room - used:
                    self._place(row, 0, len(aside))
                    if row == first:
                        return row + 1, aside
                    self._aside = aside  # it is the next piece
                    return row, out[:used]
                out[used : used + len(aside)] = aside
                self._place(row, used, len(aside))
                state[:2] = row + 1, used + len(aside)
            else:
                return row, out[:used]

    def _place(self, row: int, start: int, size: int) -> None:
        self._jobs[row, JOB_START : JOB_STOP + 1] = start, start + size

    def _by_library(self, row: int, number: int, failed: dict[int, ValueError]) -> U8:
        """One payload through the codec's own package; a reason, and a job that gives nothing, where it does not come out."""
        window = self._window
        begin = int(window.where[row])
        raw = window.raw[begin : begin + int(window.size[row])]
        try:
            return _payload(raw, window.first + row, self._batches, self._limits)
        except (Malformed, CodecError) as why:
            why.__traceback__ = why.__context__ = None  # they hold what was inflated until then: many megabytes each
            failed[number] = why
            self._jobs[row, JOB_KIND] = KIND_SKIP
            return U8Empty


U8Empty: U8 = np.empty(0, np.uint8)


def _window_pieces(window: _Window, batches: BatchTable, limits: Limits, chunk: int) -> Iterator[Piece]:
    """The pieces of a window."""
    from kafka_salvage.vector.jobs import COMPRESSED, WRAPPED, jobs_of

    jobs, seen = jobs_of(window.raw, window.where, window.size)
    if window.failed:
        jobs[np.array(list(window.failed)) - window.first, JOB_KIND] = KIND_SKIP
    if seen & COMPRESSED:
        wrapped = bool(seen & WRAPPED)
        yield from _Inflating(window, batches, jobs, limits, chunk, wrapped=wrapped).pieces()
    else:
        failed = {row - window.first: why for row, why in window.failed.items()}
        yield Piece(range(window.first, window.stop), window.raw, jobs, failed, bool(seen & WRAPPED))


def pieces(
    source: Source, batches: BatchTable, limits: Limits, chunk: int, held: Held | None = None
) -> Iterator[Piece]:
    """Yields pieces that cover all rows in order, each of about ``chunk`` bytes or of one batch when that is larger."""
    if not len(batches):
        return
    if held is not None and held.covers(batches):
        where = batches.position - held.position
        yield from _window_pieces(_Window(0, len(batches), held.data, where, batches.size, {}), batches, limits, chunk)
        return
    stored = np.clip(batches.size, 0, source.size)
    ends = np.cumsum(stored + _leads(batches.position, stored), dtype=np.int64)
    row = 0
    while row < len(batches):
        window = _read(source, batches, row, ends, chunk, limits.cap)
        row = window.stop
        yield from _window_pieces(window, batches, limits, chunk)
