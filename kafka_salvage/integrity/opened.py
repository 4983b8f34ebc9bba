"""OpenedSegment: one judged segment file, to look at from Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from kafka_salvage.regions.map import RegionMap
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.held import HeldBlock, walk_held
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.records import RecordTable, decode
from kafka_salvage.source.opening import open_source
from kafka_salvage.source.patched import PatchedSource
from kafka_salvage.source.source import Source


class OpenedSegment:
    """One segment file with its judgement.

    Attributes:
        survey: the judgement as a value.
    """

    def __init__(self, survey: SegmentSurvey) -> None:
        self.survey = survey

    def __repr__(self) -> str:
        return f"OpenedSegment({self.survey.segment.file.path}, {self.regions!r}, {self.survey.runs!r})"

    @property
    def regions(self) -> RegionMap:
        """The total map: every byte has one verdict."""
        return self.survey.regions

    @property
    def findings(self) -> Sequence[Finding]:
        """What was found, with evidence."""
        return self.survey.findings

    def _source(self) -> Source:
        file = self.survey.segment.file
        patches = [(patch.position, patch.after) for patch in self.survey.patches]
        return PatchedSource(open_source(file.real, file.path), patches)

    def _blocks(self, source: Source) -> Iterator[HeldBlock]:
        for start, stop in zip(self.survey.runs.start.tolist(), self.survey.runs.stop.tolist(), strict=True):
            yield from walk_held(source, start, stop)

    @cached_property
    def batches(self) -> BatchTable:
        """Believed batches in file order, repairs laid over."""
        source = self._source()
        try:
            return BatchTable.concat(block.batches for block in self._blocks(source))
        finally:
            source.close()

    def records(self, limits: Limits | None = None) -> Iterator[RecordTable]:
        """Records of the believed batches as columns, in pieces of bounded size; control records included."""
        source = self._source()
        try:
            for block in self._blocks(source):
                for decoded in decode(source, block.batches, limits, held=block.held):
                    yield decoded.table
        finally:
            source.close()
