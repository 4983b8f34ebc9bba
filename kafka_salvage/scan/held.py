"""HeldBlock: batches whose CRC agrees, together with their bytes, so that they are read from the file only once.

Strategy: a window is read, its batches are summed and handed out while they are still in the cache; what was cut off at its
end is read again with the next one. Unreadable bytes, and batches larger than `MOST`, are left to the ordinary walk, whose
blocks hold no bytes. Rows and stops are the same as its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.walk import Stop, StopReason, walk
from kafka_salvage.source.source import U8, Source

WINDOW = 4 << 20
"""Bytes per window: stay in the cache until they are decoded, and cost little Python each."""
MOST = 8 << 20
"""Largest window, for large batches."""
ROWS = 16384
"""Most rows of a block."""
_FIRST_ROWS = 256


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Bytes of a file that are in memory.

    Attributes:
        position: of the first one in the file.
        data: bytes, with 64 bytes of slack behind.
    """

    position: int
    data: U8

    def covers(self, batches: BatchTable) -> bool:
        """Whether all these batches (in file order, sizes as walked) lie in it."""
        if not len(batches):
            return True
        return self.position <= int(batches.position[0]) and int(batches.stop[-1]) <= self.position + len(self.data)


@dataclass(frozen=True, slots=True, eq=False)
class HeldBlock:
    """One block of rows; the last one carries the stop.

    Attributes:
        batches: rows.
        stop: why the walk ended, in its last block.
        held: the bytes of the batches; None where they must be read.
    """

    batches: BatchTable
    stop: Stop | None
    held: Held | None


def walk_held(
    source: Source,
    start: int = 0,
    stop: int | None = None,
    *,
    window: int = WINDOW,
    first: int | None = None,
    summed: bool = False,
) -> Iterator[HeldBlock]:
    """The walk from ``start`` to ``stop`` (see `scan.walk.walk`), in blocks that hold their bytes.

    Args:
        source: where bytes come from.
        start: position of the first batch.
        stop: end of the range; None and anything beyond the file mean the end of the file.
        window: bytes per window.
        first: bytes of the first one, where little is expected; each following one has twice as many.
        summed: the CRCs of this range were computed just now, and agree: they are not computed again.
    """
    end = max(source.size if stop is None else min(stop, source.size), start)
    position, rows = start, _FIRST_ROWS
    usual = room = min(first or window, window)
    while True:
        taken = _Taken()
        yield from _window(source, position, min(room, end - position), end, rows, taken, summed)
        if taken.over:
            return
        position += taken.size
        rows = min(max(_FIRST_ROWS, taken.rows // 4 * 8), ROWS)
        if taken.needed < 0:
            break
        if taken.needed > MOST:
            large = list(walk(source, position, position + taken.needed))
            if large[-1].stop is None or large[-1].stop.reason is not StopReason.END:
                break
            for found in large:
                yield HeldBlock(found.batches, None, None)
            position += taken.needed
        usual = min(2 * usual, window)
        room = usual if taken.needed <= usual // 8 else min(8 * taken.needed, MOST)
    for found in walk(source, position, end):
        yield HeldBlock(found.batches, found.stop, None)


@dataclass(slots=True)
class _Taken:
    """What came of a window.

    Attributes:
        size: bytes of whole batches. rows: how many.
        needed: bytes of the next batch; -1 = it must be left to the ordinary walk.
        over: the stop was told.
    """

    size: int = 0
    rows: int = 0
    needed: int = -1
    over: bool = False


def _window(
    source: Source, position: int, size: int, end: int, capacity: int, taken: _Taken, summed: bool
) -> Iterator[HeldBlock]:
    """Blocks of the batches that lie whole in one window, each of at most ``capacity`` rows."""
    from kafka_salvage.vector import headers, holding  # Numba is loaded by those who walk only
    from kafka_salvage.vector.arena import lease
    from kafka_salvage.vector.pointers import address_of

    data, address = lease(size)
    held = Held(position, data)
    descriptor, filled = source.fileno(), 0
    if descriptor < 0:
        filled = source.read_into(position, data)
    state = np.zeros(6, np.int64)
    where = address_of(state)
    while filled == size or descriptor >= 0:
        memory, block = lease(capacity * headers.ROW_BYTES)
        outcome = holding.Held(
            holding.hold(
                descriptor, address, filled, size, end - position, position, where, block, capacity, int(summed)
            )
        )
        if _unreadable(source, position, size):
            return
        taken.size, rows, needed, _, stored, computed = state.tolist()
        taken.rows += rows
        taken.over = outcome >= holding.Held.END
        stop = _stop(outcome.name, position + taken.size, needed, stored, computed) if taken.over else None
        if rows or stop is not None:
            yield HeldBlock(BatchTable(**headers.columns_of(memory, capacity, rows)), stop, held)
        if outcome != holding.Held.FULL:
            taken.needed = needed if outcome == holding.Held.MORE else -1
            return
        capacity = min(2 * capacity, ROWS)


def _stop(name: str, position: int, size: int, stored: int, computed: int) -> Stop:
    reason = StopReason[name]
    if reason is StopReason.CRC_MISMATCH:
        return Stop(position, reason, stored, computed, size)
    return Stop(position, reason, size=0 if reason in (StopReason.END, StopReason.SHORT) else size)


def _unreadable(source: Source, position: int, size: int) -> bool:
    return any(bad.start < position + size and position < bad.stop for bad in source.unreadable)
