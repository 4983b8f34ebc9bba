"""Believing: the survey of a segment in which some more batches are believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace

import numpy as np

from kafka_salvage.plan.edges import open_patched
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.map import Region, RegionMap
from kafka_salvage.regions.runs import (
    RUN_COLUMNS,
    TXN_ABORT,
    TXN_COLUMNS,
    TXN_COMMIT,
    TXN_DATA,
    RunTable,
    SegmentSurvey,
    TransactionTable,
)
from kafka_salvage.regions.verdict import Finding, Verdict
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.records import decode


def believe(segment: SegmentSurvey, batches: BatchTable) -> SegmentSurvey:
    """The survey with some batches believed that lie in harmed regions.

    Args:
        segment: the survey.
        batches: each whole inside one region or several that touch; in any order.

    Raises:
        SourceError: the file can no longer be opened.
    """
    batches = batches.take(np.argsort(batches.position, kind="stable"))
    with closing(open_patched(segment)) as source:
        kinds: dict[int, int] = {}
        for part in decode(source, batches.take(batches.is_control)):
            table = part.table
            for row in np.flatnonzero(table.key_size >= 4).tolist():
                key = table.data[int(table.key_start[row]) + 2 : int(table.key_start[row]) + 4]
                kind = {0: TXN_ABORT, 1: TXN_COMMIT}.get(int.from_bytes(key.tobytes(), "big"))
                if kind is not None:
                    kinds[int(table.batches.position[int(table.batch[row])])] = kind
    facts = segment.facts
    lowest = int(batches.base_offset.min())
    return replace(
        segment,
        regions=RegionMap(segment.regions.size, _carved(segment.regions, batches)),
        runs=_with_runs(segment.runs, batches),
        transactions=_with_transactions(segment.transactions, batches, kinds),
        facts=replace(
            facts,
            last_offset=max(facts.last_offset, int(batches.last_offset.max())),
            first_offset=lowest if facts.first_offset < 0 else min(lowest, facts.first_offset),
        ),
    )


def disbelieve(
    segment: SegmentSurvey,
    batch: BatchTable,
    where: OffsetRange | None,
    code: str,
    message: str,
    verdict: Verdict = Verdict.DUPLICATE,
) -> SegmentSurvey:
    """The survey with one intact batch, a run by itself, no longer believed.

    Args:
        segment: the survey.
        batch: one row.
        where: its true offsets, if they are known.
        code: of the finding that says so.
        message: of it.
        verdict: of its bytes; `DUPLICATE` of what another copy has elsewhere.
    """
    start, stop = int(batch.position[0]), int(batch.stop[0])
    file = segment.segment.file
    finding = Finding(code, file.source, file.path, start, stop, where, message, {"stored": int(batch.base_offset[0])})
    regions: list[Region] = []
    for region in segment.regions:
        if not region.start <= start < region.stop:
            regions.append(region)
            continue
        count = max(int(batch.record_count[0]), 0)
        runs = segment.runs
        for low, high in ((region.start, start), (stop, region.stop)):
            rows = (runs.start >= low) & (runs.stop <= high)
            if low < high:
                named = (
                    OffsetRange(int(runs.first_offset[rows].min()), int(runs.next_offset[rows].max()))
                    if rows.any()
                    else None
                )
                records = int(np.maximum(runs.records[rows], 0).sum())
                regions.append(
                    Region(
                        low,
                        high,
                        region.verdict,
                        int(runs.batches[rows].sum()),
                        records,
                        named,
                        findings=region.findings,
                    )
                )
            if high == start:
                regions.append(Region(start, stop, verdict, 1, count, where, findings=(*region.findings, finding)))
    keep = segment.runs.start != start
    runs = RunTable(**{name: getattr(segment.runs, name)[keep] for name in RUN_COLUMNS})
    facts = replace(
        segment.facts,
        last_offset=int(runs.next_offset.max()) - 1 if len(runs) else -1,
        first_offset=int(runs.first_offset[0]) if len(runs) else -1,
    )
    return replace(
        segment,
        regions=RegionMap(segment.regions.size, regions),
        runs=runs,
        transactions=segment.transactions.take(segment.transactions.position != start),
        findings=(*segment.findings, finding),
        facts=facts,
    )


def _carved(regions: RegionMap, batches: BatchTable) -> Iterator[Region]:
    """The regions with the batches cut out of them as intact ones."""
    wanted = list(zip(batches.position.tolist(), batches.stop.tolist(), strict=True))
    rows = iter(range(len(wanted)))
    row = next(rows, None)
    for region in regions:
        position, low = region.start, None if region.offsets is None else region.offsets.start
        while row is not None and wanted[row][0] < region.stop:
            start, stop = wanted[row]
            first, following = int(batches.base_offset[row]), int(batches.last_offset[row]) + 1
            if position < start:
                yield _rest(region, position, start, low, first)
            if start >= region.start:
                where = OffsetRange(first, following)
                count = max(int(batches.record_count[row]), 0)
                yield Region(start, stop, Verdict.INTACT, 1, count, where, findings=region.findings)
            position, low = max(position, stop), None if low is None else following
            if stop > region.stop:
                break
            row = next(rows, None)
        if position == region.start:
            yield region
        elif position < region.stop:
            yield _rest(region, position, region.stop, low, None if region.offsets is None else region.offsets.stop)


def _rest(region: Region, start: int, stop: int, low: int | None, high: int | None) -> Region:
    """What is left of a region; a file that holds a believed batch is not foreign."""
    where = OffsetRange(low, high) if low is not None and high is not None and low < high else None
    verdict = Verdict.DAMAGED if region.verdict is Verdict.FOREIGN else region.verdict
    ends = stop == region.stop
    return Region(start, stop, verdict, 0, 0, where, region.open_ended and ends, region.findings)


def _with_runs(runs: RunTable, batches: BatchTable) -> RunTable:
    """The runs with one more for each batch."""
    records = np.maximum(batches.record_count, 0).astype(np.int64)
    added = {
        "start": batches.position,
        "stop": batches.stop,
        "first_offset": batches.base_offset,
        "next_offset": batches.last_offset + 1,
        "batches": np.ones(len(batches), np.int64),
        "records": records,
        "control": np.where(batches.is_control, records, 0),
        "absent": np.maximum(batches.last_offset - batches.base_offset + 1 - records, 0),
        "leader_epoch": batches.leader_epoch,
        "max_timestamp": batches.max_timestamp,
        "min_timestamp": np.where(batches.base_timestamp < 0, batches.max_timestamp, batches.base_timestamp),
        "repaired": np.zeros(len(batches), np.bool_),
    }
    order = np.argsort(np.concatenate([runs.start, batches.position]), kind="stable")
    columns = {
        name: np.concatenate([getattr(runs, name), added[name]]).astype(kind)[order]
        for name, kind in RUN_COLUMNS.items()
    }
    return RunTable(**columns)


def _with_transactions(rows: TransactionTable, batches: BatchTable, kinds: Mapping[int, int]) -> TransactionTable:
    added = [
        {
            "kind": kinds.get(int(batches.position[at]), TXN_DATA),
            "producer_id": int(batches.producer_id[at]),
            "producer_epoch": int(batches.producer_epoch[at]),
            "first_offset": int(batches.base_offset[at]),
            "last_offset": int(batches.last_offset[at]),
            "position": int(batches.position[at]),
            "records": 0 if batches.is_control[at] else max(int(batches.record_count[at]), 0),
        }
        for at in np.flatnonzero(batches.is_transactional).tolist()
        if not batches.is_control[at] or int(batches.position[at]) in kinds
    ]
    if not added:
        return rows
    more = TransactionTable.from_rows(added)
    columns = {name: np.concatenate([getattr(rows, name), getattr(more, name)]) for name in TXN_COLUMNS}
    order = np.argsort(columns["first_offset"], kind="stable")
    return TransactionTable(**{name: column[order] for name, column in columns.items()})
