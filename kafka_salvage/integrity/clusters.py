"""Clusters and topics of the document: what the metadata of a cluster says, beside what lies under the sources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka_salvage.integrity.numbering import text
from kafka_salvage.plan.facts import BrokerFacts, ClusterFacts, TopicFacts
from kafka_salvage.plan.plan import Plan
from kafka_salvage.plan.policy import Selection
from kafka_salvage.regions.runs import ReplicaSurvey
from kafka_salvage.scan.replica import Inventory, State

_SHOWN = 3
_COPIES = frozenset({State.LIVE, State.FUTURE})


@dataclass(slots=True)
class _Seen:
    """Directories of one incarnation of one topic."""

    partitions: int = 0
    directories: int = 0
    size: int = 0
    holders: dict[int, set[int | None]] = field(default_factory=lambda: defaultdict(set))
    numbers: set[int] = field(default_factory=set)

    def add(self, survey: ReplicaSurvey) -> None:
        """Counts a directory."""
        replica = survey.replica
        self.partitions = max(self.partitions, replica.partition + 1)
        self.directories += 1
        self.numbers.add(replica.partition)
        self.size += sum(segment.file.size for segment in replica.segments)
        if replica.state in _COPIES:
            self.holders[replica.partition].add(replica.log_dir.node_id if replica.log_dir else None)

    def join(self, other: _Seen) -> None:
        """Takes over what is counted elsewhere."""
        self.partitions = max(self.partitions, other.partitions)
        self.directories += other.directories
        self.numbers |= other.numbers
        self.size += other.size
        for partition, holders in other.holders.items():
            self.holders[partition] |= holders


@dataclass(frozen=True, slots=True)
class Absence:
    """A partition of which copies are not here.

    Attributes:
        expected: brokers that should have one, by metadata.
        given: those of them of which a log dir is among the sources, and that have none all the same.
        here: a copy is here, from another broker.
        whole: all the disks of those given are here, as far as metadata names disks, and no directory of it in any state.
    """

    topic: str
    partition: int
    expected: tuple[int, ...]
    given: tuple[int, ...]
    here: bool
    whole: bool = False

    @property
    def gone(self) -> bool:
        """A broker that is here should have it, and nobody has: what it held is missing, nobody knows how much."""
        return bool(self.given) and self.whole and not self.here


@dataclass(frozen=True, slots=True)
class _Entry:
    cluster: ClusterFacts | None
    facts: TopicFacts | None
    name: str
    topic_id: str | None
    seen: _Seen


def topics_section(plan: Plan, surveys: Iterable[ReplicaSurvey]) -> list[dict[str, Any]]:
    """Topics, one entry per incarnation, from the best that knows them.

    ``partitions`` is what metadata says, else the highest number seen, plus one.
    """
    disks = _disks(plan.inventory)
    return [_topic(entry, list(_absences(entry, disks, plan.policy.selection))) for entry in _entries(plan, surveys)]


def absences(plan: Plan, surveys: Iterable[ReplicaSurvey]) -> list[Absence]:
    """Partitions that metadata knows, and of which no copy is here, or not the one that a given broker should have."""
    disks = _disks(plan.inventory)
    return [one for entry in _entries(plan, surveys) for one in _absences(entry, disks, plan.policy.selection)]


def absence_hints(plan: Plan, surveys: Iterable[ReplicaSurvey]) -> Iterator[str]:
    """One sentence each about partitions and copies that are not here and should be somewhere."""
    missing = absences(plan, surveys)
    nowhere = [each for each in missing if not each.here]
    if nowhere:
        brokers = sorted({broker for each in nowhere for broker in each.expected})
        yield (
            f"No copy of {_count(len(nowhere), 'partition')} is among the sources ({_names(nowhere)}); cluster metadata "
            f"says that {'broker' if len(brokers) == 1 else 'brokers'} {', '.join(map(str, brokers))} had "
            f"{'it' if len(nowhere) == 1 else 'them'}."
        )
    lacking = [each for each in missing if each.here and each.given]
    if lacking:
        brokers = sorted({broker for each in lacking for broker in each.given})
        yield (
            f"{'Broker' if len(brokers) == 1 else 'Brokers'} {', '.join(map(str, brokers))} should have a copy of "
            f"{_count(len(lacking), 'partition')} by cluster metadata, and no directory of the kind is here "
            f"({_names(lacking)}): another disk may have been left out."
        )


def clusters_section(plan: Plan) -> list[dict[str, Any]]:
    """Clusters, with the brokers that metadata or log dirs name."""
    given: dict[str | None, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for source in plan.inventory.sources:
        for each in source.log_dirs:
            if each.node_id is not None:
                given[each.cluster_id][each.node_id].add(source.name)
    found = []
    for facts in plan.policy.clusters:
        here = given.pop(facts.cluster_id, {})
        brokers = {broker.broker_id: broker for broker in facts.brokers}
        brokers.update({node: BrokerFacts(node) for node in here if node not in brokers})
        found.append(
            {
                "cluster_id": facts.cluster_id,
                "known_from": facts.known_from,
                "reach": facts.reach,
                "features": dict(facts.features),
                "brokers": [_broker(brokers[number], here) for number in sorted(brokers)],
                "notes": [text(note) for note in facts.notes],
            }
        )
    for cluster_id, here in given.items():
        found.append(
            {
                "cluster_id": cluster_id,
                "known_from": "directories",
                "reach": None,
                "features": {},
                "brokers": [_broker(BrokerFacts(number), here) for number in sorted(here)],
                "notes": [],
            }
        )
    return sorted(found, key=lambda cluster: str(cluster["cluster_id"] or ""))


def _broker(broker: BrokerFacts, here: Mapping[int, set[str]]) -> dict[str, Any]:
    return {
        "id": broker.broker_id,
        "endpoints": [text(endpoint) for endpoint in broker.endpoints],
        "rack": None if broker.rack is None else text(broker.rack),
        "directories": list(broker.directories),
        "sources": sorted(text(name) for name in here.get(broker.broker_id, ())),
    }


_Disks = Mapping[str | None, Mapping[int, set[str | None]]]
"""Cluster id -> broker -> directory ids of its log dirs that are here as a whole."""


def _disks(inventory: Inventory) -> _Disks:
    found: dict[str | None, dict[int, set[str | None]]] = defaultdict(lambda: defaultdict(set))
    for source in inventory.sources:
        covers = [cover.resolve() for cover in source.covers or (source.root,)]
        for each in source.log_dirs:
            place = (source.root / each.path).resolve()
            if each.node_id is not None and any(place.is_relative_to(cover) for cover in covers):
                found[each.cluster_id][each.node_id].add(each.directory_id)
    return found


def _cluster_of(cluster_id: str | None, clusters: Sequence[ClusterFacts]) -> ClusterFacts | None:
    """Metadata of a directory's cluster; a directory that names none belongs to the only cluster there is."""
    if cluster_id is None:
        return clusters[0] if len(clusters) == 1 else None
    exact = next((each for each in clusters if each.cluster_id == cluster_id), None)
    return exact or (clusters[0] if len(clusters) == 1 and clusters[0].cluster_id is None else None)


