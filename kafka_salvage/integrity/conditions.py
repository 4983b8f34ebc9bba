"""Conditions: which exit codes hold for a plan (section 4 of the contract).

What counts:

- `LOSS` (3): an offset of the selection is lost, missing or suspect, or undecodable for another reason than a codec that
  is not installed. A torn tail is an offset lost. So are those of a partition that a broker among the sources should have by the
  cluster's metadata, with all its disks here, and of which there is no copy: nobody knows how many.
- `AMBIGUOUS` (4): copies disagree and nothing decides.
- `FAILED` (5): a segment file could not be opened at all, or a codec is not installed (install it and run again).
- `COVERED` (6): bytes that are neither intact nor blank; output leans on leftovers; another file holds other bytes for the
  same offsets; or a finding that is not harmless. Harmless are a missing index (a broker rebuilds it) and what says so of itself
  (``detail["harmless"]``: a preallocated index, a tail that is merely behind).

Findings count where output comes from: in the line's own files and in leftovers that gave something. What retention,
compaction or a deletion on purpose left behind, unused, leaves the exit code alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kafka_salvage.integrity.clusters import absences
from kafka_salvage.integrity.numbering import fact_findings
from kafka_salvage.plan.packed import homes_of, segments_of, statuses_of
from kafka_salvage.plan.plan import OffsetSpan, PartitionPlan, Plan, Status
from kafka_salvage.plan.policy import Include, Selection
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.compact import Compact
from kafka_salvage.regions.runs import ReplicaSurvey, SegmentSurvey
from kafka_salvage.regions.shapes import kinds_of, pointed
from kafka_salvage.regions.verdict import Finding, Verdict
from kafka_salvage.scan.replica import Use
from kafka_salvage.wire.filenames import FileKind

INTACT, LOSS, AMBIGUOUS, FAILED, COVERED = 0, 3, 4, 5, 6

PRECEDENCE = (FAILED, AMBIGUOUS, LOSS, COVERED)
"""When several hold, the first of these is the exit code."""

OUTCOME = {INTACT: "intact", COVERED: "covered", LOSS: "loss", AMBIGUOUS: "ambiguous", FAILED: "failed"}

_ODD = frozenset(Verdict) - {Verdict.INTACT, Verdict.BLANK}
HARMLESS = frozenset({"index-missing"})
"""Codes of findings that are no damage."""


def conditions_of(plan: Plan) -> list[int]:
    """Exit codes that hold, sorted; empty when all is intact."""
    found: set[int] = set()
    for partition in plan.partitions:
        if partition.selected:
            found |= _of_partition(partition, plan)
    if any(absence.gone for absence in absences(plan, [s for p in plan.partitions for s in p.replicas])):
        found.add(LOSS)
    if _not_opened(plan):
        found.add(FAILED)
    if any(_harmful(finding.code, finding.detail) for finding in fact_findings(plan.inventory)):
        found.add(COVERED)
    side = (FileKind.OFFSET_CHECKPOINT, FileKind.META_PROPERTIES, FileKind.EPOCH_CHECKPOINT, FileKind.PRODUCER_SNAPSHOT)
    if any(file.use is Use.UNREADABLE and file.kind in side for file in plan.inventory.files):
        found.add(COVERED)
    return sorted(found)


def exit_code(conditions: Sequence[int]) -> int:
    """The exit code of several conditions."""
    return next((code for code in PRECEDENCE if code in conditions), INTACT)


def selected_spans(partition: PartitionPlan, selection: Selection) -> Iterator[OffsetSpan]:
    """Ranges of the ledger that reach into the selected offsets."""
    for span in partition.ledger:
        if selection.from_offset is not None and span.offsets.stop <= selection.from_offset:
            continue
        if selection.to_offset is not None and span.offsets.start >= selection.to_offset:
            continue
        yield span


def _of_partition(partition: PartitionPlan, plan: Plan) -> set[int]:
    found: set[int] = set()
    selection = plan.policy.selection
    everything = selection.from_offset is None and selection.to_offset is None
    suspect = Include.SUSPECT in plan.policy.include
    if everything:
        statuses = statuses_of(partition.ledger)
        found = found.union(*(_of_status(status, suspect) for status in statuses))
        spans = _undecodable(partition.ledger) if Status.UNDECODABLE in statuses else ()
    else:
        spans = selected_spans(partition, selection)
    for span in spans:
        found |= _of_span(span, suspect)
    if partition.leans_on_leftovers or any(branch.kind == "divergent" for branch in partition.branches):
        found.add(COVERED)
    if partition.needs_choice:
        found.add(AMBIGUOUS)
    groups = counted_findings(partition)
    if everything:
        kinds = kinds_of(groups)
    else:
        kinds = ((f.code, f.detail) for group in groups for f in group if _inside(f, selection))
    found = found.union(*(_of_finding(code, detail) for code, detail in kinds))
    if any(_odd(segment, selection) for segment in counted_segments(partition)):
        found.add(COVERED)
    return found


def _undecodable(spans: Sequence[OffsetSpan]) -> Iterator[OffsetSpan]:
    """Ranges of a ledger whose findings matter."""
    some = spans.of_shape(lambda shape: shape[0] is Status.UNDECODABLE) if isinstance(spans, Compact) else spans
    return (span for span in some if span.status is Status.UNDECODABLE)


def _of_finding(code: str, detail: Mapping[str, Any]) -> set[int]:
    """What a finding that counts means."""
    found = {COVERED} if _harmful(code, detail) else set()
    if code == "codec-missing" or (code == "unreadable" and detail.get("opened") is False):
        found.add(FAILED)
    return found


def _of_span(span: OffsetSpan, suspect_included: bool) -> set[int]:
    if span.status is Status.UNDECODABLE:
        codec = span.findings and all(finding.code == "codec-missing" for finding in span.findings)
        return {FAILED} if codec else {LOSS}
    return _of_status(span.status, suspect_included)


def _of_status(status: Status, suspect_included: bool) -> set[int]:
    """What a range means whose findings do not matter."""
    match status:
        case Status.LOST | Status.MISSING:
            return {LOSS}
        case Status.SUSPECT:
            return {COVERED} if suspect_included else {LOSS}
        case Status.AMBIGUOUS:
            return {AMBIGUOUS}
        case Status.REPAIRED | Status.DIVERGENT:
            return {COVERED}
    return set()


def counted_findings(partition: PartitionPlan) -> Iterator[Sequence[Finding]]:
    """Findings of what the partition's line comes from, in groups."""
    yield partition.findings
    yield from pointed(partition.ledger)
    used = {id(segment) for segment in segments_of(partition.line)}
    for place, survey in enumerate(partition.replicas):
        if place == 0 or _is_copy(partition, survey) or any(id(segment) in used for segment in survey.segments):
            yield survey.findings
    for segment in counted_segments(partition):
        yield segment.findings
        yield from pointed(segment.regions.regions)


