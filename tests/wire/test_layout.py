"""Layouts: sizes, offsets and dtypes as the format says."""

from __future__ import annotations

import numpy as np
import pytest

from kafka_salvage.wire import (
    batch_legacy,
    batch_v2,
    control,
    offset_index,
    producer_snapshot,
    time_index,
    txn_index,
)
from kafka_salvage.wire.layout import Field, Layout

SIZES = [
    (batch_v2.LAYOUT, 61),
    (batch_legacy.LAYOUT_V0, 22),
    (batch_legacy.LAYOUT_V1, 30),
    (control.KEY_LAYOUT, 4),
    (control.MARKER_LAYOUT, 6),
    (offset_index.LAYOUT, 8),
    (time_index.LAYOUT, 12),
    (txn_index.LAYOUT, 34),
    (producer_snapshot.HEADER_LAYOUT, 10),
    (producer_snapshot.LAYOUT, 46),
]

V2_OFFSETS = {
    "base_offset": 0,
    "batch_length": 8,
    "partition_leader_epoch": 12,
    "magic": 16,
    "crc": 17,
    "attributes": 21,
    "last_offset_delta": 23,
    "base_timestamp": 27,
    "max_timestamp": 35,
    "producer_id": 43,
    "producer_epoch": 51,
    "base_sequence": 53,
    "records_count": 57,
}


@pytest.mark.parametrize(("layout", "size"), SIZES, ids=lambda x: getattr(x, "name", x))
def test_sizes(layout: Layout, size: int) -> None:
    assert layout.size == size
    assert layout.struct.size == size
    assert layout.dtype.itemsize == size


def test_constants_of_a_batch() -> None:
    assert batch_v2.LAYOUT.offsets == V2_OFFSETS
    assert (batch_v2.HEADER_SIZE, batch_v2.LOG_OVERHEAD, batch_v2.MIN_BATCH_LENGTH, batch_v2.CRC_COVERS_FROM) == (
        61,
        12,
        49,
        21,
    )


def test_constants_of_a_message() -> None:
    assert (batch_legacy.MIN_SIZE_V0, batch_legacy.MIN_SIZE_V1) == (14, 22)
    assert (
        batch_legacy.CRC_AT,
        batch_legacy.CRC_COVERS_FROM,
        batch_legacy.ATTRIBUTES_AT,
        batch_legacy.TIMESTAMP_AT,
    ) == (12, 16, 17, 18)
    assert (batch_legacy.KEY_LENGTH_AT_V0, batch_legacy.KEY_LENGTH_AT_V1) == (18, 26)


def test_the_dtype_reads_what_the_struct_writes() -> None:
    data = offset_index.LAYOUT.pack(5, 4096) + offset_index.LAYOUT.pack(9, 2**31 - 1)
    table = offset_index.LAYOUT.array(data, 2)
    assert data.hex() == "0000000500001000000000097fffffff"
    assert table["relative_offset"].tolist() == [5, 9]
    assert table["position"].tolist() == [4096, 2**31 - 1]
    assert offset_index.LAYOUT.array(b"", 0).dtype == np.dtype(offset_index.LAYOUT.dtype)


def test_reading_past_the_end_is_refused() -> None:
    with pytest.raises(ValueError, match="needs 8 bytes"):
        offset_index.LAYOUT.read(bytes(7))
    with pytest.raises(ValueError, match="needs 8 bytes"):
        offset_index.LAYOUT.read(bytes(8), -1)


def test_a_layout_with_a_name_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        Layout("bad", "Bad", (Field("a", "int8", ""), Field("a", "int8", "")), "nowhere")
    with pytest.raises(KeyError):
        Layout("bad", "Bad", (Field("a", "int7", ""),), "nowhere")
