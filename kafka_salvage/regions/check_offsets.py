"""Check of offsets: which base offsets are believed, since they lie outside the CRC.

Outliers are what is not on the longest strictly increasing chain of believed batches, anchored by the file's name, the next
file's name and index entries. On a healthy file all is increasing, and one comparison says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kafka_salvage.regions.chain import longest_chain
from kafka_salvage.regions.heads import REACH, Head
from kafka_salvage.scan.batches import I64, BatchTable, Bool

BATCH, WITNESS, ANCHOR = 2, 1, 3
"""Weights: a damaged batch with a sane header counts half; a file's name counts more than one batch."""

END = int(np.iinfo(np.int64).max)
"""No log reaches this offset: none could follow it."""
VALUE = 4
"""How many times larger than the other messages of its file one may be that holds messages."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """What holds the chain of one file.

    Attributes:
        base: lowest offset by the file's name; None when the name is not believed.
        ceiling: first offset of the next file by its name; None without, or when it is not believed.
        agrees: rows that an index entry confirms.
        denied: rows that must not be on the chain (an index entry contradicts them, zeros ran into their offset).
    """

    base: int | None
    ceiling: int | None
    agrees: Bool
    denied: Bool


def believe_names(table: BatchTable, base: int | None, ceiling: int | None) -> tuple[int | None, int | None]:
    """The two names as far as the batches do not outvote them.

    A flipped offset stands alone; batches that follow on from their neighbour and lie outside the names are no flip, so the
    name is wrong (a renamed or an overlapping file). A file begins at its name and ends below the next, so that only the
    first and the last that follow on tell.
    """
    dense = np.flatnonzero(_follows(table))
    if not len(dense):
        return base, ceiling
    if base is not None and int(table.base_offset[dense[0]]) < base:
        base = None
    if ceiling is not None and int(table.last_offset[dense[-1] + 1]) >= ceiling:
        ceiling = None
    return base, ceiling


def _follows(table: BatchTable) -> Bool:
    """Whether the batch behind each one touches it and follows on; one flag fewer than batches."""
    follows: Bool = (table.position[1:] == table.stop[:-1]) & (table.base_offset[1:] == table.last_offset[:-1] + 1)
    return follows


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Sane headers of damaged batches, in columns.

    Attributes:
        first, last: offsets that they claim.
        start, stop: bytes.
    """

    first: I64
    last: I64
    start: I64
    stop: I64

    @classmethod
    def of(cls, heads: list[Head], *more: tuple[I64, I64, I64, I64]) -> Witnesses:
        """Headers, and columns of more of them."""
        rows = [(h.offset, h.last_offset, h.position, h.stop) for h in heads]
        columns = np.array(rows, np.int64).reshape(-1, 4).T
        return cls(*(np.concatenate([column, *(each[at] for each in more)]) for at, column in enumerate(columns)))

    def within(self, anchors: Anchors) -> Witnesses:
        """Those whose offsets the file may hold."""
        keep = np.ones(len(self.first), np.bool_)
        if anchors.base is not None:
            keep &= self.first >= anchors.base
        if anchors.ceiling is not None:
            keep &= self.last < anchors.ceiling
        return Witnesses(self.first[keep], self.last[keep], self.start[keep], self.stop[keep])


