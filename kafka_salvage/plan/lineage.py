"""Lineage: which copies of a partition tell the history that won, up to which offset, and what a person must decide.

Steps:

1. Rank: the preferred copy, then by the highest leader epoch that counts (see `epochs`), then by name. The log of the last
   leader is what the cluster would have kept.
2. Each copy, in that order, is held against those above it. What it has before the last batch that it shares with one of
   them is common history: a conflict there is a quarrel over those batches alone.
3. Behind that it leaves the line at the first batch that conflicts, or whose epoch cannot stand there (see `History`). The
   place is moved down to where the winning epoch began, if a checkpoint or a neighbour tells; if not, what only the losing
   copy has in between is ambiguous.
4. A conflict in which no epoch is higher is ambiguous, from the last shared batch to the end of both.
5. Where the same batch has different epochs, the one that fits its neighbours is believed, then that of the majority, then
   that of the copy that ranks highest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from kafka_salvage.plan.disputes import Compared, EpochQuarrel, Event
from kafka_salvage.plan.epochs import (
    History,
    Line,
    Reign,
    checkpoints_of,
    history_of,
    parting,
    reigns_of,
    supported_epochs,
)
from kafka_salvage.plan.incarnations import names_of
from kafka_salvage.plan.strands import Spans, Strand, clipped, minus, spans_of, union
from kafka_salvage.plan.timeline import UNBOUNDED
from kafka_salvage.vector.distinct import distinct


@dataclass(frozen=True, slots=True)
class Fork:
    """Where a copy left the line.

    Attributes:
        strand: that copy.
        winner: a copy of the line.
        offset: from here on it is on the losing branch.
        epoch, winning_epoch: leader epochs of both sides there, None where nothing is believed.
        told_by: what decided: "leader-epoch-checkpoint", "batches" or "prefer".
    """

    strand: int
    winner: int
    offset: int
    epoch: int | None
    winning_epoch: int | None
    told_by: str


@dataclass(frozen=True, slots=True, eq=False)
class Lineage:
    """What was decided.

    Attributes:
        order: strands by rank.
        cuts: for each strand the offset from which on it is on a losing branch; `UNBOUNDED` when it is on none.
        ambiguous: offsets at which copies disagree and nothing decides.
        passed: for each strand ranges in which another copy's batches are believed instead.
        forks: by strand.
        misread: for each strand the checkpoint lines that its own batches, or the other copies, contradict.
        quarrels: batches with several epochs, and the epoch that is believed.
        history: epochs of the line.
    """

    order: tuple[int, ...]
    cuts: tuple[int, ...]
    ambiguous: Spans
    passed: tuple[Spans, ...]
    forks: tuple[Fork, ...]
    misread: tuple[tuple[Line, ...], ...]
    quarrels: tuple[tuple[EpochQuarrel, int], ...]
    history: History

    def kept(self, strand: int) -> Spans:
        """Where a strand's batches may be taken."""
        low = np.array([-UNBOUNDED], np.int64)
        whole = (low, np.array([self.cuts[strand]], np.int64))
        return minus(minus(whole, self.passed[strand]), self.ambiguous)


@dataclass(slots=True)
class _Court:
    strands: Sequence[Strand]
    found: Compared
    prefer: str | None
    lines: list[list[Line]] = field(default_factory=list)
    supported: frozenset[int] = frozenset()
    last: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    ambiguous: list[tuple[int, int]] = field(default_factory=list)
    passed: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    forks: list[Fork] = field(default_factory=list)


def decide(strands: Sequence[Strand], found: Compared, prefer: str | None) -> Lineage:
    """Decides which copies are believed where.

    Args:
        strands: copies of one incarnation, sorted by name.
        found: how they compare.
        prefer: the person's choice.
    """
    read = checkpoints_of(strands)
    court = _Court(strands, found, prefer, [good for good, _ in read])
    court.supported = supported_epochs(strands, [line for good in court.lines for line in good])
    court.last = [_last_epoch(court, at) for at in range(len(strands))]
    order = sorted(range(len(strands)), key=lambda at: (not _preferred(court, at), -court.last[at], at))
    court.cuts = [UNBOUNDED] * len(strands)
    for place in range(1, len(order)):
        _hold(court, order[place], order[:place])
    quarrels = _settle_epochs(court, order)
    for quarrel, epoch in quarrels:
        for strand, told in quarrel.epochs:
            if told != epoch:
                court.passed.setdefault(strand, []).append((quarrel.low, quarrel.high))
    return Lineage(
        order=tuple(order),
        cuts=tuple(court.cuts),
        ambiguous=spans_of(court.ambiguous),
        passed=tuple(spans_of([*court.passed.get(at, []), *found.excluded.get(at, [])]) for at in range(len(strands))),
        forks=tuple(sorted(court.forks, key=lambda fork: fork.strand)),
        misread=tuple(tuple(bad) for _, bad in read),
        quarrels=tuple(quarrels),
        history=_history(court, order),
    )


