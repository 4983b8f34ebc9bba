"""Incarnation: the directories that hold one and the same partition, told apart from older ones of the same name.

Never two topic ids and never two clusters are joined. A directory that Kafka renamed joins the live one only when both
name the same topic id, or when it is the new place of a replica that is being moved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kafka_salvage.errors import RequestError
from kafka_salvage.plan.policy import Policy
from kafka_salvage.plan.timeline import Piece, pieces_of
from kafka_salvage.regions.runs import Compaction, ReplicaSurvey, SegmentSurvey
from kafka_salvage.scan.replica import State
from kafka_salvage.wire.filenames import Suffix

INTERNAL = frozenset(
    {"__cluster_metadata", "__consumer_offsets", "__transaction_state", "__share_group_state", "__remote_log_metadata"}
)
"""Topics of Kafka's own: always checked, exported only when asked."""

_RANK = {State.LIVE: 0, State.STRAY: 1, State.FUTURE: 2, State.DELETED_TOPIC: 3}
_NAMED = 3
"""Partitions that a refusal spells out."""


@dataclass(frozen=True, slots=True)
class Tier:
    """Segments of one directory that are equally trustworthy.

    Attributes:
        survey: the directory.
        state: of the segments.
        segments: by base offset.
    """

    survey: ReplicaSurvey
    state: State
    segments: tuple[SegmentSurvey, ...]

    def pieces(self, compaction: Compaction) -> list[Piece]:
        """Their believed batches."""
        return [piece for s in self.segments for piece in pieces_of(self.survey, s, compaction.compacted)]


@dataclass(frozen=True, slots=True)
class Incarnation:
    """Directories of one incarnation of one partition in one cluster.

    Attributes:
        lead: the directory that speaks for it.
        others: further directories, by trust, then name.
        unused: live copies that the person's choice passed over.
        main: it owns the name: its line is the partition's own output.
        foreign: it belongs to another cluster than the rest of the run.
    """

    lead: ReplicaSurvey
    others: tuple[ReplicaSurvey, ...] = ()
    unused: tuple[ReplicaSurvey, ...] = ()
    main: bool = True
    foreign: bool = False

    @property
    def surveys(self) -> tuple[ReplicaSurvey, ...]:
        """Those that may give something, lead first."""
        return (self.lead, *self.others)

    def tiers(self) -> list[Tier]:
        """What may fill the line, by trust: the lead's own files, its `.swap`, `.deleted`, `.cleaned`, then others."""
        return [tier for survey in self.surveys for tier in tiers_of(survey)]


def tiers_of(survey: ReplicaSurvey) -> list[Tier]:
    """The segments of one directory by trust."""
    home = survey.replica.state
    groups: dict[tuple[int, State], list[SegmentSurvey]] = {}
    for segment in survey.segments:
        file = segment.segment
        rank = 0 if file.state is home else {Suffix.SWAP: 1, Suffix.DELETED: 2}.get(file.suffix, 3)
        groups.setdefault((rank, file.state), []).append(segment)
    return [Tier(survey, state, tuple(groups[rank, state])) for rank, state in sorted(groups)]


def main_cluster(surveys: Iterable[ReplicaSurvey], policy: Policy) -> str | None:
    """Cluster id of this run: that of the preferred source, else of most log dirs, else the first by name."""
    votes: Counter[str] = Counter()
    preferred = set()
    for log_dir in {s.replica.log_dir.id: s.replica.log_dir for s in surveys if s.replica.log_dir}.values():
        if log_dir.cluster_id is None:
            continue
        votes[log_dir.cluster_id] += 1
        if policy.prefer in (log_dir.source, log_dir.id):
            preferred.add(log_dir.cluster_id)
    if preferred:
        return min(preferred)
    return min(votes, key=lambda cluster: (-votes[cluster], cluster), default=None)


def sort_key(survey: ReplicaSurvey) -> tuple[str, str, str]:
    """Order of directories that does not depend on the order of arguments."""
    replica = survey.replica
    return replica.source, replica.path, replica.topic_id or ""


def group(surveys: Sequence[ReplicaSurvey], policy: Policy) -> tuple[list[Incarnation], list[list[ReplicaSurvey]]]:
    """The incarnations of one (topic, partition), main one first, and sets of live copies among which nothing chooses.

    Args:
        surveys: all directories of that name in one cluster.
        policy: ``prefer`` chooses between live copies.
    """
    ordered = sorted(surveys, key=sort_key)
    live = [s for s in ordered if s.replica.state is State.LIVE]
    rest = [s for s in ordered if s.replica.state is not State.LIVE]
    clash: list[list[ReplicaSurvey]] = []
    unused: tuple[ReplicaSurvey, ...] = ()
    if len(live) > 1:
        chosen = [s for s in live if policy.prefer is not None and policy.prefer in names_of(s)]
        if len(chosen) == 1:
            unused = tuple(s for s in live if s is not chosen[0])
            live = chosen
        else:
            clash.append(live)
    if not live:
        return _without_live(rest), clash
    if clash:
        return [Incarnation(each) for each in live] + _older(rest), clash
    lead = live[0]
    same = [s for s in rest if _same(lead, s)]
    others = tuple(sorted(same, key=lambda s: (_RANK[s.replica.state], sort_key(s))))
    older = [s for s in rest if s not in same]
    return [Incarnation(lead, others, unused), *_older(older)], clash


def names_of(survey: ReplicaSurvey) -> set[str]:
    """Names by which a person may prefer a copy."""
    log_dir = survey.replica.log_dir
    return {survey.replica.source, *([log_dir.id] if log_dir else [])}


def refuse(clashes: Sequence[Sequence[ReplicaSurvey]], policy: Policy) -> RequestError:
    """The refusal of several live copies, which names them and says how to choose."""
    lines = []
    for copies in clashes[:_NAMED]:
        where = ", ".join(f"{s.replica.source}:{s.replica.path}" for s in copies)
        lines.append(f"{copies[0].replica.topic}-{copies[0].replica.partition} ({where})")
    more = f" and {len(clashes) - _NAMED} more" if len(clashes) > _NAMED else ""
    sources = sorted({s.replica.source for copies in clashes for s in copies})
    ids = sorted({name for copies in clashes for s in copies for name in names_of(s)})
    choices = sources if len(sources) > 1 else ids
    partitions = "one partition has" if len(clashes) == 1 else f"{len(clashes)} partitions have"
    causes = ["Replicas of one partition are not merged yet; each copy has to be salvaged by itself."]
    if policy.prefer is not None:
        causes.insert(0, f"--prefer {policy.prefer} names none of these copies, or more than one.")
    return RequestError(
        f"{partitions} more than one live copy in this run: {'; '.join(lines)}{more}",
        causes=tuple(causes),
        advice=f"Pass only one of the sources, or choose with --prefer NAME (one of: {', '.join(choices)}), "
        "or leave the partition out with --topic and --partition.",
    )


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
    bundles = _bundles(rest)
    return [Incarnation(b[0], tuple(b[1:]), main=at == 0) for at, b in enumerate(bundles)]


def _older(rest: Sequence[ReplicaSurvey]) -> list[Incarnation]:
    return [Incarnation(b[0], tuple(b[1:]), main=False) for b in _bundles(rest)]
