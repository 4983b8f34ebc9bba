"""Notes: findings that only the view of a whole partition shows."""

from __future__ import annotations

from collections.abc import Sequence

from kafka_salvage.plan.incarnations import Incarnation
from kafka_salvage.plan.leftovers import OVERLAPS
from kafka_salvage.plan.plan import Branch, Step
from kafka_salvage.plan.transactions import Labels
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.runs import ReplicaSurvey
from kafka_salvage.regions.verdict import Finding


def partition_findings(incarnation: Incarnation, labels: Labels, branches: Sequence[Branch]) -> tuple[Finding, ...]:
    """Findings about the partition as a whole."""
    lead = incarnation.lead.replica
    findings: list[Finding] = []
    if incarnation.foreign:
        findings.append(
            _finding(
                "cluster-mismatch",
                lead.source,
                lead.path,
                None,
                f"This copy belongs to cluster {lead.cluster_id}, not to that of the other sources; it is kept apart",
                cluster_id=lead.cluster_id or "",
            )
        )
    findings += [_rival(incarnation, other) for other in incarnation.rivals]
    for branch in branches:
        if branch.kind == "divergent":
            findings += [_overlap(step) for step in branch.steps if step.reason == OVERLAPS]
    unknown = labels.unknown()
    if unknown is not None:
        first, stop, records = unknown
        findings.append(
            _finding(
                "marker-missing",
                lead.source,
                lead.path,
                OffsetRange(first, stop),
                f"The end of the transactions of {records} records between these offsets lies in a hole, or was never written",
                records=records,
            )
        )
    return tuple(findings)


def _rival(incarnation: Incarnation, other: ReplicaSurvey) -> Finding:
    lead, found = incarnation.lead.replica, other.replica
    message = f"The topic id {found.topic_id} is not that of {lead.source} ({lead.topic_id}): another incarnation"
    if incarnation.undecided:
        message += ", and nothing tells which is the current one; --prefer NAME does"
    ids = {"current": lead.topic_id or "", "found": found.topic_id or ""}
    return _finding("topic-id-mismatch", found.source, found.path, None, message, **ids)


def _overlap(step: Step) -> Finding:
    file = step.survey.segment.file
    message = "batches of another file hold other bytes for the same offsets; these are kept apart"
    return Finding("offset-overlap", file.source, file.path, step.start, step.stop, step.offsets, message)


def _finding(
    code: str, source: str, path: str, offsets: OffsetRange | None, message: str, **detail: int | str
) -> Finding:
    return Finding(code, source, path, 0, 0, offsets, message, detail)
