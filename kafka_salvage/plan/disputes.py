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
from itertools import combinations
from typing import NamedTuple

import numpy as np

from kafka_salvage.plan.strands import EMPTY, Spans, Strand, spans_of
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.batches import I64, BatchTable

Contents = Callable[[SegmentSurvey, BatchTable], Mapping[int, object] | None]
"""(segment, batches) -> what each of their records says, by offset; None when they cannot be decoded."""

States = dict[tuple[int, int], I64]
"""For each pair of strands and each knot: 0 not both are there, 1 they agree, 2 they differ."""
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


class Extra(NamedTuple):
    """Records of one copy's variant that the taken one does not hold.

    Attributes:
        strand: whose they are.
        low, high: the whole dispute.
        offsets: of the records.
    """

    strand: int
    low: int
    high: int
    offsets: tuple[int, ...]


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
        extras: records that only the passed-over variants hold.
        variants: disputes that were settled record by record.
        quarrels: batches whose epochs differ between copies, neighbours joined.
        shared: ranges that were compared.
    """

    events: dict[tuple[int, int], list[Event]]
    excluded: dict[int, list[tuple[int, int]]]
    extras: list[Extra] = field(default_factory=list)
    variants: int = 0
    quarrels: list[EpochQuarrel] = field(default_factory=list)
    shared: Spans = EMPTY

    def between(self, one: int, two: int) -> list[Event]:
        """Events of a pair."""
        return self.events.get((min(one, two), max(one, two)), [])


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Rows of all strands in one chunk, sorted by offset.

    Attributes:
        table, strand, piece: the rows, whose they are, and the number of the strand's piece.
        batch: the same number for the same batch.
        knot: the same number for rows that overlap, directly or through others.
    """

    table: BatchTable
    strand: I64
    piece: I64
    batch: I64
    knot: I64

    def rows(self, knot: int, strand: int | None = None) -> I64:
        """Rows of a knot, of one strand or of all."""
        low, high = np.searchsorted(self.knot, knot), np.searchsorted(self.knot, knot, side="right")
        rows = np.arange(low, high)
        return rows if strand is None else rows[self.strand[low:high] == strand]

    def signatures(self, knots: int, strands: int) -> list[I64]:
        """For each strand and knot a number that tells which batches it has there; 0 when none."""
        mixed = (self.batch.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(32)
        marks = []
        for at in range(strands):
            mark = np.zeros(knots, np.uint64)
            mine = self.strand == at
            np.add.at(mark, self.knot[mine], mixed[mine])
            marks.append(mark.view(np.int64))
        return marks


class Disputes:
    """Settles the disputes of one partition, chunk after chunk.

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
        self._parted: set[tuple[int, int]] = set()

    def met(self, pair: tuple[int, int]) -> None:
        """The last thing that a chunk says of a pair is that it agrees."""
        self._parted.discard(pair)

    def settle(self, view: View, knots: I64, states: States) -> None:
        """Disputes of a chunk, in order; what is settled changes the pairs' states in place."""
        shared = {pair: np.concatenate([[0], np.cumsum(state == 1)]) for pair, state in states.items()}
        before = dict.fromkeys(states, 0)

        def met_since(pair: tuple[int, int], knot: int) -> bool:
            return int(shared[pair][knot]) > int(shared[pair][before[pair]])

        for start in range(0, len(knots), AT_ONCE):
            group = knots[start : start + AT_ONCE].tolist()
            differ = {knot: self._repaired_gives_way(view, knot, states) for knot in group}
            open_knots = [
                knot
                for knot, pairs in differ.items()
                if any(pair not in self._parted or met_since(pair, knot) for pair in pairs)
                and self._comparable(view, knot)
            ]
            told, asked = self._told_of(view, open_knots), set(open_knots)
            for knot, pairs in differ.items():
                for pair in pairs:
                    if met_since(pair, knot):
                        self._parted.discard(pair)
                    before[pair] = knot
                self._judge(view, knot, pairs, told if knot in asked else None, states)

    def _judge(
        self,
        view: View,
        knot: int,
        pairs: Sequence[tuple[int, int]],
        told: Sequence[dict[int, object] | None] | None,
        states: States,
    ) -> None:
        """Rules 2 and 3 for one dispute."""
        held: dict[int, dict[int, object] | None] = {}
        for strand in {each for pair in pairs for each in pair}:
            known = None if told is None else told[strand]
            held[strand] = None if known is None else _slice(known, view.table.take(view.rows(knot, strand)))
        group: set[int] = set()
        for pair in pairs:
            if pair in self._parted or not _compatible(held[pair[0]], held[pair[1]]):
                self._parted.add(pair)
            else:
                states[pair][knot] = 1
                group.update(pair)
        if group and all(states[pair][knot] != 2 for pair in combinations(sorted(group), 2) if pair in states):
            self._choose(view, knot, {at: each for at in sorted(group) if (each := held[at]) is not None})

    def _repaired_gives_way(self, view: View, knot: int, states: States) -> list[tuple[int, int]]:
        """Rule 1; returns the pairs that still differ."""
        pairs = [pair for pair in states if states[pair][knot] == 2]
        verdicts = {strand: self._verdicts(view, knot, strand) for strand in {each for pair in pairs for each in pair}}
        intact = any(each == {Verdict.INTACT} for each in verdicts.values())
        gone = {strand for strand, each in verdicts.items() if each == {Verdict.REPAIRED} and intact}
        for loser in gone:
            rows = view.rows(knot, loser)
            low, high = int(view.table.base_offset[rows].min()), int(view.table.last_offset[rows].max()) + 1
            self._found.excluded.setdefault(loser, []).append((low, high))
        for pair in pairs:
            if gone & set(pair):
                states[pair][knot] = 0
        return [pair for pair in pairs if not gone & set(pair)]

    def _verdicts(self, view: View, knot: int, strand: int) -> set[Verdict]:
        pieces = self._strands[strand].pieces
        return {pieces[number].verdict for number in view.piece[view.rows(knot, strand)].tolist()}

    def _comparable(self, view: View, knot: int) -> bool:
        """Whether the batches may be variants of the same."""
        rows = view.rows(knot)
        epochs = view.table.leader_epoch[rows]
        return self._compacted or int(epochs.min()) == int(epochs.max())

    def _told_of(self, view: View, knots: Sequence[int]) -> list[dict[int, object] | None]:
        """For each strand the records of its batches in some disputes."""
        wanted = np.isin(view.knot, knots)
        return [self._told(view, np.flatnonzero(wanted & (view.strand == at))) for at in range(len(self._strands))]

    def _told(self, view: View, rows: I64) -> dict[int, object] | None:
        """Records of some rows of one strand, by offset."""
        if not len(rows):
            return {}
        strand = self._strands[int(view.strand[rows[0]])]
        found: dict[int, object] = {}
        for number in np.unique(view.piece[rows]).tolist():
            mine = rows[view.piece[rows] == number]
            table = view.table.take(mine[np.argsort(view.table.position[mine])])
            told = self._contents(strand.pieces[number].segment, table)
            if told is None:
                return None
            found.update(told)
        return found

    def _choose(self, view: View, knot: int, held: Mapping[int, Mapping[int, object]]) -> None:
        """Takes the variant that holds most; ties go by the order of the strands, that is by name."""
        self._found.variants += 1
        everything = set().union(*held.values())
        best = max(held, key=lambda strand: (len(held[strand]), -strand))
        rows = view.rows(knot)
        low, high = int(view.table.base_offset[rows].min()), int(view.table.last_offset[rows].max()) + 1
        for strand in sorted(held):
            if len(held[strand]) < len(everything) and strand != best:
                self._found.excluded.setdefault(strand, []).append((low, high))
        missing = everything - set(held[best])
        for strand in sorted(held):
            given = tuple(sorted(missing & set(held[strand])))
            if given:
                self._found.extras.append(Extra(strand, low, high, given))
                missing -= set(given)


def _slice(told: Mapping[int, object], table: BatchTable) -> dict[int, object]:
    found: dict[int, object] = {}
    for low, high in zip(table.base_offset.tolist(), table.last_offset.tolist(), strict=True):
        if high - low < len(told):
            found.update({offset: told[offset] for offset in range(low, high + 1) if offset in told})
        else:
            found.update({offset: said for offset, said in told.items() if low <= offset <= high})
    return found


def _compatible(one: Mapping[int, object] | None, two: Mapping[int, object] | None) -> bool:
    """Whether no record of one contradicts the other's."""
    if one is None or two is None:
        return False
    return all(two[offset] == said for offset, said in one.items() if offset in two)


def excluded_spans(found: Compared, strand: int) -> Spans:
    """Ranges that must not be taken from a strand."""
    return spans_of(found.excluded.get(strand, []))
