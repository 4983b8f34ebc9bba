"""Gap: why offsets between believed batches are not there, part by part.

Steps, for a gap between two pieces (or before the first, or behind the last):

1. Cut it where a segment file begins: a missing file and a damaged one are two stories.
2. In each part look at the bytes that lie where its batches should be. Regions that name their offsets paint them.
3. What remains is `lost` if damaged bytes lie there, `absent` if compaction or remote storage explains it, else `missing`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from kafka_salvage.plan.piece import Piece
from kafka_salvage.plan.plan import OffsetSpan, Status
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.map import Region
from kafka_salvage.regions.runs import Compaction, SegmentSurvey
from kafka_salvage.regions.shapes import together
from kafka_salvage.regions.verdict import Finding, Verdict

HARMFUL = frozenset(
    {Verdict.DAMAGED, Verdict.UNREADABLE, Verdict.FOREIGN, Verdict.UNDECODABLE, Verdict.SUSPECT, Verdict.UNREAD}
)
"""Verdicts of bytes that may hold what a gap lacks."""

_STATUS = {Verdict.UNDECODABLE: Status.UNDECODABLE, Verdict.SUSPECT: Status.SUSPECT}
GAP_CODES = frozenset({"offset-gap", "segment-missing"})
"""Findings that say that offsets are not there."""

_PRIORITY = (Status.UNDECODABLE, Status.SUSPECT, Status.LOST)


@dataclass(frozen=True, slots=True)
class Ground:
    """The segments that a line was made from, by base offset, and what is known of the partition.

    Attributes:
        segments: those with a number in their name, sorted by it.
        bases: their base offsets.
        compaction: whether gaps without damage mean nothing.
        tiered: what lies below the first segment is in remote storage.
        notes: findings that name offsets: of the copy as a whole, and gaps inside its files.
        source, path: of the copy, for findings of its own.
        ends: highest offset each kind of evidence names, as text, for the reasons.
    """

    segments: tuple[SegmentSurvey, ...]
    bases: tuple[int, ...]
    compaction: Compaction
    tiered: bool
    notes: tuple[Finding, ...]
    source: str = ""
    path: str = ""
    ends: str = ""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a part of a gap lies.

    Attributes:
        segments: files whose batches should be there; none before the first file.
        before: the piece ahead of the gap.
        inside: the gap lies inside one file.
        last: nothing believed and no file comes behind this part.
        end: nothing believed comes behind it, but perhaps an empty file.
    """

    segments: Sequence[SegmentSurvey]
    before: Piece | None
    inside: bool
    last: bool
    end: bool


def explain(ground: Ground, low: int, high: int, before: Piece | None, behind: Piece | None) -> list[OffsetSpan]:
    """Spans that cover ``[low, high)``, where no believed batch lies.

    Args:
        ground: see `Ground`.
        low: first offset of the gap.
        high: one behind it.
        before: the piece that ends at ``low`` (None: nothing before).
        behind: the piece that begins at ``high`` (None: nothing behind).
    """
    spans: list[OffsetSpan] = []
    inside = before is not None and behind is not None and before.segment is behind.segment
    if inside and before is not None:
        harmed = list(_between(before.segment, before, behind))
        if len(harmed) == 1 and _fills(harmed[0], low, high):  # what most damages come to
            where, upper = OffsetRange(low, high), ground.compaction.compacted
            return [OffsetSpan(where, Status.LOST, upper_bound=upper, findings=harmed[0].findings)]
    at = bisect_left(ground.bases, high)
    followed = behind is not None or (at < len(ground.bases) and ground.bases[at] == high)
    for start, stop, segments in _parts(ground, low, high, before, behind):
        harmed = [region for segment in segments for region in _between(segment, before, behind)]
        place = _Place(
            segments, before, inside, last=stop == high and not followed, end=stop == high and behind is None
        )
        spans += _part(ground, start, stop, harmed, place)
    return list(join(spans))


def _fills(region: Region, low: int, high: int) -> bool:
    """Whether a region took exactly these offsets."""
    where = region.offsets
    return where is not None and (where.start, where.stop) == (low, high) and _status(region) is Status.LOST