def on_chain(table: BatchTable, witnesses: Witnesses, anchors: Anchors) -> Bool:
    """Which batches are on the chain.

    Args:
        table: batches in file order, offsets resolved.
        witnesses: sane headers of damaged batches.
        anchors: see `Anchors`.
    """
    count = len(table)
    if not count:
        return np.zeros(0, np.bool_)
    denied = anchors.denied | (table.last_offset < table.base_offset) | (table.last_offset == END)
    if anchors.base is not None:
        denied |= (table.base_offset < anchors.base) | _absurd(table, anchors.base)
    if anchors.ceiling is not None:
        denied |= table.last_offset >= anchors.ceiling
    heads = witnesses.within(anchors)
    if not denied.any() and not overlap_rows(table) and _in_line(table, heads):
        return np.ones(count, np.bool_)
    first = np.concatenate([table.base_offset, heads.first])
    last = np.concatenate([table.last_offset, heads.last])
    start = np.concatenate([table.position, heads.start])
    stop = np.concatenate([table.stop, heads.stop])
    weight = np.full(len(first), WITNESS, np.int64)
    weight[:count] = np.where(anchors.agrees, 2 * BATCH, BATCH)
    row = np.arange(len(first))
    keep = np.concatenate([~denied, np.ones(len(heads.first), np.bool_)])
    order = np.flatnonzero(keep)[np.argsort(start[keep], kind="stable")]
    chosen = _anchored_chain(first[order], last[order], weight[order], start[order], stop[order], anchors)
    result = np.zeros(len(first), np.bool_)
    result[row[order]] = chosen
    return result[:count]


def _in_line(table: BatchTable, heads: Witnesses) -> bool:
    """Whether what headers claim lies between the batches around them, of which each is behind the one before."""
    order = np.argsort(heads.start, kind="stable")
    first, last = heads.first[order], heads.last[order]
    row = np.searchsorted(table.position, heads.start[order], side="right")
    before = np.where(row > 0, table.last_offset[row - 1], first - 1)
    behind = np.append(table.base_offset, END)[row]
    rising = (last >= first) & (first > before) & (last < behind)
    return bool(rising.all()) and bool((first[1:] > last[:-1]).all())


def _absurd(table: BatchTable, base: int) -> Bool:
    """Offsets further above the file's base than a file can hold, unless batches go on densely up there, and nowhere else."""
    high = table.base_offset >= min(base + REACH, np.iinfo(np.int64).max)
    if len(table) > 1 and high.any():
        follows = _follows(table)
        if bool((follows & high[1:]).any()) and not bool((follows & ~high[1:]).any()):
            high[:] = False
    return high


def _anchored_chain(first: I64, last: I64, weight: I64, start: I64, stop: I64, anchors: Anchors) -> Bool:
    """The chain between the two names; they break ties, since what breaks them is not here any more."""
    touches = np.concatenate([[False], start[1:] == stop[:-1]])
    before = [] if anchors.base is None else [anchors.base - 1]
    behind = [] if anchors.ceiling is None else [anchors.ceiling]
    mask = longest_chain(
        np.concatenate([np.array(before, np.int64), first, np.array(behind, np.int64)]),
        np.concatenate([np.array(before, np.int64), last, np.array(behind, np.int64)]),
        np.pad(weight, (len(before), len(behind)), constant_values=ANCHOR),
        np.pad(touches, (len(before), len(behind)), constant_values=False),
    )
    return mask[len(before) : len(before) + len(first)]


def dense_rows(table: BatchTable) -> Bool:
    """Rows that a touching neighbour follows on from, or that follow on from one."""
    dense = np.zeros(len(table), np.bool_)
    if len(table) > 1:
        links = _follows(table)
        dense[1:] |= links
        dense[:-1] |= links
    return dense


def jumps_ahead(table: BatchTable, placed: Bool, base: int | None) -> int | None:
    """Row of the last placed batch when it touches the one before, or begins the file, and leaves a gap to it; else None.

    Batches between the two that are not placed take the offsets that they span.
    A magic-0 wrapper cannot jump: its records, which the CRC covers, hold its offset.

    Args:
        table: batches in file order.
        placed: rows whose offsets are believed.
        base: first offset by the file's name; None when it is not believed.
    """
    rows = np.flatnonzero(placed)[-2:]
    if not len(rows):
        return None
    last = int(rows[-1])
    at, start, following = 0, 0, base
    if len(rows) > 1:
        at, start, following = int(rows[0]) + 1, int(table.stop[rows[0]]), int(table.last_offset[rows[0]]) + 1
    ends = [start, *table.stop[at:last].tolist()]
    if following is None or ends != table.position[at : last + 1].tolist():
        return None
    if int(table.magic[last]) == 0 and bool(table.is_wrapper[last]):
        return None
    first, behind = table.base_offset[at:last].tolist(), table.last_offset[at:last].tolist()
    following += sum((high - low) % (1 << 64) + 1 for low, high in zip(first, behind, strict=True))
    return last if int(table.base_offset[last]) > following else None


