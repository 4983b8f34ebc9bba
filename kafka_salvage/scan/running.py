"""RangeCrc: the CRC of any part of a file in the time of a block, from running CRCs at block boundaries."""

from __future__ import annotations

import numpy as np

from kafka_salvage.scan.batches import I64, U32
from kafka_salvage.source.source import U8, Source

_PIECE = 1 << 20
_ROOM = 64 << 10
COVERED = {0: 16, 1: 16, 2: 21}
"""Where the bytes that the CRC covers begin, by magic."""


class RangeCrc:
    """CRCs of parts of ``[start, stop)`` of a file.

    Boundaries are summed once, in order, no further than asked for; then each CRC costs at most two partial blocks and one
    move. Keep one for a file: questions about many ends of one batch stay linear in the bytes. 4 bytes of memory per 4 KiB
    and polynomial. Bytes that cannot be read count as the zeros that the source gives for them.

    Args:
        source: where bytes come from.
        start: first byte that may be asked for.
        stop: end of what may be asked for; None is the end of the file.
    """

    def __init__(self, source: Source, start: int = 0, stop: int | None = None) -> None:
        from kafka_salvage.vector import finding  # Numba is loaded by those who sum only

        self._block = finding.BLOCK
        self._source = source
        self.start = start
        self.stop = max(start, source.size if stop is None else min(stop, source.size))
        self._origin = start // self._block * self._block
        boundaries = (self.stop - self._origin) // self._block + 1
        self._registers: dict[bool, U32] = {}
        self._first = {True: 0, False: 0}
        self._known = {True: 1, False: 1}
        self._count = boundaries

    def __repr__(self) -> str:
        return f"RangeCrc({self._source.name!r}, {self.start}..{self.stop})"

    def forget(self, position: int) -> None:
        """Says that nothing before ``position`` will be asked for; it is dear from now on, and what lies between is not summed."""
        wanted = min(max(0, position - self._origin) // self._block, self._count - 1)
        for castagnoli in (True, False):
            if self._known[castagnoli] <= wanted:
                self._begin(castagnoli, wanted)

    def _begin(self, castagnoli: bool, boundary: int) -> None:
        """Sums from a boundary on: any register will do there, since only differences count."""
        registers = self._registers.setdefault(castagnoli, np.zeros(self._count, np.uint32))
        registers[boundary] = 0
        self._first[castagnoli], self._known[castagnoli] = boundary, boundary + 1

    def crc32c(self, start: int, stop: int) -> int:
        """CRC-32C (magic 2) of ``[start, stop)``.

        Raises:
            ValueError: not inside the range.
        """
        return int(self.many(True, np.array([start], np.int64), np.array([stop], np.int64))[0])

    def crc32(self, start: int, stop: int, *, first: int | None = None) -> int:
        """CRC-32 of zlib (magic 0 and 1) of ``[start, stop)``; with ``first``, as if that were its first byte.

        Raises:
            ValueError: not inside the range.
        """
        from kafka_salvage.vector import crc

        value = int(self.many(False, np.array([start], np.int64), np.array([stop], np.int64))[0])
        if first is None or stop <= start:
            return value
        changed = int(self._source.read(start, start + 1)[0]) ^ first
        # A register is linear: one changed byte adds its own register, moved by all that follows.
        both = bytes([changed]), bytes(1)
        added = crc.crc32(both[0]) ^ crc.crc32(both[1])
        return value ^ crc.crc32_combine(added, 0, stop - start - 1)

    def batch(self, position: int, stop: int, magic: int) -> int:
        """What the CRC field of a batch at ``position`` would have to hold if it ended at ``stop`` and had this magic.

        Raises:
            ValueError: not inside the range, or no such magic.
        """
        if magic not in COVERED:
            raise ValueError(f"there is no magic {magic}")
        start = position + COVERED[magic]
        return self.crc32c(start, stop) if magic == 2 else self.crc32(start, stop, first=magic)

    def many(self, castagnoli: bool, starts: I64, stops: I64) -> U32:
        """CRCs of many ranges at once.

        Args:
            castagnoli: CRC-32C, else zlib's.
            starts: first bytes, int64, any order.
            stops: ends, int64, same length, none before its start.

        Raises:
            ValueError: a range is not inside this one, or runs backwards.
        """
        from kafka_salvage.vector import finding
        from kafka_salvage.vector.pointers import address_of

        sizes = np.ascontiguousarray(stops - starts)
        if not len(sizes):
            return np.empty(0, np.uint32)
        if sizes.min() < 0 or starts.min() < self.start or stops.max() > self.stop:
            raise ValueError(f"a range is not inside {self.start}..{self.stop}, or runs backwards")
        traced = self._trace(castagnoli, np.concatenate([starts, stops]))
        early, late = traced[: len(sizes)], traced[len(sizes) :]
        out = np.empty(len(sizes), np.uint32)
        finding.close_ranges(
            castagnoli, address_of(early), address_of(late), address_of(sizes), len(sizes), address_of(out)
        )
        return out

    def _boundaries(self, castagnoli: bool, lowest: int, position: int) -> U32:
        """Registers at the boundaries, summed from ``lowest`` up to the last one at or before ``position``."""
        from kafka_salvage.vector import finding
        from kafka_salvage.vector.pointers import address_of, aligned_buffer

        registers = self._registers.setdefault(castagnoli, np.zeros(self._count, np.uint32))
        wanted = (position - self._origin) // self._block + 1
        if (lowest - self._origin) // self._block < self._first[castagnoli]:
            self._begin(castagnoli, (lowest - self._origin) // self._block)
        buffer: U8 = aligned_buffer(_PIECE if self._known[castagnoli] < wanted else 0)
        while (known := self._known[castagnoli]) < wanted:
            count = min(_PIECE // self._block, wanted - known)
            self._fill(self._origin + (known - 1) * self._block, buffer[: count * self._block])
            finding.sum_boundaries(
                castagnoli, int(registers[known - 1]), address_of(buffer), count, address_of(registers[known:])
            )
            self._known[castagnoli] = known + count
        return registers

    def _trace(self, castagnoli: bool, positions: I64) -> U32:
        """Running registers at positions, in the order given."""
        from kafka_salvage.vector import finding
        from kafka_salvage.vector.pointers import address_of, aligned_buffer

        order = np.argsort(positions, kind="stable")
        ascending = np.ascontiguousarray(positions[order], np.int64)
        registers = self._boundaries(castagnoli, int(ascending[0]), int(ascending[-1]))
        room = _ROOM if len(positions) > 3 else self._block
        buffer = aligned_buffer(room)
        state = np.zeros(finding.TRACE_SIZE, np.int64)
        state[[finding.Trace.FROM, finding.Trace.FILLED]] = -1
        found = np.empty(len(positions), np.uint32)
        where = address_of(registers), self._origin, self._source.size, address_of(buffer), room, address_of(state)
        while not finding.trace(
            castagnoli, self._source.fileno(), address_of(ascending), len(ascending), *where, address_of(found)
        ):
            self._fill(int(state[finding.Trace.FROM]), buffer[: int(state[finding.Trace.WANT])])
        result = np.empty_like(found)
        result[order] = found
        return result

    def _fill(self, position: int, target: U8) -> None:
        target[self._source.read_into(position, target) :] = 0


def crc_of(source: Source, position: int, size: int, magic: int) -> tuple[int, int]:
    """(stored, computed) CRC of a batch, read through the source in pieces, whatever its size.

    Args:
        source: where bytes come from; what cannot be read counts as zeros.
        position: of the batch's first byte.
        size: of the whole batch, bytes; the file's end cuts it.
        magic: 0, 1 or 2: which polynomial and which bytes.

    Raises:
        ValueError: there is no such magic.
    """
    from kafka_salvage.vector import crc

    if magic not in COVERED:
        raise ValueError(f"there is no magic {magic}")
    place = position + (17 if magic == 2 else 12)
    stored = int.from_bytes(source.read(place, place + 4).tobytes(), "big")
    add = crc.crc32c if magic == 2 else crc.crc32
    at, stop, value = position + COVERED[magic], min(position + size, source.size), 0
    buffer = np.empty(max(0, min(_PIECE, stop - at)), np.uint8)
    while at < stop:
        piece = buffer[: stop - at]
        piece[source.read_into(at, piece) :] = 0
        value = add(piece, value)
        at += len(piece)
    return stored, value


def crc32_moved(change: int, sizes: I64) -> U32:
    """What a change of a CRC-32 (of zlib) becomes when ``sizes`` bytes follow, for many sizes at once."""
    from kafka_salvage.vector import finding
    from kafka_salvage.vector.pointers import address_of
    from kafka_salvage.vector.polynomial import MASK

    early, late = np.full(len(sizes), change ^ MASK, np.uint32), np.full(len(sizes), MASK, np.uint32)
    sizes, moved = np.ascontiguousarray(sizes, np.int64), np.empty(len(sizes), np.uint32)
    where = address_of(early), address_of(late), address_of(sizes)
    finding.close_ranges(False, *where, len(sizes), address_of(moved))
    return moved
