"""Gathered bytes: slices of one buffer laid end to end, with the offsets that tell them apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kafka_salvage.vector.cache import kernel
from kafka_salvage.vector.pointers import address_of, copy, load_i64

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]


@kernel
def move_rows(target: int, data: int, starts: int, offsets: int, rows: int) -> None:
    """Copies rows of bytes behind each other."""
    for row in range(rows):
        begin = load_i64(offsets + 8 * row)
        copy(target + begin, data + load_i64(starts + 8 * row), load_i64(offsets + 8 * row + 8) - begin)


def gather(data: U8, start: I64, size: npt.NDArray[np.int32] | npt.NDArray[np.int64]) -> tuple[U8, I64]:
    """Copies slices of ``data`` into one buffer.

    Args:
        data: the bytes.
        start: first byte of each slice.
        size: bytes of each slice; negative = null, which takes no bytes.

    Returns:
        The bytes, and n + 1 offsets into them.

    Raises:
        ValueError: a slice reaches outside ``data``.
    """
    counts = np.maximum(size, 0).astype(np.int64)
    begins = np.ascontiguousarray(np.where(counts > 0, start, 0), np.int64)
    if len(begins) and (begins.min() < 0 or int((begins + counts).max()) > len(data)):
        raise ValueError("a slice reaches outside the buffer")
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    target = np.empty(int(offsets[-1]), np.uint8)
    source = np.ascontiguousarray(data)
    move_rows(address_of(target), address_of(source), address_of(begins), address_of(offsets), len(counts))
    return target, offsets
