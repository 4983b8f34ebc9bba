"""Arrow table: Spark's columns of a Kafka source, then where each record was found.

Columns are made from buffers: whatever takes a Python list or an array has pyarrow import pandas where that is installed, which
takes half a second and 50 MiB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kafka_salvage.errors import MissingExtraError
from kafka_salvage.scan.batches import I32, I64
from kafka_salvage.scan.records import RecordTable
from kafka_salvage.vector.gather import gather

if TYPE_CHECKING:
    import pyarrow as pa

INSTALL = "pip install 'kafka-salvage[parquet]'"
FIRST_MS, LAST_MS = -62135596800000, 253402300799999
"""Years 0001 to 9999: readers fail on timestamps outside."""
_NARROW = (1 << 31) - 1
_SHARED = 1 << 20
"""Bytes from which a column of one slice is that slice itself, not a copy."""


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtraError("Arrow tables need pyarrow, which is not installed.", install=INSTALL) from error
    return pyarrow


def _bitmap(pa: Any, valid: npt.NDArray[np.bool_]) -> Any:
    return None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))


def _numbers(pa: Any, values: npt.NDArray[Any], valid: npt.NDArray[np.bool_] | None = None) -> Any:
    """A column of numbers, of the array's own type."""
    array = np.ascontiguousarray(values)
    bitmap = None if valid is None else _bitmap(pa, valid)
    return pa.Array.from_buffers(pa.from_numpy_dtype(array.dtype), len(array), [bitmap, pa.py_buffer(array)])


def _strings(pa: Any, names: Sequence[str]) -> Any:
    """A string column."""
    texts = [name.encode() for name in names]
    ends = np.cumsum([0, *(len(text) for text in texts)]).astype(np.int32)
    return pa.Array.from_buffers(pa.string(), len(texts), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(texts))])


def _gathered(data: npt.NDArray[np.uint8], start: I64, size: I32) -> tuple[npt.NDArray[np.uint8], I64]:
    """Slices end to end, and where each begins; a large one that is alone is not copied."""
    if len(size) == 1 and int(size[0]) >= _SHARED and 0 <= int(start[0]) <= len(data) - int(size[0]):
        first, count = int(start[0]), int(size[0])
        return data[first : first + count], np.array([0, count], np.int64)
    return gather(data, start, size)


def _binary(pa: Any, data: npt.NDArray[np.uint8], start: I64, size: I32, *, text: bool = False) -> Any:
    """A binary (or, told to, string) column; large when 32-bit offsets cannot reach."""
    values, offsets = _gathered(data, start, size)
    valid = size >= 0
    large = int(offsets[-1]) > _NARROW
    kind = (pa.large_string() if large else pa.string()) if text else (pa.large_binary() if large else pa.binary())
    places = pa.py_buffer(offsets if large else offsets.astype(np.int32))
    buffers = [_bitmap(pa, valid), places, pa.py_buffer(values)]
    return pa.Array.from_buffers(kind, len(size), buffers, null_count=int(len(size) - valid.sum()))


def _utf8(binary: Any) -> npt.NDArray[np.bool_]:
    """Which header keys are UTF-8; one look at the whole column decides the common case, else one at each distinct key."""
    try:
        bytes(binary.buffers()[2] or b"").decode("utf-8", "strict")
    except UnicodeDecodeError:
        pass
    else:
        wide = str(binary.type).startswith("large")
        starts = np.frombuffer(binary.buffers()[1], np.int64 if wide else np.int32).astype(np.int64)
        body = np.frombuffer(binary.buffers()[2] or b"", np.uint8)
        first = starts[:-1][starts[:-1] < starts[1:]]
        if not ((body[first] & 0xC0) == 0x80).any():  # no key begins inside a character
            return np.ones(len(binary), np.bool_)
    distinct = binary.dictionary_encode()
    good = np.array([_is_text(key) for key in distinct.dictionary.to_pylist()], np.bool_)
    return np.asarray(good[np.frombuffer(distinct.indices.buffers()[1], np.int32)[: len(binary)]])


def _is_text(key: bytes) -> bool:
    try:
        key.decode("utf-8", "strict")
    except UnicodeDecodeError:
        return False
    return True


