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
        yield from _blocks(source, start, stop)


def _blocks(source: Source, start: int, stop: int) -> Iterator[BatchTable]:
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


class Reader:
    """Reads stretches one after the other: the file of the last one stays open.

    Args:
        edges: what reads them.
    """

    def __init__(self, edges: Edges) -> None:
        self._edges = edges
        self._segment: SegmentSurvey | None = None
        self._source: Source | None = None

    def blocks(self, segment: SegmentSurvey, start: int, stop: int) -> Iterator[BatchTable]:
        """As `blocks_of`.

        Raises:
            SourceError: the file can no longer be opened.
        """
        if self._edges is not read_edges:
            yield self._edges(segment, start, stop)
            return
        if self._source is None or segment is not self._segment:
            self.close()
            self._source, self._segment = open_patched(segment), segment
        yield from _blocks(self._source, start, stop)

    def close(self) -> None:
        """Ends it."""
        if self._source is not None:
            self._source.close()
        self._source = self._segment = None
