"""Record files: JSON Lines, Parquet and Arrow files of a rescue, read back as record tables with their labels."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kafka_salvage.errors import MissingExtraError, SourceError
from kafka_salvage.export.replay.supply import Piece
from kafka_salvage.export.rereading import INSTALL, LONGEST_LINE, opened_text
from kafka_salvage.plan.plan import TRANSACTION_CODES
from kafka_salvage.scan.batches import I32, I64, BatchTable
from kafka_salvage.scan.records import CREATE_TIME, LOG_APPEND_TIME_TYPE, NO_TIMESTAMP_TYPE, RecordTable

ROWS = 1 << 14
PIECE = 8 << 20
"""A piece ends when it has so many rows, or bytes."""
_CODES = {str(label): code for code, label in enumerate(TRANSACTION_CODES)}
_TYPES = {"CreateTime": CREATE_TIME, "LogAppendTime": LOG_APPEND_TIME_TYPE, "NoTimestampType": NO_TIMESTAMP_TYPE}


def read_records(place: Path, format_: str, encoding: str = "base64") -> Iterator[Piece]:
    """Records of one file, in order.

    Args:
        place: the file.
        format_: ``jsonl``, ``parquet`` or ``arrow``.
        encoding: how JSON Lines show bytes: ``base64`` or ``utf8``.

    Raises:
        SourceError: it cannot be read, or is not what a salvage writes.
        MissingExtraError: pyarrow is needed and not installed.
    """
    try:
        yield from _lines(place, encoding == "utf8") if format_ == "jsonl" else _columns(place, format_)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise SourceError(
            f"{place} does not read as what a salvage wrote: {error}", advice="Run kafka-salvage verify on the rescue."
        ) from error


class _Rows:
    """Rows on their way into a table."""

    def __init__(self, utf8: bool) -> None:
        self._utf8 = utf8
        self._parts: list[bytes] = []
        self.size = 0
        self._numbers: list[tuple[int, int, int, int]] = []
        self._slices: list[tuple[int, int, int, int]] = []
        self._headers: list[tuple[int, int, int, int]] = []
        self._first = [0]

    def __len__(self) -> int:
        return len(self._numbers)

    def _put(self, value: Any) -> tuple[int, int]:
        """Appends what a line shows as bytes; null has size -1."""
        if value is None:
            return 0, -1
        if isinstance(value, Mapping):
            data = base64.b64decode(value["base64"], validate=True)
        else:
            data = value.encode() if self._utf8 else base64.b64decode(value, validate=True)
        return self._append(data)

    def _append(self, data: bytes) -> tuple[int, int]:
        start = self.size
        self._parts.append(data)
        self.size += len(data)
        return start, len(data)

    def add(self, record: Mapping[str, Any]) -> None:
        """Adds one record as its line tells it. Raises: KeyError, TypeError, ValueError."""
        kind = _TYPES[record["timestampType"]]
        stamp = -1 if record["timestamp"] is None else record["timestamp"]
        label = _CODES[record["_salvage"]["transaction"]]
        self._numbers.append((record["offset"], stamp, kind, label))
        self._slices.append((*self._put(record["key"]), *self._put(record["value"])))
        for header in record["headers"]:
            key = header["key"]
            name = key.encode() if isinstance(key, str) else base64.b64decode(key["base64"], validate=True)
            self._headers.append((*self._append(name), *self._put(header["value"])))
        self._first.append(len(self._headers))

    def piece(self) -> Piece:
        """The table."""
        numbers = np.array(self._numbers, np.int64).reshape(-1, 4)
        slices = np.array(self._slices, np.int64).reshape(-1, 4)
        headers = np.array(self._headers, np.int64).reshape(-1, 4)
        columns: dict[str, Any] = {
            "offset": numbers[:, 0].copy(),
            "timestamp": numbers[:, 1].copy(),
            "timestamp_type": numbers[:, 2].astype(np.int8),
            "key_start": slices[:, 0].copy(),
            "key_size": slices[:, 1].astype(np.int32),
            "value_start": slices[:, 2].copy(),
            "value_size": slices[:, 3].astype(np.int32),
            "header_first": np.array(self._first, np.int64),
            "header_key_start": headers[:, 0].copy(),
            "header_key_size": headers[:, 1].astype(np.int32),
            "header_value_start": headers[:, 2].copy(),
            "header_value_size": headers[:, 3].astype(np.int32),
        }
        data = np.frombuffer(b"".join(self._parts), np.uint8)
        return Piece(_table(data, columns), numbers[:, 3].astype(np.int8))


def _table(data: Any, columns: Mapping[str, Any]) -> RecordTable:
    rows = len(columns["offset"])
    return RecordTable(
        batches=BatchTable.empty(),
        data=data,
        batch=np.zeros(rows, np.int32),
        sequence=np.full(rows, -1, np.int32),
        **columns,
    )


def _lines(place: Path, utf8: bool) -> Iterator[Piece]:
    with opened_text(place) as file:
        rows = _Rows(utf8)
        while line := file.readline(LONGEST_LINE):
            rows.add(json.loads(line))
            if len(rows) >= ROWS or rows.size >= PIECE:
                yield rows.piece()
                rows = _Rows(utf8)
        if len(rows):
            yield rows.piece()


def _columns(place: Path, format_: str) -> Iterator[Piece]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError(f"to read {format_} back, pyarrow is needed", install=INSTALL) from error
    try:
        if format_ == "parquet":
            with pq.ParquetFile(place, page_checksum_verification=True) as file:
                for batch in file.iter_batches(batch_size=ROWS):
                    yield _piece(batch)
        else:
            with pa.memory_map(str(place)) as source, pa.ipc.open_file(source) as opened:
                for number in range(opened.num_record_batches):
                    yield _piece(opened.get_batch(number))
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error


class _Bytes:
    """Buffers laid end to end."""

    def __init__(self) -> None:
        self._parts: list[Any] = []
        self._size = 0

    def add(self, array: Any) -> tuple[I64, I32]:
        """Adds a binary or string array; returns where each value lies, size -1 for null."""
        wide = str(array.type).startswith("large")
        places = np.frombuffer(array.buffers()[1] or b"\0" * 8, np.int64 if wide else np.int32)
        places = places[array.offset : array.offset + len(array) + 1].astype(np.int64)
        if not len(array):
            return np.empty(0, np.int64), np.empty(0, np.int32)
        body = np.frombuffer(array.buffers()[2] or b"", np.uint8)[places[0] : places[-1]]
        start = places[:-1] - places[0] + self._size
        size = np.where(array.is_null().to_numpy(zero_copy_only=False), -1, np.diff(places)).astype(np.int32)
        self._parts.append(body)
        self._size += len(body)
        return start, size

    def joined(self) -> Any:
        return np.concatenate([np.empty(0, np.uint8), *self._parts])


def _numbers(batch: Any, name: str) -> Any:
    return batch.column(name).to_numpy(zero_copy_only=False)


def _piece(batch: Any) -> Piece:
    import pyarrow as pa
    import pyarrow.compute as pc

    data = _Bytes()
    columns: dict[str, Any] = {}
    for name in ("key", "value"):
        columns[f"{name}_start"], columns[f"{name}_size"] = data.add(batch.column(name))
    headers = batch.column("headers")
    counts = pc.fill_null(pc.list_value_length(headers), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    first = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    keys, values = headers.flatten().flatten()
    start, size = data.add(keys)
    raw = batch.column("_salvage_header_keys")
    if raw.null_count < len(raw):
        odd = np.repeat(raw.is_valid().to_numpy(zero_copy_only=False), counts)
        start, size = start.copy(), size.copy()
        start[odd], size[odd] = data.add(raw.flatten())
    columns["header_first"], columns["header_key_start"], columns["header_key_size"] = first, start, size
    columns["header_value_start"], columns["header_value_size"] = data.add(values)
    columns["offset"] = _numbers(batch, "offset").astype(np.int64)
    columns["timestamp"] = _numbers(batch, "_salvage_timestamp_ms").astype(np.int64)
    columns["timestamp_type"] = _numbers(batch, "timestampType").astype(np.int8)
    names = pa.array([str(label) for label in TRANSACTION_CODES])
    codes = pc.index_in(batch.column("_salvage_transaction").cast(pa.string()), names)
    if codes.null_count:
        raise ValueError("a record has no label")
    return Piece(_table(data.joined(), columns), codes.to_numpy(zero_copy_only=False).astype(np.int8))
