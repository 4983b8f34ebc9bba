"""Record tables of plain rows, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.origin import Origin
from kafka_salvage.scan.records import RecordTable

LABELS = ("none", "committed", "aborted", "open", "unknown")
BATCH = {
    "position": 0, "size": 100, "offset": 0, "base_offset": 0, "last_offset": 9, "leader_epoch": 0, "magic": 2,
    "attributes": 0, "crc": 0, "base_timestamp": 0, "max_timestamp": 0, "producer_id": -1, "producer_epoch": -1,
    "base_sequence": -1, "record_count": 10,
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One record."""

    offset: int
    timestamp: int = 1_700_000_000_000
    key: bytes | None = b"k"
    value: bytes | None = b"v"
    headers: tuple[tuple[bytes, bytes | None], ...] = ()
    kind: int = 0
    label: str = "none"


def table(rows: Sequence[Row], place: tuple[str, int] = ("t", 0)) -> RecordTable:
    """Rows as a table: a batch per label, slices in no order."""
    data = bytearray(b"..")

    def put(value: bytes | None) -> tuple[int, int]:
        if value is None:
            return 0, -1
        data.extend(value + b"~")
        return len(data) - len(value) - 1, len(value)

    values, keys = [put(row.value) for row in rows], [put(row.key) for row in rows]
    headers = [(put(k), put(v)) for row in rows for k, v in row.headers]
    first = np.concatenate([[0], np.cumsum([len(row.headers) for row in rows])]).astype(np.int64)

    def column(pairs: list[tuple[int, int]], which: int, kind: Any) -> Any:
        return np.array([pair[which] for pair in pairs], kind)

    made = RecordTable(
        batches=BatchTable.from_rows([BATCH] * len(LABELS)),
        data=np.frombuffer(bytes(data), np.uint8),
        batch=np.array([LABELS.index(row.label) for row in rows], np.int32),
        offset=np.array([row.offset for row in rows], np.int64),
        timestamp=np.array([row.timestamp for row in rows], np.int64),
        timestamp_type=np.array([row.kind for row in rows], np.int8),
        sequence=np.full(len(rows), -1, np.int32),
        key_start=column(keys, 0, np.int64), key_size=column(keys, 1, np.int32),
        value_start=column(values, 0, np.int64), value_size=column(values, 1, np.int32), header_first=first,
        header_key_start=column([h[0] for h in headers], 0, np.int64),
        header_key_size=column([h[0] for h in headers], 1, np.int32),
        header_value_start=column([h[1] for h in headers], 0, np.int64),
        header_value_size=column([h[1] for h in headers], 1, np.int32),
    )  # fmt: skip
    origin = Origin(*place, "b", "f", "intact", np.arange(len(LABELS), dtype=np.int8), LABELS)
    return replace(made, origin=origin)
