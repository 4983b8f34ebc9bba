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

from kafka_salvage.integrity.log_lines import TIMESTAMP_TYPES, Text, batch_lines, batch_row, line_of
from kafka_salvage.integrity.masks import is_secret
from kafka_salvage.plan.policy import Selection
from kafka_salvage.scan.batches import I64, BatchTable
from kafka_salvage.scan.held import Held, walk_held
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.records import Decoded, Outcome, RecordTable, decode
from kafka_salvage.scan.resync import Sanity, find_candidates
from kafka_salvage.scan.running import RangeCrc
from kafka_salvage.scan.walk import Stop, StopReason
from kafka_salvage.source.source import Source
from kafka_salvage.wire.control import ControlType, read_control_key, read_kraft_value, read_marker

Row = dict[str, Any]

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
        text_of: the file's path as JSON: batches and records then come as text (see `log_lines`), all else as rows.
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
    text_of: str | None = None
    _running: RangeCrc | None = None
    _searched: tuple[int, int] = (0, 0)
    _candidates: I64 = field(default_factory=lambda: np.empty(0, np.int64))

    def rows(self) -> Iterator[Row | Text]:
        """All rows, in file order."""
        position = 0
        while position < self.source.size:
            stop: Stop | None = None
            for block in walk_held(self.source, position, first=RESUMED_WINDOW if position else None):
                yield from self._batches(block.batches, block.held)
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

    def _batches(self, batches: BatchTable, held: Held | None) -> Iterator[Row | Text]:
        chosen = self._chosen(batches)
        if not chosen.all():
            batches = batches.take(chosen)
        if self.records:
            for decoded in decode(self.source, batches, self.limits, held=held):
                yield from self._decoded(decoded) if self.text_of is None else self._rendered(decoded, self.text_of)
        elif self.text_of is not None:
            yield b"".join(batch_lines(batches, self.text_of))
        else:
            for index in range(len(batches)):
                yield batch_row(batches, index)

    def _problem(self, decoded: Decoded, index: int) -> Row:
        """What a batch's row says of records that do not come out."""
        self.problems += 1
        name = Outcome(int(decoded.outcome[index])).name.lower().replace("_", "-")
        return {"problem": name, "problemDetail": decoded.detail.get(index, "")}

    def _rendered(self, decoded: Decoded, file: str) -> Iterator[Text]:
        """The text of batches and records; only records that are looked into become rows first."""
        from kafka_salvage.vector.text import shown_lines  # Numba is loaded by those who decode only

        table = decoded.table
        bad = {index: self._problem(decoded, index) for index in np.flatnonzero(decoded.outcome != Outcome.OK).tolist()}
        between = batch_lines(table.batches, file, bad) if not decoded.continues else [b""] * len(table.batches)
        keep = self._selected(table)
        if not keep.all():
            table = table.take(keep)
        control = table.batches.is_control[table.batch]
        looked_into = np.flatnonzero(control).tolist()
        rows = [self._record_row(table, place, int(table.batch[place])) for place in looked_into]
        if self.metadata and not self.show_secrets:
            looked_into = list(range(len(table)))
            rows = [self._record_row(table, place, int(table.batch[place])) for place in looked_into]
        for place, row in zip(looked_into, rows, strict=True):
            between[int(table.batch[place])] += line_of(row, file)
        if looked_into:
            table = table.take(np.delete(np.arange(len(table)), looked_into))
        yield from shown_lines(table, file=file.encode(), position=table.batches.position, between=between)

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
        keep = self._selected(table)
        stops = np.searchsorted(table.batch, np.arange(len(table.batches)), side="right")
        at = 0
        for index in range(len(table.batches)):
            if not decoded.continues:
                row = batch_row(table.batches, index)
                if decoded.outcome[index] != Outcome.OK:
                    row |= self._problem(decoded, index)
                yield row
            for place in range(at, int(stops[index])):
                if keep[place]:
                    yield self._record_row(table, place, index)
            at = int(stops[index])

    def _selected(self, table: RecordTable) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Records that are selected."""
        wanted = self.selection
        keep = np.ones(len(table), np.bool_)
        if wanted.from_offset is not None:
            keep &= table.offset >= wanted.from_offset
        if wanted.to_offset is not None:
            keep &= table.offset < wanted.to_offset
        if wanted.from_timestamp is not None:
            keep &= table.timestamp >= wanted.from_timestamp
        if wanted.to_timestamp is not None:
            keep &= table.timestamp < wanted.to_timestamp
        return keep

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
