"""Summary: runs, transactions and facts, all that is kept of the batches of one segment."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kafka_salvage.regions.check_offsets import gap_rows
from kafka_salvage.regions.ground import Ground
from kafka_salvage.regions.index_reach import index_reach
from kafka_salvage.regions.judged import REPAIRED, Judged
from kafka_salvage.regions.packing import Column
from kafka_salvage.regions.runs import (
    RUN_COLUMNS,
    TXN_ABORT,
    TXN_COMMIT,
    TXN_DATA,
    RunTable,
    SegmentFacts,
    TransactionTable,
)
from kafka_salvage.scan.batches import DELETE_HORIZON, I8, I64, BatchTable
from kafka_salvage.scan.walk import Stop, StopReason, walk
from kafka_salvage.vector.distinct import distinct

_NEVER = np.iinfo(np.int64).max
_KAFKA_SMALLEST = 18
_MOST_GAPS = 8


def make_runs(judged: Judged) -> RunTable:
    """Stretches of believed batches that touch, follow on, and have one epoch and one verdict."""
    rows = np.flatnonzero(judged.believed)
    if not len(rows):
        return RunTable(**{name: np.empty(0, dtype) for name, dtype in RUN_COLUMNS.items()})
    all_rows = len(rows) == len(judged.table)
    table = judged.table if all_rows else judged.table.take(rows)
    verdict = judged.verdict if all_rows else judged.verdict[rows]
    same = (
        (table.position[1:] == table.stop[:-1])
        & (table.base_offset[1:] == table.last_offset[:-1] + 1)
        & (table.leader_epoch[1:] == table.leader_epoch[:-1])
        & (verdict[1:] == verdict[:-1])
    )
    heads = np.concatenate([[0], np.flatnonzero(~same) + 1])
    del rows, same
    return RunTable.gathered(_run_columns(table, verdict, heads), len(heads))


def _run_columns(table: BatchTable, verdict: I8, heads: I64) -> Iterator[tuple[str, Column]]:
    """The columns of the runs that begin at the rows ``heads``, one after the other: there may be millions of rows."""
    tails = np.append(heads[1:], len(table)) - 1
    yield "start", table.position[heads]
    yield "stop", table.position[tails] + table.size[tails]
    yield "first_offset", table.base_offset[heads]
    yield "next_offset", table.last_offset[tails] + 1
    yield "batches", tails - heads + 1
    records = np.maximum(table.record_count, 0)
    yield "records", np.add.reduceat(records, heads, dtype=np.int64)
    yield "control", np.add.reduceat(np.where(table.is_control, records, 0), heads, dtype=np.int64)
    yield "absent", np.add.reduceat(np.maximum(table.last_offset - table.base_offset + 1 - records, 0), heads)
    yield "leader_epoch", table.leader_epoch[heads]
    yield "max_timestamp", np.maximum.reduceat(table.max_timestamp, heads)
    lowest = np.minimum.reduceat(_low_times(table), heads)
    yield "min_timestamp", np.where(lowest == _NEVER, -1, lowest)
    yield "repaired", np.asarray(verdict[heads] == REPAIRED)


def _low_times(table: BatchTable) -> I64:
    """A time at or below those of a batch's records, as far as its header tells; `_NEVER` when it tells none."""
    horizon = (table.magic >= 2) & ((table.attributes & DELETE_HORIZON) != 0)
    low = np.where(horizon | (table.base_timestamp < 0), table.max_timestamp, table.base_timestamp)
    low = np.where((table.max_timestamp >= 0) & (table.max_timestamp < low), table.max_timestamp, low)
    return np.where(low < 0, _NEVER, low)


def make_transactions(judged: Judged) -> TransactionTable:
    """Transactional data and markers, in offset order; neighbours of one producer share a row."""
    table = judged.table
    wanted = judged.believed & table.is_transactional
    known = (judged.control_type == 0) | (judged.control_type == 1)
    rows = np.flatnonzero(wanted & (~table.is_control | known))
    if not len(rows):
        return TransactionTable.from_rows([])
    part = table if len(rows) == len(table) else table.take(rows)
    types = judged.control_type[rows]
    kind = np.where(part.is_control, np.where(types == 1, TXN_COMMIT, TXN_ABORT), TXN_DATA).astype(np.int8)
    same = (
        (kind[1:] == TXN_DATA)
        & (kind[:-1] == TXN_DATA)
        & (part.producer_id[1:] == part.producer_id[:-1])
        & (part.producer_epoch[1:] == part.producer_epoch[:-1])
        & (part.position[1:] == part.stop[:-1])
        & (part.base_offset[1:] == part.last_offset[:-1] + 1)
    )
    heads = np.concatenate([[0], np.flatnonzero(~same) + 1])
    del rows, types, same, wanted, known
    return TransactionTable.gathered(_transaction_columns(part, kind, heads), len(heads))


