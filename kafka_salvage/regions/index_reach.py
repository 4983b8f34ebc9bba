"""Reach: the last entry of an `.index` that may be taken for a witness of batches that are no longer there.

An entry behind the last believed batch is all that some losses leave, and nothing in an index is covered by a CRC: one flipped
bit, or eight bytes of garbage, name an offset a thousand million further on. So it must go on from what is believed, entry by
entry, in strides like those before, at no more than some multiple of the pace of offsets per byte that the segment shows.
"""

from __future__ import annotations

import numpy as np

from kafka_salvage.scan.batches import I64, BatchTable

_STRIDE = 1 << 20
"""Bytes from one entry to the next that are granted in any case."""
_SLACK = 64 << 10
"""Bytes that are granted besides those between two entries: an entry names the last offset of what begins at its position."""
_PACE = 16
"""How much denser than those believed the offsets behind them may be: the codec may change, or the records."""
_SLOWEST, _UNKNOWN = 1 / 64, 1.0
"""Offsets per byte that are granted in any case, and where no batch is believed."""


def index_reach(positions: I64, offsets: I64, table: BatchTable, base: int) -> tuple[int, int] | None:
    """(offset, position) of the last believable entry; None when there is none.

    Args:
        positions: of the entries, ascending.
        offsets: of the entries, absolute.
        table: the batches that are believed, in file order.
        base: offset that the segment begins with.
    """
    if not len(positions):
        return None
    end = int(table.stop[-1]) if len(table) else 0
    reached = int(table.last_offset[-1]) if len(table) else base - 1
    last: tuple[int, int] | None = None
    inside = np.flatnonzero(positions < end)
    if len(inside):
        last = min(int(offsets[inside[-1]]), reached), int(positions[inside[-1]])
    pace = _PACE * (max((reached + 1 - base) / end, _SLOWEST) if end > 0 else _UNKNOWN / _PACE)
    slack = max(_SLACK, 4 * int(table.size.max())) if len(table) else _SLACK
    gaps = np.diff(positions[inside], prepend=0)
    stride = max(_STRIDE, slack, 4 * int(gaps.max()) if len(gaps) else 0)
    behind = int(np.searchsorted(positions, end))
    for offset, position in zip(offsets[behind:].tolist(), positions[behind:].tolist(), strict=True):
        if position > end + stride or not reached <= offset <= reached + pace * (position - end + slack):
            break
        last = offset, position
        reached, end = offset, position
    return last
