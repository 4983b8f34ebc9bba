"""Looking: a segment file opened and walked, then judged by the rules (see `segment`), which are imported meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kafka_salvage.errors import SourceError
from kafka_salvage.regions import stretches
from kafka_salvage.regions.context import Place, SegmentContext, SurveyOptions
from kafka_salvage.regions.ground import Ground
from kafka_salvage.regions.index import Index, read_index
from kafka_salvage.scan.replica import SegmentFile
from kafka_salvage.source.opening import open_source
from kafka_salvage.source.source import Source

if TYPE_CHECKING:
    from kafka_salvage.regions.runs import SegmentSurvey


def _nothing(_: int) -> None:
    pass


def survey_segment(
    segment: SegmentFile,
    context: SegmentContext | None = None,
    options: SurveyOptions | None = None,
    progress: Callable[[int], None] = _nothing,
) -> SegmentSurvey:
    """Judges one segment file.

    Args:
        segment: the file and its indexes.
        context: what the other files of the copy say.
        options: choices.
        progress: told of bytes that were passed.

    Returns:
        Its survey; a file that cannot be opened is one unread region.
    """
    context, options = context or SegmentContext(), options or SurveyOptions()
    try:
        source = open_source(segment.file.real, segment.file.path)
    except SourceError as error:
        return _unopened(segment, error)
    try:
        return survey_source(source, segment, context, options, progress)
    finally:
        source.close()


def _unopened(segment: SegmentFile, error: SourceError) -> SegmentSurvey:
    from kafka_salvage.regions.map import Region, RegionMap
    from kafka_salvage.regions.runs import RunTable, SegmentFacts, SegmentSurvey, TransactionTable
    from kafka_salvage.regions.verdict import Verdict

    size = segment.file.size
    finding = Place.of(segment).finding("unreadable", 0, size, error.message, opened=False)
    regions = RegionMap(size, [Region(0, size, Verdict.UNREAD, findings=(finding,))] if size else [])
    facts = SegmentFacts(0, "unreadable", False, 0, False, 0, None, -1)
    return SegmentSurvey(
        segment, regions, RunTable.from_rows([]), TransactionTable.from_rows([]), (), (finding,), facts
    )


def survey_source(
    source: Source,
    segment: SegmentFile,
    context: SegmentContext,
    options: SurveyOptions,
    progress: Callable[[int], None] = _nothing,
    *,
    index: Index | None = None,
) -> SegmentSurvey:
    """Judges the bytes of one segment; the arguments are as for `survey_segment`, with its `.index` if it was read."""
    index = read_index(segment) if index is None else index
    ground = Ground(source, segment.base_offset or 0, options.limits, (index.positions, index.offsets))
    told = _nothing if options.deep else progress  # records take longer than walking past them
    seen = stretches.follow(ground, told, decoded=options.deep)
    from kafka_salvage.regions.segment import survey_of

    return survey_of(seen, ground, segment, context, options, progress, index)
