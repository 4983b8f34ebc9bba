"""Ahead: the folded walk of one file, parts of it walked beforehand by idle threads.

Strategy: a file is cut at multiples of `PART`. An idle thread looks for a batch at or behind such a place, by header and CRC,
and walks on from there. That is a guess: what it found counts only if the walk itself arrives at exactly that batch;
otherwise the walk goes on by itself. A folded walk gives the same rows wherever it begins, so guesses change no result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kafka_salvage.scan.batches import I64
from kafka_salvage.scan.parts import Parts
from kafka_salvage.scan.resync import Sanity, find_candidates
from kafka_salvage.scan.running import RangeCrc
from kafka_salvage.scan.walk import Fold, WalkBlock, walk_folded
from kafka_salvage.source.files import FileSource
from kafka_salvage.source.source import Source

PART = 32 << 20
MOST_AHEAD = 8
"""Parts walked and not yet asked for."""
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
        part: bytes of a part, a multiple of 1 MiB; has no influence on the rows.
    """

    def __init__(
        self,
        source: Source,
        sanity: Sanity,
        marks: I64,
        *,
        notes: bool = False,
        over: bool = False,
        part: int = PART,
    ) -> None:
        if part <= 0 or part % (1 << 20):
            raise ValueError(f"part {part} is no multiple of 1 MiB")
        self._source = source
        self._sanity = sanity
        self._marks = marks
        self._part = part
        self._over = sanity if over else None
        self.notes = _new_notes(len(marks)) if notes else None
        self._parts = Parts(self._guess, -(-source.size // part), MOST_AHEAD)

    def walk(self, position: int) -> Iterator[WalkBlock]:
        """The folded walk from ``position`` to its end; its first batch is a row by itself."""
        alone = True
        while True:
            number = position // self._part
            blocks = self._guessed(number, position) if not alone else None
            if blocks is None:
                self._parts.begin(number + 1)
                blocks = self._walked(position, (number + 1) * self._part, alone, self._noted(position, number))
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

    def _walked(self, position: int, until: int, alone: bool, notes: Notes | None) -> Iterator[WalkBlock]:
        if isinstance(self._source, FileSource):  # the part behind is fetched while this one is computed
            first = position // self._part * self._part
            self._source.expect(first, first + self._part)
            self._source.expect(first + self._part, first + 2 * self._part)
        marks, over = self._marks[self._range(position, until)], None if self._source.unreadable else self._over
        return walk_folded(self._source, position, Fold(marks, alone, until, notes, over))

    def _range(self, position: int, until: int) -> slice:
        """Marks of a part."""
        low, high = np.searchsorted(self._marks, [position, until])
        return slice(int(low), int(high))

    def _noted(self, position: int, number: int) -> Notes | None:
        """Notes of a part, from ``position`` on (views)."""
        if self.notes is None:
            return None
        these = self._range(position, (number + 1) * self._part)
        return self.notes[0][these], self.notes[1][these]

    def _guessed(self, number: int, position: int) -> Iterator[WalkBlock] | None:
        """The blocks of a part that an idle thread has walked, if it began where the walk has arrived."""
        found = self._parts.result(number)
        if found is None or found.start != position:
            return None
        for taken, notes in zip(self._noted(position, number) or (), found.notes or (), strict=True):
            taken[:] = notes
        return iter(found.blocks)

    def _guess(self, number: int) -> _Part:
        """Walks one part from the first batch in it that looks like one; reads no more than the part twice."""
        low = number * self._part
        until = min(low + self._part, self._source.size)
        running = RangeCrc(self._source, low, until)
        windows = list(_WINDOWS)
        while low < until:
            size, reach = windows.pop(0) if len(windows) > 1 else windows[0]
            high, end = min(low + size, until), min(low + reach, until)
            found = find_candidates(self._source, low, high, end, self._sanity, running=running).batches
            if len(found):
                touch = np.flatnonzero(np.isin(found.stop, found.position))
                first = int(found.position[touch[0] if len(touch) else 0])
                these = self._range(first, (number + 1) * self._part)
                notes = None if self.notes is None else _new_notes(these.stop - these.start)
                return _Part(first, tuple(self._walked(first, (number + 1) * self._part, False, notes)), notes)
            low = high
        return _Part(-1)


def _new_notes(count: int) -> Notes:
    return np.full(count, -1, np.int64), np.full(count, -1, np.int64)
