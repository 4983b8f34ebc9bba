"""History: where each leader epoch of a log began and ended, from its batches and its checkpoints.

Along one log epochs never fall, and each epoch has one beginning: a batch that does not fit was written by a leader of
another branch (Kafka's rule for followers, KIP-101 and KIP-279, asked offline). An epoch counts when at least two batches
carry it, or a checkpoint lists it: the field lies outside the CRC.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kafka_salvage.plan.strands import Strand
from kafka_salvage.plan.timeline import UNBOUNDED
from kafka_salvage.scan.batches import I64

Line = tuple[int, int]
"""(epoch, start offset) of a leader epoch checkpoint."""
Reign = tuple[int, int, int]
"""(epoch, start offset, offset up to which the log is known to be of it)."""


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Epochs of a line, ascending.

    Attributes:
        epoch: each once.
        start: lowest offset known to be of it.
        exact: it began there; otherwise perhaps earlier, in what is damaged.
        stop: behind the highest offset known to be of it.
    """

    epoch: I64
    start: I64
    exact: frozenset[int]
    stop: I64

    def begun_after(self, epoch: I64) -> I64:
        """For each epoch the lowest offset of a higher one; `UNBOUNDED` when there is none."""
        lowest = np.append(np.minimum.accumulate(self.start[::-1])[::-1], UNBOUNDED)
        return np.asarray(lowest[np.searchsorted(self.epoch, epoch, side="right")])

    def ended_before(self, epoch: I64) -> I64:
        """For each epoch where the lower ones ended; -1 when there is none."""
        highest = np.concatenate([np.full(1, -1), np.maximum.accumulate(self.stop)])
        return np.asarray(highest[np.searchsorted(self.epoch, epoch, side="left")])

    def misfits(self, first: I64, following: I64, epoch: I64) -> I64:
        """For each run the offset from which on it cannot belong to this line; `UNBOUNDED` when it fits."""
        if not len(self.epoch):
            return np.full(len(first), UNBOUNDED)
        above, below = self.begun_after(epoch), self.ended_before(epoch)
        late = np.where(above < following, np.maximum(first, above), UNBOUNDED)
        early = np.where(below > first, first, UNBOUNDED)
        return np.where(epoch < 0, UNBOUNDED, np.minimum(late, early))

    def ended(self, epoch: int) -> tuple[int, int]:
        """Between which offsets an epoch of this line ended; both are the same when it is known exactly."""
        at = int(np.searchsorted(self.epoch, epoch))
        if at + 1 >= len(self.epoch):
            return int(self.stop[at]), UNBOUNDED
        start = int(self.start[at + 1])
        return (start if int(self.epoch[at + 1]) in self.exact else min(int(self.stop[at]), start)), start


def parting(one: History, two: History) -> tuple[int, int]:
    """Between which offsets two lines parted, by Kafka's rule: where the last epoch that both know ended first."""
    common = np.intersect1d(one.epoch, two.epoch)
    if not len(common):
        return -1, UNBOUNDED
    ends = [each.ended(int(common[-1])) for each in (one, two)]
    return min(low for low, _ in ends), min(high for _, high in ends)


def history_of(columns: Iterable[tuple[I64, I64, I64]], reigns: Iterable[Reign]) -> History:
    """The history of a line.

    Args:
        columns: first and next offset and epoch of the runs of each copy, each in offset order.
        reigns: what checkpoints that are believed say, where that copy has bytes.
    """
    start: dict[int, int] = {}
    stop: dict[int, int] = {}
    exact: set[int] = set()
    for first, following, epoch in columns:
        known = epoch >= 0
        first, following, epoch = first[known], following[known], epoch[known]
        if not len(first):
            continue
        heads = np.concatenate([[0], np.flatnonzero(epoch[1:] != epoch[:-1]) + 1])
        touches = np.concatenate([[False], first[heads[1:]] == following[heads[1:] - 1]])
        tails = np.append(heads[1:], len(first)) - 1
        for head, tail, sure in zip(heads.tolist(), tails.tolist(), touches.tolist(), strict=True):
            number, low, high = int(epoch[head]), int(first[head]), int(following[tail])
            if low < start.get(number, UNBOUNDED) or (sure and low == start[number]):
                exact = exact | {number} if sure else exact - {number}
            start[number] = min(low, start.get(number, low))
            stop[number] = max(high, stop.get(number, high))
    for number, low, high in reigns:
        if low <= start.get(number, UNBOUNDED):
            start[number] = low
            exact.add(number)
        stop[number] = max(high, stop.get(number, high))
    order = sorted(start)
    starts, stops = np.array([start[n] for n in order], np.int64), np.array([stop[n] for n in order], np.int64)
    return History(np.array(order, np.int64), starts, frozenset(exact), stops)


