"""Dispute: batches of several copies that overlap without being the same, and what comes of it.

1. Where one side was repaired and the other was not, the repaired one gives way.
2. Otherwise the records are compared, offset by offset. If none disagrees, the batches are *variants* of the same ones (each
   replica is compacted by itself): the one that holds more records is taken; what only the others hold is kept to be given
   record by record. Copies of different epochs on a topic that is not compacted are no variants.
3. Otherwise it is a conflict. Behind one, up to the next batch that both sides share, everything that differs is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from kafka_salvage.plan.strands import EMPTY, Spans, Strand, spans_of
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.batches import I64, BatchTable

Contents = Callable[[SegmentSurvey, BatchTable], Mapping[int, object]]
"""(segment, batches) -> what each of their records says, by offset; nothing equals what cannot be decoded."""

Pair = tuple[int, int]
"""Numbers of two strands, the lower one first."""
AT_ONCE = 256
"""Disputes whose records are looked at together."""


class Event(NamedTuple):
    """A range of offsets in which two copies agree, or conflict.

    Attributes:
        agree: the batches of both are the same, or variants of the same.
        low, high: from the first base offset to behind the last offset.
        disputes: stretches of overlapping batches.
    """

    agree: bool
    low: int
    high: int
    disputes: int


class EpochQuarrel(NamedTuple):
    """Batches that several copies have with different leader epochs: ``[low, high)``, and the epoch of each strand."""

    low: int
    high: int
    epochs: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Compared:
    """What a comparison of some strands found.

    Attributes:
        events: (strand, strand) -> events in offset order, the lower number first.
        excluded: strand -> ranges whose batches must not be taken from it: another copy has them better.
        variants: disputes that were settled record by record.
        mixed: those in which each side holds records that the other lacks: ranges of offsets.
        quarrels: batches whose epochs differ between copies, neighbours joined.
        shared: ranges that were compared.
    """

    events: dict[tuple[int, int], list[Event]]
    excluded: dict[int, list[tuple[int, int]]]
    variants: int = 0
    mixed: list[tuple[int, int]] = field(default_factory=list)
    quarrels: list[EpochQuarrel] = field(default_factory=list)
    shared: Spans = EMPTY

    def conflicts(self) -> Spans:
        """Offsets at which two copies contradict each other."""
        return spans_of((e.low, e.high) for events in self.events.values() for e in events if not e.agree)

    def between(self, one: int, two: int) -> list[Event]:
        """Events of a pair."""
        return self.events.get((min(one, two), max(one, two)), [])


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Rows of two strands in one chunk, sorted by offset.

    Attributes:
        pair: the strands.
        table, strand, piece: the rows, whose they are, and the number of the strand's piece.
        knot: the same number for rows that overlap, directly or through others.
        state: for each knot: 0 not both are there, 1 they agree, 2 they differ.
        low, high: offsets of each knot.
    """

    pair: Pair
    table: BatchTable
    strand: I64
    piece: I64
    knot: I64
    state: I64
    low: I64
    high: I64

    def rows(self, knot: int, strand: int) -> I64:
        """Rows of a knot that belong to one strand."""
        low, high = np.searchsorted(self.knot, knot), np.searchsorted(self.knot, knot, side="right")
        rows: I64 = np.arange(low, high)[self.strand[low:high] == strand]
        return rows

    def span(self, knot: int, strand: int) -> tuple[int, int]:
        """Offsets of one strand's batches in a knot."""
        rows = self.rows(knot, strand)
        return int(self.table.base_offset[rows].min()), int(self.table.last_offset[rows].max()) + 1


