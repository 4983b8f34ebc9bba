"""Merge: inventory and surveys become a Plan.

Steps, for each partition:

1. Tell the incarnations apart (`incarnations`). Several live copies of one are refused until copies can be merged.
2. Place the lead's own segments, in order. Make the ledger.
3. Fill what the ledger lacks from leftovers, tier by tier, whole batches only; make the ledger again.
4. Label transactions; turn pieces into steps; note what was left out and which flag adds it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from kafka_salvage.plan.edges import Edges, read_edges
from kafka_salvage.plan.incarnations import (
    INTERNAL,
    Incarnation,
    Tier,
    group,
    main_cluster,
    refuse,
)
from kafka_salvage.plan.ledger import Ledger, Line, make_ledger
from kafka_salvage.plan.leftovers import divergent, extra_branches, suspects, what_is_left
from kafka_salvage.plan.notes import partition_findings
from kafka_salvage.plan.plan import Branch, OffsetSpan, PartitionPlan, Plan, Status
from kafka_salvage.plan.policy import Include, Policy
from kafka_salvage.plan.steps import steps_of
from kafka_salvage.plan.timeline import UNBOUNDED, Piece, Timeline, epochs_of
from kafka_salvage.plan.transactions import make_labels
from kafka_salvage.regions.runs import Compaction, ReplicaSurvey, SegmentSurvey
from kafka_salvage.scan.replica import Inventory, State

_LACKING = (Status.LOST, Status.MISSING, Status.UNDECODABLE, Status.SUSPECT, Status.AMBIGUOUS)

_FLAG = {
    State.DELETED_TOPIC: Include.DELETED_TOPICS,
    State.STRAY: Include.STRAY,
    State.FUTURE: Include.FUTURE,
    State.DELETED_SEGMENT: Include.DELETED_SEGMENTS,
    State.LEFTOVER: Include.LEFTOVERS,
}


@dataclass(slots=True)
class _Work:
    """One incarnation while it is planned."""

    incarnation: Incarnation
    policy: Policy
    timeline: Timeline
    compaction: Compaction
    segments: list[SegmentSurvey] = field(default_factory=list)
    lead_segments: tuple[SegmentSurvey, ...] = ()
    used: list[Tier] = field(default_factory=list)
    spare: list[Tier] = field(default_factory=list)
    home: State = State.LIVE
    floor: int | None = None


def make_plan(
    inventory: Inventory, surveys: Sequence[ReplicaSurvey], policy: Policy, *, edges: Edges = read_edges
) -> Plan:
    """Decides what a salvage would write, and why.

    Args:
        inventory: what lies under the sources.
        surveys: the judgement of every replica, in any order.
        policy: the person's choices.
        edges: reads batches again where a run must be cut.

    Raises:
        RequestError: several live copies of one partition, and nothing chooses among them.
        SourceError: a file that must be read again cannot be opened any more.
    """
    cluster = main_cluster(surveys, policy)
    named: dict[tuple[str, int, str | None], list[ReplicaSurvey]] = defaultdict(list)
    for survey in surveys:
        foreign = survey.replica.cluster_id if survey.replica.cluster_id not in (None, cluster) else None
        named[(*survey.replica.key, foreign)].append(survey)
    partitions: list[PartitionPlan] = []
    clashes: list[list[ReplicaSurvey]] = []
    for topic, partition, foreign in sorted(named, key=lambda key: (key[0], key[1], key[2] or "")):
        incarnations, clash = group(named[topic, partition, foreign], policy)
        wanted = policy.selection.wants(topic, partition)
        if clash and wanted and (topic not in INTERNAL or policy.selection.internal):
            clashes += clash
            continue
        lacking = not any(_holds_anything(i) for i in incarnations if i.main)
        for incarnation in incarnations:
            each = replace(incarnation, foreign=foreign is not None)
            partitions.append(_plan_one(each, policy, edges, wanted, lacking))
    if clashes:
        raise refuse(clashes, policy)
    return Plan(inventory=inventory, policy=policy, partitions=tuple(partitions))


def refuse_copies(inventory: Inventory, policy: Policy) -> None:
    """Refuses, before anything is read, what `make_plan` would refuse after.

    Raises:
        RequestError: several live copies of one partition, and nothing chooses among them.
    """
    unread = [ReplicaSurvey(r, (), (), Compaction(False, ""), (), None) for r in inventory.replicas]
    make_plan(inventory, unread, policy)


def _holds_anything(incarnation: Incarnation) -> bool:
    """Whether a live directory (or what stands for it) gives at least one batch."""
    return any(len(segment.runs) for survey in incarnation.surveys for segment in survey.segments)


def _plan_one(
    incarnation: Incarnation, policy: Policy, edges: Edges, wanted: bool, nothing_live: bool
) -> PartitionPlan:
    work = _place(incarnation, policy, edges)
    ledger = _ledger(work)
    lead = incarnation.lead
    replica = lead.replica
    written = incarnation.main or nothing_live or _asked_for(incarnation, policy)
    pieces = _output(work, ledger, policy, edges)
    labels = make_labels(work.timeline.pieces, ledger.raw)
    tiers = work.used + work.spare
    steps = steps_of(pieces, work.home, _reason(incarnation, work))
    branches: list[Branch] = []
    if written:
        overlaid = [p for p in work.timeline.rejected if p.survey is lead and p.state is work.home]
        branches += divergent(lead, overlaid, work.timeline.pieces, edges)
        branches += extra_branches(tiers, work.timeline.pieces, policy, _FLAG, work.home, edges)
    if incarnation.foreign and written:
        branches.insert(0, Branch("incarnations", replica.source, _name(replica.path), replica.state, steps, labels))
    main_steps = steps if written and not incarnation.foreign else ()
    return PartitionPlan(
        cluster_id=replica.cluster_id,
        topic_id=replica.topic_id,
        state=_state(work, pieces),
        topic=replica.topic,
        partition=replica.partition,
        ledger=ledger.spans,
        steps=main_steps,
        branches=tuple(branches),
        labels=labels,
        replicas=(*incarnation.surveys, *incarnation.unused),
        log_start=ledger.log_start,
        epochs=epochs_of(pieces),
        leans_on_leftovers=written and _leans(work, pieces, ledger.log_start),
        findings=partition_findings(incarnation, labels, branches) if written else (),
        selected=wanted and written,
        available=what_is_left(
            tiers, work.timeline.pieces, ledger.log_start, policy, _FLAG, home=work.home, whole=not written
        ),
        line=steps,
        unused=incarnation.unused,
    )


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _asked_for(incarnation: Incarnation, policy: Policy) -> bool:
    return any(_FLAG.get(survey.replica.state) in policy.include for survey in incarnation.surveys)


def _reason(incarnation: Incarnation, work: _Work) -> str:
    if incarnation.unused:
        return "preferred copy"
    return "only copy" if work.home is State.LIVE else f"only copy: {work.home}"


def _place(incarnation: Incarnation, policy: Policy, edges: Edges) -> _Work:
    """Steps 2 and 3 of the module's strategy."""
    tiers = incarnation.tiers()
    lead = incarnation.lead
    compaction = next((s.compaction for s in incarnation.surveys if s.compaction.compacted), lead.compaction)
    work = _Work(incarnation, policy, Timeline(edges), compaction, home=lead.replica.state)
    for tier in tiers:
        offered = tier.pieces(compaction)
        if not work.used:
            work.timeline.place(offered)
            work.home = tier.state
            work.lead_segments = tier.segments
            work.segments += tier.segments
            work.used.append(tier)
            continue
        if not offered:
            work.spare.append(tier)
            continue
        allowed = _lacking(work, tier)
        before = len(work.timeline.pieces)
        work.timeline.place(offered, allowed)
        if len(work.timeline.pieces) > before:
            gave = {id(piece.segment) for piece in work.timeline.pieces}
            work.segments += [segment for segment in tier.segments if id(segment) in gave]
            work.used.append(tier)
        else:
            work.spare.append(tier)
    return work