def counted_segments(partition: PartitionPlan) -> Iterator[SegmentSurvey]:
    """Segments that the partition's line comes from, and those of copies that were passed over."""
    used = {id(segment) for segment in segments_of(partition.line)}
    homes = homes_of(partition.line) or {partition.state}
    for place, survey in enumerate(partition.replicas):
        own = place == 0 or _is_copy(partition, survey)
        for segment in survey.segments:
            state = segment.segment.state
            if id(segment) in used or (own and (state is survey.replica.state or state in homes)):
                yield segment


def _is_copy(partition: PartitionPlan, survey: ReplicaSurvey) -> bool:
    """Whether it is one of several live copies: what is said of them counts, whatever is taken from which."""
    replica = survey.replica
    return any((share.source, share.path) == (replica.source, replica.path) for share in partition.shares)


def _odd(segment: SegmentSurvey, selection: Selection) -> bool:
    """Whether some selected bytes are neither intact nor blank."""
    regions = segment.regions.regions
    if isinstance(regions, Compact) and not any(shape[0] in _ODD for shape in regions.all_shapes()):
        return False
    if selection.from_offset is None and selection.to_offset is None:
        return isinstance(regions, Compact) or any(region.verdict in _ODD for region in regions)
    return any(_reaches(region.offsets, selection) for region in segment.regions.of(_ODD))


def _inside(finding: Finding, selection: Selection) -> bool:
    """Whether a finding may concern selected offsets."""
    return _reaches(finding.offsets, selection)


def _reaches(where: OffsetRange | None, selection: Selection) -> bool:
    """Whether a range of offsets reaches into the selection; an unknown one does."""
    if where is None:
        return True
    low, high = selection.from_offset, selection.to_offset
    return (low is None or where.stop > low) and (high is None or where.start < high)


def _harmful(code: str, detail: Mapping[str, Any]) -> bool:
    return code not in HARMLESS and detail.get("harmless") is not True


def _not_opened(plan: Plan) -> bool:
    """Whether a segment file of the selection could not be opened."""
    refused = {
        (file.source, file.path)
        for file in plan.inventory.files
        if file.use is Use.UNREADABLE and file.kind is FileKind.SEGMENT
    }
    if not refused:
        return False
    known = {True: set[tuple[str, str]](), False: set[tuple[str, str]]()}
    for partition in plan.partitions:
        files = (segment.segment.file for survey in partition.replicas for segment in survey.segments)
        known[partition.selected] |= {(file.source, file.path) for file in files}
    selection = plan.policy.selection
    if selection.topics or selection.topic_regex is not None or selection.partition is not None:
        return bool(refused & known[True])
    return bool(refused - (known[False] - known[True]))
