"""Watch: surveys segments, tells progress, and takes from the journal what an interrupted run had finished."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from kafka_salvage.progress import Progress
from kafka_salvage.regions.context import SegmentContext, SurveyOptions
from kafka_salvage.regions.looking import survey_segment
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.replica import SegmentFile

if TYPE_CHECKING:
    from kafka_salvage.regions.known import Known
    from kafka_salvage.regions.runs import SegmentSurvey

_HARMED = frozenset({Verdict.DAMAGED, Verdict.UNREADABLE, Verdict.UNREAD, Verdict.UNDECODABLE, Verdict.SUSPECT})


class Watch:
    """A judge of segments (see `survey_replica`) that is looked at while it works.

    Args:
        progress: is told bytes, records, damage and loss.
        known: finished surveys; None when nothing is remembered.
    """

    def __init__(self, progress: Progress, known: Known | None = None) -> None:
        self._progress = progress
        self._known = known
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, segment: SegmentFile, context: SegmentContext, options: SurveyOptions) -> SegmentSurvey:
        """Surveys one segment."""
        where = f"{segment.file.source}:{segment.file.path}"
        with self._lock:  # looked at a second time, its bytes, records and losses are counted already
            second = where in self._seen
            self._seen.add(where)
        told, telling = 0, threading.Lock()

        def advance(count: int) -> None:
            nonlocal told
            with telling:  # several threads may be at one segment
                count = min(count, segment.file.size - told)
                told += max(0, count)
            if count > 0 and not second:
                self._progress.advance(count, where)

        def skip(count: int) -> None:
            nonlocal told
            if not second:
                told += count
                self._progress.skip(count, where)

        if self._known is None:
            survey = survey_segment(segment, context, options, advance)
        else:
            survey = self._known.survey(segment, context, options, advance, skip)
        if not second:
            advance(segment.file.size - told)
            self._tell(survey)
        return survey

    def _tell(self, survey: SegmentSurvey) -> None:
        records, (damaged, lost) = int(survey.runs.records.clip(min=0).sum()), survey.regions.harm(_HARMED)
        self._progress.found(records=records, damaged=damaged, lost=lost)
