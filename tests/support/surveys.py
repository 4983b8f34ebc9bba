"""Surveys by hand: what a plain forward walk knows of a partition directory, without the judge's rules.

Everything up to the first batch that does not hold is believed, everything behind it is damaged. Good enough to try what
uses a survey before, or without, the judge itself.
"""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise
from pathlib import Path

import crc32c

from kafka_salvage.regions.map import Region, RegionMap
from kafka_salvage.regions.runs import (
    TXN_ABORT,
    TXN_COMMIT,
    TXN_DATA,
    Compaction,
    ReplicaSurvey,
    RunTable,
    SegmentFacts,
    SegmentSurvey,
    TransactionTable,
)
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.replica import Inventory, Replica, SegmentFile, take_inventory

Row = dict[str, int]


def headers(data: bytes) -> tuple[list[Row], str]:
    """Rows of the batches from the beginning on whose CRC holds, and why it ends."""
    rows: list[Row] = []
    at = 0
    while True:
        if at >= len(data) - 17:
            return rows, "end" if at == len(data) else "short"
        offset, length = struct.unpack_from(">qi", data, at)
        if length < 14:
            return rows, "length-too-small"
        if at + 12 + length > len(data):
            return rows, "length-past-end"
        magic = data[at + 16]
        batch = data[at : at + 12 + length]
        row = {"start": at, "stop": at + 12 + length, "first": offset, "last": offset, "records": 1, "magic": magic}
        row |= {"epoch": -1, "attributes": 0, "producer": -1, "kind": -1, "newest": -1}
        if magic < 2:
            if zlib.crc32(batch[16:]) != struct.unpack_from(">I", batch, 12)[0]:
                return rows, "crc-mismatch"
        else:
            if length < 49 or crc32c.crc32c(batch[21:]) != struct.unpack_from(">I", batch, 17)[0]:
                return rows, "crc-mismatch"
            row["epoch"] = struct.unpack_from(">i", batch, 12)[0]
            row["attributes"], delta = struct.unpack_from(">hi", batch, 21)
            row["newest"], row["producer"] = struct.unpack_from(">qq", batch, 35)
            row["records"] = struct.unpack_from(">i", batch, 57)[0]
            row["last"] = offset + delta
            if row["attributes"] & 0x20:
                row["kind"] = {0: TXN_ABORT, 1: TXN_COMMIT}.get(_marker_type(batch), -1)
            elif row["attributes"] & 0x10:
                row["kind"] = TXN_DATA
        rows.append(row)
        at += 12 + length


def _marker_type(batch: bytes) -> int:
    # The record: length, attributes, two small deltas and key length in a byte each, then the key: version and type.
    return int(struct.unpack_from(">hh", batch, 61 + 5)[1])


def survey(segment: SegmentFile) -> SegmentSurvey:
    """One segment file."""
    data = segment.file.real.read_bytes()
    rows, reason = headers(data)
    stop = rows[-1]["stop"] if rows else 0
    regions = [Region(0, stop, Verdict.INTACT, len(rows), sum(r["records"] for r in rows))] if stop else []
    if stop < len(data):
        regions.append(Region(stop, len(data), Verdict.DAMAGED))
    runs = RunTable.from_rows(
        {
            "start": r["start"],
            "stop": r["stop"],
            "first_offset": r["first"],
            "next_offset": r["last"] + 1,
            "batches": 1,
            "records": r["records"],
            "control": r["records"] if r["attributes"] & 0x20 else 0,
            "absent": 0,
            "leader_epoch": r["epoch"],
            "max_timestamp": r["newest"],
            "min_timestamp": r["newest"],
            "repaired": 0,
        }
        for r in rows
    )
    transactions = TransactionTable.from_rows(
        {
            "kind": r["kind"],
            "producer_id": r["producer"],
            "producer_epoch": 0,
            "first_offset": r["first"],
            "last_offset": r["last"],
            "position": r["start"],
            "records": r["records"],
        }
        for r in rows
        if r["kind"] >= 0
    )
    backwards = any(b["first"] <= a["last"] for a, b in pairwise(rows))
    last = max((r["last"] for r in rows), default=-1)
    gaps = sum(b["first"] > a["last"] + 1 for a, b in pairwise(rows))
    facts = SegmentFacts(stop, reason, False, gaps, backwards, 0, None, last)
    return SegmentSurvey(segment, RegionMap(len(data), regions), runs, transactions, (), (), facts)


def survey_by_hand(replica: Replica) -> ReplicaSurvey:
    """One copy of a partition."""
    segments = tuple(survey(segment) for segment in replica.segments)
    return ReplicaSurvey(replica, segments, (), Compaction(False, "by hand"), (), replica.log_start)


def replica_of(log_dir: Path, directory: str) -> Replica:
    """The replica of one partition directory of a log directory."""
    inventory: Inventory = take_inventory([str(log_dir)])
    (found,) = [r for r in inventory.replicas if r.path.rsplit("/", 1)[-1] == directory]
    return found
