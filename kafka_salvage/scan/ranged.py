"""Ranged: batches in many short ranges of one file, walked with one work area and one block of rows.

A damaged file of tiny batches is asked for those beside each damage: a walk of its own for each would take longer to set up
than to walk.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kafka_salvage.scan.batches import I64, BatchTable
from kafka_salvage.scan.walk import BLOCK_ROWS, WINDOW, StopReason, walk
from kafka_salvage.source.source import Source


def walk_ranges(source: Source, starts: I64, stops: I64) -> tuple[BatchTable, I64]:
    """Batches that lie in ranges of bytes from end to end.

    Args:
        source: where bytes come from.
        starts: position of the first batch of each range, ascending.
        stops: end of each; no range reaches into the next one.

    Returns:
        Rows, and how many of them lie in each range: none where something else than whole batches lies there.
    """
    counts = np.zeros(len(starts), np.int64)
    tables = list(_tables(source, starts, stops, counts))
    return BatchTable.concat(tables), counts


def _tables(source: Source, starts: I64, stops: I64, counts: I64) -> Iterator[BatchTable]:
    from kafka_salvage.vector import framing, headers  # Numba is loaded by those who walk only
    from kafka_salvage.vector.arena import lease
    from kafka_salvage.vector.pointers import address_of

    place, outcomes = framing.State, framing.Outcome
    _area, area = lease(2 * WINDOW)
    memory, block = lease(BLOCK_ROWS * headers.ROW_BYTES)
    state = np.zeros(framing.STATE_SIZE, np.int64)
    where = source.fileno(), area, WINDOW, address_of(state), block, BLOCK_ROWS
    begin, end = [place.POSITION, place.FROM, place.FILLED], [place.STOP, place.UNTIL]
    odd = -1 if not source.unreadable else len(starts)  # near such bytes nothing is simple

    def held(rows: int) -> BatchTable:
        return BatchTable(**headers.columns_of(memory, BLOCK_ROWS, rows)).take(np.arange(rows))

    at = 0
    while at < len(starts):
        before = int(state[place.ROWS])
        state[begin], state[end] = starts[at], stops[at]
        outcome = outcomes.OTHER if at < odd else framing.follow_usual(*where)
        rows = int(state[place.ROWS])
        if outcome == outcomes.FULL and before:  # again, in an empty block
            yield held(before)
            state[place.ROWS] = 0
            continue
        if outcome == outcomes.END:
            counts[at] = rows - before
        else:
            yield held(before)
            state[place.ROWS] = 0
            blocks = list(walk(source, int(starts[at]), int(stops[at])))
            if blocks[-1].stop is not None and blocks[-1].stop.reason is StopReason.END:
                yield from (one.batches for one in blocks)
                counts[at] = sum(len(one.batches) for one in blocks)
        at += 1
    yield held(int(state[place.ROWS]))
