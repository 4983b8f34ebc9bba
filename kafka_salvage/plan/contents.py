"""Contents: what the records of some batches say, so that two compactions of one batch can be told from two batches."""

from __future__ import annotations

from contextlib import closing
from hashlib import blake2b
from typing import Any

import numpy as np

from kafka_salvage.plan.edges import open_patched
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.records import Outcome, decode

_MOST = 1 << 16
"""Offsets of one batch that are told apart."""


def read_contents(segment: SegmentSurvey, table: BatchTable) -> dict[int, object]:
    """Offset -> digest of timestamp, key, value and headers of each record.

    A batch that does not decode has at each of its offsets something that equals nothing else.

    Args:
        segment: where the batches lie.
        table: the batches, in file order.

    Raises:
        SourceError: the file can no longer be opened.
    """
    found: dict[int, object] = {}
    with closing(open_patched(segment)) as source:
        for part in decode(source, table):
            batches = part.table.batches
            for row in np.flatnonzero(part.outcome != Outcome.OK).tolist():
                base, last = int(batches.base_offset[row]), int(batches.last_offset[row])
                found.update({offset: object() for offset in range(base, min(last, base + _MOST) + 1)})
            found.update({int(row["offset"]): _digest(row) for row in part.table.to_pylist()})
    return found


def _digest(row: dict[str, Any]) -> bytes:
    told = (row["timestamp"], row["timestamp_type"], row["key"], row["value"], row["headers"])
    return blake2b(repr(told).encode(), digest_size=16).digest()
