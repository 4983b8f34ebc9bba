"""Ranged: batches in many short ranges of one file, walked with one work area and one block of rows.

A damaged file of tiny batches is asked for those beside each damage: a walk of its own for each would take longer to set up
than to walk.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kafka_salvage.scan.batches import CODEC_MASK, I64, BatchTable, Bool
from kafka_salvage.scan.walk import BLOCK_ROWS, WINDOW, StopReason, walk
from kafka_salvage.source.source import Source


def walk_ranges(source: Source, starts: I64, stops: I64, folded: Bool | None = None) -> tuple[BatchTable, I64, I64]:
    """Batches that lie in ranges of bytes from end to end.

    Args:
        source: where bytes come from.
        starts: position of the first batch of each range, ascending.
        stops: end of each; no range reaches into the next one.
        folded: ranges of which each is a stretch (see `vector.folding`): what lies between its first and its last batch may
            share a row; None: none is.

    Returns:
        Rows, how many batches each stands for, and how many rows lie in each range: none where something else than whole
        batches lies there.
    """
    counts, stand = np.zeros(len(starts), np.int64), [np.empty(0, np.int64)]
    folded = np.zeros(len(starts), np.bool_) if folded is None else folded
    tables = list(_tables(source, starts, stops, counts, folded, stand))
    return BatchTable.concat(tables), np.concatenate(stand), counts


def _tables(
    source: Source, starts: I64, stops: I64, counts: I64, folded: Bool, stand: list[I64]
) -> Iterator[BatchTable]:
    from kafka_salvage.vector import framing, headers  # Numba is loaded by those who walk only
    from kafka_salvage.vector.arena import lease
    from kafka_salvage.vector.pointers import address_of

    place, outcomes = framing.State, framing.Outcome
    _area, area = lease(2 * WINDOW)
    memory, block = lease(BLOCK_ROWS * headers.ROW_BYTES)
    state = np.zeros(framing.STATE_SIZE, np.int64)
    where = source.fileno(), area, WINDOW, address_of(state), block, BLOCK_ROWS
    begin, end = tuple(map(int, (place.POSITION, place.FROM, place.FILLED))), tuple(map(int, (place.STOP, place.UNTIL)))
    odd = -1 if not source.unreadable else len(starts)  # near such bytes nothing is simple
    lows, highs = starts.tolist(), stops.tolist()
    at = held = 0

    def given(rows: int) -> BatchTable:
        ranges = slice(held, at)
        table = BatchTable(**headers.columns_of(memory, BLOCK_ROWS, rows))
        made, stood, counts[ranges] = ends_of(table, counts[ranges], folded[ranges])
        stand.append(stood)
        return made

    while at < len(starts):
        before = int(state[place.ROWS])
        for one in begin:
            state[one] = lows[at]
        for one in end:
            state[one] = highs[at]
        outcome = outcomes.OTHER if at < odd else framing.follow_usual(*where)
        rows = int(state[place.ROWS])
        if outcome == outcomes.FULL and before:  # again, in an empty block
            yield given(before)
            state[place.ROWS], held = 0, at
            continue
        if outcome == outcomes.END:
            counts[at] = rows - before
        else:
            yield given(before)
            state[place.ROWS], held = 0, at + 1
            blocks = list(walk(source, lows[at], highs[at]))
            if blocks[-1].stop is not None and blocks[-1].stop.reason is StopReason.END:
                yield from (one.batches for one in blocks)
                counts[at] = sum(len(one.batches) for one in blocks)
                stand.append(np.ones(counts[at], np.int64))
        at += 1
    yield given(int(state[place.ROWS]))


def ends_of(table: BatchTable, counts: I64, folded: Bool) -> tuple[BatchTable, I64, I64]:
    """Stretches as their first batch, a row for those between, and their last batch.

    Args:
        table: batches.
        counts: how many of them, one after another, each range has.
        folded: which ranges are stretches; every batch of the others stays a row.

    Returns:
        Rows (copies), how many batches each stands for, and the rows of each range.
    """
    behind = np.cumsum(counts)
    wide = np.flatnonzero(folded & (counts > 3))
    first, last = behind[wide] - counts[wide] + 1, behind[wide] - 1
    edges = np.zeros(len(table) + 1, np.int8)
    edges[first + 1], edges[last] = 1, -1
    rows = np.flatnonzero(np.cumsum(edges[:-1], dtype=np.int8) == 0)
    stand, inner = np.ones(len(rows), np.int64), np.searchsorted(rows, first)
    made = table.take(rows)
    if len(wide):
        stand[inner] = last - first
        made.size[inner] = table.position[last] - table.position[first]
        made.last_offset[inner] = table.last_offset[last - 1]
        made.record_count[inner] = made.last_offset[inner] - made.base_offset[inner] + 1
        made.attributes[inner] &= ~np.int16(CODEC_MASK)
        pairs = np.stack([first, last], axis=1).ravel()
        low, high = table.base_timestamp, table.max_timestamp
        made.base_timestamp[inner] = np.minimum.reduceat(np.minimum(low, high), pairs)[::2]
        made.max_timestamp[inner] = np.maximum.reduceat(np.maximum(low, high), pairs)[::2]
    kept = counts.copy()
    kept[wide] = 3
    return made, stand, kept
