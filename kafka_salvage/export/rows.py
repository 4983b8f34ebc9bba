"""Rows: a plan's lines as batches and records in offset order, in chunks of bounded size.

Strategy: each step's segment is opened with its repairs laid over, and its bytes are read once more, in frames: the CRC of
every batch is computed a second time over the very bytes that are then written or decoded, so that nothing goes out that
changed since it was judged. What cannot be read any more is a `Shortfall`, not an exception: the rest of the line still
comes out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np

from kafka_salvage.errors import SourceError
from kafka_salvage.export.lines import Line, lines_of
from kafka_salvage.export.places import shown
from kafka_salvage.export.receipt import Shortfall
from kafka_salvage.export.selecting import RecordFilter
from kafka_salvage.export.sink import BatchChunk, RecordChunk
from kafka_salvage.plan.plan import TRANSACTION_CODES, Plan, Step, TransactionLabels
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.frames import Frame, FrameSource, frames
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.origin import Origin
from kafka_salvage.scan.records import Outcome, RecordTable, decode, validate
from kafka_salvage.scan.walk import StopReason
from kafka_salvage.source.opening import open_source
from kafka_salvage.source.patched import PatchedSource
from kafka_salvage.source.source import Source

_LABELS = tuple(str(label) for label in TRANSACTION_CODES)
_SKIPPABLE = frozenset({StopReason.CRC_MISMATCH, StopReason.UNREADABLE})
_LEAST = 26
"""Bytes of the smallest batch: one of magic 0 without key and value. Less is what could not be read of a header."""


def open_step(step: Step) -> Source:
    """The step's segment, repairs laid over.

    Raises:
        SourceError: it cannot be opened any more.
    """
    file = step.survey.segment.file
    source = open_source(file.real, file.path)
    patches = [(patch.position, patch.after) for patch in step.survey.patches]
    return PatchedSource(source, patches) if patches else source


def _fall_short(shortfalls: list[Shortfall], step: Step, start: int, stop: int, reason: str) -> None:
    """Tells of bytes; what lies side by side, for the same reason, is one: a file that was exchanged can have millions."""
    file = step.survey.segment.file
    made = Shortfall(file.source, file.path, start, stop, reason)
    last = shortfalls[-1] if shortfalls else None
    if last is not None and last == replace(made, start=last.start, stop=start):
        shortfalls[-1] = replace(made, start=last.start)
    else:
        shortfalls.append(made)


def _frames(source: Source, step: Step, shortfalls: list[Shortfall]) -> Iterator[Frame]:
    """Frames of a step; where the bytes are no longer what they were, goes on behind that batch if its end is known."""
    position = step.start
    while position < step.stop:
        stop = None
        for frame in frames(source, position, step.stop):
            yield frame
            stop = frame.stop or stop
        at, size, why = (position, 0, StopReason.END) if stop is None else (stop.position, stop.size, stop.reason)
        if why is StopReason.END and at >= step.stop:
            return
        end = at + size
        if why not in _SKIPPABLE or size < _LEAST or end > step.stop:  # where the next batch begins is not known
            end = step.stop
        reason = f"these bytes changed or became unreadable after they were checked ({why})"
        if why is StopReason.END:
            reason = "the file has become shorter after it was checked"
        _fall_short(shortfalls, step, at, end, reason)
        position = end


def resolved(source: Source, batches: BatchTable, limits: Limits) -> BatchTable:
    """The batches, with first offset and count of magic-0/1 wrappers filled in by inflating them."""
    wrappers = np.flatnonzero(batches.is_wrapper)
    if not len(wrappers):
        return batches
    inner = BatchTable.concat(seen.batches for seen in validate(source, batches.take(wrappers), limits))
    base, last, count = batches.base_offset.copy(), batches.last_offset.copy(), batches.record_count.copy()
    rows = np.searchsorted(batches.position, inner.position)
    base[rows], last[rows], count[rows] = inner.base_offset, inner.last_offset, inner.record_count
    return batches.replace(base_offset=base, last_offset=last, record_count=count)


def step_batches(step: Step, line: Line, limits: Limits, shortfalls: list[Shortfall]) -> Iterator[BatchChunk]:
    """All batches of a step, in offset order, with their bytes.

    Args:
        step: one of the line's.
        line: tells the fates of transactions.
        limits: bounds of decompression.
        shortfalls: what could not be read again is appended.
    """
    try:
        source = open_step(step)
    except SourceError as error:
        _fall_short(shortfalls, step, step.start, step.stop, error.message)
        return
    with closing(source):
        for frame in _frames(source, step, shortfalls):
            if len(frame.batches):
                here = source if frame.data is None else FrameSource(source, frame)
                batches = resolved(here, frame.batches, limits)
                yield BatchChunk(step, here, batches, line.labels.lookup(batches), frame)


def line_batches(line: Line, limits: Limits, shortfalls: list[Shortfall]) -> Iterator[BatchChunk]:
    """All batches of a line, in offset order; the arguments are those of `step_batches`."""
    for step in line.steps:
        yield from step_batches(step, line, limits, shortfalls)


def chunk_records(
    chunk: BatchChunk,
    labels: TransactionLabels,
    wanted: RecordFilter,
    limits: Limits,
    shortfalls: list[Shortfall],
) -> Iterator[RecordChunk]:
    """Data records of a chunk that the filter wants."""
    batches = chunk.batches.take(wanted.batches(chunk))
    if not len(batches):
        return
    for decoded in decode(chunk.source, batches, limits):
        failed = np.flatnonzero(decoded.outcome != Outcome.OK)
        made = decoded.table.batches
        for row in failed.tolist():
            start, stop = int(made.position[row]), int(made.stop[row])
            reason = decoded.detail.get(row, Outcome(int(decoded.outcome[row])).name.lower())
            _fall_short(shortfalls, chunk.step, start, stop, f"could not be decoded: {reason}")
        table = wanted.records(decoded.table)
        if len(table):
            yield RecordChunk(chunk.step, table, labels.lookup(table.batches))


def labelled(line: Line, records: RecordChunk) -> RecordTable:
    """The records with where they come from."""
    file, verdict = records.step.survey.segment.file, str(records.step.verdict)
    origin = Origin(line.topic, line.partition, shown(file.source), shown(file.path), verdict, records.labels, _LABELS)
    return replace(records.table, origin=origin)


def plan_tables(plan: Plan, limits: Limits | None = None) -> Iterator[RecordTable]:
    """Data records of every line of a plan, line by line, in offset order, each table with its origin.

    The filters of the plan's policy hold, as in a salvage.

    Raises:
        SourceError: bytes that were checked could not be read again.
    """
    bounds = limits or Limits()
    for line in lines_of(plan):
        wanted = RecordFilter(line, plan.policy)
        shortfalls: list[Shortfall] = []
        for chunk in line_batches(line, bounds, shortfalls):
            for records in chunk_records(chunk, line.labels, wanted, bounds, shortfalls):
                yield labelled(line, records)
            refuse_any(shortfalls)
        refuse_any(shortfalls)


def refuse_any(shortfalls: list[Shortfall]) -> None:
    """Raises SourceError for the first of bytes that could not be read again."""
    if shortfalls:
        first = shortfalls[0]
        raise SourceError(f"{first.path}: {first.reason}", source=first.source, where=(first.start, first.stop))
