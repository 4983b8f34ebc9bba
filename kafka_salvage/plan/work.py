"""Work: one incarnation of one partition while it is planned: its copies, its line so far, and what may still fill it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from kafka_salvage.plan.cleaning import compaction_of
from kafka_salvage.plan.disputes import Contents
from kafka_salvage.plan.edges import Edges
from kafka_salvage.plan.endings import Endings, aborted_in, open_in_snapshots
from kafka_salvage.plan.epochs import History, checkpoint_of, history_of, supported_epochs
from kafka_salvage.plan.incarnations import Incarnation, Tier, leftover_tiers, tiers_of
from kafka_salvage.plan.ledger import Ledger, Line, make_ledger
from kafka_salvage.plan.leftovers import divergent
from kafka_salvage.plan.many import Many, join_copies
from kafka_salvage.plan.piece import Piece
from kafka_salvage.plan.plan import Branch, Share, Status
from kafka_salvage.plan.policy import Policy
from kafka_salvage.plan.steps import Reason
from kafka_salvage.plan.strands import EMPTY, Strand, kept, minus, run_columns, spans_of, strand_from
from kafka_salvage.plan.timeline import UNBOUNDED, Timeline, segments_in
from kafka_salvage.regions.runs import Compaction, ReplicaSurvey, SegmentSurvey
from kafka_salvage.regions.together import GAPS_ALONE
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.batches import I64
from kafka_salvage.scan.replica import State

_LACKING = (Status.LOST, Status.MISSING, Status.UNDECODABLE, Status.SUSPECT)


@dataclass(slots=True)
class Work:
    """One incarnation while it is planned.

    Attributes:
        copies: live copies, the one that gives most first; what their maps say of each other's bytes is in them.
        many: how several copies compare; None for one.
        timeline: the line so far.
        used, spare: tiers that gave something, and those that did not.
        home: the state that needs no label.
        floor: lowest offset of leftovers that retention replaced.
    """

    incarnation: Incarnation
    policy: Policy
    edges: Edges
    timeline: Timeline
    compaction: Compaction
    copies: tuple[ReplicaSurvey, ...]
    many: Many | None = None
    segments: list[SegmentSurvey] = field(default_factory=list)
    lead_segments: tuple[SegmentSurvey, ...] = ()
    used: list[Tier] = field(default_factory=list)
    spare: list[Tier] = field(default_factory=list)
    home: State = State.LIVE
    floor: int | None = None

    @property
    def lead(self) -> ReplicaSurvey:
        """The copy that speaks for the partition."""
        return self.copies[0]

    @property
    def tiered(self) -> bool:
        """Whether what lies below the first segment is in remote storage."""
        return self.lead.replica.topic in self.policy.tiered

    def ledger(self) -> Ledger:
        """The ledger of the line as it is now."""
        if self.many is not None:
            return self.many.ledger(self.timeline.pieces, self.home, self.floor)
        return make_ledger(
            Line(
                lead=self.lead,
                lead_segments=self.lead_segments,
                segments=tuple(self.segments),
                pieces=kept(self.timeline.pieces),
                compaction=self.compaction,
                home=self.home,
                tiered=self.tiered,
                floor=self.floor,
                misread=self._misread(),
            )
        )

    def _misread(self) -> bool:
        """Whether the copy's leader epoch checkpoint contradicts its batches."""
        if not self.lead.replica.epochs:
            return False
        return bool(checkpoint_of(strand_from(self.lead, self.lead_segments, self.timeline.pieces, ()))[1])

    def divergent(self) -> list[Branch]:
        """What is kept apart from the line: losing branches, and batches that overlap others of the same copy."""
        if self.many is not None:
            return self.many.branches(self.edges)
        overlaid = [p for p in self.timeline.rejected if p.survey is self.lead and p.state is self.home]
        return divergent(self.lead, overlaid, self.timeline.pieces, self.edges)

    def findings(self, log_start: int) -> Iterable[Finding]:
        """What only the view of all copies shows."""
        return () if self.many is None else self.many.findings(log_start)

    def reason(self) -> str | Reason:
        """Why pieces of the home state are taken."""
        if self.many is None:
            return "only copy" if self.home is State.LIVE else f"only copy: {self.home}"
        many, own = self.many, {id(survey) for survey in self.many.copies}
        return lambda piece: many.reason(piece) if id(piece.survey) in own else "only copy that has it"

    def shares(self) -> tuple[Share, ...]:
        """What each of several copies has of the line by itself."""
        return () if self.many is None else self.many.shares()

    def high_watermark(self) -> int | None:
        """The highest one that a copy on the line has on record."""
        known = [s.replica.high_watermark for s in self.copies if s.replica.high_watermark is not None]
        if self.many is not None:
            ends = {id(s.survey): cut for s, cut in zip(self.many.strands, self.many.lineage.cuts, strict=True)}
            known = [
                min(s.replica.high_watermark, ends[id(s)]) for s in self.copies if s.replica.high_watermark is not None
            ]
        return max(known, default=None)

    def doubtful_gaps(self) -> I64:
        """Offsets where gaps begin that only look like compaction, for other gaps do: an end of a transaction may lie there."""
        if not self.compaction.compacted or self.compaction.reason != GAPS_ALONE:
            return np.empty(0, np.int64)
        starts, stops = run_columns(self.timeline.pieces)[:2]
        found: I64 = stops[:-1][stops[:-1] < starts[1:]]
        return found

    def endings(self) -> Endings:
        """What is known of its transactions besides the markers on the line."""
        copies, cuts = self.copies, [UNBOUNDED] * len(self.copies)
        if self.many is not None:
            copies, cuts = tuple(strand.survey for strand in self.many.strands), list(self.many.lineage.cuts)
        # only snapshots are held against them
        given = run_columns(self.timeline.pieces)[:2] if self.compaction.compacted else EMPTY
        return Endings(
            aborted=lambda: aborted_in(copies, cuts),
            decisions=self.policy.decisions,
            partition=self.lead.replica.key,
            cluster_id=next((s.replica.cluster_id for s in self.copies if s.replica.cluster_id is not None), None),
            any_cluster=self.policy.same_cluster,
            given=given,
            snapshots=(lambda: open_in_snapshots(copies, cuts)) if self.compaction.compacted else None,
            bases=sorted({segment.segment.base_offset or 0 for segment in segments_in(self.timeline.pieces)}),
        )


