"""Contents: what the records of some batches say, so that two compactions of one batch can be told from two batches."""

from __future__ import annotations

from contextlib import closing
from hashlib import blake2b
from typing import Any

from kafka_salvage.plan.edges import open_patched
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.records import Outcome, RecordTable, decode


def read_contents(segment: SegmentSurvey, table: BatchTable) -> dict[int, object] | None:
    """Offset -> digest of timestamp, key, value and headers of each record; None when a batch does not decode.

    Args:
        segment: where the batches lie.
        table: the batches, in file order.

    Raises:
        SourceError: the file can no longer be opened.
    """
    found: dict[int, object] = {}
    with closing(open_patched(segment)) as source:
        for part in decode(source, table):
            if bool((part.outcome != Outcome.OK).any()):
                return None
            found.update(_digests(part.table))
    return found


def _digests(table: RecordTable) -> dict[int, object]:
    return {int(row["offset"]): _digest(row) for row in table.to_pylist()}


def _digest(row: dict[str, Any]) -> bytes:
    told = (row["timestamp"], row["timestamp_type"], row["key"], row["value"], row["headers"])
    return blake2b(repr(told).encode(), digest_size=16).digest()
