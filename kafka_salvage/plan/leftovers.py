"""Leftovers: what is written apart from the main line, and what could be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from kafka_salvage.plan.columns import PieceColumns, columns_of
from kafka_salvage.plan.edges import Edges
from kafka_salvage.plan.incarnations import Tier
from kafka_salvage.plan.ledger import Ledger, Line, make_ledger
from kafka_salvage.plan.piece import Piece
from kafka_salvage.plan.plan import Available, Branch, Status
from kafka_salvage.plan.policy import Include, Policy
from kafka_salvage.plan.steps import steps_of
from kafka_salvage.plan.strands import EMPTY, Spans, kept, minus, spans_from, union
from kafka_salvage.plan.timeline import Timeline, pieces_from_batches
from kafka_salvage.plan.transactions import Labels, make_labels
from kafka_salvage.regions.runs import ReplicaSurvey, SegmentSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.replica import State

Flags = Mapping[State, Include]
OVERLAPS = "overlaps batches of another file"
"""Why believed batches of a copy's own files are kept apart."""


def extra_branches(
    tiers: Iterable[Tier], line: Sequence[Piece], policy: Policy, flags: Flags, home: State, edges: Edges
) -> list[Branch]:
    """What `--include` adds beside the line: each leftover of the same incarnation as a whole."""
    branches: list[Branch] = []
    for tier in tiers:
        if tier.state is home or flags.get(tier.state) not in policy.include:
            continue
        timeline = Timeline(edges)
        timeline.place(tier.pieces(tier.survey.compaction))
        if not timeline.pieces or _all_placed(timeline.pieces, line):
            continue
        replica = tier.survey.replica
        branches.append(
            Branch(
                kind="incarnations",
                source=replica.source,
                directory=replica.path.rpartition("/")[2],
                state=tier.state,
                steps=steps_of(timeline.pieces, tier.state, f"asked for: {tier.state}"),
                labels=labels_apart(tier.survey, tier.segments, timeline.pieces, tier.state, edges),
            )
        )
    return branches


def _all_placed(pieces: Iterable[Piece], line: Iterable[Piece]) -> bool:
    placed = {(id(piece.segment), piece.start, piece.stop) for piece in line}
    return all((id(piece.segment), piece.start, piece.stop) in placed for piece in pieces)


def divergent(lead: ReplicaSurvey, rejected: Sequence[Piece], line: Sequence[Piece], edges: Edges) -> list[Branch]:
    """Believed batches that claim offsets which others of the same copy have: kept apart, never mixed in.

    The same batch twice (offsets and CRC agree) is no branch.
    """
    timeline = Timeline(edges)
    for piece in rejected:
        table = edges(piece.segment, piece.start, piece.stop)
        timeline.place(pieces_from_batches(piece, table, ~_known(table, piece, line, edges)))
    if not timeline.pieces:
        return []
    replica = lead.replica
    home = timeline.pieces[0].state
    return [
        Branch(
            kind="divergent",
            source=replica.source,
            directory=replica.path.rpartition("/")[2],
            state=home,
            steps=steps_of(timeline.pieces, home, OVERLAPS),
            labels=labels_apart(lead, (), timeline.pieces, home, edges),
        )
    ]