def _preferred(court: _Court, at: int) -> bool:
    return court.prefer is not None and court.prefer in names_of(court.strands[at].survey)


def _last_epoch(court: _Court, at: int) -> int:
    strand = court.strands[at]
    seen = [int(epoch) for epoch in distinct(strand.epoch) if int(epoch) in court.supported]
    return max([*seen, *(epoch for epoch, _ in court.lines[at])], default=-1)


def _history(court: _Court, members: Sequence[int]) -> History:
    """Epochs of some strands, as far as they are on the line."""
    columns = []
    reigns: list[Reign] = []
    believed = np.array(sorted(court.supported), np.int64)
    for at in members:
        strand, cut = court.strands[at], court.cuts[at]
        keep = (strand.first < cut) & np.isin(strand.epoch, believed)
        columns.append((strand.first[keep], np.minimum(strand.next[keep], cut), strand.epoch[keep]))
        reigns += reigns_of(strand, court.lines[at], min(cut, _reach(strand)))
    return history_of(columns, reigns)


def _reach(strand: Strand) -> int:
    """Behind the last offset that the copy is known to have had, believed or not.

    A leader lists its epoch before it writes: that alone is no sign of a batch.
    """
    named = [r.offsets.stop for segment in strand.segments for r in segment.regions if r.offsets is not None]
    ends = [end.offset for end in strand.survey.ends if end.kind != "epoch-start"]
    return max([strand.end, *named, *ends])


def _hold(court: _Court, at: int, above: Sequence[int]) -> None:
    """Steps 2 to 4 for one strand."""
    common = max((_met(court, at, other) for other in above), default=-1)
    for other in above:
        for event in court.found.between(at, other):
            if not event.agree and event.high <= common and event.low < court.cuts[other]:
                _local(court, at, other, event)
    conflicts = [
        (event.low, place, other)
        for place, other in enumerate(above)
        for event in court.found.between(at, other)
        if not event.agree and event.high > common and event.low < court.cuts[other]
    ]
    history = _history(court, above)
    misfit = _first_misfit(court, at, history, common)
    if conflicts:
        _fork(court, at, min(conflicts), common, misfit, history)
    elif misfit < UNBOUNDED:
        rival = next((other for other in above if court.cuts[other] > misfit), above[0])
        _cut(court, at, rival, misfit, "leader-epoch-checkpoint" if _listed(court, misfit) else "batches")


def _met(court: _Court, at: int, other: int) -> int:
    """Behind the last batch that both share on the line; -1 when there is none."""
    cut = court.cuts[other]
    shared = [min(event.high, cut) for event in court.found.between(at, other) if event.agree and event.low < cut]
    return max(shared, default=-1)


def _first_misfit(court: _Court, at: int, history: History, common: int) -> int:
    """The first offset behind what is shared whose epoch cannot stand on the line; `UNBOUNDED` when there is none."""
    strand, own = court.strands[at], _history(court, [at])
    known = np.isin(strand.epoch, np.array(sorted(court.supported), np.int64))
    first = np.concatenate([strand.first[known], own.start])
    following = np.concatenate([strand.next[known], own.stop])
    epoch = np.concatenate([strand.epoch[known], own.epoch])
    behind = following > common
    if not behind.any():
        return UNBOUNDED
    first = np.maximum(first[behind], common)
    return int(history.misfits(first, following[behind], epoch[behind]).min())


def _local(court: _Court, at: int, other: int, event: Event) -> None:
    """A quarrel over some batches between others that are shared."""
    if _preferred(court, other) and not _preferred(court, at):
        court.passed.setdefault(at, []).append((event.low, event.high))
    else:
        court.ambiguous.append((event.low, event.high))


