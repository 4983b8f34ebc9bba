"""Selection and Policy: the user's choices, and what other rooms learned, as plain values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kafka_salvage.plan.facts import ClusterFacts, Decision


class Include(StrEnum):
    """What `--include` adds to the output."""

    TRIMMED = "trimmed"
    DELETED_TOPICS = "deleted-topics"
    DELETED_SEGMENTS = "deleted-segments"
    STRAY = "stray"
    FUTURE = "future"
    LEFTOVERS = "leftovers"
    SUSPECT = "suspect"


class Isolation(StrEnum):
    """`--isolation`."""

    READ_UNCOMMITTED = "read_uncommitted"
    READ_COMMITTED = "read_committed"


class Undecided(StrEnum):
    """`--undecided`: what happens to batches of open or unknown transactions in `segments/`."""

    WITHHOLD = "withhold"
    KEEP = "keep"
    STRIP = "strip"


@dataclass(frozen=True, slots=True)
class Selection:
    """Filters: they select output, never analysis.

    Attributes:
        topics: literal names; empty = all.
        topic_regex: a full match is needed; None = all.
        partition: one number, None = all.
        from_offset, to_offset: ``[from, to)``.
        from_timestamp, to_timestamp: ms, ``[from, to)``.
        internal: internal topics are exported too.
    """

    topics: frozenset[str] = frozenset()
    topic_regex: str | None = None
    partition: int | None = None
    from_offset: int | None = None
    to_offset: int | None = None
    from_timestamp: int | None = None
    to_timestamp: int | None = None
    internal: bool = False

    def wants(self, topic: str, partition: int) -> bool:
        """Whether this partition is selected (internal topics are a question of export, not of selection)."""
        if self.topics and topic not in self.topics:
            return False
        if self.topic_regex is not None and not re.fullmatch(self.topic_regex, topic):
            return False
        return self.partition is None or partition == self.partition

    @property
    def narrows_records(self) -> bool:
        """Whether an offset or time filter is set."""
        return any(v is not None for v in (self.from_offset, self.to_offset, self.from_timestamp, self.to_timestamp))


@dataclass(frozen=True, slots=True)
class Policy:
    """The choices that a plan depends on.

    Attributes:
        tiered: topics known to have remote storage: what lies below their local log start is not missing.
        same_cluster: cluster ids mean nothing: the metadata of one cluster was written anew.
        clusters: what the metadata of the clusters says, sorted by cluster id; empty when none is among the sources.
        decisions: producer id -> its transactions as the coordinator had them, oldest first.
    """

    selection: Selection = Selection()
    include: frozenset[Include] = frozenset()
    isolation: Isolation = Isolation.READ_UNCOMMITTED
    undecided: Undecided = Undecided.WITHHOLD
    prefer: str | None = None
    strict: bool = False
    leader_epoch: int | None = None
    topic_ids: Mapping[str, str] = field(default_factory=dict)
    show_secrets: bool = False
    tiered: frozenset[str] = frozenset()
    same_cluster: bool = False
    clusters: tuple[ClusterFacts, ...] = ()
    decisions: Mapping[int, tuple[Decision, ...]] = field(default_factory=dict)
