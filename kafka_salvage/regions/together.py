"""Together: what the segments of one copy, each looked at by itself, and its side files say of each other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.check_epochs import epochs_around
from kafka_salvage.regions.check_indexes import finding_of
from kafka_salvage.regions.context import Place, SegmentContext, SurveyOptions, is_main
from kafka_salvage.regions.orphans import missing_files, orphan_ends
from kafka_salvage.regions.runs import Compaction, EndEvidence, ReplicaSurvey, SegmentSurvey
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.replica import Replica, SegmentFile, State
from kafka_salvage.scan.sidecars import load_snapshot

COORDINATOR_TOPICS = frozenset({"__consumer_offsets", "__transaction_state", "__share_group_state"})
"""Kafka's own topics that are always compacted."""
GAPS_ALONE = "other touching batches leave gaps, too"
"""Why a topic counts as compacted that shows no other sign of a cleaning."""


def joined(
    replica: Replica,
    surveys: list[SegmentSurvey],
    contexts: Sequence[SegmentContext],
    options: SurveyOptions,
    judge: Callable[[SegmentFile, SegmentContext, SurveyOptions], SegmentSurvey],
) -> ReplicaSurvey:
    """The survey of a copy from those of its segments.

    Args:
        replica: its files.
        surveys: of its segments, in their order; those that must be judged again are replaced.
        contexts: what was told when they were judged.
        options: choices.
        judge: surveys one segment.
    """
    compaction = decide_compaction(replica, surveys, options)
    for at, context in _second_looks(replica, surveys, contexts, compaction.compacted).items():
        surveys[at] = judge(replica.segments[at], context, options)
    findings = [finding_of(fact) for fact in replica.facts]
    findings += [finding_of(fact) for _, file in replica.snapshots for fact in load_snapshot(file).facts]
    surveys = [_name_gaps(one, compaction) for one in surveys]
    findings += _missing_segments(replica, surveys, compaction)
    log_start, stale = _log_start(replica, surveys)
    findings += stale
    return ReplicaSurvey(
        replica=replica,
        segments=tuple(surveys),
        findings=tuple(findings),
        compaction=compaction,
        ends=tuple(_ends(replica, surveys, contexts)),
        log_start=log_start,
    )


def _second_looks(
    replica: Replica, surveys: Sequence[SegmentSurvey], contexts: Sequence[SegmentContext], compacted: bool
) -> dict[int, SegmentContext]:
    """Segments that must be judged again, now that all of them were seen, and what is told of them then."""
    again = {
        at: replace(contexts[at], compacted=False)
        for at, one in enumerate(surveys)
        if _is_unsure(one) and not compacted
    }
    own = [at for at, segment in enumerate(replica.segments) if is_main(segment)]
    around = epochs_around([(surveys[at].runs.leader_epoch, surveys[at].runs.batches) for at in own])
    for place, (low, high) in around.items():
        context = again.get(own[place]) or replace(contexts[own[place]], compacted=compacted)
        again[own[place]] = replace(context, epoch_low=low, epoch_high=high)
    return dict(sorted(again.items()))


def _is_unsure(survey: SegmentSurvey) -> bool:
    """Whether the judgement depends on what gaps between batches mean."""
    return survey.facts.jump or survey.facts.loose > 0


def decide_compaction(replica: Replica, surveys: Sequence[SegmentSurvey], options: SurveyOptions) -> Compaction:
    """Whether gaps between batches mean nothing, and which sign says so."""
    told = options.compacted.get(replica.key)
    if told:
        return Compaction(True, "cluster metadata says so")
    if replica.topic in COORDINATOR_TOPICS:
        return Compaction(True, "a coordinator topic")
    if replica.cleaner_offset is not None:
        return Compaction(True, "the cleaner checkpoint lists the partition")
    if any(one.facts.holes for one in surveys):
        return Compaction(True, "batches show holes, emptiness or a delete horizon")
    if told is not None:  # signs of a cleaning that the policy of today does not know of weigh more
        return Compaction(False, "cluster metadata says so")
    # what this decides about is no sign by itself
    pairs = sum(max(0, one.facts.gap_pairs - one.facts.jump - one.facts.loose) for one in surveys)
    jumps = sum(one.facts.jump or one.facts.loose > 0 for one in surveys)
    if pairs > 1 or (pairs == 1 and jumps):
        return Compaction(True, GAPS_ALONE)
    return Compaction(False, "no batch shows a sign of compaction")