def _fork(court: _Court, at: int, conflict: tuple[int, int, int], common: int, misfit: int, history: History) -> None:
    low, _, other = conflict
    low = max(low, common)
    mine, theirs = (_told_at(court, each, low) for each in (at, other))
    preferred = _preferred(court, other) and not _preferred(court, at)
    higher = court.last[other] > court.last[at] or (theirs > mine and theirs in court.supported)
    if not preferred and not higher:
        _leave_open(court, at, other, common)
        return
    soonest, latest = parting(history, _history(court, [at]))
    start = max(common, min(low, misfit, latest))
    if max(common, soonest) < start:
        unsure = clipped(court.strands[at].covered(), max(common, soonest, 0), start)
        settled = union(clipped(court.strands[each].covered(), 0, court.cuts[each]) for each in _above(court, at))
        court.ambiguous += list(zip(*(each.tolist() for each in minus(unsure, settled)), strict=True))
    told_by = "prefer" if preferred else "leader-epoch-checkpoint" if _listed(court, start) else "batches"
    _cut(court, at, other, start, told_by)


def _leave_open(court: _Court, at: int, other: int, common: int) -> None:
    """Nothing decides between two copies; only one whose leader came later than theirs speaks there."""
    end = max(court.strands[each].end for each in (at, other))
    later = [each for each in range(len(court.strands)) if court.last[each] > court.last[other]]
    decided = union(clipped(court.strands[each].covered(), -UNBOUNDED, court.cuts[each]) for each in later)
    unsure = minus(spans_of([(max(common, 0), end)]), decided)
    court.ambiguous += list(zip(*(each.tolist() for each in unsure), strict=True))


def _above(court: _Court, at: int) -> list[int]:
    """The strands that rank higher."""
    rank = (not _preferred(court, at), -court.last[at], at)
    return [each for each in range(len(court.strands)) if (not _preferred(court, each), -court.last[each], each) < rank]


def _told_at(court: _Court, at: int, offset: int) -> int:
    """Epoch of a strand's first batch at or behind an offset; -1 when there is none."""
    strand = court.strands[at]
    place = int(np.searchsorted(strand.next, offset, side="right"))
    return int(strand.epoch[place]) if place < len(strand.epoch) else -1


def _listed(court: _Court, offset: int) -> bool:
    return any(start == offset for lines in court.lines for _, start in lines)


def _cut(court: _Court, at: int, other: int, offset: int, told_by: str) -> None:
    court.cuts[at] = min(court.cuts[at], offset)
    mine, theirs = court.strands[at].epoch_at(offset), court.strands[other].epoch_at(offset)
    court.forks.append(Fork(at, other, offset, mine, theirs, told_by))


def _settle_epochs(court: _Court, order: Sequence[int]) -> list[tuple[EpochQuarrel, int]]:
    """Step 5: each quarrel with the epoch that is believed."""
    settled = []
    spans = spans_of((quarrel.low, quarrel.high) for quarrel in court.found.quarrels)
    free = [minus((strand.first, strand.next), spans) for strand in court.strands]
    for quarrel in court.found.quarrels:
        told = [(strand, epoch) for strand, epoch in quarrel.epochs if quarrel.low < court.cuts[strand]]
        if len({epoch for _, epoch in told}) < 2:
            continue
        low, high = _neighbours(court, quarrel, free)
        fitting = [(strand, epoch) for strand, epoch in told if low <= epoch <= high] or told
        votes = Counter(epoch for _, epoch in fitting)
        rank = {strand: place for place, strand in enumerate(order)}
        best = min(fitting, key=lambda one: (-votes[one[1]], one[1] not in court.supported, rank[one[0]]))
        settled.append((quarrel, best[1]))
    return settled


def _neighbours(court: _Court, quarrel: EpochQuarrel, free: Sequence[Spans]) -> tuple[int, int]:
    """Epochs of the nearest batches before and behind that no copy disputes."""
    before, behind = -1, UNBOUNDED
    for strand, cut, (low, high) in zip(court.strands, court.cuts, free, strict=True):
        left = int(np.searchsorted(low, quarrel.low)) - 1
        if left >= 0 and (told := strand.epoch_at(int(high[left]) - 1)) is not None:
            before = max(before, told)
        right = int(np.searchsorted(low, quarrel.high))
        if right < len(low) and int(low[right]) < cut:
            told = strand.epoch_at(int(low[right]))
            behind = behind if told is None or told < 0 else min(behind, told)
    return before, behind
