"""Cleaning: whether a partition of several copies is compacted, from what each copy shows of it.

Metadata, Kafka's own topics, the cleaner's checkpoint and batches with holes are signs by themselves. Gaps between touching
batches are none where another copy has something: then bytes were cut out there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kafka_salvage.plan.strands import Spans, minus, spans_of, union
from kafka_salvage.regions.runs import Compaction, ReplicaSurvey
from kafka_salvage.regions.together import COORDINATOR_TOPICS

_ENOUGH = 2
"""Gaps that no copy fills: one may be damage."""


def compaction_of(surveys: Sequence[ReplicaSurvey], copies: int) -> Compaction:
    """What is known of the partition.

    Args:
        surveys: its directories, live copies first.
        copies: how many of them are live.
    """
    compacted = [survey for survey in surveys if survey.compaction.compacted]
    if not compacted:
        return surveys[0].compaction
    for survey in compacted:
        if copies < 2 or _has_sign(survey):
            return survey.compaction
    gaps = union(_gaps(survey) for survey in surveys[:copies])
    for survey in surveys[:copies]:
        gaps = minus(gaps, _covered(survey))
    if len(gaps[0]) >= _ENOUGH:
        return compacted[0].compaction
    return Compaction(False, "what one copy lacks between touching batches, another has")


def _has_sign(survey: ReplicaSurvey) -> bool:
    replica = survey.replica
    return (
        survey.compaction.reason.startswith("cluster metadata")
        or replica.topic in COORDINATOR_TOPICS
        or replica.cleaner_offset is not None
        or any(segment.facts.holes for segment in survey.segments)
    )


def _gaps(survey: ReplicaSurvey) -> Spans:
    """Offsets that touching batches leave out."""
    ranges: list[tuple[int, int]] = []
    for segment in survey.segments:
        runs = segment.runs
        low, high = runs.next_offset[:-1], runs.first_offset[1:]
        open_ = (runs.start[1:] == runs.stop[:-1]) & (low < high)
        ranges += list(zip(low[open_].tolist(), high[open_].tolist(), strict=True))
    return spans_of(ranges)


def _covered(survey: ReplicaSurvey) -> Spans:
    tables = [segment.runs for segment in survey.segments if segment.segment.state is survey.replica.state]
    none = np.empty(0, np.int64)
    first = np.concatenate([none, *(runs.first_offset for runs in tables)])
    following = np.concatenate([none, *(runs.next_offset for runs in tables)])
    return spans_of(zip(first.tolist(), following.tolist(), strict=True))
