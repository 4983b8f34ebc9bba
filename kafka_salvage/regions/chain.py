"""Chain: the longest strictly increasing chain of offset ranges, in file order.

One base offset may lie (it is outside the CRC); the chain is what the others agree on, so that one flipped offset never
condemns what follows. Weights count first; ties go to more fitting links (the offsets between two neighbours of the chain
equal those of the off-chain rows lying between them), then to fewer touching links that leave a gap, then to more touching links that follow
on, then to the lower last offset. O(n log n).

1. Rows that no other row can tell apart (neighbours in the file *and* in offset order) are joined: an ordinary file with
   one bad offset becomes a handful of nodes.
2. Dynamic programming over the nodes: the best chain that ends in a node comes from the best prefix by last offset
   (a Fenwick tree), from the best fitting predecessor (a dictionary), or from the node right before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kafka_salvage.scan.batches import I64, Bool

Score = tuple[int, int, int, int]
"""Weight, fitting links, minus touching links with a gap, touching links that follow on: higher is better."""

_NOTHING: Score = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class _Nodes:
    first: list[int]
    last: list[int]
    weight: list[int]
    fits: list[int]
    gaps: list[int]
    close: list[int]
    touches: list[bool]
    before: list[int]
    after: list[int]
    head: I64


class _Prefix:
    """Fenwick tree of the best score among all last offsets below a bound."""

    __slots__ = ("ranks", "tree")

    def __init__(self, lasts: list[int]) -> None:
        self.ranks = np.array(sorted(set(lasts)), np.int64)
        self.tree: list[tuple[Score, int]] = [(_NOTHING, -1)] * (len(self.ranks) + 1)

    def add(self, last: int, score: Score, node: int) -> None:
        at = int(np.searchsorted(self.ranks, last)) + 1
        while at < len(self.tree):
            if score > self.tree[at][0]:
                self.tree[at] = (score, node)
            at += at & -at

    def below(self, first: int) -> tuple[Score, int]:
        at = int(np.searchsorted(self.ranks, first))
        best = (_NOTHING, -1)
        while at:
            if self.tree[at][0] > best[0]:
                best = self.tree[at]
            at -= at & -at
        return best


def _twins(first: I64, last: I64) -> Bool:
    """Whether row i and row i + 1 are neighbours by offset too, and nothing else overlaps either."""
    count = len(first)
    order = np.lexsort((last, first))
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    reach = np.maximum.accumulate(last[order])
    before = np.concatenate([[np.iinfo(np.int64).min], reach[:-1]])
    clear_before = (before < first[order])[rank]
    following = np.concatenate([first[order][1:], [np.iinfo(np.int64).max]])
    clear_after = (following > last[order])[rank]
    return np.asarray(
        (rank[1:] == rank[:-1] + 1) & clear_before[:-1] & clear_before[1:] & clear_after[:-1] & clear_after[1:]
    )


def _nodes(first: I64, last: I64, weight: I64, touches: Bool) -> _Nodes:
    twin = _twins(first, last)
    head = np.flatnonzero(np.concatenate([[True], ~twin]))
    tail = np.concatenate([head[1:], [len(first)]]) - 1
    span = last - first + 1
    sums = np.concatenate([[0], np.cumsum(span)])
    dense = np.concatenate([[False], twin & (first[1:] == last[:-1] + 1)])
    gap = np.concatenate([[False], twin & (first[1:] != last[:-1] + 1) & touches[1:]])
    return _Nodes(
        first=first[head].tolist(),
        last=last[tail].tolist(),
        weight=np.add.reduceat(weight, head).tolist(),
        fits=np.add.reduceat(dense.astype(np.int64), head).tolist(),
        gaps=np.add.reduceat(gap.astype(np.int64), head).tolist(),
        close=np.add.reduceat((dense & touches).astype(np.int64), head).tolist(),
        touches=touches[head].tolist(),
        before=sums[head].tolist(),
        after=sums[tail + 1].tolist(),
        head=head,
    )


def _best_links(nodes: _Nodes) -> list[int]:
    """Node numbers of the best chain."""
    count = len(nodes.first)
    scores: list[Score] = [_NOTHING] * count
    came: list[int] = [-1] * count
    prefix = _Prefix(nodes.last)
    fitting: dict[int, int] = {}
    for j in range(count):
        if j >= 2:
            prefix.add(nodes.last[j - 2], scores[j - 2], j - 2)
        best, source = prefix.below(nodes.first[j])
        near = j - 1
        if near >= 0 and nodes.last[near] < nodes.first[j]:
            weight, fits, gaps, close = scores[near]
            follows, touches = int(nodes.first[j] == nodes.last[near] + 1), int(nodes.touches[j])
            link = (weight, fits + follows, gaps - (1 - follows) * touches, close + follows * touches)
            if link > best:
                best, source = link, near
        fit = fitting.get(nodes.first[j] - nodes.before[j], -1)
        if fit >= 0 and nodes.last[fit] < nodes.first[j]:
            weight, fits, gaps, close = scores[fit]
            if (weight, fits + 1, gaps, close) > best:
                best, source = (weight, fits + 1, gaps, close), fit
        scores[j] = (
            best[0] + nodes.weight[j],
            best[1] + nodes.fits[j],
            best[2] - nodes.gaps[j],
            best[3] + nodes.close[j],
        )
        came[j] = source
        key = nodes.last[j] + 1 - nodes.after[j]
        other = fitting.get(key, -1)
        if other < 0 or scores[j] > scores[other]:
            fitting[key] = j
    at = max(range(count), key=lambda j: (scores[j], -nodes.last[j]))
    links = []
    while at >= 0:
        links.append(at)
        at = came[at]
    return links


def longest_chain(first: I64, last: I64, weight: I64, touches: Bool) -> Bool:
    """Which rows are on the chain.

    Args:
        first: first offset of each row, in file order.
        last: last offset of each row, inclusive.
        weight: what a row counts (positive).
        touches: whether a row starts where the row before it ends.

    Returns:
        One flag per row.
    """
    count = len(first)
    if count == 0:
        return np.zeros(0, np.bool_)
    if bool(np.all(first[1:] > last[:-1])):
        return np.ones(count, np.bool_)
    nodes = _nodes(first, last, weight, touches)
    chosen = np.zeros(len(nodes.first), np.bool_)
    chosen[_best_links(nodes)] = True
    sizes = np.diff(np.concatenate([nodes.head, [count]]))
    return np.repeat(chosen, sizes)