def _parts(
    ground: Ground, low: int, high: int, before: Piece | None, behind: Piece | None
) -> Iterator[tuple[int, int, list[SegmentSurvey]]]:
    """``(start, stop, segments whose batches should be there)``, cut where files begin."""
    here: list[SegmentSurvey] = [before.segment] if before else []
    if before is not None and behind is not None and before.segment is behind.segment:
        yield low, high, here
        return
    lowest = bisect_left(ground.bases, low) if before else 0
    cursor = low
    for segment in ground.segments[lowest : bisect_left(ground.bases, high)]:
        base = segment.segment.base_offset or 0
        if before is not None and segment is before.segment:
            continue
        if base > cursor:
            yield cursor, base, here
            cursor, here = base, []
        here.append(segment)
    if behind is not None and behind.segment not in here and (behind.segment.segment.base_offset or 0) <= cursor:
        here = [*here, behind.segment]
    yield cursor, high, here


def _between(segment: SegmentSurvey, before: Piece | None, behind: Piece | None) -> Iterator[Region]:
    """Harmful regions of a segment that lie behind ``before`` and ahead of ``behind``."""
    low = before.stop if before is not None and before.segment is segment else 0
    high = behind.start if behind is not None and behind.segment is segment else segment.regions.size
    regions = segment.regions.regions
    for at in range(segment.regions.find(low), len(regions)):
        region = regions[at]
        if region.stop > high:
            break
        if region.verdict in HARMFUL:
            yield region


def _part(ground: Ground, start: int, stop: int, harmed: Sequence[Region], place: _Place) -> list[OffsetSpan]:
    upper = ground.compaction.compacted
    free = [(start, stop)]
    spans: list[OffsetSpan] = []
    for status in _PRIORITY:
        claims = sorted(
            ((r.offsets.start, r.offsets.stop, r) for r in harmed if r.offsets and _status(r) is status),
            key=lambda claim: claim[:2],
        )
        painted, free = _paint(free, claims, status, upper and status is Status.LOST)
        spans += painted
    damaged = [r for r in harmed if _took(r, start, stop)]
    for low, high in free:
        if damaged:
            kinds = {_status(region) for region in damaged}
            status = kinds.pop() if len(kinds) == 1 else Status.LOST
            bound = upper and status is Status.LOST
            spans.append(OffsetSpan(OffsetRange(low, high), status, upper_bound=bound, findings=_findings(damaged)))
        else:
            spans.append(_undamaged(ground, low, high, place))
    spans.sort(key=lambda span: span.offsets)
    open_ended = place.end and any(r.open_ended or r.offsets is None for r in damaged)
    if open_ended and spans and spans[-1].status is Status.LOST:
        spans[-1] = replace(spans[-1], open_ended=True)
    return spans


def _undamaged(ground: Ground, low: int, high: int, place: _Place) -> OffsetSpan:
    where = OffsetRange(low, high)
    notes = tuple(f for f in ground.notes if f.offsets is not None and f.offsets.overlaps(where))
    if not place.segments and place.before is None and ground.tiered:
        return OffsetSpan(where, Status.ABSENT, reason="remote-tier")
    file_gone = any(f.code == "segment-missing" for f in notes)
    if ground.compaction.compacted and place.segments and not place.last and not file_gone:
        return OffsetSpan(where, Status.ABSENT, reason=f"compaction: {ground.compaction.reason}")
    if place.last:
        reason = f"behind the last batch{ground.ends}"
    elif not place.segments:
        reason = "before the first segment"
    else:
        reason = "between batches"
    if not any(f.code in GAP_CODES for f in notes):
        notes = (_gap_finding(ground, where, place, reason), *notes)
    return OffsetSpan(where, Status.MISSING, reason=reason, findings=notes)


