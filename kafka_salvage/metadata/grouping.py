"""Grouping: from sources to the positions of consumer groups.

Steps:

1. Survey `__consumer_offsets` alone, and read it.
2. Survey only the partitions that the groups read; what was recovered of them bounds the positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from kafka_salvage.errors import RequestError
from kafka_salvage.metadata.consumer_offsets import TOPIC, Offsets, read_offsets
from kafka_salvage.metadata.learning import Learned
from kafka_salvage.metadata.positions import GroupPositions, clamped, unfound_of
from kafka_salvage.plan.facts import ClusterFacts
from kafka_salvage.plan.merge import make_plan
from kafka_salvage.plan.policy import Policy, Selection
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.replica import Inventory


def group_positions(
    inventory: Inventory,
    policy: Policy,
    survey: Callable[[Inventory], Learned],
    groups: Sequence[str] = (),
    limits: Limits | None = None,
) -> GroupPositions:
    """Positions of consumer groups, clamped to what was recovered.

    Args:
        inventory: all that is there.
        policy: choices; its selection is of the topics that groups read.
        survey: surveys a part of the inventory.
        groups: those that are asked for; empty means all.
        limits: bounds on decompression.

    Raises:
        RequestError: no copy of `__consumer_offsets` is among the sources.
    """
    first = _only(inventory, lambda topic, _: topic == TOPIC)
    if not first.replicas:
        raise RequestError(
            f"no copy of {TOPIC} is among the sources",
            causes=("Its partitions lie on other brokers.", "Groups of Kafka before 0.8.2 are in ZooKeeper."),
            advice="Give the log dirs of all brokers; each holds some of its partitions.",
        )
    learned = survey(first)
    whole = replace(learned.informed(policy), selection=Selection())
    offsets = read_offsets(make_plan(first, learned.surveys, whole).partitions, limits)
    count = _partitions(learned.clusters, offsets)
    absent = tuple(number for number in range(count) if number not in offsets.coordinators)
    unfound = unfound_of(offsets, groups, count, absent)
    wants = policy.selection.wants
    wanted = tuple(p for p in offsets.positions if (not groups or p.group in groups) and wants(p.topic, p.partition))
    offsets = replace(offsets, positions=wanted)
    targets = {(position.topic, position.partition) for position in wanted}
    second = _only(inventory, lambda topic, partition: (topic, partition) in targets)
    plans = make_plan(second, survey(second).surveys, whole).partitions if second.replicas else ()
    return GroupPositions(tuple(clamped(offsets, plans)), offsets, absent, unfound)


def _only(inventory: Inventory, wanted: Callable[[str, int], bool]) -> Inventory:
    return replace(inventory, replicas=tuple(r for r in inventory.replicas if wanted(r.topic, r.partition)))


def _partitions(clusters: Iterable[ClusterFacts], offsets: Offsets) -> int:
    """How many partitions `__consumer_offsets` has: by metadata, else as far as directories show."""
    counts = [topic.partitions for c in clusters for topic in c.topics if topic.name == TOPIC and not topic.deleted]
    return max([*counts, *(number + 1 for number in offsets.coordinators)], default=0)
