"""Ledger: every offset of one line has one status, and each range its reason (section 9 of the contract)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from kafka_salvage.plan.bulk import Odd, doubted, spans_in_bulk
from kafka_salvage.plan.gaps import GAP_CODES, Ground, cast_doubt, join
from kafka_salvage.plan.packed import packed_spans, statuses_of
from kafka_salvage.plan.piece import Piece
from kafka_salvage.plan.plan import OffsetSpan, Status
from kafka_salvage.plan.span_columns import together_in_order
from kafka_salvage.plan.spans import absorb, spans_between, trimmed, with_trimmed
from kafka_salvage.plan.timeline import ends_of
from kafka_salvage.regions.compact import Compact
from kafka_salvage.regions.map import Region
from kafka_salvage.regions.runs import Compaction, EndEvidence, ReplicaSurvey, SegmentSurvey
from kafka_salvage.regions.shapes import with_code
from kafka_salvage.regions.verdict import Finding, Verdict
from kafka_salvage.scan.replica import State

REACH = 1 << 31
"""A witness is believed only this near to a believed batch."""

_EXTENDING = frozenset({Verdict.DAMAGED, Verdict.UNREADABLE, Verdict.UNDECODABLE, Verdict.UNREAD})
_REACHING = _EXTENDING | {Verdict.FOREIGN, Verdict.SUSPECT}
_MANY = 32
"""Pieces of a line whose ledger is made at once."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one line of a partition is made from.

    Attributes:
        lead: the copy whose checkpoints speak.
        lead_segments: the segments that form the line by themselves.
        segments: those, and leftovers that gave something.
        pieces: believed batches, in offset order, none overlapping.
        compaction: whether gaps without damage mean nothing.
        home: the state that needs no label.
        tiered: what lies below the first segment is in remote storage.
        floor: lowest offset of leftovers that retention replaced; what lies between it and the line is trimmed.
        misread: the copy's leader epoch checkpoint contradicts its batches.
    """

    lead: ReplicaSurvey
    lead_segments: tuple[SegmentSurvey, ...]
    segments: tuple[SegmentSurvey, ...]
    pieces: Sequence[Piece]
    compaction: Compaction
    home: State
    tiered: bool = False
    floor: int | None = None
    misread: bool = False


@dataclass(frozen=True, slots=True)
class Ledger:
    """The account of one line.

    Attributes:
        spans: contiguous; what lies below the log start is `trimmed`.
        raw: the same as if nothing were trimmed: damage below the log start still parts a transaction from its marker.
        log_start: first offset readers may see.
    """

    spans: Sequence[OffsetSpan]
    raw: Sequence[OffsetSpan]
    log_start: int

    def holes(self, statuses: Iterable[Status]) -> list[tuple[int, int]]:
        """Sorted ranges at or above the log start that have one of these statuses."""
        wanted = frozenset(statuses)
        if not wanted & statuses_of(self.spans):
            return []
        spans = self.spans
        some = spans.of_shape(lambda shape: shape[0] in wanted) if isinstance(spans, Compact) else spans
        found: list[tuple[int, int]] = []
        for span in some:
            if span.status not in wanted:
                continue
            if found and found[-1][1] == span.offsets.start:
                found[-1] = (found[-1][0], span.offsets.stop)
            else:
                found.append((span.offsets.start, span.offsets.stop))
        return found


def make_ledger(line: Line) -> Ledger:
    """The ledger of a line."""
    odd = Odd()
    low, high, ends = _reach(line, odd)
    bases = [(s.segment.base_offset, s) for s in line.segments if s.segment.base_offset is not None]
    bases.sort(key=lambda pair: (pair[0], pair[1].segment.file.source, pair[1].segment.file.path))
    ground = Ground(
        segments=tuple(segment for _, segment in bases),
        bases=tuple(base for base, _ in bases),
        compaction=line.compaction,
        tiered=line.tiered,
        notes=tuple(_notes(line)),
        source=line.lead.replica.source,
        path=line.lead.replica.path,
        ends=f": {ends}" if ends else "",
    )
    log_start = _log_start(line, low)
    bottom = low if line.floor is None else min(low, line.floor)
    if len(line.pieces) >= _MANY:
        return _in_bulk(line, ground, (low, high), bottom, log_start, odd)
    spans = cast_doubt(packed_spans(spans_between(line.pieces, ground, line.home, low, high)), line.segments)
    raw = packed_spans(join(absorb(spans)))
    return Ledger(spans=with_trimmed(raw, spans, bottom, log_start), raw=raw, log_start=log_start)


def _in_bulk(line: Line, ground: Ground, where: tuple[int, int], bottom: int, log_start: int, odd: Odd) -> Ledger:
    """The same for many pieces."""
    spans = doubted(spans_in_bulk(line.pieces, ground, line.home, *where, odd), line.segments, odd)
    raw = spans.joined().settled()
    below = trimmed(bottom, log_start, int(spans.stop[-1]))
    if below is None:
        return Ledger(spans=raw, raw=raw, log_start=log_start)
    above = spans.above(log_start).joined()
    first = above.shapes.columns([below])
    return Ledger(together_in_order([(first.start, first), (above.start, above)]).settled(), raw, log_start)


def _notes(line: Line) -> Iterator[Finding]:
    """Findings that may say why offsets are not there: those of the copy, and gaps that a file's judge saw."""
    yield from (finding for finding in line.lead.findings if finding.offsets is not None)
    for segment in line.segments:
        yield from (f for f in with_code(segment.findings, GAP_CODES) if f.offsets is not None)


