"""OffsetSpans of a line, one after the other: what its pieces give, and why the rest is not there.

Of a line with many pieces `bulk` makes the same at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, pairwise

from kafka_salvage.plan.gaps import Ground, explain, join
from kafka_salvage.plan.packed import packed_spans
from kafka_salvage.plan.piece import Piece
from kafka_salvage.plan.plan import OffsetSpan, Status
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.shapes import together
from kafka_salvage.regions.verdict import Finding, Verdict
from kafka_salvage.scan.replica import State

OUTPUT = {Verdict.INTACT: Status.RECOVERED, Verdict.REPAIRED: Status.REPAIRED, Verdict.SUSPECT: Status.SUSPECT}
"""Status of what pieces of a verdict give."""


def spans_between(pieces: Sequence[Piece], ground: Ground, home: State, low: int, high: int) -> Iterator[OffsetSpan]:
    """What pieces give, and why the rest of ``[low, high)`` is not there.

    Args:
        pieces: a line, in offset order.
        ground: the segments that it was made from.
        home: the state that needs no label.
        low: first offset that is spoken of.
        high: one behind the last.
    """
    cursor, before = low, None
    for piece in pieces:
        if piece.first > cursor:
            yield from explain(ground, cursor, piece.first, before, piece)
        yield span_of(piece, home)
        cursor, before = piece.next, piece
    if high > cursor:
        yield from explain(ground, cursor, high, before, None)


def span_of(piece: Piece, home: State) -> OffsetSpan:
    """What a piece of the line gives; a state that is not ``home`` is the reason."""
    findings: Sequence[Finding] = ()
    if piece.verdict is not Verdict.INTACT:
        regions = piece.segment.regions
        low = regions.find(piece.start + 1) - 1  # the one that holds its first byte
        here = (region for region in regions.regions[low : regions.find(piece.stop)] if region.verdict is piece.verdict)
        findings = together(region.findings for region in here)
    return OffsetSpan(
        offsets=piece.offsets,
        status=OUTPUT[piece.verdict],
        source=piece.survey.replica.source,
        absent=piece.absent,
        reason="" if piece.state is home else str(piece.state),
        findings=findings,
    )


def absorb(spans: Iterable[OffsetSpan]) -> Iterator[OffsetSpan]:
    """Absent offsets between two recovered ranges of one kind become part of the first."""
    ahead: OffsetSpan | None = None
    for span, behind in zip_behind(spans):
        if (
            span.status is Status.ABSENT
            and ahead is not None
            and behind is not None
            and ahead.status in (Status.RECOVERED, Status.REPAIRED)
            and (ahead.status, ahead.source, ahead.reason) == (behind.status, behind.source, behind.reason)
        ):
            where = OffsetRange(ahead.offsets.start, span.offsets.stop)
            ahead = replace(ahead, offsets=where, absent=ahead.absent + span.offsets.size)
            continue
        if ahead is not None:
            yield ahead
        ahead = span
    if ahead is not None:
        yield ahead


def zip_behind(spans: Iterable[OffsetSpan]) -> Iterator[tuple[OffsetSpan, OffsetSpan | None]]:
    """Each with the one behind it."""
    return pairwise(chain(spans, (None,)))  # type: ignore[arg-type] # None is the last


def with_trimmed(
    raw: Sequence[OffsetSpan], spans: Sequence[OffsetSpan], bottom: int, log_start: int
) -> Sequence[OffsetSpan]:
    """The ledger with everything below the log start `trimmed`.

    Args:
        raw: joined spans as if nothing were trimmed.
        spans: the same before they were joined.
        bottom: lowest offset that is spoken of.
        log_start: first offset readers may see.
    """
    below = trimmed(bottom, log_start, raw[-1].offsets.stop if len(raw) else bottom)
    return raw if below is None else packed_spans(chain((below,), join(absorb(_above(spans, log_start)))))


def trimmed(bottom: int, log_start: int, end: int) -> OffsetSpan | None:
    """What lies below the log start, of a ledger that ends at ``end``; else as for `with_trimmed`."""
    if log_start <= bottom or end <= bottom:
        return None
    return OffsetSpan(OffsetRange(bottom, min(log_start, end)), Status.TRIMMED, reason="below the log start")


def _above(spans: Iterable[OffsetSpan], log_start: int) -> Iterator[OffsetSpan]:
    for span in spans:
        if span.offsets.stop <= log_start:
            continue
        if span.offsets.start < log_start:
            where = OffsetRange(log_start, span.offsets.stop)
            yield replace(span, offsets=where, absent=min(span.absent, where.size))
        else:
            yield span
