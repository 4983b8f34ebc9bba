"""Job: what a batch header tells the record kernel, read by a kernel from the batch's bytes (see `columns`)."""

from __future__ import annotations

import numpy as np

from kafka_salvage.vector.arena import lease_matrix
from kafka_salvage.vector.cache import inner, kernel
from kafka_salvage.vector.columns import (
    I64,
    JOB_APPEND_TIME,
    JOB_ATTRIBUTES,
    JOB_COUNT,
    JOB_KIND,
    JOB_OFFSET,
    JOB_SEQUENCE,
    JOB_SPAN,
    JOB_START,
    JOB_STOP,
    JOB_TIME,
    JOB_TYPE,
    JOB_WIDTH,
    KIND_MESSAGE,
    KIND_SET_V0,
    KIND_SET_V1,
    KIND_V2,
    U8,
)
from kafka_salvage.vector.headers import HEADER, SMALLEST
from kafka_salvage.vector.pointers import (
    address_of,
    load_be16,
    load_be32,
    load_be64,
    load_i64,
    load_u8,
    store_64,
)

COMPRESSED, WRAPPED = 1, 2
"""Some batches have a codec; some are wrappers of magic 0 or 1."""
NOWHERE = -1
"""`JOB_START` of a payload that cannot be found in its batch."""


@inner
def _v2(job: int, header: int, start: int, size: int) -> None:
    attributes = load_be16(header + 21)
    store_64(job + 8 * JOB_KIND, KIND_V2)
    store_64(job + 8 * JOB_START, start + HEADER)
    store_64(job + 8 * JOB_STOP, start + size)
    store_64(job + 8 * JOB_OFFSET, load_be64(header))
    store_64(job + 8 * JOB_SPAN, load_be32(header + 23))
    store_64(job + 8 * JOB_TIME, load_be64(header + 27))
    store_64(job + 8 * JOB_APPEND_TIME, load_be64(header + 35))
    store_64(job + 8 * JOB_TYPE, (attributes >> 3) & 1)
    store_64(job + 8 * JOB_SEQUENCE, load_be32(header + 53))
    store_64(job + 8 * JOB_COUNT, load_be32(header + 57))
    store_64(job + 8 * JOB_ATTRIBUTES, attributes)


@inner
def _legacy(job: int, header: int, start: int, size: int) -> None:
    magic, attributes = load_u8(header + 16), load_u8(header + 17)
    codec = attributes & 7
    kind, begin = KIND_MESSAGE, start
    if codec:
        kind = KIND_SET_V0 if magic == 0 else KIND_SET_V1
        key_at = 18 + 8 * magic
        value_at = key_at + 4 + max(load_be32(header + key_at), 0)
        begin = NOWHERE
        if value_at + 4 < size and load_be32(header + value_at) == size - value_at - 4:
            begin = start + value_at + 4
    store_64(job + 8 * JOB_KIND, kind)
    store_64(job + 8 * JOB_START, begin)
    store_64(job + 8 * JOB_STOP, start + size)
    store_64(job + 8 * JOB_OFFSET, load_be64(header))
    store_64(job + 8 * JOB_SPAN, 0)
    store_64(job + 8 * JOB_TIME, load_be64(header + 18) if magic == 1 else -1)
    store_64(job + 8 * JOB_APPEND_TIME, -1)
    store_64(job + 8 * JOB_TYPE, (attributes >> 3) & 1 if magic == 1 else 0)
    store_64(job + 8 * JOB_SEQUENCE, -1)
    store_64(job + 8 * JOB_COUNT, 0 if codec else 1)
    store_64(job + 8 * JOB_ATTRIBUTES, attributes)


@kernel
def fill(data: int, size: int, starts: int, sizes: int, count: int, jobs: int) -> int:
    """Writes a job for each batch; see `jobs_of`."""
    seen = 0
    for row in range(count):
        start, bytes_ = load_i64(starts + 8 * row), load_i64(sizes + 8 * row)
        job = jobs + 8 * JOB_WIDTH * row
        there = start >= 0 and bytes_ >= SMALLEST and bytes_ <= size - start
        magic = load_u8(data + start + 16) if there else 3
        if magic == 2 and bytes_ >= HEADER:
            _v2(job, data + start, start, bytes_)
            if load_i64(job + 8 * JOB_ATTRIBUTES) & 7:
                seen |= COMPRESSED
        elif magic == 0 or (magic == 1 and bytes_ >= SMALLEST + 8):
            _legacy(job, data + start, start, bytes_)
            if load_i64(job + 8 * JOB_ATTRIBUTES) & 7:
                seen |= COMPRESSED | WRAPPED
        else:
            for field in range(JOB_WIDTH):
                store_64(job + 8 * field, 0)
            store_64(job + 8 * JOB_KIND, KIND_V2)
            store_64(job + 8 * JOB_START, NOWHERE)
    return seen


def jobs_of(data: U8, starts: I64, sizes: I64) -> tuple[I64, int]:
    """A job for each batch, its range that of the records, or of their compressed stream, in ``data``; and what was seen.

    A batch that does not lie in the data, or is too small for its header, gets a start of `NOWHERE`.

    Args:
        data: bytes that hold the batches.
        starts: first byte of each.
        sizes: bytes of each.

    Returns:
        The jobs, and `COMPRESSED` and `WRAPPED`, added, where there are such batches.
    """
    starts, sizes = np.ascontiguousarray(starts, np.int64), np.ascontiguousarray(sizes, np.int64)
    jobs, address = lease_matrix(len(starts), JOB_WIDTH)
    seen = fill(address_of(data), len(data), address_of(starts), address_of(sizes), len(starts), address)
    return jobs, seen
