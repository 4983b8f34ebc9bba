"""Merge: inventory and surveys become a Plan.

Steps, for each partition:

1. Tell clusters and incarnations apart (`incarnations`); what is of another one is never joined.
2. One live copy: place its own segments, in order, and make the ledger.
   Several: compare them batch by batch (`compare`, `disputes`), decide whose history holds up to where (`lineage`), let
   them speak for each other's doubtful bytes (`witness`), lay one line from all (`united`), and one ledger over it (`overlay`).
   Intact comes before repaired, repaired before nothing; where histories differ, the log of the highest leader epoch wins;
   where nothing decides, the offsets are ambiguous and each copy's side is set aside.
3. Fill what the ledger lacks from leftovers, tier by tier, whole batches only, whose epochs fit; make the ledger again.
4. Label transactions; turn pieces into steps; note what was left out and which flag adds it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from kafka_salvage.plan.contents import read_contents
from kafka_salvage.plan.disputes import Contents
from kafka_salvage.plan.edges import Edges, read_edges
from kafka_salvage.plan.endings import index_findings
from kafka_salvage.plan.incarnations import Incarnation, group, main_cluster
from kafka_salvage.plan.ledger import Ledger
from kafka_salvage.plan.leftovers import extra_branches, suspects, what_is_left
from kafka_salvage.plan.notes import partition_findings
from kafka_salvage.plan.piece import Piece, packed_pieces
from kafka_salvage.plan.plan import Branch, OffsetSpan, PartitionPlan, Plan, Status
from kafka_salvage.plan.policy import Include, Policy
from kafka_salvage.plan.steps import steps_of
from kafka_salvage.plan.timeline import ends_of, epochs_of, states_of
from kafka_salvage.plan.transactions import make_labels
from kafka_salvage.plan.work import Work, place
from kafka_salvage.regions.runs import ReplicaSurvey
from kafka_salvage.scan.replica import Inventory, State

_FLAG = {
    State.DELETED_TOPIC: Include.DELETED_TOPICS,
    State.STRAY: Include.STRAY,
    State.FUTURE: Include.FUTURE,
    State.DELETED_SEGMENT: Include.DELETED_SEGMENTS,
    State.LEFTOVER: Include.LEFTOVERS,
}


def make_plan(
    inventory: Inventory,
    surveys: Sequence[ReplicaSurvey],
    policy: Policy,
    *,
    edges: Edges = read_edges,
    contents: Contents = read_contents,
) -> Plan:
    """Decides what a salvage would write, and why.

    Args:
        inventory: what lies under the sources.
        surveys: the judgement of every replica, in any order.
        policy: the person's choices.
        edges: reads batches again where copies are compared or a run must be cut.
        contents: decodes batches of which copies hold different forms.

    Raises:
        SourceError: a file that must be read again cannot be opened any more.
    """
    cluster, clear = main_cluster(surveys, policy)
    named: dict[tuple[str, int, str | None], list[ReplicaSurvey]] = defaultdict(list)
    for survey in surveys:
        own = survey.replica.cluster_id
        foreign = own if own not in (None, cluster) and not policy.same_cluster else None
        named[(*survey.replica.key, foreign)].append(survey)
    partitions: list[PartitionPlan] = []
    for topic, partition, foreign in sorted(named, key=lambda key: (key[0], key[1], key[2] or "")):
        incarnations = group(named[topic, partition, foreign], policy, foreign or cluster)
        wanted = policy.selection.wants(topic, partition)
        lacking = not any(_holds_anything(i) for i in incarnations if i.main)
        contested = not clear and len({key[2] for key in named if key[:2] == (topic, partition)}) > 1
        for each in incarnations:
            one = replace(each, foreign=foreign is not None, undecided=each.undecided or (each.main and contested))
            partitions.append(_plan_one(place(one, policy, edges, contents), wanted, lacking))
    return Plan(inventory=inventory, policy=policy, partitions=tuple(partitions))


def _holds_anything(incarnation: Incarnation) -> bool:
    """Whether a live directory (or what stands for it) gives at least one batch."""
    return any(len(segment.runs) for survey in incarnation.surveys for segment in survey.segments)


def _plan_one(work: Work, wanted: bool, nothing_live: bool) -> PartitionPlan:
    incarnation, policy, edges = work.incarnation, work.policy, work.edges
    ledger = work.ledger()
    lead = work.lead
    replica = lead.replica
    written = incarnation.main or nothing_live or _asked_for(incarnation, policy)
    pieces = _output(work, ledger)
    endings = work.endings()
    labels = make_labels(work.timeline.pieces, ledger.raw, edges, endings, work.doubtful_gaps())
    tiers = work.used + work.spare
    steps = steps_of(pieces, work.home, work.reason())
    branches: list[Branch] = []
    if written:
        branches += work.divergent()
        branches += extra_branches(tiers, work.timeline.pieces, policy, _FLAG, work.home, edges)
    if incarnation.foreign and written:
        name = replica.path.rpartition("/")[2]
        branches.insert(0, Branch("incarnations", replica.source, name, replica.state, steps, labels))
    main_steps = steps if written and not incarnation.foreign else ()
    return PartitionPlan(
        cluster_id=replica.cluster_id,
        topic_id=next((s.replica.topic_id for s in work.copies if s.replica.topic_id is not None), None),
        state=_state(work, pieces),
        topic=replica.topic,
        partition=replica.partition,
        ledger=ledger.spans,
        steps=main_steps,
        branches=tuple(branches),
        labels=labels,
        replicas=(*work.copies, *incarnation.others),
        log_start=ledger.log_start,
        epochs=epochs_of(pieces),
        leans_on_leftovers=written and _leans(work, pieces, ledger.log_start),
        findings=(
            *partition_findings(incarnation, labels, branches),
            *index_findings(endings.contradicted),
            *work.findings(ledger.log_start),
        )
        if written
        else (),
        selected=wanted and written,
        available=what_is_left(
            tiers, work.timeline.pieces, ledger.log_start, policy, _FLAG, home=work.home, whole=not written
        ),
        line=steps,
        needs_choice=written and incarnation.undecided,
        high_watermark=work.high_watermark(),
        shares=work.shares(),
        compaction=work.compaction,
    )


def _asked_for(incarnation: Incarnation, policy: Policy) -> bool:
    return any(_FLAG.get(survey.replica.state) in policy.include for survey in incarnation.surveys)


def _output(work: Work, ledger: Ledger) -> Sequence[Piece]:
    """Pieces that go out, in offset order; the suspect ones among them when they were asked for."""
    include = work.policy.include
    pieces = work.timeline.pieces
    ends = ends_of(pieces)
    if ends is not None and Include.TRIMMED not in include and ends[0].next <= ledger.log_start:
        pieces = packed_pieces(p for p in pieces if p.next > ledger.log_start)
    if Include.SUSPECT in include:
        pieces = suspects(work.used, pieces, ledger, work.edges)
    return pieces


def _leans(work: Work, pieces: Sequence[Piece], log_start: int) -> bool:
    """Whether output uses other than live files; topics deleted on purpose leave the exit code alone."""
    if states_of(pieces) <= {State.LIVE}:
        return False
    return any(piece.state not in (State.LIVE, State.DELETED_TOPIC) and piece.next > log_start for piece in pieces) or (
        work.home is State.LIVE and any(p.state is State.DELETED_TOPIC and p.next > log_start for p in pieces)
    )


def _state(work: Work, pieces: Sequence[Piece]) -> State:
    """State of the partition: that of its lead, unless nothing comes from there."""
    states = states_of(pieces)
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
