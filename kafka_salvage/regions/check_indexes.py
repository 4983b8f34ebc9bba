"""Check of indexes: what `.index`, `.timeindex` and `.txnindex` say, against the log. They are never needed.

What a broker leaves behind in good health is no finding: zero padding, empty files, entries that name an offset inside a
wrapper (0.8 to 0.10) or the first offset of a batch (up to 1.1), time indexes without entries for magic 0.
"""

from __future__ import annotations

import numpy as np

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.index import Index
from kafka_salvage.regions.judged import Judged
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.batches import I64, BatchTable, Bool
from kafka_salvage.scan.evidence import EvidenceFile, SideFact
from kafka_salvage.scan.replica import SegmentFile, State
from kafka_salvage.scan.sidecars import load_time_index, load_txn_index

ABORT = 0


def finding_of(fact: SideFact) -> Finding:
    """A side file's fact as a finding."""
    file = fact.file
    return Finding(fact.code, file.source, file.path, 0, file.size, None, fact.message, dict(fact.detail))


def check_indexes(
    segment: SegmentFile, index: Index, judged: Judged, size: int, named: tuple[I64, Bool] | None = None
) -> list[Finding]:
    """Findings of the three indexes of one segment.

    Args:
        segment: the files.
        index: its `.index`, read before.
        judged: batches with their verdicts.
        size: bytes of the `.log`.
        named: for each batch an entry of the `.index`, and whether that one names it, if that is known.
    """
    table = judged.table
    if not bool(judged.placed.all()):
        table, named = table.take(np.flatnonzero(judged.placed)), None
    found = [finding_of(fact) for fact in index.facts]
    if segment.index is not None:
        found += _offset_entries(segment.index, index, table, size, named)
    elif segment.state is State.LIVE and len(table):
        file = segment.file
        message = "the segment has no .index: a broker start scans it, and cuts it at the first damage"
        found.append(Finding("index-missing", file.source, file.path, 0, size, None, message))
    if segment.time_index is not None:
        found += _time_entries(segment.time_index, segment.base_offset or 0, table)
    if segment.txn_index is not None:
        found += _txn_entries(segment.txn_index, judged)
    return found


def _rows_at(table: BatchTable, positions: I64, named: tuple[I64, Bool] | None) -> tuple[I64, I64]:
    """The last row that begins at or before each position, and the last that begins before it; -1 where there is none."""
    if named is None:
        return (
            np.searchsorted(table.position, positions, side="right") - 1,
            np.searchsorted(table.position, positions) - 1,
        )
    entry, known = named
    rows = np.flatnonzero(known)
    at = np.full(len(positions), -1, np.int64)
    at[entry[rows]] = rows
    before = at - 1
    rest = np.flatnonzero(at < 0)  # few: to look for each would take longer than all other rules
    at[rest], before[rest] = _rows_at(table, positions[rest], None)
    return at, before


def _offset_entries(
    file: EvidenceFile, index: Index, table: BatchTable, size: int, named: tuple[I64, Bool] | None
) -> list[Finding]:
    """Entries that name no batch, or an offset that is not in the batch they name."""
    if not len(index.positions):
        return []
    at, before = _rows_at(table, index.positions, named)
    safe = np.maximum(at, 0)
    if len(table):
        covered = (at >= 0) & (index.positions < table.stop[safe])
        # an entry may name the last offset of all batches that were appended at once, but none behind the next entry's place
        last = np.maximum(np.append(before[1:], len(table) - 1), safe)
        right = (
            (index.positions == table.position[safe])
            & (index.offsets >= table.base_offset[safe])
            & (index.offsets <= table.last_offset[last])
        )
    else:
        covered = right = np.zeros(len(index.positions), np.bool_)
    wrong = np.flatnonzero((covered & ~right) | (index.positions >= size))
    if not len(wrong):
        return []
    first = int(wrong[0])
    place, offset = int(index.positions[first]), int(index.offsets[first])
    beyond = int(np.count_nonzero(index.positions >= size))
    message = (
        f"{len(wrong)} of {len(index.positions)} entries disagree with the log; the first names {offset} at {place}"
    )
    highest = OffsetRange(int(index.offsets.max()), int(index.offsets.max()) + 1) if beyond else None
    detail = {"entries": len(wrong), "beyond_end": beyond, "position": place, "offset": offset}
    return [Finding("index-disagrees", file.source, file.path, 0, file.size, highest, message, detail)]


def _time_entries(file: EvidenceFile, base: int, table: BatchTable) -> list[Finding]:
    """Entries above the largest timestamp, or behind the last offset, of the log."""
    side = load_time_index(file, base)
    found = [finding_of(fact) for fact in side.facts]
    if side.value is None or not len(side.value.offset) or not len(table):
        return found
    latest, last = int(table.max_timestamp.max()), int(table.last_offset.max())
    wrong = np.flatnonzero((side.value.timestamp > latest) | (side.value.offset > last))
    if len(wrong):
        at = int(wrong[0])
        stamp, offset = int(side.value.timestamp[at]), int(side.value.offset[at])
        message = f"{len(wrong)} entries are beyond the log; the first names time {stamp} at offset {offset}"
        detail = {"entries": len(wrong), "timestamp": stamp, "offset": offset}
        found.append(Finding("time-index-disagrees", file.source, file.path, 0, file.size, None, message, detail))
    return found


def _txn_entries(file: EvidenceFile, judged: Judged) -> list[Finding]:
    """Aborted transactions whose marker is there and says something else."""
    side = load_txn_index(file)
    found = [finding_of(fact) for fact in side.facts]
    if not side.value:
        return found
    rows = np.flatnonzero(judged.believed)
    table = judged.table.take(rows)
    for entry in side.value:
        at = int(np.searchsorted(table.base_offset, entry.last_offset, side="right")) - 1
        if at < 0 or int(table.last_offset[at]) < entry.last_offset or not int(table.record_count[at]):
            continue
        control = bool(table.is_control[at])
        right = control and int(table.producer_id[at]) == entry.producer_id
        if right and int(judged.control_type[rows[at]]) == ABORT:
            continue
        message = (
            f"producer {entry.producer_id} aborted at offset {entry.last_offset}, says the index; the log does not"
        )
        detail = {
            "producer_id": entry.producer_id,
            "first_offset": entry.first_offset,
            "last_offset": entry.last_offset,
        }
        found.append(Finding("txn-index-disagrees", file.source, file.path, 0, file.size, None, message, detail))
    return found
