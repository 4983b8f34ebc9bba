"""Stretches: a healthy segment with ordinary batches folded into shared rows, judged by the same rules as any other.

A segment of tiny batches has twelve million of them, and none is of interest as long as all is well. So the first walk folds
(see `scan.walk.Fold`) and takes notes of what the index names. Only where no rule could tell a stretch from its batches, the
folded rows are judged; otherwise they are given up, and each batch gets its row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from kafka_salvage import engine
from kafka_salvage.regions.context import SegmentContext
from kafka_salvage.regions.ground import Ground
from kafka_salvage.regions.rows import Rows
from kafka_salvage.scan.ahead import Ahead, Notes
from kafka_salvage.scan.batches import I64, BatchTable
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.resync import Sanity
from kafka_salvage.scan.walk import Stop
from kafka_salvage.source.source import Source
from kafka_salvage.vector.distinct import distinct

if TYPE_CHECKING:
    from kafka_salvage.regions.hunt import Haul
    from kafka_salvage.regions.judged import Judged
    from kafka_salvage.regions.parting import Parted
    from kafka_salvage.regions.runs import SegmentSurvey

# What is needed only once a walk is over is imported there: it may be imported meanwhile.

DECODED_AT_ONCE = 16 << 20
"""Stored bytes of one task of a deep check."""


@dataclass(frozen=True, slots=True)
class Stretches:
    """The batches of one file up to where the first walk stopped.

    Attributes:
        table: rows, some of which stand for a stretch of batches.
        counts: batches of each row.
        stop: where the walk ended.
        index: (positions, offsets) of index entries that name rows, if all entries are right; otherwise of all.
        parted: how the rows were made, where the index is wrong and the file was not walked again.
    """

    table: BatchTable
    counts: I64
    stop: Stop
    index: tuple[I64, I64]
    parted: Parted | None = None

    def holds(self, judged: Judged) -> bool:
        """Whether rows that were made of stretches were told nothing that the batches themselves might not be told."""
        return self.parted is None or self.parted.hold(judged)

    def haul(self, size: int) -> Haul:
        """What a hunt would have brought."""
        from kafka_salvage.regions.hunt import Damage, Haul

        damages = [Damage(self.stop.position, size, self.stop)] if self.stop.position < size else []
        return Haul(damages=damages, first_stop=self.stop)

    def hauled(self, ground: Ground) -> Haul | None:
        """The same with its rows, where the walk came to the end of the data and folded nothing; else None."""
        end = self.stop.position
        if (end < ground.size and end < ground.data_stop) or ground.source.unreadable or (self.counts != 1).any():
            return None
        haul = self.haul(ground.size)
        haul.rows.add(self.table)
        return haul


def follow(ground: Ground, progress: Callable[[int], None], *, decoded: bool) -> Stretches:
    """Walks from the beginning of the file to the first stop, parts of it by threads that are idle.

    Where an index has an entry that is wrong, there is a row for what each entry names: the rows are parted, or the file is
    walked again.

    Args:
        ground: the file.
        progress: told of bytes that were passed.
        decoded: the batches will be asked for their records, so that rows must say everything.
    """
    seen, notes = _walked(ground, progress, take_notes=True)
    end = seen.stop.position
    if not len(ground.index_positions) or (end < ground.size and end < ground.data_stop):
        return seen
    if len(seen.table) and notes is not None:
        if _index_is_right(seen, notes):
            return replace(seen, index=_entries_of_rows(seen))
        from kafka_salvage.regions import parting

        parted = None if decoded else parting.part(seen.table, seen.counts, notes, ground.source)
        if parted is not None:
            counts = np.ones(len(parted.table), np.int64)
            return replace(seen, table=parted.table, counts=counts, parted=parted)
    return again(ground)


def again(ground: Ground) -> Stretches:
    """Walks once more, with a row for what each entry of the index names."""
    return _walked(ground, lambda _: None, take_notes=False)[0]


def _walked(ground: Ground, progress: Callable[[int], None], *, take_notes: bool) -> tuple[Stretches, Notes | None]:
    """Rows, and for each index entry where the first batch at or behind its position begins, and the last offset before."""
    index = ground.index_positions, ground.index_offsets
    ahead = Ahead(ground.source, Sanity(ground.base, ground.cap), index[0], notes=take_notes)
    rows, counts, at = Rows(ground.size), [], 0
    try:
        for block in ahead.walk(0):
            if len(block.batches) and block.counts is not None:
                rows.add(block.batches)
                counts.append(block.counts)
                progress(int(block.batches.stop[-1]) - at)
                at = int(block.batches.stop[-1])
            if block.stop is not None:
                counted = np.concatenate(counts) if counts else np.empty(0, np.int64)
                return Stretches(rows.table(), counted, block.stop, index), ahead.notes
    finally:
        ahead.close()
    raise AssertionError("a walk ends with a stop")


def _index_is_right(seen: Stretches, notes: Notes) -> bool:
    """Whether each entry names a batch by its position, and an offset from there up to the batch that the next entry names."""
    table, (places, before), (positions, offsets) = seen.table, notes, seen.index
    rest = np.flatnonzero(places < 0)
    row = np.searchsorted(table.position, positions[rest])
    starts, lasts = np.append(table.position, seen.stop.position), np.append(-1, table.last_offset)
    places[rest], before[rest] = starts[row], lasts[row]
    first = before + 1
    named = np.minimum(np.searchsorted(places, table.position), len(places) - 1)
    at = np.flatnonzero(places[named] == table.position)
    first[named[at]] = table.base_offset[at]
    last = np.append(before[1:], table.last_offset[-1])
    return bool(
        np.all((places == positions) & (offsets >= first) & (offsets <= last) & (positions < seen.stop.position))
    )


def _entries_of_rows(seen: Stretches) -> tuple[I64, I64]:
    positions, offsets = seen.index
    named = np.minimum(np.searchsorted(positions, seen.table.position), len(positions) - 1)
    kept = named[positions[named] == seen.table.position]
    return positions[kept], offsets[kept]


def is_quiet(seen: Stretches, ground: Ground, base: int | None, context: SegmentContext) -> bool:
    """Whether every rule says the same of the folded rows as of the batches in them.

    Args:
        seen: the rows.
        ground: the file.
        base: lowest offset, by the file's name.
        context: what the other files say.

    Returns:
        True if it does, unless a rule then repairs something: a repair of a row that stands for many batches would be wrong.
    """
    table, end = seen.table, seen.stop.position
    if not len(table) or (end < ground.size and end < ground.data_stop) or ground.source.unreadable:
        return False
    first, last = table.base_offset, table.last_offset
    if bool(table.is_wrapper.any()) or bool((last < first).any()) or not bool(np.all(first[1:] > last[:-1])):
        return False
    if base is None or int(first[0]) < base or int(last[-1]) >= (context.next_base or _HIGHEST):
        return False
    if bool(ground.index_contradicts(table).any()):
        return False
    jumps = len(table) > 1 and int(first[-1]) > int(last[-2]) + 1
    if jumps and int(seen.counts[-1]) > 1:
        return False
    epochs = table.leader_epoch[table.magic >= 2]
    highest = _HIGHEST if context.epoch_high is None else context.epoch_high
    return not len(epochs) or (
        context.epoch_low <= int(epochs[0]) and int(epochs[-1]) <= highest and bool(np.all(epochs[1:] >= epochs[:-1]))
    )


_HIGHEST = 1 << 63


def all_decode(seen: Stretches, source: Source, limits: Limits, progress: Callable[[int], None]) -> bool:
    """Whether every batch inflates and parses; idle threads take parts of the file, and tell what they have passed."""
    from kafka_salvage.scan.held import walk_held
    from kafka_salvage.scan.records import Outcome, validate

    starts = seen.table.position
    cuts = np.arange(0, int(seen.table.stop[-1]), DECODED_AT_ONCE)
    edges = distinct(starts[np.searchsorted(starts, cuts).clip(max=len(starts) - 1)], seen.table.stop[-1:])

    def good(at: int) -> bool:
        for block in walk_held(source, int(edges[at]), int(edges[at + 1]), summed=True):
            for piece in validate(source, block.batches, limits, held=block.held):
                if (piece.outcome != Outcome.OK).any():
                    return False
            progress(int(block.batches.size.sum()))
        return True

    return all(engine.ordered_map(good, range(len(edges) - 1), 1))


def with_counts(survey: SegmentSurvey, starts: I64, counts: I64) -> SegmentSurvey:
    """The judgement of folded rows with the batches counted.

    Args:
        survey: the judgement.
        starts: position of each row.
        counts: batches that it stands for.
    """
    if bool((counts == 1).all()):
        return survey
    before = np.concatenate([[0], np.cumsum(counts)])

    def batches(start: I64, stop: I64) -> I64:
        counted: I64 = before[np.searchsorted(starts, stop)] - before[np.searchsorted(starts, start)]
        return counted

    runs = survey.runs.with_batches(batches(survey.runs.start, survey.runs.stop))
    return replace(survey, regions=survey.regions.counted(batches), runs=runs)
