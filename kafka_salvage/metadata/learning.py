"""Learning: Kafka's own topics are surveyed first, so that what they say can help to judge all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kafka_salvage import engine
from kafka_salvage.metadata import topics
from kafka_salvage.plan.policy import Policy
from kafka_salvage.regions.context import SurveyOptions
from kafka_salvage.scan.replica import Inventory, Replica
from kafka_salvage.wire.filenames import FileKind

if TYPE_CHECKING:
    from kafka_salvage.plan.facts import ClusterFacts, Decision
    from kafka_salvage.regions.runs import ReplicaSurvey

WITNESSES = frozenset({topics.CLUSTER, topics.TRANSACTIONS})
"""Topics that say something about others; they are read whatever the person selected."""

_ZOOKEEPER = frozenset({FileKind.ZOOKEEPER_SNAPSHOT, FileKind.ZOOKEEPER_LOG})
Survey = Callable[[Replica, SurveyOptions], "ReplicaSurvey"]
"""Surveys one copy; called from several threads."""


@dataclass(frozen=True, slots=True)
class Learned:
    """Surveys of what was selected, in the inventory's order, and what Kafka's own topics say."""

    surveys: tuple[ReplicaSurvey, ...]
    clusters: tuple[ClusterFacts, ...] = ()
    decisions: dict[int, tuple[Decision, ...]] = field(default_factory=dict)

    def informed(self, policy: Policy) -> Policy:
        """The policy with what was learned."""
        if not self.clusters and not self.decisions:
            return policy
        from kafka_salvage.metadata import facts

        tiered = policy.tiered | facts.tiered_of(self.clusters)
        return replace(policy, clusters=self.clusters, decisions=self.decisions, tiered=tiered)


def witnesses_of(inventory: Inventory) -> list[Replica]:
    """Copies that are read first."""
    return [replica for replica in inventory.replicas if replica.topic in WITNESSES]


def learn(inventory: Inventory, selected: Inventory, options: SurveyOptions, survey: Survey, jobs: int = 1) -> Learned:
    """Surveys the witnesses, then everything that is selected.

    Args:
        inventory: all that is there.
        selected: the part of it that the person wants.
        options: choices; the cleanup policies that were learned are added.
        survey: surveys one copy.
        jobs: copies surveyed at the same time.
    """
    first = witnesses_of(inventory)
    if not first and not any(file.kind in _ZOOKEEPER for file in inventory.files):
        return Learned(tuple(_all(selected.replicas, options, survey, jobs)))
    from kafka_salvage.metadata import facts, transaction_state  # where none is there, reading begins without them

    done = dict(zip(map(_key, first), _all(first, options, survey, jobs), strict=True))
    witnesses = list(done.values())
    clusters = facts.clusters_of(inventory, witnesses, options.limits)
    decisions = transaction_state.decisions_of(transaction_state.transactional_ids(witnesses, options.limits))
    told = replace(options, compacted={**facts.compacted_of(clusters), **options.compacted})
    rest = [replica for replica in selected.replicas if _key(replica) not in done]
    done.update(zip(map(_key, rest), _all(rest, told, survey, jobs), strict=True))
    return Learned(tuple(done[_key(replica)] for replica in selected.replicas), clusters, decisions)


def _key(replica: Replica) -> tuple[str, str]:
    return replica.source, replica.path


def _all(replicas: Sequence[Replica], options: SurveyOptions, survey: Survey, jobs: int) -> list[ReplicaSurvey]:
    return list(engine.ordered_map(lambda replica: survey(replica, options), replicas, jobs, light=_is_light))


def _is_light(replica: Replica) -> bool:
    """Whether looking at a copy is more of Python than of reading and summing: threads would only wait for each other."""
    return sum(segment.file.size for segment in replica.segments) < engine.LIGHT