def place(incarnation: Incarnation, policy: Policy, edges: Edges, contents: Contents) -> Work:
    """Lays the line of an incarnation: its copies, then leftovers where something is lacking.

    Args:
        incarnation: its directories.
        policy: the person's choices.
        edges: reads batches again.
        contents: decodes batches of which copies hold different forms.

    Raises:
        SourceError: a file that must be read again cannot be opened any more.
    """
    surveys = incarnation.surveys
    compaction = compaction_of(surveys, len(incarnation.copies))
    work = Work(incarnation, policy, edges, Timeline(edges), compaction, incarnation.copies)
    work.home = incarnation.lead.replica.state
    if len(incarnation.copies) > 1:
        tiered = incarnation.lead.replica.topic in policy.tiered
        work.many = join_copies(incarnation.copies, compaction, policy.prefer, edges, contents, tiered=tiered)
        work.copies = work.many.copies
        work.timeline.pieces = list(work.many.line)
        homes = [tier for survey in work.copies for tier in tiers_of(survey) if tier.state is survey.replica.state]
        work.used += homes
        work.segments += [segment for tier in homes for segment in tier.segments]
        tiers = leftover_tiers(work.copies, incarnation.others)
    else:
        own = tiers_of(incarnation.lead)
        tiers = [*own, *leftover_tiers((), incarnation.others)]
    for tier in tiers:
        _offer(work, tier)
    return work


def _offer(work: Work, tier: Tier) -> None:
    """Takes from a tier what the line lacks; the first of all is taken whole."""
    offered = tier.pieces(work.compaction)
    if not work.used:
        work.timeline.place(offered)
        work.home = tier.state
        work.lead_segments = tier.segments
        work.segments += tier.segments
        work.used.append(tier)
        return
    if not offered:
        work.spare.append(tier)
        return
    allowed = _fitting(work, offered, _lacking(work, tier))
    before = len(work.timeline.pieces)
    work.timeline.place(offered, allowed)
    if len(work.timeline.pieces) > before:
        gave = {id(piece.segment) for piece in work.timeline.pieces}
        work.segments += [segment for segment in tier.segments if id(segment) in gave]
        work.used.append(tier)
    else:
        work.spare.append(tier)


def _lacking(work: Work, tier: Tier) -> list[tuple[int, int]]:
    """Offsets that a leftover may give: what the ledger lacks, and all beyond its end."""
    if not work.timeline.pieces and not (work.many and len(work.many.ambiguous[0])):
        return [(-UNBOUNDED, UNBOUNDED)]
    ledger = work.ledger()
    holes = ledger.holes(_LACKING)
    first, end = ledger.log_start, ledger.spans[-1].offsets.stop
    lowest = min(int(s.runs.first_offset.min()) for s in tier.segments if len(s.runs))
    if lowest < first and tier.state is State.DELETED_SEGMENT:
        work.floor = lowest if work.floor is None else min(lowest, work.floor)
    holes = [*holes[:-1], (holes[-1][0], UNBOUNDED)] if holes and holes[-1][1] == end else [*holes, (end, UNBOUNDED)]
    if tier.swapped and all(survey.log_start is None for survey in work.copies):
        return _below(first, holes)  # a broker that starts gives it its name; nothing was removed by retention
    return holes


def _below(first: int, holes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges, with all that lies below an offset."""
    if holes[0][0] <= first:
        return [(-UNBOUNDED, holes[0][1]), *holes[1:]]
    return [(-UNBOUNDED, first), *holes]


def _fitting(work: Work, offered: Sequence[Piece], allowed: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """What of ``allowed`` is left where the leader epochs of the offered batches fit those of the line."""
    first, following, epoch, _ = run_columns(offered)
    misfit = _history(work).misfits(first, following, epoch)
    wrong = misfit < following
    if not wrong.any():
        return list(allowed)
    taken = spans_of(zip(misfit[wrong].tolist(), following[wrong].tolist(), strict=True))
    low, high = minus(spans_of(allowed), taken)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def _history(work: Work) -> History:
    """Leader epochs of the line as it is now."""
    line = strand_from(work.lead, work.lead_segments, work.timeline.pieces, ())
    strands: list[Strand] = [line] if work.many is None else list(work.many.strands)
    lines = [read for strand in strands for read in checkpoint_of(strand)[0]]
    believed = np.array(sorted(supported_epochs(strands, lines)), np.int64)
    keep = np.isin(line.epoch, believed)
    return history_of([(line.first[keep], line.next[keep], line.epoch[keep])], [])
