"""Check of zeros: whether a zeroed stretch that ends inside a batch's base offset may have changed it."""

from __future__ import annotations

import numpy as np

from kafka_salvage.scan.batches import I64, BatchTable, Bool

ZEROS = 16
"""Zeros right before a batch that make its own leading zeros doubtful."""
_TOP_BYTES = 8
_SMALLEST_RECORD = 7
_DENSER = 8
"""How many times more offsets per byte than before a damaged stretch may have held."""
_POWERS = np.array([1 << 8 * count for count in range(_TOP_BYTES)], np.int64)


def may_have_changed(table: BatchTable, rows: I64, base: int) -> Bool:
    """Whether zeros that end at the first byte of a batch, or behind it, may be part of its base offset.

    A batch that follows on says no. Where nothing touches it: had zeros changed it, the log would cross this offset inside
    the damage.

    Args:
        table: batches in file order.
        rows: those that zeros come before.
        base: lowest offset of the file.
    """
    if not len(rows):
        return np.zeros(0, np.bool_)
    position, size, offset = table.position, table.size, table.offset[rows]
    used = np.searchsorted(_POWERS, np.abs(offset), side="right")
    behind, last = np.minimum(rows + 1, len(table) - 1), len(table) - 1
    touches = (rows < last) & (position[rows] + size[rows] == position[behind])
    follows = table.last_offset[rows] + 1 == table.base_offset[behind]
    some, left = rows > 0, np.maximum(rows - 1, 0)
    first = np.where(some, table.base_offset[0], base)
    before = np.where(some, table.last_offset[left] + 1, first)
    start = np.where(some, position[left] + size[left], 0)
    crossed = np.int64(1) << (8 * np.minimum(used, _TOP_BYTES - 1)).astype(np.int64)
    density = np.where(start > 0, (before - first) / np.maximum(start, 1), 1 / _SMALLEST_RECORD)
    near = (offset < before) | (crossed - before <= _DENSER * density * (position[rows] - start))
    return np.asarray((used < _TOP_BYTES) & np.where(touches, ~follows, near))
