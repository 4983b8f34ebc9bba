"""Reads batch headers one by one with `struct`, for tests that need a BatchTable without the walk."""

from __future__ import annotations

import struct

from kafka_salvage.scan.batches import UNKNOWN_COUNT, BatchTable


def header_row(data: bytes, at: int) -> dict[str, int]:
    """The row of the batch at ``at``; its length is believed."""
    offset, size, epoch, magic = struct.unpack_from(">qiib", data, at)
    row = {"position": at, "size": 12 + size, "offset": offset, "base_offset": offset, "magic": magic}
    if magic >= 2:
        crc, attributes, delta, base_time, max_time, pid, pepoch, sequence, count = struct.unpack_from(
            ">Ihiqqqhii", data, at + 17
        )
        return row | {
            "last_offset": offset + delta,
            "leader_epoch": epoch,
            "attributes": attributes,
            "crc": crc,
            "base_timestamp": base_time,
            "max_timestamp": max_time,
            "producer_id": pid,
            "producer_epoch": pepoch,
            "base_sequence": sequence,
            "record_count": count,
        }
    (attributes,) = struct.unpack_from(">b", data, at + 17)
    stamp = struct.unpack_from(">q", data, at + 18)[0] if magic == 1 else -1
    return row | {
        "last_offset": offset,
        "leader_epoch": -1,
        "attributes": attributes,
        "crc": epoch & 0xFFFFFFFF,
        "base_timestamp": stamp,
        "max_timestamp": stamp,
        "producer_id": -1,
        "producer_epoch": -1,
        "base_sequence": -1,
        "record_count": UNKNOWN_COUNT if attributes & 7 else 1,
    }


def header_table(data: bytes) -> BatchTable:
    """Rows of all batches from 0 on, as far as lengths lead."""
    rows, at = [], 0
    while at + 26 <= len(data):
        row = header_row(data, at)
        if row["size"] < 26 or at + row["size"] > len(data) or not 0 <= row["magic"] <= 2:
            break
        rows.append(row)
        at += row["size"]
    return BatchTable.from_rows(rows)
