"""Edges: where the batches of a stretch of a segment begin and end, read again when a plan must cut between them.

Runs are small because they forget their batches. A cut inside a run (an overlap with another file, the log start, a
filter) needs them back; only those few stretches are walked a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.records import validate
from kafka_salvage.scan.walk import walk
from kafka_salvage.source.opening import open_source
from kafka_salvage.source.patched import PatchedSource
from kafka_salvage.source.source import Source

Edges = Callable[[SegmentSurvey, int, int], BatchTable]
"""(segment, start, stop) -> the batches of these bytes, with the offsets of wrappers resolved."""


def open_patched(segment: SegmentSurvey) -> Source:
    """The segment's file with its proved repairs laid over; the caller closes it.

    Raises:
        SourceError: the file can no longer be opened.
    """
    file = segment.segment.file
    source = open_source(file.real, file.path)
    if not segment.patches:
        return source
    return PatchedSource(source, [(patch.position, patch.after) for patch in segment.patches])


def read_blocks(segment: SegmentSurvey, start: int, stop: int) -> Iterator[BatchTable]:
    """Batches in ``[start, stop)`` of the segment, repairs laid over, a few thousand at a time.

    Raises:
        SourceError: the file can no longer be opened.
    """
    with closing(open_patched(segment)) as source:
        for block in walk(source, start, stop):
            table = block.batches
            if len(table) and bool(table.is_wrapper.any()):
                yield from (part.batches for part in validate(source, table))
            elif len(table):
                yield table


def read_edges(segment: SegmentSurvey, start: int, stop: int) -> BatchTable:
    """The same as one table.

    Raises:
        SourceError: the file can no longer be opened.
    """
    return BatchTable.concat(read_blocks(segment, start, stop))


def blocks_of(edges: Edges, segment: SegmentSurvey, start: int, stop: int) -> Iterator[BatchTable]:
    """What ``edges`` gives, piecemeal where it can be had so."""
    if edges is read_edges:
        yield from read_blocks(segment, start, stop)
        return
    yield edges(segment, start, stop)