def _headers(pa: Any, table: RecordTable) -> tuple[Any, Any]:
    """(headers column, raw keys of records that have a header key which is not UTF-8)."""
    raw = _binary(pa, table.data, table.header_key_start, table.header_key_size)
    good = _utf8(raw)
    size = np.where(good, table.header_key_size, -1).astype(np.int32)
    keys = _binary(pa, table.data, table.header_key_start, size, text=True)
    values = _binary(pa, table.data, table.header_value_start, table.header_value_size)
    pairs = pa.StructArray.from_arrays([keys, values], names=["key", "value"])
    first = _numbers(pa, table.header_first.astype(np.int32))
    headers = pa.ListArray.from_arrays(first, pairs)
    odd = np.zeros(len(table), np.bool_)
    if not good.all():
        odd[np.searchsorted(table.header_first, np.flatnonzero(~good), side="right") - 1] = True
    odd_keys = pa.ListArray.from_buffers(
        pa.list_(raw.type), len(table), [_bitmap(pa, odd), first.buffers()[1]], children=[raw],
        null_count=int(len(table) - odd.sum()),
    )  # fmt: skip
    return headers, odd_keys


def _named(pa: Any, names: Sequence[str] | None, codes: npt.NDArray[Any], packed: bool) -> Any:
    """A column of names by code; null without names."""
    kind = pa.dictionary(pa.int32(), pa.string()) if packed else pa.string()
    if names is None:
        return pa.nulls(len(codes), kind)
    told = _strings(pa, names)
    if packed:
        return pa.DictionaryArray.from_arrays(_numbers(pa, codes.astype(np.int32)), told)
    if len(codes) and (codes == codes[0]).all():
        return pa.repeat(told[int(codes[0])], len(codes))
    return told.take(_numbers(pa, codes.astype(np.int32)))


def _timestamp(pa: Any, table: RecordTable) -> Any:
    sane = (table.timestamp_type >= 0) & (table.timestamp >= FIRST_MS) & (table.timestamp <= LAST_MS)
    return _numbers(pa, np.where(sane, table.timestamp, 0), sane).view(pa.timestamp("ms", tz="UTC"))


def to_arrow(table: RecordTable) -> pa.Table:
    """Records as an Arrow table; keys, values and headers are copied once, without a Python object per record.

    Columns: ``key, value binary, topic string, partition int32, offset int64, timestamp timestamp[ms, UTC], timestampType
    int32 (0 create, 1 append, -1 none), headers list<struct<key string, value binary>>``, then ``_salvage_*`` (where the
    record was found). ``timestamp`` is null outside the years 1 to 9999; ``_salvage_timestamp_ms`` is always exact.

    Args:
        table: with its ``origin``, as `kafka_salvage.records` gives it; without one the columns of names are null.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    return arrow_table(table)


def arrow_table(table: RecordTable, *, packed: bool = False) -> pa.Table:
    """As `to_arrow`.

    Args:
        table: likewise.
        packed: columns of names hold each name once, and numbers that stand for it; a Parquet file is the same either way.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    pa = _pyarrow()
    rows, batches, at, origin = len(table), table.batches, table.batch, table.origin
    headers, odd_keys = _headers(pa, table)
    sequence = table.sequence

    same = np.zeros(rows, np.int32)

    def name(text: str | None) -> Any:
        return _named(pa, None if text is None else [text], same, packed)

    partition = np.full(rows, origin.partition if origin else -1, np.int32)
    columns: dict[str, Any] = {
        "key": _binary(pa, table.data, table.key_start, table.key_size),
        "value": _binary(pa, table.data, table.value_start, table.value_size),
        "topic": name(origin.topic if origin else None),
        "partition": _numbers(pa, partition) if origin else pa.nulls(rows, pa.int32()),
        "offset": _numbers(pa, table.offset),
        "timestamp": _timestamp(pa, table),
        "timestampType": _numbers(pa, table.timestamp_type.astype(np.int32)),
        "headers": headers,
        "_salvage_timestamp_ms": _numbers(pa, table.timestamp),
        "_salvage_header_keys": odd_keys,
        "_salvage_source": name(origin.source if origin else None),
        "_salvage_file": name(origin.path if origin else None),
        "_salvage_position": _numbers(pa, batches.position[at]),
        "_salvage_verdict": name(origin.verdict if origin else None),
        "_salvage_transaction": _named(
            pa, origin.transactions if origin else None, origin.transaction[at] if origin else same, packed
        ),
        "_salvage_leader_epoch": _numbers(pa, batches.leader_epoch[at]),
        "_salvage_producer_id": _numbers(pa, batches.producer_id[at]),
        "_salvage_producer_epoch": _numbers(pa, batches.producer_epoch[at].astype(np.int32)),
        "_salvage_sequence": _numbers(pa, sequence),
    }
    return pa.Table.from_arrays(list(columns.values()), names=list(columns))