def _entries(plan: Plan, surveys: Iterable[ReplicaSurvey]) -> list[_Entry]:
    clusters, selection = plan.policy.clusters, plan.policy.selection
    known: dict[tuple[int, str, str | None], _Entry] = {}
    for number, cluster in enumerate(clusters):
        for topic in cluster.topics:
            if _selected(topic, selection):
                known[number, topic.name, topic.topic_id] = _Entry(cluster, topic, topic.name, topic.topic_id, _Seen())
    others: dict[str, dict[str | None, _Seen]] = defaultdict(lambda: defaultdict(_Seen))
    for survey in surveys:
        replica = survey.replica
        of = _cluster_of(replica.cluster_id, clusters)
        facts = of.topic(replica.topic, replica.topic_id) if of else None
        if of is not None and facts is not None and _selected(facts, selection):
            known[clusters.index(of), facts.name, facts.topic_id].seen.add(survey)
        else:
            others[replica.topic][replica.topic_id].add(survey)
    found = list(known.values())
    for name, ids in others.items():
        if None in ids and len(ids) == 2:
            loose = ids.pop(None)
            next(iter(ids.values())).join(loose)
        found += [_Entry(None, None, name, topic_id, seen) for topic_id, seen in ids.items()]
    return sorted(found, key=lambda e: (e.name, e.facts is not None and e.facts.deleted, e.topic_id or ""))


def _selected(topic: TopicFacts, selection: Selection) -> bool:
    return any(selection.wants(topic.name, partition) for partition in topic.replicas or (0,))


def _topic(entry: _Entry, absent: Sequence[Absence]) -> dict[str, Any]:
    facts, seen = entry.facts, entry.seen
    known_from = "partition-metadata" if entry.topic_id is not None else "directories"
    return {
        "name": text(entry.name),
        "topic_id": entry.topic_id,
        "partitions": seen.partitions if facts is None else facts.partitions,
        "configs": {} if facts is None else {text(k): text(v) for k, v in facts.configs.items()},
        "known_from": entry.cluster.known_from if entry.cluster else known_from,
        "deleted": facts.deleted if facts else None,
        "directories": seen.directories,
        "size": seen.size,
        "replicas": {str(number): list(brokers) for number, brokers in facts.replicas.items()} if facts else {},
        "absent": [
            {
                "partition": a.partition,
                "expected": list(a.expected),
                "given": list(a.given),
                "here": a.here,
                "gone": a.gone,
            }
            for a in absent
        ],
    }


def _absences(entry: _Entry, disks: _Disks, selection: Selection) -> Iterator[Absence]:
    if entry.facts is None or entry.cluster is None or entry.facts.deleted:
        return
    here = {**disks.get(entry.cluster.cluster_id, {}), **disks.get(None, {})}
    known = {broker.broker_id: broker.directories for broker in entry.cluster.brokers}
    for partition, expected in sorted(entry.facts.replicas.items()):
        if not here or not selection.wants(entry.name, partition):
            continue
        holders = entry.seen.holders.get(partition, set())
        # a directory whose broker is not known may be the copy of any
        lacking = () if None in holders else tuple(sorted((set(expected) & set(here)) - holders))
        whole = partition not in entry.seen.numbers
        whole = whole and all(set(known.get(broker, ())) <= here[broker] for broker in lacking)
        if lacking or not holders:
            yield Absence(entry.name, partition, expected, lacking, bool(holders), whole)


def _names(missing: Sequence[Absence]) -> str:
    shown = ", ".join(f"{text(each.topic)}-{each.partition}" for each in missing[:_SHOWN])
    return shown + (f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else "")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
