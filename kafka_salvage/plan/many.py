"""Many: several live copies of one partition, compared and laid into one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kafka_salvage.plan.astray import lead_back
from kafka_salvage.plan.compare import compare
from kafka_salvage.plan.confirm import confirm
from kafka_salvage.plan.displaced import put_right
from kafka_salvage.plan.disputes import Compared, Contents
from kafka_salvage.plan.edges import Edges
from kafka_salvage.plan.incarnations import names_of
from kafka_salvage.plan.ledger import Ledger, Line, make_ledger
from kafka_salvage.plan.leftovers import divergent, labels_apart
from kafka_salvage.plan.lineage import Lineage, decide
from kafka_salvage.plan.overlay import Overlay, Testimony, covered_losses, lay_over
from kafka_salvage.plan.piece import Piece
from kafka_salvage.plan.plan import Branch, Share
from kafka_salvage.plan.steps import steps_of
from kafka_salvage.plan.strands import Spans, Strand, both, clipped, inside, minus, strand_of, union
from kafka_salvage.plan.timeline import UNBOUNDED
from kafka_salvage.plan.united import set_aside, source_order, unite
from kafka_salvage.plan.verdicts import Verdicts
from kafka_salvage.plan.witness import corroborate
from kafka_salvage.regions.runs import Compaction, ReplicaSurvey
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.replica import State


@dataclass(frozen=True, eq=False)
class Many:
    """What several copies come to together.

    Attributes:
        strands: each copy by itself, sorted by name.
        found: how they compare.
        lineage: whose history holds up to where.
        order: strands, the one that gives most first.
        line: pieces in offset order.
        compaction: what is known of the partition.
        tiered: what lies below the first segment is in remote storage.
        prefer: the person's choice.
    """

    strands: tuple[Strand, ...]
    found: Compared
    lineage: Lineage
    order: tuple[int, ...]
    line: tuple[Piece, ...]
    compaction: Compaction
    tiered: bool
    prefer: str | None

    @property
    def copies(self) -> tuple[ReplicaSurvey, ...]:
        """The copies, the one that gives most first."""
        return tuple(self.strands[at].survey for at in self.order)

    @cached_property
    def covers(self) -> tuple[Spans, ...]:
        """For each strand the offsets of the line that it has."""
        return tuple(both(strand.covered(), self.lineage.kept(at)) for at, strand in enumerate(self.strands))

    @cached_property
    def _elsewhere(self) -> tuple[Spans, ...]:
        """For each strand the offsets of the line that any other has."""
        return tuple(
            union(cover for place, cover in enumerate(self.covers) if place != at) for at in range(len(self.strands))
        )

    @cached_property
    def testimonies(self) -> tuple[Testimony, ...]:
        """What each copy says of the line."""
        return tuple(self._testimony(at) for at in range(len(self.strands)))

    def _testimony(self, at: int) -> Testimony:
        strand = self.strands[at]
        line = Line(
            lead=strand.survey,
            lead_segments=strand.segments,
            segments=strand.segments,
            pieces=strand.pieces,
            compaction=self.compaction,
            home=strand.survey.replica.state,
            tiered=self.tiered,
            misread=bool(self.lineage.misread[at]),
        )
        raw = make_ledger(line).raw
        return Testimony.of(raw, self.lineage.cuts[at], strand)

    @cached_property
    def verdicts(self) -> Verdicts:
        """What is to be said of the comparison."""
        return Verdicts(self.strands, self.found, self.lineage, self.prefer)

    def ledger(self, pieces: Sequence[Piece], home: State, floor: int | None) -> Ledger:
        """One ledger over all copies."""
        lead = self.copies[0].replica
        return lay_over(
            Overlay(
                testimonies=self.testimonies,
                pieces=pieces,
                ambiguous=self.ambiguous,
                doubts=tuple(self.verdicts.doubts()),
                lost_branches=self.lost_branches,
                branch_findings=tuple(self.verdicts.forks()),
                home=home,
                source=lead.source,
                path=lead.path,
                floor=floor,
            )
        )

    @cached_property
    def ambiguous(self) -> Spans:
        """Offsets at which copies disagree, up to where the longest of them ends."""
        return clipped(self.lineage.ambiguous, -UNBOUNDED, max(strand.end for strand in self.strands))

    @cached_property
    def lost_branches(self) -> Spans:
        """Offsets of losing branches."""
        return union(
            clipped(strand.covered(), cut, UNBOUNDED)
            for strand, cut in zip(self.strands, self.lineage.cuts, strict=True)
            if cut < UNBOUNDED
        )

    def findings(self, log_start: int) -> Iterator[Finding]:
        """What only the view of all copies shows."""
        yield from self.verdicts.all()
        for testimony in self.testimonies:
            yield from covered_losses(testimony, log_start)

    def branches(self, edges: Edges) -> list[Branch]:
        """Losing branches, and each copy's side of what is ambiguous."""
        made: list[Branch] = []
        for at, strand in enumerate(self.strands):
            survey = strand.survey
            pieces = set_aside(strand, at, self.found, self.lineage, edges)
            if pieces:
                home = survey.replica.state
                made.append(
                    Branch(
                        kind="divergent",
                        source=survey.replica.source,
                        directory=survey.replica.path.rpartition("/")[2],
                        state=home,
                        steps=steps_of(pieces, home, self.verdicts.reason(at)),
                        labels=labels_apart(survey, strand.segments, pieces, home, edges),
                    )
                )
            made += divergent(survey, strand.rejected, self.line, edges)
        return made

    def reason(self, piece: Piece) -> str:
        """Why a piece is taken from its copy."""
        at = next(place for place, each in enumerate(self.strands) if each.survey is piece.survey)
        if self.prefer is not None and self.prefer in names_of(piece.survey):
            return "preferred copy"
        elsewhere = clipped(self._elsewhere[at], piece.first, piece.next)
        first = np.array([piece.first], np.int64)
        mine = clipped(self.covers[at], piece.first, piece.next)
        alone = minus(mine, elsewhere)
        if not len(alone[0]):
            return "first of the copies that have it"
        return (
            "only copy that has it"
            if not inside(first, elsewhere).any() and alone[0].tolist() == mine[0].tolist()
            else ("first of the copies that have it, and the only one in part")
        )

    def shares(self) -> tuple[Share, ...]:
        """What each copy has of the line by itself, in the order of `copies`."""
        return tuple(
            Share(self.strands[at].survey.replica.source, self.strands[at].survey.replica.path, *self.covers[at])
            for at in self.order
        )


