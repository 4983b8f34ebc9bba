"""Overlay: one ledger over several copies. What no copy gives is what the best informed of them says of it.

Where no piece of the line lies, each copy tells by its own ledger what became of these offsets there. The first that holds:
ambiguous; absent (a copy whose batches touch there shows that compaction removed them); undecodable; suspect; lost; missing;
absent between two files of a copy, which a file that was removed would look like, too. What only a losing branch has beyond the
end of the line is divergent. A copy that merely ends earlier says nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from kafka_salvage.plan.gaps import GAP_CODES, join
from kafka_salvage.plan.ledger import Ledger
from kafka_salvage.plan.packed import packed_spans
from kafka_salvage.plan.piece import Piece
from kafka_salvage.plan.plan import OffsetSpan, Status
from kafka_salvage.plan.spans import absorb, span_of, with_trimmed
from kafka_salvage.plan.strands import EMPTY, Spans, Strand, clipped, inside, minus, spans_of
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.shapes import together
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.replica import State
from kafka_salvage.vector.distinct import distinct

_GIVEN = (Status.RECOVERED, Status.REPAIRED)
_ORDER = (
    (Status.ABSENT, False),
    (Status.UNDECODABLE, False),
    (Status.SUSPECT, False),
    (Status.LOST, False),
    (Status.MISSING, False),
    (Status.ABSENT, True),
)
"""Statuses, and whether nothing but the end of a file says so, by the weight of the word."""


@dataclass(frozen=True, slots=True, eq=False)
class Testimony:
    """What one copy says of the line.

    Attributes:
        raw: its own ledger, as if nothing were trimmed.
        cut: its word counts below this offset only.
        covered: offsets in its believed batches' own ranges.
        log_start: confirmed by a checkpoint; None when none is.
        between: offsets between the last batch of a file and the name of the next.
    """

    raw: Sequence[OffsetSpan]
    cut: int
    covered: Spans
    log_start: int | None
    between: Spans = EMPTY
    starts: tuple[int, ...] = field(default=())

    @classmethod
    def of(cls, raw: Sequence[OffsetSpan], cut: int, strand: Strand) -> Testimony:
        """With its spans ready to be looked up."""
        starts = tuple(span.offsets.start for span in raw)
        return cls(raw, cut, strand.covered(), strand.survey.log_start, between_files(strand), starts)

    def at(self, offset: int) -> OffsetSpan | None:
        """Its word on an offset."""
        if offset >= self.cut:
            return None
        place = bisect_right(self.starts, offset) - 1
        span = self.raw[place] if place >= 0 else None
        return span if span is not None and offset < span.offsets.stop else None

    @property
    def low(self) -> int | None:
        """Where its word begins."""
        return self.starts[0] if self.starts and self.starts[0] < self.cut else None

    @property
    def high(self) -> int | None:
        """Where it ends."""
        return min(self.raw[-1].offsets.stop, self.cut) if self.low is not None else None


def between_files(strand: Strand) -> Spans:
    """Offsets between the last batch of each file of a copy and the name of the next: a whole file may have stood there."""
    bases = sorted(s.segment.base_offset for s in strand.segments if s.segment.base_offset is not None)
    ranges = []
    for before, behind in pairwise(strand.pieces):
        if before.segment is not behind.segment and before.next < behind.first:
            at = bisect_right(bases, behind.first) - 1
            ranges.append((before.next, bases[at] if at >= 0 else before.next))
    return spans_of(ranges)


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """What a ledger over copies is made from.

    Attributes:
        testimonies: one per copy.
        pieces: the line, in offset order.
        ambiguous: offsets at which copies disagree and nothing decides.
        doubts: findings that say so.
        lost_branches: offsets of losing branches.
        branch_findings: findings that say so.
        home: the state that needs no label.
        source, path: of the copy that speaks for the partition, for findings of its own.
        floor: lowest offset of leftovers that retention replaced.
    """

    testimonies: Sequence[Testimony]
    pieces: Sequence[Piece]
    ambiguous: Spans
    doubts: tuple[Finding, ...]
    lost_branches: Spans
    branch_findings: tuple[Finding, ...]
    home: State
    source: str
    path: str
    floor: int | None = None


def lay_over(overlay: Overlay) -> Ledger:
    """The ledger of a line that several copies give."""
    low, high = _reach(overlay)
    spans: list[OffsetSpan] = []
    cursor = low
    for piece in overlay.pieces:
        if piece.first > cursor:
            spans += _hole(overlay, cursor, piece.first)
        spans.append(span_of(piece, overlay.home))
        cursor = piece.next
    if high > cursor:
        spans += _hole(overlay, cursor, high)
    spans += _beyond(overlay, max(cursor, high))
    end = overlay.pieces[-1].next if overlay.pieces else high
    starts = [t.log_start for t in overlay.testimonies if t.log_start is not None and t.log_start <= end]
    log_start = max(starts, default=low)
    raw = packed_spans(join(absorb(spans)))
    bottom = low if overlay.floor is None else min(low, overlay.floor)
    return Ledger(spans=with_trimmed(raw, spans, bottom, log_start), raw=raw, log_start=log_start)


def _reach(overlay: Overlay) -> tuple[int, int]:
    lows = [t.low for t in overlay.testimonies if t.low is not None]
    highs = [t.high for t in overlay.testimonies if t.high is not None]
    lows += [overlay.pieces[0].first] if overlay.pieces else []
    highs += [overlay.pieces[-1].next] if overlay.pieces else []
    if not lows:
        return 0, 0
    doubted = overlay.ambiguous[1].tolist()
    return min(lows), max([*highs, *doubted])


def _hole(overlay: Overlay, low: int, high: int) -> Iterator[OffsetSpan]:
    """Spans that cover ``[low, high)``, where no piece lies."""
    edges = [np.array([low, high], np.int64), *overlay.ambiguous]
    for each in overlay.testimonies:
        named = each.raw[max(bisect_right(each.starts, low) - 1, 0) : bisect_right(each.starts, high)]
        edges += [np.array([(s.offsets.start, s.offsets.stop) for s in named], np.int64).ravel()]
        edges += [*clipped(each.covered, low, high), *clipped(each.between, low, high), np.array([each.cut], np.int64)]
    cuts = distinct(*edges)
    cuts = cuts[(cuts >= low) & (cuts <= high)]
    doubted = inside(cuts, overlay.ambiguous).tolist()
    covered = [inside(cuts, each.covered).tolist() for each in overlay.testimonies]
    between = [inside(cuts, each.between).tolist() for each in overlay.testimonies]
    for at, (start, stop) in enumerate(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)):
        where = OffsetRange(start, stop)
        if doubted[at]:
            yield OffsetSpan(where, Status.AMBIGUOUS, reason="copies disagree", findings=overlay.doubts)
        else:
            yield _told(overlay, where, [each[at] for each in covered], [each[at] for each in between])


def _told(overlay: Overlay, where: OffsetRange, covered: Sequence[bool], between: Sequence[bool]) -> OffsetSpan:
    """What the best informed copy says of offsets on which all speak with one word."""
    said: dict[tuple[Status, bool], list[OffsetSpan]] = {}
    for each, has, weak in zip(overlay.testimonies, covered, between, strict=True):
        span = each.at(where.start)
        if span is None:
            continue
        if span.status in _GIVEN:
            reason = "another form of these batches is taken" if has else "compaction: another copy has nothing there"
            span = OffsetSpan(where, Status.ABSENT, reason=reason)
        said.setdefault((span.status, weak and span.status is Status.ABSENT), []).append(span)
    for word in _ORDER:
        told = said.get(word)
        if told:
            return OffsetSpan(
                where,
                word[0],
                open_ended=any(s.open_ended for s in told),
                upper_bound=any(s.upper_bound for s in told),
                reason=told[0].reason,
                findings=together(s.findings for s in told),
            )
    return OffsetSpan(where, Status.MISSING, reason="no copy reaches there", findings=(_nowhere(overlay, where),))


def _nowhere(overlay: Overlay, where: OffsetRange) -> Finding:
    count = f"{where.size} offset{'s' if where.size != 1 else ''}"
    message = f"{count} missing, no bytes are there on any copy"
    return Finding("segment-missing", overlay.source, overlay.path, 0, 0, where, message)


def _beyond(overlay: Overlay, end: int) -> Iterator[OffsetSpan]:
    """What losing branches have behind the end of the line."""
    tail = (
        clipped(overlay.lost_branches, end, int(overlay.lost_branches[1][-1]))
        if len(overlay.lost_branches[0])
        else EMPTY
    )
    tail = minus(tail, overlay.ambiguous)
    for start, stop in zip(tail[0].tolist(), tail[1].tolist(), strict=True):
        if start > end:
            yield OffsetSpan(OffsetRange(end, start), Status.ABSENT, reason="behind the end of the line")
        reason = "only on a branch that lost"
        yield OffsetSpan(OffsetRange(start, stop), Status.DIVERGENT, reason=reason, findings=overlay.branch_findings)
        end = stop


def covered_losses(testimony: Testimony, log_start: int) -> Iterator[Finding]:
    """Findings of gaps in one copy's own ledger, whoever fills them."""
    for span in testimony.raw:
        if span.offsets.stop <= log_start or span.offsets.start >= testimony.cut:
            continue
        if span.status in (Status.LOST, Status.MISSING):
            yield from (finding for finding in span.findings if finding.code in GAP_CODES)
