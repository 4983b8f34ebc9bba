"""Check of leader epochs: which are believed, since they lie outside the CRC.

Along a log epochs never fall. One is believed if it is at least the previous and at most the next believed batch's, or if
the checkpoint has it for that offset. The batches around a file's first and last are those of the files before and behind.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kafka_salvage.scan.batches import I32, I64, Bool

_MOST = 0x7FFF_FFFF


@dataclass(frozen=True, slots=True)
class EpochsAround:
    """What a copy says of the epochs in one of its files.

    Attributes:
        lines: (epoch, start offset) of the leader epoch checkpoint, by epoch.
        low: epoch of the last believed batch before the file; -1 when there is none.
        high: epoch of the first believed batch behind it; None when there is none.
    """

    lines: tuple[tuple[int, int], ...] = ()
    low: int = -1
    high: int | None = None

    def between(self, low: int, high: int | None, offset: int) -> int:
        """The epoch to put at ``offset`` between two neighbours': the checkpoint's if it fits, one of theirs, else -1."""
        at = bisect_right([start for _, start in self.lines], offset) - 1
        if at >= 0 and low <= self.lines[at][0] <= (_MOST if high is None else high):
            return self.lines[at][0]
        return low if low >= 0 or high is None else high


def outlying_epochs(epochs: I32, first: I64, known: EpochsAround, doubted: Bool) -> I64:
    """Rows whose epoch is neither between its neighbours' nor confirmed by the checkpoint.

    The neighbours are those that the checkpoint confirms, if it confirms most, else the longest chain of epochs that never
    fall.

    Args:
        epochs: leader epochs, in file order.
        first: first offset of each batch.
        known: what the other files say.
        doubted: rows that must not be believed for fitting alone.
    """
    nothing = np.empty(0, np.int64)
    if not len(epochs):
        return nothing
    legal = (epochs >= known.low) & (epochs <= (_MOST if known.high is None else known.high)) & ~doubted
    if bool(legal.all()) and bool(np.all(epochs[1:] >= epochs[:-1])):
        return nothing if known.high is not None else _unbounded_last(epochs, dict(known.lines))
    confirmed = (epochs >= -1) & _confirmed(epochs, first, known.lines)
    if 2 * int(confirmed.sum()) <= len(epochs):
        rows = np.flatnonzero(legal)
        good = rows[_longest_rise(epochs[rows])]
        outside = ~confirmed
        outside[good] = False
        return np.flatnonzero(outside)
    wrong = np.flatnonzero(~confirmed)
    good = np.flatnonzero(confirmed)
    place = np.searchsorted(good, wrong)
    low = np.where(place > 0, epochs[good[np.maximum(place - 1, 0)]], -1)
    high = np.where(place < len(good), epochs[good[np.minimum(place, len(good) - 1)]], _MOST)
    return wrong[(epochs[wrong] < low) | (epochs[wrong] > high) | ~legal[wrong]]


def _unbounded_last(epochs: I32, listed: dict[int, int]) -> I64:
    """The last batch when it alone has an epoch that the checkpoint, written before any batch of an epoch, does not know."""
    nothing = np.empty(0, np.int64)
    last = int(epochs[-1])
    if not listed or len(epochs) < 2 or int(epochs[-2]) == last or last <= max(listed):
        return nothing
    return np.array([len(epochs) - 1])


def _confirmed(epochs: I32, first: I64, lines: Sequence[tuple[int, int]]) -> Bool:
    """Rows whose epoch is the one that the checkpoint has for their offset."""
    if not lines:
        return np.zeros(len(epochs), np.bool_)
    starts = np.array([start for _, start in lines], np.int64)
    named = np.array([epoch for epoch, _ in lines], np.int64)
    at = np.searchsorted(starts, first, side="right") - 1
    return np.asarray((at >= 0) & (named[np.maximum(at, 0)] == epochs))


def _longest_rise(values: I32) -> I64:
    """Places of the longest subsequence that never falls.

    As ever, the lowest ends of subsequences of each length are kept; those of a run of equal values are written at once.
    """
    if not len(values):
        return np.empty(0, np.int64)
    heads = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
    sizes = np.diff(np.append(heads, len(values)))
    tops: list[int] = []
    ends: list[int] = []
    came = []
    for value, head, size in zip(values[heads].tolist(), heads.tolist(), sizes.tolist(), strict=True):
        place = bisect_right(tops, value)
        came.append(ends[place - 1] if place else -1)
        tops[place : place + size] = [value] * size
        ends[place : place + size] = range(head, head + size)
    pieces = []
    node = ends[-1]
    while node >= 0:
        run = int(np.searchsorted(heads, node, side="right")) - 1
        pieces.append(np.arange(heads[run], node + 1, dtype=np.int64))
        node = came[run]
    return np.concatenate(pieces[::-1])


def epochs_around(files: Sequence[tuple[I32, I64]]) -> dict[int, tuple[int, int | None]]:
    """Files with an epoch that does not fit between those of the other files, and the two it must lie between.

    Args:
        files: for each file of a log, in order, the epochs of its runs and their numbers of batches.

    Returns:
        ``(low, high)`` by the file's place, as in `EpochsAround`; empty when epochs never fall.
    """
    place = np.concatenate(
        [np.full(len(epochs), at) for at, (epochs, _) in enumerate(files)] or [np.empty(0, np.int64)]
    )
    epochs = np.concatenate([epochs for epochs, _ in files] or [np.empty(0, np.int32)])
    weight = np.concatenate([count for _, count in files] or [np.empty(0, np.int64)])
    known = np.flatnonzero(epochs >= 0)
    place, epochs, weight = place[known], epochs[known], weight[known]
    if not len(epochs) or bool(np.all(epochs[1:] >= epochs[:-1])):
        return {}
    heads = np.flatnonzero(np.concatenate([[True], (epochs[1:] != epochs[:-1]) | (place[1:] != place[:-1])]))
    place, epochs, weight = place[heads], epochs[heads], np.add.reduceat(weight, heads)
    on = _heaviest_rise(epochs.tolist(), weight.tolist())
    good_place, good_epoch = place[on], epochs[on]
    bounds: dict[int, tuple[int, int | None]] = {}
    for at in np.unique(np.delete(place, on)).tolist():
        before, behind = int(np.searchsorted(good_place, at)), int(np.searchsorted(good_place, at, side="right"))
        low = int(good_epoch[before - 1]) if before else -1
        bounds[at] = low, int(good_epoch[behind]) if behind < len(good_epoch) else None
    return bounds


def _heaviest_rise(values: list[int], weights: list[int]) -> I64:
    """Places of the subsequence that never falls and weighs most."""
    ranks = sorted(set(values))
    tree: list[tuple[int, int]] = [(0, -1)] * (len(ranks) + 1)
    scores: list[tuple[int, int]] = []
    came: list[int] = []
    for at, value in enumerate(values):
        rank = node = bisect_left(ranks, value) + 1
        best = (0, -1)
        while node:
            best = max(best, tree[node])
            node &= node - 1
        came.append(best[1])
        score = (best[0] + weights[at], at)
        scores.append(score)
        while rank < len(tree):
            tree[rank] = max(tree[rank], score)
            rank += rank & -rank
    at = max(scores)[1]
    chain = []
    while at >= 0:
        chain.append(at)
        at = came[at]
    return np.array(chain[::-1], np.int64)