def checkpoint_of(strand: Strand) -> tuple[list[Line], list[Line]]:
    """Lines of a copy's leader epoch checkpoint if its own batches allow all of them; else those that they contradict, second.

    A file with a wrong line says nothing that could be trusted.
    """
    listed = [] if strand.survey.replica.partial else list(strand.survey.replica.epochs or ())
    known = strand.epoch >= 0
    first, following, epoch = strand.first[known], strand.next[known], strand.epoch[known]
    bad: list[Line] = []
    for place, (number, start) in enumerate(listed):
        below = following[epoch < number]
        above = first[epoch >= number]
        # what lies below the log start is forgotten: the first line moves up with it
        fits = (not len(below) or int(below.max()) <= start) and (
            place == 0 or not len(above) or int(above.min()) >= start
        )
        if not fits:
            bad.append((number, start))
    return ([], bad) if bad else (listed, [])


def checkpoints_of(strands: Sequence[Strand]) -> list[tuple[list[Line], list[Line]]]:
    """The same for several copies, which contradict each other, too: an epoch has one leader, and one beginning.

    Where they name several for one epoch, batches that follow on across its beginning decide, else most of the copies.
    """
    read = [checkpoint_of(strand) for strand in strands]
    votes: dict[int, Counter[int]] = {}
    for good, _ in read:
        for epoch, start in good[1:]:  # the first line moves up with the log start
            votes.setdefault(epoch, Counter())[start] += 1
    disputed = {epoch for epoch, starts in votes.items() if len(starts) > 1}
    if not disputed:
        return read
    for strand in strands:
        turns = (strand.first[1:] == strand.next[:-1]) & (strand.epoch[1:] > strand.epoch[:-1])
        for row in (np.flatnonzero(turns) + 1).tolist():
            if int(strand.epoch[row]) in disputed:
                votes[int(strand.epoch[row])][int(strand.first[row])] += len(strands) + 1
    wrong = set()
    for epoch in disputed:
        (best, most), (_, next_most) = votes[epoch].most_common(2)
        wrong |= {(epoch, start) for start in votes[epoch] if start != best and most > next_most}
    return [
        ([], denied) if (denied := [line for line in good[1:] if line in wrong]) else (good, bad) for good, bad in read
    ]


def reigns_of(strand: Strand, lines: Sequence[Line], reach: int) -> list[Reign]:
    """What the lines of a checkpoint say of a log that reached up to an offset.

    A leader begins where the log ends: what lies below the start of an epoch was there. One that has not written yet says
    nothing of what others have behind it. A file that is older than the batches says nothing of later terms.
    """
    last = lines[-1][0] if lines else -1
    reach = min([reach, *strand.first[strand.epoch > last].tolist()])
    stops = [*(start for _, start in lines[1:]), reach][: len(lines)]
    return [
        (epoch, start, max(start, stop)) for (epoch, start), stop in zip(lines, stops, strict=True) if start < reach
    ]


def supported_epochs(strands: Sequence[Strand], lines: Iterable[Line]) -> frozenset[int]:
    """Epochs that at least two batches carry, or a believed checkpoint lists."""
    epochs = np.concatenate([np.empty(0, np.int64), *(strand.epoch for strand in strands)])
    batches = np.concatenate([np.empty(0, np.int64), *(strand.batches for strand in strands)])
    numbers, places = np.unique(epochs, return_inverse=True)
    seen = np.bincount(places, weights=batches.astype(np.float64), minlength=len(numbers))
    return frozenset(numbers[seen >= 2].tolist()) | {number for number, _ in lines}