def join_copies(
    surveys: Sequence[ReplicaSurvey],
    compaction: Compaction,
    prefer: str | None,
    edges: Edges,
    contents: Contents,
    *,
    tiered: bool,
) -> Many:
    """Joins copies of one incarnation.

    Args:
        surveys: at least two, sorted by name.
        compaction: what is known of the partition.
        prefer: the person's choice.
        edges: reads batches again.
        contents: decodes batches of which copies hold different forms.
        tiered: what lies below the first segment is in remote storage.

    Raises:
        SourceError: a file that must be read again cannot be opened any more.
    """
    alone = [strand_of(survey, compaction, edges) for survey in surveys]
    placed = lead_back(alone, edges, contents) if compaction.compacted else put_right(alone, edges)
    alone = _renewed(alone, placed, compaction, edges)
    alone = _renewed(alone, confirm(alone, edges, compacted=compaction.compacted), compaction, edges)
    found = compare(alone, edges, contents, compacted=compaction.compacted)
    conflicts = found.conflicts()
    if compaction.compacted and len(conflicts[0]):
        again = _renewed(alone, lead_back(alone, edges, contents, conflicts), compaction, edges)
        if any(new is not old for new, old in zip(again, alone, strict=True)):
            alone = again
            found = compare(alone, edges, contents, compacted=True)
    lineage = decide(alone, found, prefer)
    strands = corroborate(alone, lineage, compaction, edges)
    preferred = [prefer is not None and prefer in names_of(strand.survey) for strand in strands]
    order = source_order(strands, lineage, preferred)
    line = unite(strands, lineage, order, edges)
    return Many(tuple(strands), found, lineage, tuple(order), tuple(line), compaction, tiered, prefer)


def _renewed(
    strands: Sequence[Strand], surveys: Sequence[ReplicaSurvey], compaction: Compaction, edges: Edges
) -> list[Strand]:
    """The strands of copies whose surveys may have changed."""
    return [
        strand if survey is strand.survey else strand_of(survey, compaction, edges)
        for strand, survey in zip(strands, surveys, strict=True)
    ]