def _known(
    table: BatchTable, piece: Piece, line: Sequence[Piece], edges: Edges
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which batches stand in the line already, with the same offsets and CRC."""
    seen: set[tuple[int, int, int]] = set()
    for other in line:
        if other.first < piece.next and piece.first < other.next:
            seen |= set(_identity(edges(other.segment, other.start, other.stop)))
    return np.array([key in seen for key in _identity(table)], np.bool_)


def _identity(table: BatchTable) -> list[tuple[int, int, int]]:
    return list(zip(table.base_offset.tolist(), table.last_offset.tolist(), table.crc.tolist(), strict=True))


def labels_apart(
    survey: ReplicaSurvey, segments: Sequence[SegmentSurvey], pieces: Sequence[Piece], home: State, edges: Edges
) -> Labels:
    """Fates inside a line that stands alone: only its own markers speak."""
    line = Line(
        lead=survey,
        lead_segments=tuple(segments),
        segments=tuple(segments),
        pieces=kept(pieces),
        compaction=survey.compaction,
        home=home,
    )
    return make_labels(pieces, make_ledger(line).raw, edges)


def suspects(tiers: Iterable[Tier], pieces: Sequence[Piece], ledger: Ledger, edges: Edges) -> Sequence[Piece]:
    """The pieces, and single batches of `suspect` regions where nothing believed stands."""
    timeline = Timeline(edges)
    timeline.pieces = pieces
    allowed = ledger.holes([Status.SUSPECT, Status.LOST, Status.MISSING])
    for tier in tiers:
        for segment in tier.segments:
            for region in segment.regions.of((Verdict.SUSPECT,)):
                table = edges(segment, region.start, region.stop)
                timeline.place(_singles(tier.survey, segment, table), allowed)
    return timeline.pieces


def _singles(survey: ReplicaSurvey, segment: SegmentSurvey, table: BatchTable) -> list[Piece]:
    singles = []
    for row in range(len(table)):
        base, last = int(table.base_offset[row]), int(table.last_offset[row])
        if last < base:
            continue
        count = max(int(table.record_count[row]), 0)
        singles.append(
            Piece(
                survey=survey,
                segment=segment,
                start=int(table.position[row]),
                stop=int(table.stop[row]),
                first=base,
                next=last + 1,
                batches=1,
                records=count,
                control=count if bool(table.is_control[row]) else 0,
                absent=last + 1 - base - count,
                verdict=Verdict.SUSPECT,
                rows=(0, 0),
            )
        )
    return singles


def what_is_left(
    tiers: Sequence[Tier],
    line: Sequence[Piece],
    log_start: int,
    policy: Policy,
    flags: Flags,
    *,
    home: State,
    whole: bool,
) -> tuple[Available, ...]:
    """Intact data that is not in the output, and the flag that adds it.

    Args:
        tiers: all of the incarnation.
        line: what was placed.
        log_start: what lies below is trimmed.
        policy: flags that are set already name nothing.
        flags: flag of each state.
        home: state of the line.
        whole: nothing of the incarnation is written.
    """
    sums: dict[tuple[Include, str, str], list[int]] = {}

    def add(include: Include | None, survey: ReplicaSurvey, records: int, size: int) -> None:
        if include is not None and include not in policy.include and size > 0:
            entry = sums.setdefault((include, survey.replica.source, survey.replica.path), [0, 0])
            entry[0] += records
            entry[1] += size

    known: dict[Include | None, Spans] = {}
    placed = columns_of(line)
    for tier in tiers:
        data, size, early, small = _placed(placed, tier, log_start)
        if whole:
            add(flags.get(tier.survey.replica.state), tier.survey, data, size)
            continue
        if tier.state is not home:
            offered, flag = tier.pieces(tier.survey.compaction), flags.get(tier.state)
            columns = columns_of(offered)
            here = spans_from(columns.first, columns.next)
            before = known.get(flag, EMPTY)
            known[flag] = union((before, here))
            if len(minus(here, before)[0]):  # else another copy's leftovers hold all of it
                add(flag, tier.survey, *_all(columns, (data, size)))
        add(Include.TRIMMED, tier.survey, early, small)
        regions = [r for segment in tier.segments for r in segment.regions.of((Verdict.SUSPECT,))]
        add(Include.SUSPECT, tier.survey, sum(r.records for r in regions), sum(r.size for r in regions))
    return tuple(
        Available(include, source, path, records, size)
        for (include, source, path), (records, size) in sorted(sums.items())
    )


def _placed(line: PieceColumns, tier: Tier, log_start: int) -> tuple[int, int, int, int]:
    """Data records and bytes of what a tier gave, then those of pieces that lie below the log start."""
    own = {id(segment) for segment in tier.segments}
    mine = np.array([id(segment) in own for _, segment, _ in line.homes], np.bool_)[line.home]
    data, size = line.records - line.control, line.stop - line.start
    early = mine & (line.next <= log_start)
    return int(data[mine].sum()), int(size[mine].sum()), int(data[early].sum()), int(size[early].sum())


def _all(pieces: PieceColumns, but: tuple[int, int]) -> tuple[int, int]:
    """Data records and bytes of pieces, but for some."""
    return int((pieces.records - pieces.control).sum()) - but[0], int((pieces.stop - pieces.start).sum()) - but[1]
