"""Incarnation: the directories that hold one and the same partition, told apart from older ones of the same name.

Never two topic ids and never two clusters are joined. Live copies of one topic id are copies of one partition; one without an
id (brokers before 2.8 wrote none) belongs to the only id that is there. Which of several ids owns the name is told by the
metadata of the cluster, else by the person, else by most copies; if nothing tells, a person must.
A directory that Kafka renamed joins the live ones only when both name the same topic id, or when it is the new place of a
replica that is being moved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kafka_salvage.plan.piece import Piece
from kafka_salvage.plan.policy import Policy
from kafka_salvage.plan.timeline import pieces_in
from kafka_salvage.regions.runs import Compaction, ReplicaSurvey, SegmentSurvey
from kafka_salvage.scan.replica import State
from kafka_salvage.wire.filenames import Suffix

INTERNAL = frozenset(
    {"__cluster_metadata", "__consumer_offsets", "__transaction_state", "__share_group_state", "__remote_log_metadata"}
)
"""Topics of Kafka's own: always checked, exported only when asked."""

_RANK = {State.LIVE: 0, State.STRAY: 1, State.FUTURE: 2, State.DELETED_TOPIC: 3}


@dataclass(frozen=True, slots=True)
class Tier:
    """Segments of one directory that are equally trustworthy.

    Attributes:
        survey: the directory.
        state: of the segments.
        segments: by base offset.
        rank: 0 for the directory's own files, 1 and more for leftovers in it.
    """

    survey: ReplicaSurvey
    state: State
    segments: tuple[SegmentSurvey, ...]
    rank: int = 0

    @property
    def swapped(self) -> bool:
        """Whether these were about to replace others: `.swap` files."""
        return self.state is State.LEFTOVER and all(s.segment.suffix is Suffix.SWAP for s in self.segments)

    def pieces(self, compaction: Compaction) -> Sequence[Piece]:
        """Their believed batches."""
        return pieces_in(self.survey, self.segments, compaction.compacted)


@dataclass(frozen=True, slots=True)
class Incarnation:
    """Directories of one incarnation of one partition in one cluster.

    Attributes:
        copies: live directories, or what stands for them; never empty.
        others: further directories, by trust, then name.
        rivals: live copies of the same name under other topic ids.
        main: it owns the name: its line is the partition's own output.
        foreign: it belongs to another cluster than the rest of the run.
        undecided: nothing tells which incarnation, or which cluster, owns the name.
    """

    copies: tuple[ReplicaSurvey, ...]
    others: tuple[ReplicaSurvey, ...] = ()
    rivals: tuple[ReplicaSurvey, ...] = ()
    main: bool = True
    foreign: bool = False
    undecided: bool = False

    @property
    def lead(self) -> ReplicaSurvey:
        """The first copy."""
        return self.copies[0]

    @property
    def surveys(self) -> tuple[ReplicaSurvey, ...]:
        """All that may give something, copies first."""
        return (*self.copies, *self.others)


def leftover_tiers(copies: Sequence[ReplicaSurvey], others: Sequence[ReplicaSurvey]) -> list[Tier]:
    """What may fill the line, by trust: `.swap`, `.deleted`, `.cleaned` of every copy, then other directories."""
    own = [tiers_of(survey) for survey in copies]
    homes = [survey.replica.state for survey in copies]
    rest = [tier for tiers, home in zip(own, homes, strict=True) for tier in tiers if tier.state is not home]
    rest.sort(key=lambda tier: tier.rank)
    return [*rest, *(tier for survey in others for tier in tiers_of(survey))]


def tiers_of(survey: ReplicaSurvey) -> list[Tier]:
    """The segments of one directory by trust."""
    home = survey.replica.state
    groups: dict[tuple[int, State], list[SegmentSurvey]] = {}
    for segment in survey.segments:
        file = segment.segment
        rank = 0 if file.state is home else {Suffix.SWAP: 1, Suffix.DELETED: 2}.get(file.suffix, 3)
        groups.setdefault((rank, file.state), []).append(segment)
    return [Tier(survey, state, tuple(groups[rank, state]), rank) for rank, state in sorted(groups)]


def main_cluster(surveys: Iterable[ReplicaSurvey], policy: Policy) -> tuple[str | None, bool]:
    """Cluster id of this run, and whether there is no other, or a person has chosen it.

    It is that of the preferred source, else of most log dirs, else the first by name. Most log dirs tell whose partitions are
    written under their own names; that theirs are meant, where another cluster has one of the same name, is for a person to say.
    """
    votes: Counter[str] = Counter()
    preferred = set()
    for log_dir in {s.replica.log_dir.id: s.replica.log_dir for s in surveys if s.replica.log_dir}.values():
        if log_dir.cluster_id is None:
            continue
        votes[log_dir.cluster_id] += 1
        if policy.prefer in (log_dir.source, log_dir.id):
            preferred.add(log_dir.cluster_id)
    if preferred:
        return min(preferred), True
    ranked = sorted(votes, key=lambda cluster: (-votes[cluster], cluster))
    return (ranked[0] if ranked else None), len(ranked) < 2