def unheld_row(table: BatchTable, placed: Bool, agrees: Bool, witnesses: Witnesses) -> int | None:
    """The only row of a file that leaves a gap to the batch it touches, where nothing but its own header holds it there.

    Neither an index entry, nor a batch or a damaged one's header behind it that goes on with the next offset.
    """
    gaps = gap_rows(table, placed)
    if len(gaps) != 1 or agrees[gaps[0]] or (bool(table.is_wrapper[gaps[0]]) and int(table.magic[gaps[0]]) == 0):
        return None
    row = int(gaps[0])
    stop, following = int(table.stop[row]), int(table.last_offset[row]) + 1
    behind = np.flatnonzero(placed[row + 1 :])
    if not len(behind):
        return None  # the last one: see `jumps_ahead`
    after = row + 1 + int(behind[0])
    held = int(table.position[after]) == stop and int(table.base_offset[after]) == following
    told = bool(((witnesses.start == stop) & (witnesses.first == following)).any())
    return None if held or told else row


def loose_rows(table: BatchTable, placed: Bool, starts: I64, agrees: Bool) -> list[list[int]]:
    """Rows right behind damage that leave a gap to the batch they touch: in a log without gaps, guests or misplaced.

    A message whose header is gone may have ended with other messages, and then they touch the next batch; their offsets
    need not follow. In a log without gaps those of its own batches do. A stretch far larger than any message of the file
    is nobody's value. A v2 batch cannot be such a guest, but its base offset has no witness there.

    Args:
        table: batches in file order.
        placed: rows whose offsets are believed.
        starts: positions at which batches were met again behind damage.
        agrees: rows that an index entry confirms.
    """
    if not len(starts) or len(table) < 2:
        return []
    bad = ~placed[:-1] | agrees[:-1]
    touches = (table.position[1:] == table.stop[:-1]) & placed[1:]
    gap = ~bad & touches & (table.base_offset[1:] != table.last_offset[:-1] + 1)
    ends = np.flatnonzero(bad | ~touches | gap | (table.magic[:-1] >= 2))
    found = []
    rows = np.searchsorted(table.position, starts)
    at = np.searchsorted(ends, rows)
    some = np.flatnonzero(np.append(gap[ends], False)[at])
    for row, end in zip(rows[some].tolist(), at[some].tolist(), strict=True):
        if end < len(ends):
            stop = int(ends[end]) + 1
            largest = max(table.size[:row].max(initial=0), table.size[stop:].max(initial=0))
            if int(table.stop[stop - 1]) - int(table.position[row]) <= VALUE * int(largest):
                found.append(list(range(row, stop)))
    return found


def gap_rows(table: BatchTable, placed: Bool) -> I64:
    """Rows that touch the placed batch before them and leave an offset gap to it."""
    if bool(placed.all()):  # mostly, and there may be very many
        leaves = (table.base_offset[1:] > table.last_offset[:-1] + 1) & (table.position[1:] == table.stop[:-1])
        return np.flatnonzero(leaves) + 1
    rows = np.flatnonzero(placed)
    if len(rows) < 2:
        return np.empty(0, np.int64)
    touch = table.position[rows[1:]] == table.stop[rows[:-1]]
    gap = touch & (table.base_offset[rows[1:]] > table.last_offset[rows[:-1]] + 1)
    found: I64 = rows[1:][gap]
    return found


def overlap_rows(table: BatchTable) -> bool:
    """Whether some batch starts at or below the last offset of the one before it in the file."""
    return bool((table.base_offset[1:] <= table.last_offset[:-1]).any())