def _transaction_columns(part: BatchTable, kind: I8, heads: I64) -> Iterator[tuple[str, Column]]:
    """The columns of the stretches and markers that begin at the rows ``heads``, in offset order."""
    tails = np.append(heads[1:], len(part)) - 1
    order = np.argsort(part.base_offset[heads], kind="stable")
    heads, tails, own = heads[order], tails[order], heads
    yield "kind", kind[heads]
    yield "producer_id", part.producer_id[heads]
    yield "producer_epoch", part.producer_epoch[heads]
    yield "first_offset", part.base_offset[heads]
    yield "last_offset", part.last_offset[tails]
    yield "position", part.position[heads]
    data = np.where(part.is_control, 0, np.maximum(part.record_count, 0))
    yield "records", np.add.reduceat(data, own, dtype=np.int64)[order]


def shows_compaction(table: BatchTable) -> bool:
    """Whether a batch shows holes, emptiness or a delete horizon."""
    span = table.last_offset - table.base_offset + 1
    holes = (table.record_count >= 0) & (table.record_count < span)
    horizon = (table.magic >= 2) & ((table.attributes & DELETE_HORIZON) != 0)
    return bool((holes | horizon).any())


def make_facts(judged: Judged, ground: Ground, first_stop: Stop | None, backwards: bool, jump: bool) -> SegmentFacts:
    """What the ledger and the forecast of a broker start need besides the map."""
    table, placed = judged.table, judged.placed
    believed = table.take(np.flatnonzero(placed)) if not bool(placed.all()) else table
    stop = _kafka_stop(ground, first_stop)
    gaps = gap_rows(table, placed)
    listed = [_gap(table, placed, int(row)) for row in gaps[:_MOST_GAPS].tolist()]
    magics = distinct(believed.magic).tolist()
    return SegmentFacts(
        kafka_stop=stop[0],
        kafka_stop_reason=stop[1],
        holes=shows_compaction(believed),
        gap_pairs=len(gaps),
        backwards=backwards,
        magics=sum(1 << magic for magic in magics if 0 <= magic <= 2),
        index_last=index_reach(ground.index_positions, ground.index_offsets, believed, ground.base),
        last_offset=int(believed.last_offset.max()) if len(believed) else -1,
        first_offset=int(believed.base_offset[0]) if len(believed) else -1,
        gaps=tuple(listed),
        jump=jump,
    )


def _gap(table: BatchTable, placed: np.ndarray[tuple[int], np.dtype[np.bool_]], row: int) -> tuple[int, int, int]:
    before = int(np.flatnonzero(placed[:row])[-1])
    return int(table.position[row]), int(table.last_offset[before]) + 1, int(table.base_offset[row])


def _kafka_stop(ground: Ground, stop: Stop | None) -> tuple[int, str]:
    """Where Kafka's own iteration over the untouched file ends, and why, in the words of `StopReason`."""
    while stop is not None and stop.reason is StopReason.BAD_MAGIC:
        head = ground.head(stop.position)
        if head is None or head.stop > ground.size:
            return stop.position, "length-past-end"
        # Kafka reads every magic above 2 as 2, every negative one as 0 or 1
        magic = 2 if head.magic > 2 else 1
        if head.is_v2 and head.size < 61:
            return stop.position, "crc-mismatch"
        ground.begin(stop.position)
        holds = ground.sums().crc32c(head.position + 21, head.stop) == head.crc if magic == 2 else False
        if not holds:
            return stop.position, "crc-mismatch"
        for block in walk(ground.source, head.stop):
            stop = block.stop
    if stop is None:
        return ground.size, "end"
    if stop.reason is StopReason.SHORT and ground.size - stop.position >= _KAFKA_SMALLEST:
        head = ground.head(stop.position)
        small = head is not None and head.size < 26
        return stop.position, "length-too-small" if small else "length-past-end"
    return stop.position, str(stop.reason.value)