def _gap_finding(ground: Ground, where: OffsetRange, place: _Place, reason: str) -> Finding:
    before = place.before
    count = f"{where.size} offset{'s' if where.size != 1 else ''}"
    if place.inside and before is not None:
        file = before.segment.segment.file
        message = f"{count} missing between two batches that touch, on a topic that shows no sign of compaction"
        return Finding("offset-gap", file.source, file.path, before.stop, before.stop, where, message)
    message = f"{count} missing, no bytes are there: {reason}"
    return Finding("segment-missing", ground.source, ground.path, 0, 0, where, message)


def _status(region: Region) -> Status:
    return _STATUS.get(region.verdict, Status.LOST)


def _took(region: Region, start: int, stop: int) -> bool:
    """Whether the region may have held offsets of ``[start, stop)`` that it does not name.

    What is suspect or undecodable speaks for the offsets it names; if they lie elsewhere, its true ones may be here.
    """
    if _status(region) is Status.LOST:
        return not (region.offsets is None and any(f.code == "garbage" for f in region.findings))
    return region.offsets is None or not region.offsets.overlaps(OffsetRange(start, stop))


def _findings(regions: Iterable[Region]) -> Sequence[Finding]:
    return together(region.findings for region in regions)


def _paint(
    free: Sequence[tuple[int, int]], claims: Sequence[tuple[int, int, Region]], status: Status, upper: bool
) -> tuple[list[OffsetSpan], list[tuple[int, int]]]:
    """Gives the claimed parts of ``free`` their status; returns them and what stays free. Both lists are sorted."""
    spans: list[OffsetSpan] = []
    rest: list[tuple[int, int]] = []
    waiting = deque(free)
    for low, high, region in claims:
        while waiting and waiting[0][0] < high:
            begin, end = waiting.popleft()
            if end <= low:
                rest.append((begin, end))
                continue
            if begin < low:
                rest.append((begin, low))
            right = min(end, high)
            where = OffsetRange(max(begin, low), right)
            spans.append(OffsetSpan(where, status, upper_bound=upper, findings=region.findings))
            if right < end:
                waiting.appendleft((right, end))
                break
    return spans, rest + list(waiting)


def cast_doubt(spans: Sequence[OffsetSpan], segments: Iterable[SegmentSurvey]) -> Sequence[OffsetSpan]:
    """The same spans, with what suspect batches name among the missing and the absent, wherever these batches lie."""
    claims = sorted(
        (
            (region.offsets.start, region.offsets.stop, region)
            for segment in segments
            for region in segment.regions.of((Verdict.SUSPECT,))
            if region.offsets
        ),
        key=lambda claim: claim[:2],
    )
    if not claims:
        return spans
    open_spans = [span for span in spans if span.status in (Status.MISSING, Status.ABSENT)]
    if not open_spans:
        return spans
    free = [(span.offsets.start, span.offsets.stop) for span in open_spans]
    painted, rest = _paint(free, claims, Status.SUSPECT, False)
    home = {span.offsets.start: span for span in open_spans}
    starts = sorted(home)
    whole = [span for span in spans if span.status not in (Status.MISSING, Status.ABSENT)]
    for low, high in rest:
        parent = home[starts[bisect_right(starts, low) - 1]]
        whole.append(replace(parent, offsets=OffsetRange(low, high)))
    return sorted([*whole, *painted], key=lambda span: span.offsets)


def join(spans: Iterable[OffsetSpan]) -> Iterator[OffsetSpan]:
    """Neighbours that say the same become one span."""
    group: list[OffsetSpan] = []
    for span in spans:
        if group and not (group[-1].offsets.stop == span.offsets.start and _word(group[-1]) == _word(span)):
            yield _joined(group)
            group = []
        group.append(span)
    if group:
        yield _joined(group)


def _word(span: OffsetSpan) -> tuple[object, ...]:
    return span.status, span.source, span.reason, span.upper_bound


def _joined(group: Sequence[OffsetSpan]) -> OffsetSpan:
    if len(group) == 1:
        return group[0]
    return replace(
        group[-1],
        offsets=OffsetRange(group[0].offsets.start, group[-1].offsets.stop),
        absent=sum(span.absent for span in group),
        findings=together(span.findings for span in group),
    )