def _reach(line: Line, odd: Odd) -> tuple[int, int, str]:
    """``(low, high, what named the high end)`` of the ledger."""
    bases = [s.segment.base_offset for s in line.lead_segments if s.segment.base_offset is not None]
    ends = ends_of(line.pieces)
    if ends is not None:  # in offset order
        low, high = ends[0].first, ends[1].next
    elif not bases and not line.lead.ends:
        return 0, 0, ""
    else:
        low = high = min(bases) if bases else line.lead.log_start or 0
    near_low, near_high = low, high
    for segment in line.segments:
        for region in _outside(segment, low, high, odd):
            where = region.offsets
            # a suspect batch may be anywhere; it belongs to the line where it goes on from what is there
            doubted = region.verdict is Verdict.SUSPECT and where is not None and low <= where.start <= high
            if where is None or not (doubted or region.verdict is not Verdict.SUSPECT):
                continue
            if near_low - REACH < where.start and where.stop < near_high + REACH:
                low, high = min(low, where.start), max(high, where.stop)
    low = min([low, *_starts(line, near_low)])
    witnesses = [e for e in _witnesses(line) if near_high - REACH < e.offset < near_high + REACH]
    furthest = max((e.offset for e in witnesses), default=high)
    named = sorted({f"{e.kind} {e.offset}" for e in witnesses if e.offset > high})
    if furthest <= high:
        furthest = high + _unnamed_tail(line, odd)
    return low, max(high, furthest), ", ".join(named)


def _outside(segment: SegmentSurvey, low: int, high: int, odd: Odd) -> Iterable[Region]:
    """Regions that may move an end of ``[low, high)``; of a few all."""
    regions = segment.regions
    if not isinstance(regions.regions, Compact):
        return regions.of(_REACHING)
    named = odd.of(segment)
    beyond = named.named & ((named.first < low) | (named.next > high)) & named.having(_REACHING)
    return (regions.regions[regions.find(start)] for start in named.start[beyond].tolist())


def _behind(segment: SegmentSurvey, position: int, odd: Odd) -> list[Region]:
    """Regions from a position on; none where all of them are plain."""
    regions = segment.regions
    if isinstance(regions.regions, Compact) and not bool((odd.of(segment).start >= position).any()):
        return []
    return list(regions.regions[regions.find(position) :])


def _starts(line: Line, near: int) -> list[int]:
    """Where witnesses say that the line begins."""
    starts = []
    if line.lead.replica.partial:
        pass
    elif line.lead.log_start is not None:
        starts.append(line.lead.log_start)
    elif line.lead.replica.epochs and not line.misread:
        starts.append(line.lead.replica.epochs[0][1])
    ends = ends_of(line.pieces)
    first = ends[0] if ends is not None else None
    for segment in line.lead_segments if first is not None else ():
        base = segment.segment.base_offset
        if base is None or first is None or base >= first.first:
            continue
        if line.compaction.compacted:
            starts.append(base)  # what was cleaned away at the head of the log; a file keeps its name
        elif any(not _garbage(r.findings) for r in _head(segment, first)):
            starts.append(base)
    return [start for start in starts if near - REACH < start]


def _head(segment: SegmentSurvey, first: Piece) -> Iterator[Region]:
    """Damaged regions of a segment ahead of the first piece."""
    stop = first.start if segment is first.segment else segment.regions.size
    return takewhile(lambda region: region.stop <= stop, segment.regions.of(_EXTENDING))


def _witnesses(line: Line) -> list[EndEvidence]:
    """What says how far the line reached; of single files only what speaks of those files."""
    if not line.lead.replica.partial:
        return [*line.lead.ends, *_names(line)]
    own = {s.segment.index.path for s in line.lead_segments if s.segment.index is not None}
    return [*(end for end in line.lead.ends if end.path in own), *_names(line)]


def _names(line: Line) -> list[EndEvidence]:
    """The name of a segment says that the log had reached it; a foreign file's says nothing."""
    return [
        EndEvidence(s.segment.base_offset, "segment name", s.segment.file.path)
        for s in line.lead_segments
        if s.segment.base_offset is not None and not any(s.regions.of((Verdict.FOREIGN,)))
    ]


def _garbage(findings: Iterable[Finding]) -> bool:
    return any(finding.code == "garbage" for finding in findings)


def _unnamed_tail(line: Line, odd: Odd) -> int:
    """How many offsets, at least, bytes behind the last believed batch took that name none."""
    ends = ends_of(line.pieces)
    if ends is None:
        tail = [region for segment in line.lead_segments for region in segment.regions]
    else:
        last = ends[1]
        tail = _behind(last.segment, last.stop, odd)
        base = last.segment.segment.base_offset
        for segment in line.lead_segments:
            other = segment.segment.base_offset
            if base is not None and other is not None and other > base and other >= last.next:
                tail += segment.regions
    harmed = [r for r in tail if r.verdict in _EXTENDING and not _garbage(r.findings)]
    if harmed:
        return int(any(r.offsets is None for r in harmed))
    doubted = [r for r in tail if r.verdict is Verdict.SUSPECT and r.offsets is None]
    return max(1, sum(r.records for r in doubted)) if doubted else 0


def _log_start(line: Line, low: int) -> int:
    """The highest one confirmed by a checkpoint, otherwise where the range begins."""
    confirmed, ends = line.lead.log_start, ends_of(line.pieces)
    return confirmed if confirmed is not None and (ends is None or confirmed <= ends[1].next) else low
