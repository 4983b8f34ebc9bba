"""Batch rows of a listing, as plain values and as lines of JSON made in bulk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kafka_salvage.scan.batches import CONTROL, DELETE_HORIZON, LOG_APPEND_TIME, TRANSACTIONAL, BatchTable
from kafka_salvage.source.source import U8

Row = dict[str, Any]
Text = bytes | U8
"""Whole lines of JSON."""

CODECS = ("none", "gzip", "snappy", "lz4", "zstd", "unknown-5", "unknown-6", "unknown-7")
TIMESTAMP_TYPES = {-1: "NoTimestampType", 0: "CreateTime", 1: "LogAppendTime"}
_SEQUENCES = 1 << 31
_FIELDS = (
    '"baseOffset":%s,"lastOffset":%d,"count":%s,"baseSequence":%d,"lastSequence":%d,"producerId":%d,"producerEpoch":%d,'
    '"partitionLeaderEpoch":%d,"isTransactional":%s,"isControl":%s,"deleteHorizonMs":%s,"position":%d,"timestampType":"%s",'
    '"baseTimestamp":%s,"timestamp":%s,"size":%d,"magic":%d,"attributes":%d,"compresscodec":"%s","crc":%d,"isvalid":true'
)


def batch_row(batches: BatchTable, index: int) -> Row:
    """One batch in the words of kafka-dump-log; what a magic does not have is -1, false or null, as there."""
    batch = batches.row(index)
    magic, attributes = batch["magic"], batch["attributes"]
    new = magic >= 2
    stamp = -1 if magic == 0 else int(bool(attributes & LOG_APPEND_TIME))
    count = batch["record_count"]
    sequenced = new and batch["base_sequence"] >= 0
    horizon = new and attributes & DELETE_HORIZON
    return {
        "type": "batch",
        "baseOffset": None if count < 0 else batch["base_offset"],
        "lastOffset": batch["last_offset"],
        "count": None if count < 0 else count,
        "baseSequence": batch["base_sequence"],
        "lastSequence": _last_sequence(batch) if sequenced else -1,
        "producerId": batch["producer_id"],
        "producerEpoch": batch["producer_epoch"],
        "partitionLeaderEpoch": batch["leader_epoch"],
        "isTransactional": bool(new and attributes & TRANSACTIONAL),
        "isControl": bool(new and attributes & CONTROL),
        "deleteHorizonMs": batch["base_timestamp"] if horizon else None,
        "position": batch["position"],
        "timestampType": TIMESTAMP_TYPES[stamp],
        "baseTimestamp": batch["base_timestamp"] if magic else None,
        "timestamp": batch["max_timestamp"] if magic else None,
        "size": batch["size"],
        "magic": magic,
        "attributes": attributes,
        "compresscodec": CODECS[attributes & 7],
        "crc": batch["crc"],
        "isvalid": True,
    }


def _last_sequence(batch: dict[str, int]) -> int:
    """The base sequence plus the last offset delta; sequences wrap around to 0 behind the largest int32."""
    return (batch["base_sequence"] + batch["last_offset"] - batch["base_offset"]) % _SEQUENCES


def line_of(row: Row, file: str) -> bytes:
    """A row as a line, with the file behind its type.

    Args:
        row: the first entry is its type.
        file: rendered JSON, with its quotes.
    """
    text = json.dumps(row, separators=(",", ":"))
    head = f'{{"type":"{row["type"]}"'
    return f'{head},"file":{file}{text[len(head) :]}\n'.encode()


def batch_lines(batches: BatchTable, file: str, more: Mapping[int, Row] | None = None) -> list[bytes]:
    """`batch_row` of every batch as a line, without a dict for each.

    Args:
        batches: rows.
        file: rendered JSON of the path, with its quotes.
        more: what else a row says, by row.
    """
    head = '{"type":"batch","file":' + file.replace("%", "%%") + "," + _FIELDS
    lines = [head % values for values in _values(batches)]
    for row, said in (more or {}).items():
        lines[row] += "," + json.dumps(said, separators=(",", ":"))[1:-1]
    return [f"{line}}}\n".encode() for line in lines]


def _values(batches: BatchTable) -> Iterator[tuple[Any, ...]]:
    """The fields of each line."""
    new, count, attributes = batches.magic >= 2, batches.record_count, batches.attributes
    sequenced = new & (batches.base_sequence >= 0)
    last = (batches.base_sequence.astype(np.int64) + batches.last_offset - batches.base_offset) % _SEQUENCES
    stamp = np.where(batches.magic == 0, -1, (attributes & LOG_APPEND_TIME) != 0).tolist()
    timed = batches.magic > 0
    return zip(
        _or_null(batches.base_offset, count >= 0),
        batches.last_offset.tolist(),
        _or_null(count, count >= 0),
        batches.base_sequence.tolist(),
        np.where(sequenced, last, -1).tolist(),
        batches.producer_id.tolist(),
        batches.producer_epoch.tolist(),
        batches.leader_epoch.tolist(),
        _truth(new & ((attributes & TRANSACTIONAL) != 0)),
        _truth(new & ((attributes & CONTROL) != 0)),
        _or_null(batches.base_timestamp, new & ((attributes & DELETE_HORIZON) != 0)),
        batches.position.tolist(),
        [TIMESTAMP_TYPES[kind] for kind in stamp],
        _or_null(batches.base_timestamp, timed),
        _or_null(batches.max_timestamp, timed),
        batches.size.tolist(),
        batches.magic.tolist(),
        attributes.tolist(),
        [CODECS[codec] for codec in batches.codec.tolist()],
        batches.crc.tolist(),
        strict=True,
    )


def _or_null(values: np.ndarray[Any, Any], known: np.ndarray[Any, np.dtype[np.bool_]]) -> list[Any]:
    listed: list[Any] = values.tolist()
    for row in np.flatnonzero(~known).tolist():
        listed[row] = "null"
    return listed


def _truth(values: np.ndarray[Any, np.dtype[np.bool_]]) -> list[str]:
    return ["true" if value else "false" for value in values.tolist()]