class Disputes:
    """Settles the disputes of one partition, pair by pair, chunk after chunk.

    Args:
        strands: the copies.
        contents: decodes batches.
        compacted: differing batches of one offset may come from compaction, whatever their epochs.
        found: what is settled goes there.
    """

    def __init__(self, strands: Sequence[Strand], contents: Contents, compacted: bool, found: Compared) -> None:
        self._strands = strands
        self._contents = contents
        self._compacted = compacted
        self._found = found
        self._parted: set[Pair] = set()

    def met(self, pair: Pair) -> None:
        """The last thing that a chunk says of a pair is that it agrees."""
        self._parted.discard(pair)

    def settle(self, view: View) -> None:
        """Disputes of a chunk, in order; what is settled changes the view's states in place."""
        knots = np.flatnonzero(view.state == 2)
        shared = np.concatenate([[0], np.cumsum(view.state == 1)])
        before = 0
        for start in range(0, len(knots), AT_ONCE):
            group = [knot for knot in knots[start : start + AT_ONCE].tolist() if not self._gives_way(view, knot)]
            asked = {
                knot
                for knot in group
                if (view.pair not in self._parted or int(shared[knot]) > int(shared[before]))
                and self._comparable(view, knot)
            }
            told = self._told_of(view, sorted(asked))
            for knot in group:
                if int(shared[knot]) > int(shared[before]):
                    self._parted.discard(view.pair)
                before = knot
                if knot in asked and view.pair not in self._parted and self._are_variants(view, knot, told):
                    view.state[knot] = 1
                else:
                    self._parted.add(view.pair)

    def _gives_way(self, view: View, knot: int) -> bool:
        """Rule 1: whether one side was repaired and the other was not."""
        verdicts = [self._verdicts(view, knot, strand) for strand in view.pair]
        for loser, winner in ((0, 1), (1, 0)):
            if verdicts[loser] == {Verdict.REPAIRED} and verdicts[winner] == {Verdict.INTACT}:
                self._found.excluded.setdefault(view.pair[loser], []).append(view.span(knot, view.pair[loser]))
                view.state[knot] = 0
                return True
        return False

    def _verdicts(self, view: View, knot: int, strand: int) -> set[Verdict]:
        pieces = self._strands[strand].pieces
        return {pieces[number].verdict for number in view.piece[view.rows(knot, strand)].tolist()}

    def _comparable(self, view: View, knot: int) -> bool:
        """Whether the batches may be variants of the same."""
        low, high = np.searchsorted(view.knot, knot), np.searchsorted(view.knot, knot, side="right")
        epochs = view.table.leader_epoch[low:high]
        return self._compacted or int(epochs.min()) == int(epochs.max())

    def _told_of(self, view: View, knots: Sequence[int]) -> list[dict[int, object]]:
        """For each side the records of its batches in some disputes, by offset."""
        wanted = np.isin(view.knot, knots)
        return [self._told(view, np.flatnonzero(wanted & (view.strand == strand))) for strand in view.pair]

    def _told(self, view: View, rows: I64) -> dict[int, object]:
        found: dict[int, object] = {}
        for number in np.unique(view.piece[rows]).tolist():
            mine = rows[view.piece[rows] == number]
            table = view.table.take(mine[np.argsort(view.table.position[mine])])
            segment = self._strands[int(view.strand[mine[0]])].pieces[number].segment
            found.update(self._contents(segment, table))
        return found

    def _are_variants(self, view: View, knot: int, told: Sequence[Mapping[int, object]]) -> bool:
        """Rule 2. Takes the form that holds most; ties go by the order of the strands, that is by name."""
        held = [_slice(each, view.table.take(view.rows(knot, at))) for at, each in zip(view.pair, told, strict=True)]
        if any(held[1][offset] != said for offset, said in held[0].items() if offset in held[1]):
            return False
        self._found.variants += 1
        best = 0 if len(held[0]) >= len(held[1]) else 1
        if set(held[1 - best]) - set(held[best]):
            self._found.mixed.append((int(view.low[knot]), int(view.high[knot])))
        if set(held[best]) - set(held[1 - best]):
            other = view.pair[1 - best]
            self._found.excluded.setdefault(other, []).append(view.span(knot, other))
        return True


def _slice(told: Mapping[int, object], table: BatchTable) -> dict[int, object]:
    found: dict[int, object] = {}
    for low, high in zip(table.base_offset.tolist(), table.last_offset.tolist(), strict=True):
        if high - low < len(told):
            found.update({offset: told[offset] for offset in range(low, high + 1) if offset in told})
        else:
            found.update({offset: said for offset, said in told.items() if low <= offset <= high})
    return found


def excluded_spans(found: Compared, strand: int) -> Spans:
    """Ranges that must not be taken from a strand."""
    return spans_of(found.excluded.get(strand, []))