def sort_key(survey: ReplicaSurvey) -> tuple[str, str, str]:
    """Order of directories that does not depend on the order of arguments."""
    replica = survey.replica
    return replica.source, replica.path, replica.topic_id or ""


def group(surveys: Sequence[ReplicaSurvey], policy: Policy, cluster: str | None = None) -> list[Incarnation]:
    """The incarnations of one (topic, partition), main one first.

    Args:
        surveys: all directories of that name in one cluster.
        policy: ``prefer`` and the cluster's metadata choose between incarnations.
        cluster: whose metadata it is.
    """
    ordered = sorted(surveys, key=sort_key)
    live = _by_id([s for s in ordered if s.replica.state is State.LIVE])
    rest = [s for s in ordered if s.replica.state is not State.LIVE]
    if not live:
        return _without_live(rest)
    ranked, clear = _ranked(live, policy, cluster)
    made: list[Incarnation] = []
    for place, copies in enumerate(ranked):
        rivals = tuple(s for other in ranked if other is not copies for s in other)
        same = [s for s in rest if any(_same(lead, s) for lead in copies)]
        joined = {id(s) for s in same}
        rest = [s for s in rest if id(s) not in joined]
        others = tuple(sorted(same, key=lambda s: (_RANK[s.replica.state], sort_key(s))))
        main = place == 0
        made.append(Incarnation(tuple(copies), others, rivals, main=main, undecided=main and not clear))
    return [*made, *_older(rest)]


def _by_id(live: Sequence[ReplicaSurvey]) -> list[list[ReplicaSurvey]]:
    """Live copies by topic id; those without one belong to the only id there is."""
    groups: dict[str | None, list[ReplicaSurvey]] = {}
    for survey in live:
        groups.setdefault(survey.replica.topic_id, []).append(survey)
    if None in groups and len(groups) == 2:
        return [list(live)]
    return list(groups.values())


def _ranked(
    groups: list[list[ReplicaSurvey]], policy: Policy, cluster: str | None
) -> tuple[list[list[ReplicaSurvey]], bool]:
    """Incarnations that are live, the one that owns the name first, and whether anything tells."""
    if len(groups) == 1:
        return groups, True
    known = {each.cluster_id: each for each in policy.clusters}
    facts = known.get(cluster) or (policy.clusters[0] if len(policy.clusters) == 1 else None)
    topic = facts.topic(groups[0][0].replica.topic, None) if facts else None
    current = topic.topic_id if topic else None

    def told(copies: Sequence[ReplicaSurvey]) -> tuple[bool, bool, int]:
        chosen = policy.prefer is not None and any(policy.prefer in names_of(s) for s in copies)
        named = current is not None and copies[0].replica.topic_id == current
        return chosen, named, len(copies)

    ranked = sorted(groups, key=lambda copies: (*(-value for value in told(copies)), _freshness(copies)))
    return ranked, told(ranked[0]) > told(ranked[1])


def names_of(survey: ReplicaSurvey) -> set[str]:
    """Names by which a person may prefer a copy."""
    log_dir = survey.replica.log_dir
    return {survey.replica.source, *([log_dir.id] if log_dir else [])}


def _same(lead: ReplicaSurvey, other: ReplicaSurvey) -> bool:
    one, two = lead.replica, other.replica
    if one.topic_id is not None and two.topic_id is not None:
        return one.topic_id == two.topic_id
    return two.state is State.FUTURE and one.source == two.source


def _bundles(rest: Sequence[ReplicaSurvey]) -> list[list[ReplicaSurvey]]:
    """Directories without a live one, by topic id; one without an id stands alone."""
    bundles: dict[tuple[str, str, str], list[ReplicaSurvey]] = {}
    for survey in rest:
        known = survey.replica.topic_id
        key = ("", "", known) if known else (survey.replica.source, survey.replica.path, "")
        bundles.setdefault(key, []).append(survey)
    for bundle in bundles.values():
        bundle.sort(key=lambda s: (_RANK[s.replica.state], sort_key(s)))
    return sorted(bundles.values(), key=_freshness)


def _freshness(bundle: Sequence[ReplicaSurvey]) -> tuple[object, ...]:
    """Sorts what is least likely to have been given up first, then the newest records, then the most offsets."""
    tables = [segment.runs for survey in bundle for segment in survey.segments if len(segment.runs)]
    newest = max((int(table.max_timestamp.max()) for table in tables), default=-1)
    furthest = max((int(table.next_offset.max()) for table in tables), default=-1)
    return _RANK[bundle[0].replica.state], -newest, -furthest, sort_key(bundle[0])


def _without_live(rest: Sequence[ReplicaSurvey]) -> list[Incarnation]:
    return [_of_bundle(bundle, main=at == 0) for at, bundle in enumerate(_bundles(rest))]


def _older(rest: Sequence[ReplicaSurvey]) -> list[Incarnation]:
    return [_of_bundle(bundle, main=False) for bundle in _bundles(rest)]


def _of_bundle(bundle: Sequence[ReplicaSurvey], *, main: bool) -> Incarnation:
    """Directories of the best state there is are copies of each other."""
    state = bundle[0].replica.state
    copies = tuple(s for s in bundle if s.replica.state is state)
    return Incarnation(copies, tuple(s for s in bundle if s.replica.state is not state), main=main)
