"""LogRows: a file of batches as rows for display: batches, records, and the stretches that hold none.

Strategy: the walk gives batches until a length or CRC lies; the search gives the next candidate, and the walk goes on
there. No judgement: a candidate inside another batch's payload is shown as well, and `check` says what is believed.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kafka_salvage.integrity.masks import is_secret
from kafka_salvage.plan.policy import Selection
from kafka_salvage.scan.batches import CONTROL, DELETE_HORIZON, I64, LOG_APPEND_TIME, TRANSACTIONAL, BatchTable
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.records import Decoded, Outcome, RecordTable, decode
from kafka_salvage.scan.resync import Sanity, find_candidates
from kafka_salvage.scan.running import RangeCrc
from kafka_salvage.scan.walk import WINDOW, Stop, StopReason, walk
from kafka_salvage.source.source import Source
from kafka_salvage.wire.control import ControlType, read_control_key, read_kraft_value, read_marker

Row = dict[str, Any]

CODECS = ("none", "gzip", "snappy", "lz4", "zstd", "unknown-5", "unknown-6", "unknown-7")
TIMESTAMP_TYPES = {-1: "NoTimestampType", 0: "CreateTime", 1: "LogAppendTime"}
SEARCHED = tuple(64 << 10 << n for n in range(9))
"""Bytes searched at a time after damage: little first, since the next batch is mostly near."""
LOOKED_THROUGH = tuple(512 << 2 * n for n in range(8))
"""Bytes looked through at a time for the end of zeros."""
RESUMED_WINDOW = 8 << 10
"""Window of a walk behind damage: where damage is dense, each walk is short."""
_MARKERS = (ControlType.ABORT, ControlType.COMMIT)


@dataclass(slots=True)
class LogRows:
    """Rows of one file of batches.

    Attributes:
        source: the file.
        base_offset: lowest offset that is sane in it.
        records: rows for records too.
        metadata: it belongs to the cluster's metadata log.
        show_secrets: credentials are not masked.
        selection: which batches and records are shown (damage always is).
        limits: bounds on decompression.
        damaged: bytes in stretches without batches so far, blank tail not counted.
        problems: batches whose records did not come out so far.
    """

    source: Source
    base_offset: int = 0
    records: bool = False
    metadata: bool = False
    show_secrets: bool = False
    selection: Selection = field(default_factory=Selection)
    limits: Limits = field(default_factory=Limits)
    damaged: int = 0
    problems: int = 0
    _running: RangeCrc | None = None
    _searched: tuple[int, int] = (0, 0)
    _candidates: I64 = field(default_factory=lambda: np.empty(0, np.int64))

    def rows(self) -> Iterator[Row]:
        """All rows, in file order."""
        position = 0
        while position < self.source.size:
            stop: Stop | None = None
            for block in walk(self.source, position, window=RESUMED_WINDOW if position else WINDOW):
                yield from self._batches(block.batches)
                stop = block.stop
            if stop is None or stop.reason is StopReason.END:
                return
            position, row = self._stretch(stop)
            yield row

    def _stretch(self, stop: Stop) -> tuple[int, Row]:
        """Where the walk goes on after ``stop``, and the row for what lies before."""
        zeros = self._zeros_until(stop.position)
        blank = zeros == self.source.size and not self._unreadable(stop.position, zeros)
        resumed = zeros if blank else self._next_candidate(max(stop.position + 1, zeros - 16))
        row: Row = {"type": "blank" if blank else "damaged", "start": stop.position, "stop": resumed}
        row["size"] = resumed - stop.position
        row["reason"] = "zeros to the end of the file" if blank else stop.reason.value
        if stop.reason is StopReason.CRC_MISMATCH:
            row |= {"crc": stop.stored, "computedCrc": stop.computed}
        if stop.size:
            row["claimedSize"] = stop.size
        if not blank:
            self.damaged += row["size"]
        return resumed, row

    def _unreadable(self, start: int, stop: int) -> bool:
        return any(gap.start < stop and start < gap.stop for gap in self.source.unreadable)

    def _zeros_until(self, position: int) -> int:
        """The first byte from ``position`` on that is not zero; holes are not read."""
        for part in self.source.data_ranges(position):
            for start, stop in _windows(part.start, part.stop, LOOKED_THROUGH):
                found = np.flatnonzero(self.source.read(start, stop))
                if len(found):
                    return start + int(found[0])
        return self.source.size

    def _next_candidate(self, position: int) -> int:
        """Where the next batch with a sane header and a good CRC begins; the end of the file if there is none."""
        if self._searched[0] <= position < self._searched[1]:  # each byte is searched once, however dense damage is
            known = self._candidates[np.searchsorted(self._candidates, position) :]
            if len(known):
                return int(known[0])
            position = self._searched[1]
        size = self.source.size
        sanity = Sanity(base_offset=self.base_offset, max_size=self.limits.batch)
        self._running = self._running or RangeCrc(self.source)
        for start, stop in _windows(position, size, SEARCHED):
            found = find_candidates(self.source, start, stop, size, sanity, running=self._running)
            self._searched, self._candidates = (start, stop), found.batches.position
            if len(self._candidates):
                return int(self._candidates[0])
        return size

    def _batches(self, batches: BatchTable) -> Iterator[Row]:
        chosen = self._chosen(batches)
        if not chosen.all():
            batches = batches.take(chosen)
        if self.records:
            for decoded in decode(self.source, batches, self.limits):
                yield from self._decoded(decoded)
            return
        for index in range(len(batches)):
            yield _batch_row(batches, index)

    def _chosen(self, batches: BatchTable) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Batches that may hold what is selected. A wrapper's first offset is unknown here: it counts as low."""
        wanted = self.selection
        keep = np.ones(len(batches), np.bool_)
        if wanted.from_offset is not None:
            keep &= batches.last_offset >= wanted.from_offset
        if wanted.to_offset is not None:
            keep &= (batches.base_offset < wanted.to_offset) | batches.is_wrapper
        if wanted.from_timestamp is not None:
            keep &= batches.max_timestamp >= wanted.from_timestamp
        if wanted.to_timestamp is not None and not self.records:
            keep &= (batches.base_timestamp < wanted.to_timestamp) | batches.is_wrapper
        return keep

    def _decoded(self, decoded: Decoded) -> Iterator[Row]:
        table = decoded.table
        stops = np.searchsorted(table.batch, np.arange(len(table.batches)), side="right")
        at = 0
        for index in range(len(table.batches)):
            row = _batch_row(table.batches, index)
            if decoded.outcome[index] != Outcome.OK:
                self.problems += 1
                row["problem"] = Outcome(int(decoded.outcome[index])).name.lower().replace("_", "-")
                row["problemDetail"] = decoded.detail.get(index, "")
            yield row
            for place in range(at, int(stops[index])):
                if self._selected(table, place):
                    yield self._record_row(table, place, index)
            at = int(stops[index])

    def _selected(self, table: RecordTable, place: int) -> bool:
        wanted, offset, time = self.selection, int(table.offset[place]), int(table.timestamp[place])
        return (
            (wanted.from_offset is None or offset >= wanted.from_offset)
            and (wanted.to_offset is None or offset < wanted.to_offset)
            and (wanted.from_timestamp is None or time >= wanted.from_timestamp)
            and (wanted.to_timestamp is None or time < wanted.to_timestamp)
        )

    def _record_row(self, table: RecordTable, place: int, index: int) -> Row:
        record = table.row(place)
        control = bool(table.batches.is_control[index])
        row: Row = {
            "type": "record",
            "offset": record["offset"],
            "timestamp": None if record["timestamp_type"] < 0 else record["timestamp"],
            "timestampType": TIMESTAMP_TYPES[record["timestamp_type"]],
            "sequence": record["sequence"],
            "position": int(table.batches.position[index]),
        }
        if control:
            row["control"] = _control(record["key"], record["value"])
            self.metadata = self.metadata or "fields" in row["control"]
        masked = self.metadata and not control and not self.show_secrets and is_secret(record["value"])
        row["key"] = _text(record["key"])
        row["value"] = None if masked else _text(record["value"])
        if masked:
            row["masked"] = "a credential; --show-secrets shows it"
        row["headers"] = [{"key": _header_key(key), "value": _text(value)} for key, value in record["headers"]]
        return row


def _windows(start: int, stop: int, sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """``[start, stop)`` in pieces of growing sizes; the last size goes on."""
    for size in itertools.chain(sizes, itertools.repeat(sizes[-1])):
        if start >= stop:
            return
        yield start, min(start + size, stop)
        start += size


def _control(key: bytes | None, value: bytes | None) -> Row:
    """What a control record says."""
    read = read_control_key(key)
    if read is None:
        return {"type": "UNKNOWN"}
    row: Row = {"type": read.type.name, "typeId": read.type_id, "version": read.version}
    if read.type in _MARKERS:
        marker = read_marker(value)
        row["coordinatorEpoch"] = marker.coordinator_epoch if marker else None
    elif read.type is not ControlType.UNKNOWN:
        kraft = read_kraft_value(read.type, value)
        row["fields"] = kraft.fields
        if kraft.problem:
            row["problem"] = kraft.problem
    return row


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _header_key(key: bytes) -> str | dict[str, str]:
    try:
        return key.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(key).decode()}


def _batch_row(batches: BatchTable, index: int) -> Row:
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
    return (batch["base_sequence"] + batch["last_offset"] - batch["base_offset"]) % (1 << 31)
