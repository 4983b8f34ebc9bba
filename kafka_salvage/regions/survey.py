"""Survey of one copy of a partition: its segments, its side files, and what they say of each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from kafka_salvage import engine
from kafka_salvage.regions.context import SegmentContext, SurveyOptions, is_main
from kafka_salvage.regions.looking import survey_segment, survey_source
from kafka_salvage.scan.replica import Replica, SegmentFile

if TYPE_CHECKING:
    from kafka_salvage.regions.runs import ReplicaSurvey, SegmentSurvey

__all__ = ["SegmentContext", "SurveyOptions", "survey_replica", "survey_segment", "survey_source"]

Judge = Callable[[SegmentFile, SegmentContext, SurveyOptions], "SegmentSurvey"]
"""Surveys one segment; asked again, with another context, for one that must be looked at a second time."""


def survey_replica(
    replica: Replica,
    options: SurveyOptions | None = None,
    progress: Callable[[int], None] | None = None,
    judge: Judge | None = None,
) -> ReplicaSurvey:
    """Judges one copy of one partition.

    Args:
        replica: its files.
        options: choices.
        progress: told of bytes that were passed.
        judge: surveys one segment, from several threads; `survey_segment` with ``progress`` when None.
    """
    options = options or SurveyOptions()
    if judge is None:
        tell = progress or (lambda _: None)

        def judge(segment: SegmentFile, context: SegmentContext, options: SurveyOptions) -> SegmentSurvey:
            return survey_segment(segment, context, options, tell)

    contexts = _contexts(replica)
    one_by_one = judge

    def survey(at: int) -> SegmentSurvey:
        return one_by_one(replica.segments[at], contexts[at], options)

    surveys = list(engine.ordered_map(survey, range(len(replica.segments)), options.jobs))
    from kafka_salvage.regions.together import joined  # imported meanwhile

    return joined(replica, surveys, contexts, options, judge)


def _contexts(replica: Replica) -> list[SegmentContext]:
    """What the other files say, for each segment."""
    bases = sorted({s.base_offset for s in replica.segments if s.base_offset is not None and is_main(s)})
    reached, by = -1, ""
    for offset, name in _checkpoint_ends(replica):
        if offset > reached:
            reached, by = offset, name
    contexts = []
    for segment in replica.segments:
        base = segment.base_offset
        own = base is not None and is_main(segment)
        following = next((b for b in bases if b > base), None) if own and base is not None else None
        last = own and following is None
        contexts.append(
            SegmentContext(
                next_base=following,
                reached=reached if last else -1,
                reached_by=by if last else "",
                epochs=replica.epochs,
            )
        )
    return contexts


def _checkpoint_ends(replica: Replica) -> Iterator[tuple[int, str]]:
    if replica.high_watermark is not None:
        yield replica.high_watermark, "the high watermark checkpoint"
    if replica.recovery_point is not None:
        yield replica.recovery_point, "the recovery point checkpoint"
    if replica.snapshots:
        offset, file = max(replica.snapshots, key=lambda one: one[0])
        yield offset, f"the name of {file.path.rsplit('/', 1)[-1]}"