def _name_gaps(survey: SegmentSurvey, compaction: Compaction) -> SegmentSurvey:
    """Findings of gaps between touching batches where compaction does not explain them."""
    if compaction.compacted or not survey.facts.gaps:
        return survey
    place = Place.of(survey.segment)
    found = [
        place.finding(
            "offset-gap",
            position,
            position,
            f"offsets {low}..{high - 1} are missing between two batches that touch",
            OffsetRange(low, high),
        )
        for position, low, high in survey.facts.gaps
    ]
    return replace(survey, findings=(*survey.findings, *found))


def _missing_segments(replica: Replica, surveys: Iterable[SegmentSurvey], compaction: Compaction) -> Iterator[Finding]:
    """Files that an index without a log proves; without compaction also gaps between files that show no damage there."""
    if compaction.compacted:
        yield from missing_files(replica)
        return
    live = [s for s in surveys if is_main(s.segment) and s.segment.base_offset is not None]
    for before, behind in itertools.pairwise(live):
        low, high = before.facts.last_offset + 1, behind.segment.base_offset or 0
        regions = before.regions.regions
        harmed = bool(regions) and regions[-1].offsets is not None and regions[-1].offsets.stop >= high
        if 0 < low < high and not harmed:
            file = behind.segment.file
            message = f"offsets {low}..{high - 1} are in no file between {before.segment.file.path} and {file.path}"
            yield Finding("segment-missing", file.source, file.path, 0, 0, OffsetRange(low, high), message)


def _ends(
    replica: Replica, surveys: Sequence[SegmentSurvey], contexts: Sequence[SegmentContext]
) -> Iterator[EndEvidence]:
    """Everything that says how far the log reached."""
    if replica.high_watermark is not None:
        yield EndEvidence(replica.high_watermark, "high-watermark", "replication-offset-checkpoint")
    if replica.recovery_point is not None:
        yield EndEvidence(replica.recovery_point, "recovery-point", "recovery-point-offset-checkpoint")
    if replica.snapshots:
        offset, file = max(replica.snapshots, key=lambda one: one[0])
        yield EndEvidence(offset, "snapshot-name", file.path)
    for one, context in zip(surveys, contexts, strict=True):
        if one.facts.index_last is None or one.segment.index is None or not is_main(one.segment):
            continue
        end = one.facts.index_last[0] + 1
        if context.next_base is None or end <= context.next_base:
            yield EndEvidence(end, "index-entry", one.segment.index.path)
    yield from orphan_ends(replica)
    if replica.epochs:
        yield EndEvidence(max(start for _, start in replica.epochs), "epoch-start", "leader-epoch-checkpoint")


def _log_start(replica: Replica, surveys: Sequence[SegmentSurvey]) -> tuple[int | None, list[Finding]]:
    """The checkpointed log start, unless it lies above everything that is there."""
    start = replica.log_start
    if start is None:
        return None, []
    highest = max((one.facts.last_offset for one in surveys), default=-1)
    bases = [one.segment.base_offset for one in surveys if one.segment.base_offset is not None]
    empty_at = max(bases, default=-1)
    if start <= max(highest + 1, empty_at) or replica.state is not State.LIVE:
        return start, []
    message = f"log start {start} lies above every offset that is there ({highest}): a broker start deletes the whole partition"
    finding = Finding(
        "checkpoint-corrupt",
        replica.source,
        "log-start-offset-checkpoint",
        0,
        0,
        None,
        message,
        {"log_start": start, "highest": highest, "topic": replica.topic, "partition": replica.partition},
    )
    return None, [finding]
