"""Ahead: the folded walk of one file, parts of it walked beforehand by idle threads.

Strategy: a file is cut into parts, smaller ones towards its end, so that threads end together. An idle thread looks for a
batch at or behind such a place, by header and CRC, and walks on from there. That is a guess: what it found counts only if the
walk itself arrives at exactly that batch; otherwise the walk goes on by itself. A folded walk gives the same rows wherever it
begins, so guesses change no result.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kafka_salvage import engine
from kafka_salvage.scan.batches import I64
from kafka_salvage.scan.parts import Parts
from kafka_salvage.scan.resync import Sanity, find_candidates
from kafka_salvage.scan.running import RangeCrc
from kafka_salvage.scan.walk import Fold, WalkBlock, walk_folded
from kafka_salvage.source.files import FileSource
from kafka_salvage.source.source import Source

AHEAD_BYTES = 256 << 20
"""Bytes walked and not yet asked for, at most."""
LEAST_PART = 8 << 20
"""What finding a batch to begin with, and taking turns, costs little of."""
LEAST_ALONE, MOST_ALONE = 32 << 20, 128 << 20
"""Bytes that a thread walks at once where no other is idle; half of what is left lies between."""
_MIB = 1 << 20
_WINDOWS = ((16 << 10, 64 << 10), (128 << 10, 512 << 10), (1 << 20, 4 << 20))
"""Bytes looked through for a batch to begin with, and how far one may reach: little at first, since most batches are small, and
what claims to be large is mostly no batch but must be summed all the same."""


Notes = tuple[I64, I64]


@dataclass(frozen=True, slots=True)
class _Part:
    """Blocks of the batches that begin in one part, from ``start`` on, and its notes; ``start`` is -1 where none was found."""

    start: int
    blocks: tuple[WalkBlock, ...] = ()
    notes: Notes | None = None


class Ahead:
    """Walks of one file; `close` it before the source.

    Args:
        source: the file.
        sanity: which headers are worth a guess.
        marks: positions, ascending, that begin a row (see `Fold`).
        notes: take notes of the marks instead.
        over: simply damaged batches are gone over.
        part: bytes of the largest part, a multiple of 1 MiB; None: as many as there are cores for. No influence on the rows.
    """

    def __init__(
        self,
        source: Source,
        sanity: Sanity,
        marks: I64,
        *,
        notes: bool = False,
        over: bool = False,
        part: int | None = None,
    ) -> None:
        most = max(4, min(2 * engine.default_jobs(), 8))
        part = AHEAD_BYTES // most if part is None else part
        if part <= 0 or part % _MIB:
            raise ValueError(f"part {part} is no multiple of 1 MiB")
        self._source = source
        self._sanity = sanity
        self._marks = marks
        self._cuts = _cuts(source.size, part)
        self._over = sanity if over else None
        self.notes = _new_notes(len(marks)) if notes else None
        self._parts = Parts(self._guess, len(self._cuts) - 1, most)

    def walk(self, position: int) -> Iterator[WalkBlock]:
        """The folded walk from ``position`` to its end; its first batch is a row by itself."""
        alone = True
        while True:
            number = min(bisect_right(self._cuts, position), len(self._cuts) - 1) - 1
            blocks = self._guessed(number, position) if not alone else None
            if blocks is None:
                behind = number + 1
                if not self._parts.begin(behind):
                    behind = self._further(position, behind)
                    self._parts.begin(behind)
                blocks = self._walked(position, behind, alone, self._noted(position, behind))
            for block in blocks:
                if len(block.batches):
                    position = int(block.batches.stop[-1])
                yield block
                if block.stop is not None:
                    return
            alone = False

    def stay(self) -> None:
        """Goes over no damaged batch any more, from the next parts on."""
        self._over = None

    def close(self) -> None:
        """Waits for what is under way."""
        self._parts.close()

    def _further(self, position: int, behind: int) -> int:
        """The cut up to which to walk at once where no thread is idle: each turn costs some time by itself."""
        reach = position + min(MOST_ALONE, max((self._source.size - position) // 2, LEAST_ALONE))
        return max(behind, bisect_right(self._cuts, reach) - 1)

    def _walked(self, position: int, behind: int, alone: bool, notes: Notes | None) -> Iterator[WalkBlock]:
        """Walks to the first batch that begins at cut ``behind`` or later."""
        until = self._cuts[behind]
        if isinstance(self._source, FileSource):  # the part behind is fetched while this one is computed
            first = min(bisect_right(self._cuts, position), behind) - 1
            for start, stop in pairwise(self._cuts[first : behind + 2]):
                self._source.expect(start, stop)
        marks, over = self._marks[self._range(position, until)], None if self._source.unreadable else self._over
        return walk_folded(self._source, position, Fold(marks, alone, until, notes, over))

    def _range(self, position: int, until: int) -> slice:
        """Marks of a part."""
        low, high = np.searchsorted(self._marks, [position, until])
        return slice(int(low), int(high))

    def _noted(self, position: int, behind: int) -> Notes | None:
        """Notes from ``position`` to a cut (views)."""
        if self.notes is None:
            return None
        these = self._range(position, self._cuts[behind])
        return self.notes[0][these], self.notes[1][these]

    def _guessed(self, number: int, position: int) -> Iterator[WalkBlock] | None:
        """The blocks of a part that an idle thread has walked, if it began where the walk has arrived."""
        found = self._parts.result(number)
        if found is None or found.start != position:
            return None
        for taken, notes in zip(self._noted(position, number + 1) or (), found.notes or (), strict=True):
            taken[:] = notes
        return iter(found.blocks)

    def _guess(self, number: int) -> _Part:
        """Walks one part from the first batch in it that looks like one; reads no more than the part twice."""
        low, until = self._cuts[number], min(self._cuts[number + 1], self._source.size)
        running = RangeCrc(self._source, low, until)
        windows = list(_WINDOWS)
        while low < until:
            size, reach = windows.pop(0) if len(windows) > 1 else windows[0]
            high, end = min(low + size, until), min(low + reach, until)
            found = find_candidates(self._source, low, high, end, self._sanity, running=running).batches
            if len(found):
                touch = np.flatnonzero(np.isin(found.stop, found.position))
                first = int(found.position[touch[0] if len(touch) else 0])
                these = self._range(first, self._cuts[number + 1])
                notes = None if self.notes is None else _new_notes(these.stop - these.start)
                return _Part(first, tuple(self._walked(first, number + 1, False, notes)), notes)
            low = high
        return _Part(-1)


def _cuts(size: int, part: int) -> list[int]:
    """Where parts begin, and the end of the last one, at the end of the file or behind; multiples of 1 MiB."""
    cuts = [0]
    while cuts[-1] < size or len(cuts) < 2:
        quarter = (size - cuts[-1]) // 4 // _MIB * _MIB
        cuts.append(cuts[-1] + min(part, max(quarter, LEAST_PART)))
    return cuts


def _new_notes(count: int) -> Notes:
    return np.full(count, -1, np.int64), np.full(count, -1, np.int64)