def _lacking(work: _Work, tier: Tier) -> list[tuple[int, int]]:
    """Offsets that a leftover may give: what the ledger lacks, and all beyond its end."""
    if not work.timeline.pieces:
        return [(-UNBOUNDED, UNBOUNDED)]
    ledger = _ledger(work)
    holes = ledger.holes(_LACKING)
    first, end = ledger.log_start, ledger.spans[-1].offsets.stop
    lowest = min(int(s.runs.first_offset.min()) for s in tier.segments if len(s.runs))
    if lowest < first and tier.state is State.DELETED_SEGMENT:
        work.floor = lowest if work.floor is None else min(lowest, work.floor)
    if holes and holes[-1][1] == end:
        return [*holes[:-1], (holes[-1][0], UNBOUNDED)]
    return [*holes, (end, UNBOUNDED)]


def _ledger(work: _Work) -> Ledger:
    return make_ledger(
        Line(
            lead=work.incarnation.lead,
            lead_segments=work.lead_segments,
            segments=tuple(work.segments),
            pieces=tuple(work.timeline.pieces),
            compaction=work.compaction,
            home=work.home,
            tiered=work.incarnation.lead.replica.topic in work.policy.tiered,
            floor=work.floor,
        )
    )


def _output(work: _Work, ledger: Ledger, policy: Policy, edges: Edges) -> list[Piece]:
    """Pieces that go out, in offset order; the suspect ones among them when they were asked for."""
    pieces = [p for p in work.timeline.pieces if p.next > ledger.log_start or Include.TRIMMED in policy.include]
    if Include.SUSPECT in policy.include:
        pieces = suspects(work.used, pieces, ledger, edges)
    return pieces


def _leans(work: _Work, pieces: Iterable[Piece], log_start: int) -> bool:
    """Whether output uses other than live files; topics deleted on purpose leave the exit code alone."""
    return any(piece.state not in (State.LIVE, State.DELETED_TOPIC) and piece.next > log_start for piece in pieces) or (
        work.home is State.LIVE and any(p.state is State.DELETED_TOPIC and p.next > log_start for p in pieces)
    )


def _state(work: _Work, pieces: Sequence[Piece]) -> State:
    """State of the partition: that of its lead, unless nothing comes from there."""
    states = {piece.state for piece in pieces}
    if not states or work.home in states:
        return work.home
    return sorted(states, key=lambda s: list(State).index(s))[0]


def statuses(spans: Iterable[OffsetSpan]) -> dict[Status, int]:
    """Offsets per status; what is absent inside recovered ranges counts as absent. They add up to the range."""
    sums = dict.fromkeys(Status, 0)
    for span in spans:
        sums[span.status] += span.offsets.size - span.absent
        sums[Status.ABSENT] += span.absent
    return sums
