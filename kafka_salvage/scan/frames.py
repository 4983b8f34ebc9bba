"""Frame: the batches of a stretch of a file together with their bytes, read once and summed where they lie.

Strategy: bytes are read into one of two buffers in turn, and the kernel follows lengths and checks CRCs in it; whoever takes a
frame has exactly the bytes that were checked, and may go on using them while the next frame is read. A batch that does not
fit a buffer comes alone and without bytes, and so do batches near bytes that cannot be read: those are walked in the
ordinary way, which sums them in pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

import numpy as np

from kafka_salvage.ranges import ByteRange
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.walk import Stop, StopReason, walk
from kafka_salvage.source.source import U8, Source

FRAME = 2 << 20
"""Bytes of a buffer."""
ROWS = 16384
"""Most rows of a frame; a multiple of 8."""
_CUT = frozenset({StopReason.END, StopReason.SHORT, StopReason.LENGTH_PAST_END})
"""What the kernel says where a buffer ends inside a batch, or right behind one."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Some batches of a file, and their bytes.

    Attributes:
        batches: adjacent, in file order; all CRCs agree. Perhaps none, when ``stop`` is told.
        data: bytes of the file from ``start`` on, at least those of the batches; None: they must be read again.
            They stay as they are until the frame after the next one is asked for, and until ``pending`` is done.
        start: position of ``data[0]``.
        stop: why it does not go on; None when another frame follows.
        pending: what must be waited for before the bytes may be overwritten; the taker adds to it.
    """

    batches: BatchTable
    data: U8 | None
    start: int
    stop: Stop | None
    pending: list[Callable[[], object]] = field(default_factory=list)

    def bytes_of(self, start: int, stop: int) -> U8 | None:
        """Bytes ``[start, stop)`` of the file, not copied; None when they are not here."""
        if self.data is None or start < self.start or stop > self.start + len(self.data):
            return None
        return self.data[start - self.start : stop - self.start]


def frames(source: Source, start: int, stop: int, *, size: int = FRAME, rows: int = ROWS) -> Iterator[Frame]:
    """Yields the batches of ``[start, stop)`` until one is not good; the last frame tells why.

    Args:
        source: where bytes come from.
        start: position of the first batch.
        stop: end of the range, inside the file.
        size: bytes of a buffer, at least a few headers.
        rows: most rows of a frame, a multiple of 8.
    """
    return _Reader(source, min(stop, source.size), size, rows).frames(start)


class _Reader:
    """Two buffers in turn, and what their bytes are still needed for."""

    def __init__(self, source: Source, stop: int, size: int, rows: int) -> None:
        from kafka_salvage.vector.pointers import aligned_buffer  # Numba is loaded by those who walk only

        self._source = source
        self._stop = stop
        self._rows = rows
        self._size = size
        self._make = aligned_buffer
        self._buffers: list[U8] = [aligned_buffer(0)] * 2
        self._pending: list[list[Callable[[], object]]] = [[], []]
        self._turn = 0

    def frames(self, start: int) -> Iterator[Frame]:
        at, tail = start, np.empty(0, np.uint8)
        while True:
            data, pending = self._filled(at, tail)
            if any(gap.start < at + len(data) and at < gap.stop for gap in self._source.unreadable):
                yield from self._walked(at, self._stop)
                return
            begin, end = at, None
            while end is None:
                table, end = frame_rows(data, begin, at, self._rows)
                at = int(table.stop[-1]) if len(table) else at
                cut = end is not None and begin + len(data) < self._stop and end.reason in _CUT
                if len(table) or not cut:
                    yield Frame(table, data, begin, None if cut else end, pending)
                if end is not None and not cut:
                    return
            tail = data[at - begin :]
            if at == begin:  # not one batch: it is larger than a buffer, or claims to be
                at, tail = (yield from self._walked(at, self._claimed(at))), np.empty(0, np.uint8)
                if at < 0:
                    return

    def _filled(self, at: int, tail: U8) -> tuple[U8, list[Callable[[], object]]]:
        """The next buffer, holding what begins at ``at``; ``tail`` is the beginning of that."""
        turn, self._turn = self._turn, 1 - self._turn
        for wait in self._pending[turn]:
            wait()
        self._pending[turn] = []
        want = max(0, min(self._size, self._stop - at))
        if len(self._buffers[turn]) < want:
            self._buffers[turn] = self._make(want)
        data = self._buffers[turn][:want]
        data[: len(tail)] = tail[:want]
        if want > len(tail):
            got = self._source.read_into(at + len(tail), data[len(tail) :])
            data[len(tail) + got :] = 0
        return data, self._pending[turn]

    def _claimed(self, at: int) -> int:
        """Where the batch at ``at`` says that it ends; the end of the range when that is nonsense."""
        head = self._source.read(at, min(at + 12, self._stop))
        size = int.from_bytes(head[8:12].tobytes(), "big", signed=True) + 12 if len(head) == 12 else 0
        return at + size if 0 < size <= self._stop - at else self._stop

    def _walked(self, start: int, stop: int) -> Generator[Frame, None, int]:
        """Frames without bytes, from the ordinary walk; gives where it goes on, -1 when it does not."""
        at = start
        for block in walk(self._source, start, stop):
            at = int(block.batches.stop[-1]) if len(block.batches) else at
            over = block.stop is not None and (block.stop.reason is not StopReason.END or stop >= self._stop)
            yield Frame(block.batches, None, start, block.stop if over else None)
            if over:
                return -1
        return at


def frame_rows(data: U8, start: int, at: int, rows: int) -> tuple[BatchTable, Stop | None]:
    """Batches that lie whole in memory, and why they end; no stop when there is no room for another row.

    Args:
        data: bytes of a file, with 64 bytes of slack behind (`aligned_buffer`).
        start: position of ``data[0]``.
        at: position of the first batch.
        rows: most rows, a multiple of 8.
    """
    from kafka_salvage.vector import framing, headers, pointers  # Numba is loaded by those who walk only

    place, outcomes = framing.State, framing.Outcome
    state = np.zeros(framing.STATE_SIZE, np.int64)
    end = start + len(data)
    state[[place.STOP, place.UNTIL, place.FILLED]] = end
    state[place.POSITION], state[place.FROM], state[place.ADDRESS] = at, start, pointers.address_of(data)
    memory = headers.new_block(rows)
    # All bytes are here, so that the kernel never reads, moves or wants any; the work area is none.
    outcome = framing.follow(-1, 0, len(data), pointers.address_of(state), pointers.address_of(memory), rows)
    table = BatchTable(**headers.columns_of(memory, rows, int(state[place.ROWS])))
    if outcome == outcomes.FULL:
        return table, None
    reason, position = StopReason[outcomes(outcome).name], int(state[place.POSITION])
    stored, computed, size = (int(state[p]) for p in (place.STORED, place.COMPUTED, place.SIZE))
    if reason is StopReason.CRC_MISMATCH:
        return table, Stop(position, reason, stored, computed, size)
    return table, Stop(position, reason, size=0 if reason in (StopReason.END, StopReason.SHORT) else size)


class FrameSource:
    """A frame's file, whose bytes are the frame's where it has them: what was checked is what is decoded.

    Args:
        source: the file; not closed with this.
        frame: its bytes.
    """

    def __init__(self, source: Source, frame: Frame) -> None:
        self._source = source
        self._frame = frame

    @property
    def name(self) -> str:
        """Display name of the file."""
        return self._source.name

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._source.size

    @property
    def unreadable(self) -> tuple[ByteRange, ...]:
        """As the file's."""
        return self._source.unreadable

    def fileno(self) -> int:
        """No descriptor: -1."""
        return -1

    def data_ranges(self, start: int = 0, stop: int | None = None) -> Iterator[ByteRange]:
        """As the file's."""
        return self._source.data_ranges(start, stop)

    def read_into(self, position: int, buffer: U8) -> int:
        """Fills ``buffer`` from ``position``; returns bytes filled (fewer than asked only at the end of the file)."""
        here = self._frame.bytes_of(position, position + len(buffer))
        if here is None:
            return self._source.read_into(position, buffer)
        buffer[:] = here
        return len(buffer)

    def read(self, start: int, stop: int) -> U8:
        """Bytes ``[start, stop)`` (clipped to the file) in a new array."""
        here = self._frame.bytes_of(start, stop)
        return self._source.read(start, stop) if here is None else here.copy()

    def close(self) -> None:
        """Nothing to give back."""
